"""Arrow columns as values that orjson writes the way users expect."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as is_type

from ddpm_core import DataError

_AS_PYTHON_HAS_IT = (is_type.is_null, is_type.is_boolean, is_type.is_integer, is_type.is_floating)
_UNITS = {"s": 0, "ms": -3, "us": -6, "ns": -9}


def rendered(column: pa.Array) -> list[Any]:
    """The column's values, ready for `orjson.dumps`; nested ones too.

    Raises:
        DataError: A value, or the column's type, has no JSON form.
    """
    column = _plain(column)
    kind = column.type
    if isinstance(kind, pa.JsonType):
        return [None if text is None else _embedded(text) for text in column.storage.cast(pa.string()).to_pylist()]
    if is_type.is_timestamp(kind):
        return _timestamps(column)
    if is_type.is_date(kind) or is_type.is_time(kind):
        return list(column.cast(pa.date32() if is_type.is_date(kind) else kind).cast(pa.string()).to_pylist())
    if is_type.is_duration(kind):
        return [None if count is None else _duration(count, kind.unit) for count in column.cast(pa.int64()).to_pylist()]
    if is_type.is_decimal(kind):
        return [None if value is None else orjson.Fragment(format(value, "f").encode()) for value in column.to_pylist()]
    if _is_binary(kind):
        return [None if value is None else b64encode(value).decode() for value in column.to_pylist()]
    if is_type.is_map(kind):
        return _maps(column)
    if is_type.is_struct(kind):
        return _structs(column)
    if _is_list(kind):
        return _lists(column)
    if is_type.is_floating(kind):
        _check_finite(column)
    if isinstance(kind, pa.UuidType) or _is_text(kind) or any(test(kind) for test in _AS_PYTHON_HAS_IT):
        return _values(column)
    raise DataError(f"values of type {kind} have no JSON form", reason="type_mismatch")


def _plain(column: pa.Array) -> pa.Array:
    while True:
        if is_type.is_dictionary(column.type):
            column = column.dictionary_decode()
        elif is_type.is_run_end_encoded(column.type):
            column = pc.run_end_decode(column)
        elif isinstance(column.type, pa.BaseExtensionType) and not isinstance(column.type, pa.JsonType | pa.UuidType):
            column = column.storage
        else:
            return column


def _check_finite(column: pa.Array) -> None:
    """Refuse what orjson would write as null, which is another value."""
    strange = pc.invert(pc.is_finite(column))
    if pc.any(strange).as_py():
        value = column.filter(strange)[0].as_py()
        raise DataError(f"{value} is or holds NaN or an infinity, which JSON cannot say", reason="number_range")


def _values(column: pa.Array) -> list[Any]:
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError as error:
        raise DataError(f"a text is not UTF-8: {error.reason}", reason="encoding") from None


def _embedded(text: str) -> orjson.Fragment:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise DataError(f"the text of a json column is not JSON: {error}", reason="json_invalid") from None
    # A line end in JSON stands between tokens only; in NDJSON it would end the record.
    return orjson.Fragment(text.replace("\n", " ").replace("\r", " ").encode())


def _timestamps(column: pa.Array) -> list[Any]:
    """ISO 8601; what has a time zone is an instant and is written in UTC, with a Z."""
    zone = "UTC" if column.type.tz else None
    texts = column.cast(pa.timestamp(column.type.unit, zone)).cast(pa.string())
    return list(pc.replace_substring(texts, " ", "T", max_replacements=1).to_pylist())


def _structs(column: pa.Array) -> list[Any]:
    names = [field.name for field in column.type]
    if len(set(names)) < len(names):
        raise DataError(f"a struct has two fields of one name: {', '.join(names)}", reason="duplicate_column")
    children = [rendered(child) for child in column.flatten()]
    rows = zip(*children, strict=True) if children else iter([()] * len(column))
    return [dict(zip(names, row, strict=True)) if valid else None for row, valid in zip(rows, _valid(column), strict=True)]


def _lists(column: pa.Array) -> list[Any]:
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_pylist()
    return _regrouped(column, rendered(pc.list_flatten(column)), lengths, list)


def _maps(column: pa.Array) -> list[Any]:
    """An object where keys are text, else an array of pairs."""
    of_text = _is_text(column.type.key_type)
    entries = column.cast(pa.list_(pa.struct([("key", column.type.key_type), ("value", column.type.item_type)])))
    flat = pc.list_flatten(entries)
    keys, items = (rendered(child) for child in flat.flatten())
    pairs = list(zip(keys, items, strict=True))
    return _regrouped(entries, pairs, pc.fill_null(pc.list_value_length(entries), 0).to_pylist(), dict if of_text else list)


def _regrouped(column: pa.Array, values: list[Any], lengths: list[int], collect: Callable[[list[Any]], Any]) -> list[Any]:
    out: list[Any] = []
    at = 0
    for length, valid in zip(lengths, _valid(column), strict=True):
        out.append(collect(values[at : at + length]) if valid else None)
        at += length
    return out


def _valid(column: pa.Array) -> list[bool]:
    return list(column.is_valid().to_pylist())


def _duration(count: int, unit: str) -> str:
    """ISO 8601, in seconds."""
    return f"PT{Decimal(count).scaleb(_UNITS[unit]):f}S"


def _is_binary(kind: pa.DataType) -> bool:
    return bool(
        is_type.is_binary(kind)
        or is_type.is_large_binary(kind)
        or is_type.is_binary_view(kind)
        or is_type.is_fixed_size_binary(kind)
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(is_type.is_string(kind) or is_type.is_large_string(kind) or is_type.is_string_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        is_type.is_list(kind)
        or is_type.is_large_list(kind)
        or is_type.is_fixed_size_list(kind)
        or is_type.is_list_view(kind)
        or is_type.is_large_list_view(kind)
    )
