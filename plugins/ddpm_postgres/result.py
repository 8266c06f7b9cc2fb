"""A query's result as Arrow: every value arrives as text, and columns of types that Arrow has are cast, all rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg2.extensions
import pyarrow as pa
import pyarrow.compute as pc

from ddpm_core import ConfigError

_ARROW = {
    16: pa.bool_(),
    17: pa.binary(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    26: pa.int64(),
    700: pa.float32(),
    701: pa.float64(),
    1082: pa.date32(),
    1083: pa.time64("us"),
    1114: pa.timestamp("us"),
    1184: pa.timestamp("us", tz="UTC"),
}
_NUMERIC = 1700


def as_text(cursor: psycopg2.extensions.cursor) -> None:
    """Make this cursor's results plain text: no Python objects on the way to Arrow."""
    known = tuple(oid for oid in psycopg2.extensions.string_types if oid > 0)
    raw = psycopg2.extensions.new_type(known, "DDPM_TEXT", lambda value, _: value)
    psycopg2.extensions.register_type(raw, cursor)


def schema_of(description: Sequence[Any], first: Sequence[Sequence[str | None]], *, complete: bool) -> pa.Schema:
    """The result's columns.

    Args:
        description: The cursor's.
        first: The first rows, by column.
        complete: They are all there are: then a numeric without a precision (a sum, say) is a decimal that fits its values. In
            a longer result it is text, since its later rows are not known yet.
    """
    fields = []
    for column, values in zip(description, first, strict=True):
        kind = _ARROW.get(column.type_code, pa.string())
        if column.type_code == _NUMERIC:
            kind = _decimal(column.precision, column.scale, values if complete else None)
        fields.append(pa.field(column.name, kind))
    return pa.schema(fields)


def _decimal(precision: int | None, scale: int | None, values: Sequence[str | None] | None) -> pa.DataType:
    if precision and scale is not None and 0 <= scale <= precision <= 38:
        return pa.decimal128(precision, scale)
    if values is None:
        return pa.string()
    numbers = [value.lstrip("-") for value in values if value is not None]
    if not all(number.replace(".", "", 1).isdigit() for number in numbers):
        return pa.string()  # NaN and Infinity
    parts = [number.partition(".") for number in numbers]
    whole, fraction = max((len(p[0]) for p in parts), default=1), max((len(p[2]) for p in parts), default=0)
    return pa.decimal128(38, fraction) if whole + fraction <= 38 else pa.string()


def batch(schema: pa.Schema, columns: Sequence[Sequence[str | None]]) -> pa.RecordBatch:
    """Rows, given by column as text.

    Raises:
        ConfigError: A value has no place in the Arrow type: a date `infinity` or before Christ.
    """
    made = []
    for field, values in zip(schema, columns, strict=True):
        try:
            made.append(_cast(pa.array(values, pa.string()), field.type))
        except pa.ArrowInvalid as error:
            raise ConfigError(
                f"column {field.name!r} holds a value that does not fit into {field.type}: {str(error).splitlines()[0]}",
                hint=f'Ask for its text: "{field.name}"::text.',
            ) from None
    return pa.record_batch(made, schema=schema)


def _cast(text: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_boolean(kind):
        return pc.equal(text, "t")
    if pa.types.is_binary(kind):
        return pa.array([None if v is None else bytes.fromhex(v[2:]) for v in text.to_pylist()], kind)
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return pc.replace_substring_regex(text, r"\+00$", "Z").cast(kind)  # The session's time zone is UTC.
    if pa.types.is_time(kind):
        return pc.binary_join_element_wise("1970-01-01", text, " ").cast(pa.timestamp("us")).cast(kind)
    return text.cast(kind)
