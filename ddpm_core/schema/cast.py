"""The rules for what fits into what: one column, cast to a target's type."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable

import orjson
import pyarrow as pa

from ddpm_core.schema import kernels as pc
from ddpm_core.schema.cast_numbers import to_bool, to_decimal, to_float, to_int
from ddpm_core.schema.cast_text import to_json, to_text
from ddpm_core.schema.cast_times import to_date, to_duration, to_interval, to_time, to_timestamp
from ddpm_core.schema.lists import list_parts
from ddpm_core.schema.names import match_names
from ddpm_core.schema.outcome import Bad, Outcome, attempt, mismatch, rows_where, set_aside, without
from ddpm_core.schema.types import UUID, Kind, kind, plain, plain_type

_UUID_TEXT = r"\A(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32})\z"
_HEX_BYTES = re.compile(r"\\x((?:[0-9a-fA-F]{2})*)")


def cast_column(array: pa.Array, target: pa.DataType) -> Outcome:
    """Cast a column by the rules of docs/schema.md. A value that does not fit becomes null, and its row is in `bad`."""
    if array.type == target:
        return Outcome(array, {})
    array = plain(array)
    bare = plain_type(target)
    source, wanted = kind(array.type), kind(bare)
    if source == "null":
        return Outcome(pa.nulls(len(array), target), {})
    if array.type == bare:
        return Outcome(array.cast(target), {})
    if source == "json" and wanted not in ("json", "text"):
        array, source = _scalars_of_json(array), "text"
    rule = _RULES.get(wanted)
    data, bad = rule(array, source, bare) if rule else mismatch(array, bare)
    return Outcome(data if data.type == target else data.cast(target), bad)


def _to_null(array: pa.Array, source: Kind, target: pa.DataType) -> Outcome:
    return mismatch(array, target)


def _to_binary(array: pa.Array, source: Kind, target: pa.DataType) -> Outcome:
    bad: Bad = {}
    match source:
        case "binary":
            pass
        case "uuid":
            array = array.storage.cast(pa.binary())
        case "text":
            array, bad = _bytes_of_text(array)
        case _:
            return mismatch(array, target)
    if pa.types.is_fixed_size_binary(target):
        array, more = set_aside(array, pc.not_equal(pc.binary_length(array), target.byte_width), "type_mismatch")
        bad = bad | more
    return Outcome(array.cast(target), bad)


def _to_uuid(array: pa.Array, source: Kind, target: pa.DataType) -> Outcome:
    match source:
        case "text":
            array, bad = set_aside(array, pc.invert(pc.match_substring_regex(array, _UUID_TEXT)), "type_mismatch")
            digits = pc.fill_null(pc.replace_substring(array, "-", ""), "0" * 32)
            packed = bytes.fromhex("".join(digits.to_pylist()))
            data = pa.Array.from_buffers(pa.binary(16), len(array), [None, pa.py_buffer(packed)])
            storage = pc.if_else(array.is_valid(), data, pa.scalar(None, pa.binary(16)))
        case "binary":
            array, bad = set_aside(array, pc.not_equal(pc.binary_length(array), 16), "type_mismatch")
            storage = array.cast(pa.binary(16))
        case _:
            return mismatch(array, target)
    return Outcome(pa.ExtensionArray.from_storage(UUID, storage), bad)


def _to_list(array: pa.Array, source: Kind, target: pa.DataType) -> Outcome:
    if source != "list":
        return mismatch(array, target)
    lists = list_parts(array)
    values, bad = cast_column(lists.values, target.value_type)
    culprits = lists.owners(bad)
    made = lists.around(values)
    made = without(made, culprits) if culprits else made
    made, more = attempt(made, lambda part: part.cast(target), "type_mismatch")
    return Outcome(made, culprits | more)


def _to_map(array: pa.Array, source: Kind, target: pa.DataType) -> Outcome:
    if source != "map":
        return mismatch(array, target)
    lists = list_parts(array)
    keys, items = lists.values.flatten()
    keys, bad = cast_column(keys, target.key_type)
    items, more = cast_column(items, target.item_type)
    culprits = lists.owners(more | bad)
    if bad:  # A map's key is never null; the row is refused, so what stands here is not seen.
        rows = [row for row in range(len(array)) if row not in culprits]
        kept, _ = _to_map(array.take(pa.array(rows, pa.int64())), source, target)
        position = {row: number for number, row in enumerate(rows)}
        return Outcome(kept.take(pa.array([position.get(row) for row in range(len(array))], pa.int64())), culprits)
    made = lists.around(pa.StructArray.from_arrays([keys, items], fields=[target.key_field, target.item_field]))
    made = pa.MapArray.from_arrays(made.offsets, keys, items, type=target, mask=array.is_null())
    return Outcome(without(made, culprits) if culprits else made, culprits)


def _to_struct(array: pa.Array, source: Kind, target: pa.DataType) -> Outcome:
    """By field name. A field that the target lacks may hold nothing but null."""
    if source != "struct":
        return mismatch(array, target)
    children = array.flatten()
    matched = match_names([field.name for field in array.type], [field.name for field in target])
    bad: Bad = {}
    for number in matched.unknown:
        bad |= dict.fromkeys(rows_where(children[number].is_valid()), "unknown_column")
    columns = []
    for field in target:
        sources = matched.sources.get(field.name, [])
        if sources:
            made, more = cast_column(children[sources[0]], field.type)
        else:
            made, more = pa.nulls(len(array), field.type), {}
        for number in sources[1:]:
            more |= dict.fromkeys(rows_where(children[number].is_valid()), "column_conflict")
        bad |= more
        columns.append(made)
    data = pa.StructArray.from_arrays(columns, fields=list(target), mask=array.is_null())
    return Outcome(without(data, bad) if bad else data, bad)


def _bytes_of_text(array: pa.StringArray) -> Outcome:
    values: list[bytes | None] = []
    bad: Bad = {}
    for row, text in enumerate(array.to_pylist()):
        value = None
        if text is not None:
            value = _bytes_of(text)
            if value is None:
                bad[row] = "type_mismatch"
        values.append(value)
    return Outcome(pa.array(values, pa.binary()), bad)


def _bytes_of(text: str) -> bytes | None:
    if digits := _HEX_BYTES.fullmatch(text):
        return bytes.fromhex(digits[1])
    try:
        return b64decode(text, validate=True)
    except (NotBase64, ValueError):
        return None


def _scalars_of_json(array: pa.Array) -> pa.StringArray:
    """JSON strings without their quotes, `null` as null, and all else as it is spelled."""
    texts = array.storage.cast(pa.string()).to_pylist()
    for row, text in enumerate(texts):
        if text is not None and text.strip() == "null":
            texts[row] = None
        elif text is not None and text.lstrip().startswith('"'):
            texts[row] = orjson.loads(text)
    return pa.array(texts, pa.string())


_RULES: dict[Kind, Callable[[pa.Array, Kind, pa.DataType], Outcome]] = {
    "null": _to_null,
    "bool": to_bool,
    "int": to_int,
    "float": to_float,
    "decimal": to_decimal,
    "text": to_text,
    "json": to_json,
    "binary": _to_binary,
    "uuid": _to_uuid,
    "timestamp": to_timestamp,
    "date": to_date,
    "time": to_time,
    "duration": to_duration,
    "interval": to_interval,
    "list": _to_list,
    "struct": _to_struct,
    "map": _to_map,
}
