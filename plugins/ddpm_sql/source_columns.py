"""What each column of a result is in Arrow, decided once, before the first row: by the database's word where it has one.

A column about which neither the database nor the user says anything has no type here, and is learned from its values by the rules
of docs/schema.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from sqlalchemy import types as sql

from ddpm_core import ConfigError

_UTC = pa.timestamp("us", "UTC")


@dataclass(slots=True)
class ResultColumn:
    """A column.

    Attributes:
        name: Its name.
        type: Its Arrow type, or None where it is to be learned.
        endless: The driver gives text, which may be `infinity` or `NaN`.
        exact: Equal values are equal Python values, and others are not; so ties can be told here.
    """

    name: str
    type: pa.DataType | None = None
    endless: bool = False
    exact: bool = False


def check_names(names: Sequence[str], where: str) -> None:
    """Every column needs a name of its own.

    Raises:
        ConfigError: One has none, or two have one.
    """
    for number, name in enumerate(names):
        if not name or name == "?column?":
            raise ConfigError(f"{where}: column {number + 1} of the query has no name", hint="Give it one: SELECT … AS name.")
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ConfigError(
            f"{where}: the query has two columns named {twice[0]!r}", hint="Give each a name of its own: SELECT … AS name."
        )


def columns_of(
    description: Sequence[Any], *, family: str, reflected: Mapping[str, Any], declared: pa.Schema | None
) -> list[ResultColumn]:
    """The columns of a result.

    Args:
        description: As the driver has it (PEP 249).
        family: Which database.
        reflected: Column -> type as SQLAlchemy read it from the catalogue, for a table.
        declared: Types that the user declared; they win.
    """
    wanted = {field.name.casefold(): field.type for field in declared or ()}
    found = []
    for entry in description:
        name = str(entry[0])
        if family == "postgresql":
            column = _of_postgres(name, entry)
        elif name in reflected:
            column = _of_catalogue(name, reflected[name], family)
        else:
            column = _of_mysql(name, entry) if family == "mysql" else ResultColumn(name)
        if name.casefold() in wanted:
            column = dataclasses.replace(column, type=wanted[name.casefold()])
        found.append(column)
    return found


# Postgres: by OID; those of built-in types never change. What is not here is the server's own text.
_POSTGRES = {
    16: pa.bool_(), 17: pa.binary(), 20: pa.int64(), 21: pa.int16(), 23: pa.int32(), 26: pa.int64(),
    700: pa.float32(), 701: pa.float64(), 1082: pa.date32(), 1083: pa.time64("us"), 1114: pa.timestamp("us"), 1184: _UTC,
    2950: pa.uuid(), 114: pa.json_(), 3802: pa.json_(),
    1000: pa.list_(pa.bool_()), 1005: pa.list_(pa.int16()), 1007: pa.list_(pa.int32()), 1016: pa.list_(pa.int64()),
    1021: pa.list_(pa.float32()), 1022: pa.list_(pa.float64()), 1009: pa.list_(pa.string()), 1015: pa.list_(pa.string()),
}  # fmt: skip
_NUMERIC = 1700
_ENDLESS = frozenset({_NUMERIC, 1082, 1114, 1184})
_EXACT = frozenset({20, 21, 23, 26, 1082, 1114, 1184, 2950})


def _of_postgres(name: str, entry: Sequence[Any]) -> ResultColumn:
    oid = entry[1]
    if oid == _NUMERIC:
        # Without a precision it holds any number: only text brings each one over as it is.
        return ResultColumn(name, _decimal(entry[4], entry[5]) or pa.string(), endless=True)
    return ResultColumn(name, _POSTGRES.get(oid, pa.string()), oid in _ENDLESS, oid in _EXACT)


def _decimal(precision: int | None, scale: int | None) -> pa.DataType | None:
    """Arrow's decimal for numeric(p, s), where targets have it too."""
    if precision is None or scale is None or not 1 <= precision <= 38 or not 0 <= scale <= precision:
        return None
    return pa.decimal128(precision, scale)


# MySQL and MariaDB: by the protocol's type codes, which say nothing of unsigned and do not tell TEXT from BLOB.
_MYSQL = {
    1: pa.int16(), 2: pa.int32(), 3: pa.int64(), 8: pa.int64(), 9: pa.int32(), 13: pa.int16(), 4: pa.float32(), 5: pa.float64(),
    7: _UTC, 12: pa.timestamp("us"), 10: pa.date32(), 11: pa.time64("us"), 245: pa.json_(), 16: pa.binary(),
}  # fmt: skip
_MYSQL_DECIMAL = (0, 246)
_MYSQL_EXACT = frozenset({1, 2, 3, 8, 9, 13, 7, 12, 10})


def _of_mysql(name: str, entry: Sequence[Any]) -> ResultColumn:
    code = entry[1]
    if code in _MYSQL_DECIMAL and entry[4] is not None and entry[5] is not None:
        digits = entry[4] - (1 if entry[5] else 0)  # The display width counts the point, and a sign where there may be one.
        return ResultColumn(name, _decimal(38 if digits == 39 else digits, entry[5]) or pa.string(), exact=True)
    return ResultColumn(name, _MYSQL.get(code), exact=code in _MYSQL_EXACT)


# Tables of the other databases: by the type that SQLAlchemy found in the catalogue.
def _of_catalogue(name: str, found: Any, family: str) -> ResultColumn:
    kind = _arrow(found, family)
    exact = kind is not None and (
        pa.types.is_integer(kind)
        or (family != "sqlite" and (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_decimal(kind)))
    )
    return ResultColumn(name, kind, exact=exact)


def _arrow(found: Any, family: str) -> pa.DataType | None:
    if isinstance(found, (sql.Numeric, sql.Float)):
        return _number(found, family)
    if isinstance(found, sql.Integer):
        return _integer(found, family)
    name = type(found).__name__.upper()
    if family == "mysql" and name in _MYSQL_NAMES:
        return _MYSQL_NAMES[name]
    if "BLOB" in name or "BINARY" in name:
        return pa.binary()
    for base, kind in _CATALOGUE:
        if isinstance(found, base):
            return kind
    if isinstance(found, sql.DateTime):
        return _UTC if found.timezone or name == "DATETIMEOFFSET" else pa.timestamp("us")
    return None


_MYSQL_NAMES = {"YEAR": pa.int16(), "BIT": pa.binary(), "TIME": pa.time64("us"), "TIMESTAMP": _UTC}
_CATALOGUE: tuple[tuple[type[Any], pa.DataType | None], ...] = (
    (sql.Boolean, None),  # Kept as 0 and 1 by some: learned.
    (sql.LargeBinary, pa.binary()),
    (sql.Date, pa.date32()),
    (sql.Time, pa.time64("us")),
    (sql.JSON, None),
    (sql.String, pa.string()),
)


def _integer(found: Any, family: str) -> pa.DataType:
    """SQLite keeps 64 bits in every integer column, whatever its name; Oracle's has 38 digits."""
    name, unsigned = type(found).__name__.upper(), bool(getattr(found, "unsigned", False))
    if family == "sqlite" or family not in ("mysql", "mssql"):
        return pa.int64()
    bits = {"TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 32, "INTEGER": 32, "BIGINT": 64}.get(name, 64)
    if family == "mssql" and name == "TINYINT":
        unsigned = True
    return {
        8: (pa.int8(), pa.uint8()), 16: (pa.int16(), pa.uint16()), 32: (pa.int32(), pa.uint32()), 64: (pa.int64(), pa.uint64()),
    }[bits][unsigned]  # fmt: skip


def _number(found: Any, family: str) -> pa.DataType | None:
    if isinstance(found, sql.Float):
        return pa.float32() if family == "mysql" and type(found).__name__.upper() == "FLOAT" else pa.float64()
    if family == "sqlite":  # It keeps such a value as an integer or a double, and no digits are checked.
        return None
    if found.precision is None:
        return None
    return _decimal(found.precision, found.scale or 0) or pa.string()
