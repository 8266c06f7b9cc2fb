"""Decoding one record strictly, which is what every faster way must agree with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NoReturn

import orjson

from ddpm_core import DataError
from ddpm_json.scanner import ValueEnd

WHITESPACE = b" \t\n\r"
"""What JSON calls white space (RFC 8259, section 2); `bytes.strip` would take more."""

_MAX_DIGITS = 100
"""No column holds an integer with more digits, and reading one takes quadratic time."""

MAX_CONTAINERS = 1_000_000
"""Objects and arrays in one record. Three bytes make one, which takes from 64 bytes on in memory."""

_LONG_INTEGER = re.compile(rb"\d{20}|-\d{19}")
"""Digits that may be an integer beyond 64 bits, which orjson would turn into a float."""

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[{}\[\]]', re.DOTALL)
_BLANK = re.compile(r"[ \t\n\r]*")
_CONSTANT = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|NaN|-?Infinity', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


def decode_value(raw: bytes, *, max_depth: int) -> Any:
    """The value of a text that holds one JSON value and nothing else.

    Raises:
        DataError: With one of this format's reasons.
    """
    refusal = nesting_problem(raw, max_depth)
    if refusal is not None:
        raise refusal
    if not _LONG_INTEGER.search(raw):
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            pass  # It says what is wrong, but not as a stable reason.
    text = _text(raw)
    value, end = _scan(text, 0)
    if end < len(text):
        raise DataError(f"not JSON: there is more after the value, at character {end + 1}", reason="json_invalid")
    return value


def decode_objects(raw: bytes, *, max_depth: int) -> list[tuple[dict[str, Any], int, int]]:
    """The objects of a line that is to hold one, and may hold several: each with where its bytes begin and end in `raw`.

    Raises:
        DataError: With one of this format's reasons. It concerns the whole line.
    """
    try:
        return [(as_object(decode_value(raw, max_depth=max_depth)), 0, len(raw))]
    except DataError as error:
        if error.reason != "json_invalid" or not raw.startswith(b"{"):
            raise
        found = list(_several(_text(raw)))
        if len(found) < 2:
            raise
        return found


def as_object(value: Any) -> dict[str, Any]:
    """The value itself, if it is an object.

    Raises:
        DataError: It is not.
    """
    if isinstance(value, dict):
        return value
    kind = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")
    raise DataError(f"the record is {kind}, not an object", reason="not_an_object")


def decode_exactly(raw: bytes) -> Any:
    """A value that `decode_value` accepted, its fractions as `decimal.Decimal`, digit by digit."""
    return _EXACT.decode(raw.decode())


def nesting_problem(raw: bytes, max_depth: int) -> DataError | None:
    """Why this text may not be decoded: its objects and arrays are too deep within each other, or too many. Cheap where brackets
    are few."""
    if raw.count(b"{") + raw.count(b"[") <= max_depth:
        return None
    depth = opened = 0
    for token in _TOKEN.finditer(raw):
        bracket = raw[token.start()]
        if bracket in b"{[":
            depth += 1
            opened += 1
            if depth > max_depth:
                return DataError(f"objects and arrays are nested more than {max_depth} deep", reason="json_depth")
            if opened > MAX_CONTAINERS:
                message = f"there are more than {MAX_CONTAINERS:,} objects and arrays in the record"
                return DataError(message, reason="collection_limit")
        elif bracket in b"}]":
            depth -= 1
    return None


def is_object(raw: bytes) -> bool:
    """Whether this text begins like an object and ends like one. Half an object may, where it ends with an inner one."""
    return raw.startswith(b"{") and raw.endswith(b"}")


def is_truncated(raw: bytes) -> bool:
    """Whether this text, which is not JSON, begins a value and does not end it."""
    return raw.startswith((b"{", b"[")) and ValueEnd("objects").feed(raw) < 0


def _several(text: str) -> Iterator[tuple[dict[str, Any], int, int]]:
    at = start = 0
    while at < len(text):
        value, end = _scan(text, at)
        size = len(text[at:end].encode())
        yield as_object(value), start, start + size
        blank = _BLANK.match(text, end)
        following = blank.end() if blank else end
        start, at = start + size + following - end, following


def _scan(text: str, at: int) -> tuple[Any, int]:
    """The value that begins at this character, and where it ends."""
    try:
        value, end = _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {_lower(error.msg)}, at character {error.pos + 1}", reason="json_invalid") from None
    except _Constant:
        found = next(token for token in _CONSTANT.finditer(text, at) if not token[0].startswith('"'))
        message = f"not JSON: {found[0]} is no JSON value, at character {found.start() + 1}"
        raise DataError(message, reason="json_invalid") from None
    if "\\u" in text and _SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        raise DataError("a string holds half of a surrogate pair, which is no character", reason="surrogate")
    return value, end


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8: {error.reason} at byte {error.start + 1} of the record", reason="encoding") from None


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise DataError(f"an integer of {len(digits):,} digits fits no column", reason="int_range")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise DataError(f"the number {digits[:40]} is too large for 64 bits", reason="number_range")
    return value


class _Constant(Exception):  # noqa: N818 - it never leaves this module
    """A name that Python takes for a number, and JSON does not."""


def _constant(name: str) -> NoReturn:
    raise _Constant


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_float, parse_constant=_constant)
_EXACT = json.JSONDecoder(parse_float=Decimal)
