"""Python values as JSON text, exactly."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any
from uuid import UUID

import orjson


class UnspeakableError(ValueError):
    """A value that has no JSON text.

    Args:
        reason: The reason code for the row.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def json_text(value: Any) -> str:
    """The value as JSON text: integers of any size and decimals with all their digits, bytes in base64, times in ISO 8601.

    Raises:
        UnspeakableError: It holds NaN or an infinity (`number_range`), a lone surrogate (`surrogate`), is nested too deep for Python
            (`json_depth`), or holds an object that JSON has no word for (`type_mismatch`).
    """
    try:  # Times are left to `_spell`: orjson 3.13 writes 10 ms after midnight as `00:00:00.10000`.
        text = orjson.dumps(value, default=_fragment, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except TypeError:  # What orjson has no way to write (an integer beyond 64 bits), or what nobody has.
        return _slowly(value)
    if b"null" in text and _may_hold_nan(value):  # orjson writes null for NaN.
        return _slowly(value)
    return text.decode()


def check_json(text: str) -> None:
    """Refuse a text that is not JSON.

    Raises:
        UnspeakableError: It is none (`json_invalid`), or no text either (`surrogate`).
    """
    try:
        orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError):
        raise UnspeakableError("surrogate" if _has_surrogate(text) else "json_invalid") from None


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def plain_digits(value: Decimal) -> str:
    """The number without an exponent."""
    return format(value, "f")


def iso_duration(microseconds: int) -> str:
    """A duration in ISO 8601, in seconds: `PT86400S`, `PT-0.5S`."""
    return f"PT{plain_digits(Decimal(microseconds).scaleb(-6).normalize())}S"


def _fragment(value: Any) -> Any:
    return orjson.Fragment(_spell(value).encode())


def _may_hold_nan(value: Any) -> bool:
    try:
        seen = repr(value)
    except RecursionError:
        return True
    return "nan" in seen or "inf" in seen


def _slowly(value: Any) -> str:
    try:
        text = _spell(value)
        text.encode()
    except UnicodeEncodeError:
        raise UnspeakableError("surrogate") from None
    except RecursionError:
        raise UnspeakableError("json_depth") from None
    return text


def _spell(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return _digits(value)
        case float():
            if not math.isfinite(value):
                raise UnspeakableError("number_range")
            return float.__repr__(value)
        case Decimal():
            if not value.is_finite():
                raise UnspeakableError("number_range")
            return str(value)
        case str():
            return encode_basestring(value)
        case Mapping():
            return "{" + ",".join(f"{encode_basestring(str(key))}:{_spell(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(map(_spell, value)) + "]"
        case bytes() | bytearray() | memoryview():
            return f'"{b64encode(value).decode()}"'
        case datetime() | date() | time():
            return f'"{value.isoformat()}"'
        case timedelta():
            return f'"{iso_duration(value // timedelta(microseconds=1))}"'
        case UUID():
            return f'"{value}"'
    raise UnspeakableError("type_mismatch")


def _digits(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:  # Python's limit of 4,300 digits.
        raise UnspeakableError("int_range") from None
