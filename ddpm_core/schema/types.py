"""What types are called: by users in SQL words, and by the rules as kinds."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal, TypeAlias

import pyarrow as pa
import pyarrow.types as is_type

from ddpm_core.schema import kernels as pc

Kind: TypeAlias = Literal[
    "null", "bool", "int", "float", "decimal", "text", "json", "binary", "uuid", "timestamp", "date", "time", "duration", "interval",
    "list", "struct", "map", "union", "other",
]  # fmt: skip

UUID = pa.uuid()
JSON = pa.json_()
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
EXACT_IN_DOUBLE = 2**53
"""Whole numbers up to here are the same in a double; beyond it some are not."""

JSON_INT = r"-?(?:0|[1-9][0-9]*)"
JSON_NUMBER = JSON_INT + r"(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"

_NAMES = {
    pa.null(): "null",
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.uint8(): "utinyint",
    pa.uint16(): "usmallint",
    pa.uint32(): "uinteger",
    pa.uint64(): "ubigint",
    pa.float16(): "half",
    pa.float32(): "real",
    pa.float64(): "double",
    pa.timestamp("s"): "timestamp_s",
    pa.timestamp("ms"): "timestamp_ms",
    pa.timestamp("us"): "timestamp",
    pa.timestamp("ns"): "timestamp_ns",
    pa.month_day_nano_interval(): "interval",
}
_NAME_OF_KIND: dict[Kind, str] = {
    "text": "text",
    "json": "json",
    "binary": "blob",
    "uuid": "uuid",
    "timestamp": "timestamptz",
    "date": "date",
    "time": "time",
    "duration": "interval",
    "union": "union",
}


@lru_cache(maxsize=1024)
def sql_name(data_type: pa.DataType) -> str:
    """The type in SQL words, as messages and `--columns` spell it: `bigint`, `decimal(12,2)`, `text[]`."""
    data_type = plain_type(data_type)
    if data_type in _NAMES:
        return _NAMES[data_type]
    match kind(data_type):
        case "decimal":
            return f"decimal({data_type.precision},{data_type.scale})"
        case "list":
            return f"{sql_name(data_type.value_type)}[]"
        case "struct":
            return f"struct({', '.join(f'{field.name} {sql_name(field.type)}' for field in data_type)})"
        case "map":
            return f"map({sql_name(data_type.key_type)}, {sql_name(data_type.item_type)})"
        case known:
            return _NAME_OF_KIND.get(known) or str(data_type)


def kind(data_type: pa.DataType) -> Kind:
    """Which family of rules a plain type belongs to."""
    if isinstance(data_type, pa.JsonType):
        return "json"
    if isinstance(data_type, pa.UuidType):
        return "uuid"
    return next((name for test, name in _TESTS if test(data_type)), "other")


def _is_list(t: pa.DataType) -> bool:
    return bool(
        is_type.is_list(t)
        or is_type.is_large_list(t)
        or is_type.is_fixed_size_list(t)
        or is_type.is_list_view(t)
        or is_type.is_large_list_view(t)
    )


def _is_text(t: pa.DataType) -> bool:
    return bool(is_type.is_string(t) or is_type.is_large_string(t) or is_type.is_string_view(t))


def _is_binary(t: pa.DataType) -> bool:
    return bool(is_type.is_binary(t) or is_type.is_large_binary(t) or is_type.is_binary_view(t) or is_type.is_fixed_size_binary(t))


_TESTS: tuple[tuple[Callable[[pa.DataType], bool], Kind], ...] = (
    (is_type.is_integer, "int"),
    (is_type.is_floating, "float"),
    (_is_text, "text"),
    (is_type.is_boolean, "bool"),
    (is_type.is_decimal, "decimal"),
    (is_type.is_timestamp, "timestamp"),
    (is_type.is_date, "date"),
    (is_type.is_time, "time"),
    (is_type.is_duration, "duration"),
    (is_type.is_interval, "interval"),
    (_is_binary, "binary"),
    (_is_list, "list"),
    (is_type.is_struct, "struct"),
    (is_type.is_map, "map"),
    (is_type.is_union, "union"),
    (is_type.is_null, "null"),
)


def plain_type(data_type: pa.DataType) -> pa.DataType:
    """The type without an encoding around it: dictionaries, run ends, and extension types other than uuid and json."""
    while True:
        if is_type.is_dictionary(data_type) or is_type.is_run_end_encoded(data_type):
            data_type = data_type.value_type
        elif isinstance(data_type, pa.BaseExtensionType) and kind(data_type) == "other":
            data_type = data_type.storage_type
        else:
            return data_type


def plain(array: pa.Array) -> pa.Array:
    """The same values without an encoding around them; text and bytes with 32-bit offsets, lists as plain lists."""
    while True:
        t = array.type
        if is_type.is_dictionary(t):
            array = array.dictionary_decode()
        elif is_type.is_run_end_encoded(t):
            array = pc.run_end_decode(array)
        elif isinstance(t, pa.BaseExtensionType) and kind(t) == "other":
            array = array.storage
        elif is_type.is_large_string(t) or is_type.is_string_view(t):
            return array.cast(pa.string())
        elif is_type.is_large_binary(t) or is_type.is_binary_view(t) or is_type.is_fixed_size_binary(t):
            return array.cast(pa.binary())
        else:
            return array
