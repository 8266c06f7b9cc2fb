"""What becomes text, and what becomes JSON text."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa

from ddpm_core.schema import kernels as pc
from ddpm_core.schema.lists import list_parts
from ddpm_core.schema.outcome import Bad, Outcome, attempt, mismatch, rows_where, set_aside, without
from ddpm_core.schema.spell import UnspeakableError, check_json, json_text, plain_digits
from ddpm_core.schema.types import Kind, kind, plain

_ZERO_FRACTION = r"\.0+(Z?)\z"
_TO_ESCAPE = r'["\\\x00-\x1f]'


def to_text(array: pa.Array, source: Kind, target: pa.DataType) -> Outcome:
    """Scalars as JSON or ISO 8601 spell them, without quotes; bytes that are UTF-8; nested values as JSON."""
    match source:
        case "text":
            return Outcome(array, {})
        case "json":
            return Outcome(array.storage.cast(pa.string()), {})
        case "binary":
            return attempt(array, lambda part: part.cast(pa.string()), "encoding")
        case "float":
            return Outcome(_float_text(array), {})
        case "list" | "struct" | "map":
            return json_of(array, source)
        case "union" | "other":
            return mismatch(array, target)
    return Outcome(_SCALAR_TEXT[source](array), {})


def to_json(array: pa.Array, source: Kind, target: pa.DataType) -> Outcome:
    """JSON as it is, text that parses as JSON, and every other value spelled in JSON."""
    if source == "json":
        return Outcome(array.storage, {})
    if source == "text":
        bad = _not_json(array)
        return Outcome(without(array, bad) if bad else array, bad)
    return json_of(array, source)


def json_of(array: pa.Array, source: Kind) -> Outcome:
    """Each value as JSON text: text becomes a JSON string. Null stays null."""
    match source:
        case "text":
            return Outcome(_quoted(array), {})
        case "json":
            return Outcome(array.storage.cast(pa.string()), {})
        case "float":
            array, bad = set_aside(array, pc.invert(pc.is_finite(_countable(array))), "number_range")
            return Outcome(_float_text(array), bad)
        case "bool" | "int" | "decimal" | "null":
            return Outcome(_SCALAR_TEXT[source](array), {})
        case "binary":
            return Outcome(_each(array, lambda value: f'"{b64encode(value).decode()}"'), {})
        case "list" | "map":
            return _list_json(array, source)
        case "struct":
            return _struct_json(array)
        case "union":
            return _union_json(array)
        case "other":
            return mismatch(array, pa.string())
    return Outcome(pc.binary_join_element_wise('"', _SCALAR_TEXT[source](array), '"', ""), {})


def _struct_json(array: pa.StructArray) -> Outcome:
    bad: Bad = {}
    parts: list[object] = ["{"]
    for number, (field, child) in enumerate(zip(array.type, map(plain, array.flatten()), strict=True)):
        spelled, more = json_of(child, kind(child.type))
        bad |= more
        parts += [("," if number else "") + json_text(field.name) + ":", pc.fill_null(spelled, "null")]
    if len(parts) == 1:
        parts.append(pa.array([""] * len(array), pa.string()))
    text = pc.binary_join_element_wise(*parts, "}", "")
    text = pc.if_else(array.is_valid(), text, pa.scalar(None, pa.string()))
    return Outcome(without(text, bad) if bad else text, bad)


def _list_json(array: pa.Array, source: Kind) -> Outcome:
    lists = list_parts(array)
    values = plain(lists.values)
    if source == "map":
        keys, items = (plain(child) for child in values.flatten())
        names, bad = to_text(keys, kind(keys.type), pa.string())
        spelled, more = json_of(items, kind(items.type))
        bad = bad | more
        spelled = pc.binary_join_element_wise(_quoted(names), pc.fill_null(spelled, "null"), ":")
        opening, closing = "{", "}"
    else:
        spelled, bad = json_of(values, kind(values.type))
        opening, closing = "[", "]"
    joined = pc.binary_join(lists.around(pc.fill_null(spelled, "null")), ",")
    text = pc.binary_join_element_wise(opening, joined, closing, "")
    culprits = lists.owners(bad)
    return Outcome(without(text, culprits) if culprits else text, culprits)


def _union_json(array: pa.UnionArray) -> Outcome:
    texts: list[str | None] = []
    bad: Bad = {}
    for row, value in enumerate(array.to_pylist()):
        text = None
        try:
            text = None if value is None else json_text(value)
        except UnspeakableError as error:
            bad[row] = error.reason
        texts.append(text)
    return Outcome(pa.array(texts, pa.string()), bad)


def _not_json(array: pa.StringArray) -> Bad:
    bad: Bad = {}
    for row, text in enumerate(array.to_pylist()):
        if text is not None:
            try:
                check_json(text)
            except UnspeakableError as error:
                bad[row] = error.reason
    return bad


def _quoted(array: pa.StringArray) -> pa.StringArray:
    awkward = rows_where(pc.match_substring_regex(array, _TO_ESCAPE))
    quoted = pc.binary_join_element_wise('"', array, '"', "")
    if not awkward:
        return quoted
    values = quoted.to_pylist()
    for row in awkward:
        values[row] = json_text(array[row].as_py())
    return pa.array(values, pa.string())


def _countable(array: pa.Array) -> pa.Array:
    return array.cast(pa.float32()) if array.type == pa.float16() else array


def _float_text(array: pa.Array) -> pa.StringArray:
    """The shortest spelling that reads back the same, told from an integer's by its point or exponent."""
    text = _countable(array).cast(pa.string())
    text = pc.replace_substring_regex(text, r"\A(-?[0-9]+)\z", r"\1.0")
    if pc.any(pc.match_substring_regex(text, "[nN]")).as_py():
        text = pc.replace_substring(pc.replace_substring(text, "nan", "NaN"), "inf", "Infinity")
        text = pc.replace_substring(text, "-NaN", "NaN")
    return text


def _decimal_text(array: pa.Array) -> pa.StringArray:
    text = array.cast(pa.string())
    scientific = rows_where(pc.match_substring(text, "E"))
    if not scientific:
        return text
    values = text.to_pylist()
    for row in scientific:
        values[row] = plain_digits(Decimal(values[row]))
    return pa.array(values, pa.string())


def _timestamp_text(array: pa.Array) -> pa.StringArray:
    if array.type.tz is not None:
        array = array.cast(pa.timestamp(array.type.unit, "UTC"))
    return pc.replace_substring(_short(array.cast(pa.string())), " ", "T", max_replacements=1)


def _short(text: pa.StringArray) -> pa.StringArray:
    return pc.replace_substring_regex(text, _ZERO_FRACTION, r"\1")


def _uuid_text(array: pa.Array) -> pa.StringArray:
    def hyphened(value: bytes) -> str:
        text = value.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    return _each(array.storage, hyphened)


def _duration_text(array: pa.Array) -> pa.StringArray:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[array.type.unit]
    return _each(array.cast(pa.int64()), lambda value: f"PT{plain_digits((Decimal(value) / per_second).normalize())}S")


def _interval_text(array: pa.Array) -> pa.StringArray:
    def iso(value: pa.MonthDayNano) -> str:
        return f"P{value.months}M{value.days}DT{plain_digits((Decimal(value.nanoseconds) / 10**9).normalize())}S"

    return _each(array, iso)


def _each(array: pa.Array, spell: Callable[[Any], str]) -> pa.StringArray:
    """One by one, for rare types."""
    return pa.array([None if value is None else spell(value) for value in array.to_pylist()], pa.string())


_SCALAR_TEXT: dict[Kind, Callable[[pa.Array], pa.StringArray]] = {
    "null": lambda array: pa.nulls(len(array), pa.string()),
    "bool": lambda array: array.cast(pa.string()),
    "int": lambda array: array.cast(pa.string()),
    "decimal": _decimal_text,
    "uuid": _uuid_text,
    "timestamp": _timestamp_text,
    "date": lambda array: array.cast(pa.date32()).cast(pa.string()),
    "time": lambda array: _short(array.cast(pa.string())),
    "duration": _duration_text,
    "interval": _interval_text,
}
