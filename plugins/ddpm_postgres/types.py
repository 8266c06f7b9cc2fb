"""Types: what a column of Postgres is in Arrow and how COPY takes it, and what a new column for an Arrow field is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from ddpm_core import ConfigError

Way = Literal["binary", "jsonb", "text"]
"""How a column goes through COPY: pgpq's encoding of its Arrow type; the same for jsonb; or as text, which the server parses."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the target.

    Attributes:
        field: Its Arrow type, nullability and, where the type has no Arrow equal, the server's name for it (`sql_type`).
        way: How COPY takes it.
    """

    field: pa.Field
    way: Way


@dataclass(frozen=True, slots=True)
class ServerType:
    """A type as the catalogue has it, domains resolved.

    Attributes:
        oid, typmod: The type and its modifier (-1: none).
        name: As `format_type` writes it, for people.
        receive: The name of its binary input function.
        element: The same for an array's elements, else None.
    """

    oid: int
    typmod: int
    name: str
    receive: str
    element: ServerType | None = None


# By OID: those of built-in types never change. All have a binary form that pgpq writes.
_ARROW = {
    16: pa.bool_(),
    17: pa.binary(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    25: pa.string(),
    700: pa.float32(),
    701: pa.float64(),
    1042: pa.string(),
    1043: pa.string(),
    1082: pa.date32(),
    1083: pa.time64("us"),
    1114: pa.timestamp("us"),
    1184: pa.timestamp("us", tz="UTC"),
    2950: pa.uuid(),
}
_JSON, _JSONB, _NUMERIC = 114, 3802, 1700
# An array carries its elements' type on the wire, and pgpq writes these right (not varchar, timestamptz, uuid).
_BINARY_ELEMENTS = frozenset({16, 17, 20, 21, 23, 25, 700, 701, 1082, 1083, 1114})
# Types whose binary form is their text: an enum is as fast as text.
_TEXT_RECEIVERS = frozenset({"textrecv", "varcharrecv", "bpcharrecv", "namerecv", "enum_recv", "citextrecv"})


def column(name: str, server: ServerType, *, nullable: bool) -> Column:
    """What a column of this type is in Arrow, and how COPY takes it."""
    arrow, way, equal = _arrow(server)
    metadata = None if equal else {"sql_type": server.name}
    return Column(pa.field(name, arrow, nullable, metadata), way)


def _arrow(server: ServerType) -> tuple[pa.DataType, Way, bool]:
    """Arrow type, way, and whether the two types hold the same values."""
    if server.oid in _ARROW:
        return _ARROW[server.oid], "binary", True
    if server.oid == _JSONB:
        return pa.json_(), "jsonb", True
    if server.oid == _JSON:
        return pa.json_(), "binary", True
    if server.oid == _NUMERIC:
        decimal = _decimal(server.typmod)
        # Without a precision it holds any number: only text brings each one over as it is.
        return (decimal, "binary", True) if decimal is not None else (pa.string(), "text", False)
    if server.element is not None:
        inner, way, equal = _arrow(server.element)
        fits = server.element.oid in _BINARY_ELEMENTS or (server.element.oid == _NUMERIC and way == "binary")
        if pa.types.is_list(inner) or isinstance(inner, pa.JsonType):
            inner, equal = pa.string(), False
        return pa.list_(inner), "binary" if fits else "text", equal
    return pa.string(), "binary" if server.receive in _TEXT_RECEIVERS else "text", False


def _decimal(typmod: int) -> pa.DataType | None:
    """numeric(p, s) as Arrow's decimal, where that has one: p at most 38, and 0 <= s <= p."""
    if typmod < 4:
        return None
    precision, scale = (typmod - 4) >> 16 & 0xFFFF, (typmod - 4) & 0x7FF
    return pa.decimal128(precision, scale) if 0 <= scale <= precision <= 38 else None


_DDL: tuple[tuple[Any, str], ...] = (
    (pa.types.is_boolean, "boolean"),
    (lambda t: t in (pa.int8(), pa.int16(), pa.uint8()), "smallint"),
    (lambda t: t in (pa.int32(), pa.uint16()), "integer"),
    (lambda t: t in (pa.int64(), pa.uint32()), "bigint"),
    (lambda t: t == pa.uint64(), "numeric(20,0)"),
    (lambda t: t in (pa.float16(), pa.float32()), "real"),
    (lambda t: t == pa.float64(), "double precision"),
    (lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t), "text"),
    (lambda t: pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_binary_view(t), "bytea"),
    (pa.types.is_fixed_size_binary, "bytea"),
    (pa.types.is_date, "date"),
    (pa.types.is_time, "time"),
    (lambda t: pa.types.is_timestamp(t) and t.tz is not None, "timestamp with time zone"),
    (pa.types.is_timestamp, "timestamp without time zone"),
    (lambda t: pa.types.is_duration(t) or pa.types.is_interval(t), "interval"),
    (lambda t: pa.types.is_nested(t) and not pa.types.is_union(t), "jsonb"),
)


def ddl(field: pa.Field) -> str:
    """The type of a new column for this field.

    Raises:
        ConfigError: Postgres has none.
    """
    kind = field.type
    if isinstance(kind, pa.JsonType):
        return "jsonb"
    if isinstance(kind, pa.UuidType):
        return "uuid"
    if isinstance(kind, pa.BaseExtensionType):
        return ddl(field.with_type(kind.storage_type))
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return ddl(field.with_type(kind.value_type))
    if pa.types.is_decimal(kind):
        scale = max(kind.scale, 0)
        return f"numeric({max(kind.precision - min(kind.scale, 0), scale)},{scale})"
    for fits, name in _DDL:
        if fits(kind):
            return name
    raise ConfigError(
        f"column {field.name!r} has type {kind}, and Postgres has no type for it",
        hint=f"Declare another: --columns '{field.name}=string'.",
    )
