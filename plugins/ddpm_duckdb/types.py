"""DuckDB's types and Arrow's."""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.types as is_type

from ddpm_core import ConfigError

MAX_DIGITS = 38

_ARROW_OF = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "utinyint": pa.uint8(),
    "usmallint": pa.uint16(),
    "uinteger": pa.uint32(),
    "ubigint": pa.uint64(),
    "hugeint": pa.decimal128(MAX_DIGITS, 0),
    "float": pa.float32(),
    "double": pa.float64(),
    "varchar": pa.string(),
    "blob": pa.binary(),
    "uuid": pa.uuid(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "time_ns": pa.time64("ns"),
    "timestamp_s": pa.timestamp("s"),
    "timestamp_ms": pa.timestamp("ms"),
    "timestamp": pa.timestamp("us"),
    "timestamp_ns": pa.timestamp("ns"),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
    "timestamptz_ns": pa.timestamp("ns", "UTC"),
    "interval": pa.month_day_nano_interval(),
}
_SQL_OF = {
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.uint8(): "UTINYINT",
    pa.uint16(): "USMALLINT",
    pa.uint32(): "UINTEGER",
    pa.uint64(): "UBIGINT",
    pa.float16(): "FLOAT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.large_string(): "VARCHAR",
    pa.string_view(): "VARCHAR",
    pa.binary(): "BLOB",
    pa.large_binary(): "BLOB",
    pa.binary_view(): "BLOB",
    pa.date32(): "DATE",
    pa.date64(): "DATE",
    pa.uuid(): "UUID",
    pa.json_(): "JSON",
    pa.month_day_nano_interval(): "INTERVAL",
    # Inside lists and structs only: a column of nothing but nulls is not made. Text takes whatever comes later.
    pa.null(): "VARCHAR",
}


class ArrowType(NamedTuple):
    """What a DuckDB type is in Arrow.

    Attributes:
        type: What to hand over.
        cast: DuckDB makes its own value of that, which may fail (text that becomes an enum).
    """

    type: pa.DataType
    cast: bool = False


def arrow_type(sql: Any) -> ArrowType:
    """The Arrow type of a DuckDB type, given as the `DuckDBPyType` of a result's description.

    Types that Arrow does not have (enum, bit, union, geometry, …) are text that DuckDB reads.
    """
    if str(sql) == "JSON":
        return ArrowType(pa.json_())
    if sql.id == "varchar" or sql.id in _ARROW_OF:
        return ArrowType(_ARROW_OF[sql.id])
    match sql.id:
        case "decimal":
            parts = dict(sql.children)
            return ArrowType(pa.decimal128(parts["precision"], parts["scale"]))
        case "list" | "array":
            # A fixed length is for DuckDB to check: the rows that lack it are found with the other failing casts.
            child = arrow_type(dict(sql.children)["child"])
            return ArrowType(pa.list_(child.type), child.cast or sql.id == "array")
        case "map":
            key, value = (arrow_type(part) for _, part in sql.children)
            return ArrowType(pa.map_(key.type, value.type), key.cast or value.cast)
        case "struct":
            children = [(name, arrow_type(part)) for name, part in sql.children]
            return ArrowType(pa.struct([(name, child.type) for name, child in children]), any(child.cast for _, child in children))
        case _:
            return ArrowType(pa.string(), cast=True)


def sql_type(data_type: pa.DataType) -> str:
    """The type for a new column.

    What DuckDB has no type for becomes the nearest that holds every value: numbers of more than 38 digits text, structs that DuckDB
    cannot name (no fields, or names that differ in case only) and unions JSON.

    Raises:
        ConfigError: There is none.
    """
    known = _SQL_OF.get(data_type)
    if known:
        return known
    if is_type.is_dictionary(data_type) or is_type.is_run_end_encoded(data_type):
        return sql_type(data_type.value_type)
    if is_type.is_decimal(data_type):
        return _decimal(data_type)
    if is_type.is_timestamp(data_type):
        nanoseconds = data_type.unit == "ns"
        if data_type.tz:
            return "TIMESTAMPTZ_NS" if nanoseconds else "TIMESTAMPTZ"
        return "TIMESTAMP_NS" if nanoseconds else "TIMESTAMP"
    if is_type.is_time(data_type):
        return "TIME_NS" if data_type.unit == "ns" else "TIME"
    if is_type.is_fixed_size_binary(data_type):
        return "BLOB"
    if is_type.is_duration(data_type) or is_type.is_interval(data_type):
        return "INTERVAL"
    if is_type.is_union(data_type):
        return "JSON"
    return _nested(data_type)


def _decimal(data_type: pa.DataType) -> str:
    scale = max(data_type.scale, 0)
    digits = max(data_type.precision - min(data_type.scale, 0), scale)
    return f"DECIMAL({digits}, {scale})" if digits <= MAX_DIGITS else "VARCHAR"


def _nested(data_type: pa.DataType) -> str:
    if is_type.is_map(data_type):
        return f"MAP({sql_type(data_type.key_type)}, {sql_type(data_type.item_type)})"
    if is_type.is_struct(data_type):
        names = [field.name for field in data_type]
        if not all(names) or any("\x00" in name for name in names) or not names or len({n.casefold() for n in names}) < len(names):
            return "JSON"
        return f"STRUCT({', '.join(f'{quote(field.name)} {sql_type(field.type)}' for field in data_type)})"
    if hasattr(data_type, "value_type"):
        return f"{sql_type(data_type.value_type)}[]"
    if isinstance(data_type, pa.BaseExtensionType):
        return sql_type(data_type.storage_type)
    raise ConfigError(f"DuckDB has no type for {data_type}", hint="Declare the column's type with --columns")


def quote(name: str) -> str:
    """An identifier in double quotes, safe for any text without NUL."""
    return '"' + name.replace('"', '""') + '"'
