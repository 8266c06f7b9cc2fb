"""What a person reads about a value that does not fit."""

from __future__ import annotations

import re
from datetime import date, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa

from ddpm_core.schema.types import sql_name

MAX_SHOWN = 80
"""The longest piece of a value that a message holds, in characters."""

_BREAKS_TERMINALS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""As what it matches: as what it does not match, it takes 5 ms to compile."""


def complaint(reason: str, column: str, value: Any, source: str, target: str) -> str:
    """One line that names the column, both types in SQL words, and the value, shortened."""
    seen = shown(value)
    match reason:
        case "number_range" if target == "json":
            return f"column {shown(column)}: {seen} is or holds NaN or an infinity, which JSON cannot say"
        case "type_mismatch":
            return f"column {shown(column)} is {target}, the value {seen} is {_a(source)}"
        case "json_invalid":
            return f"column {shown(column)} is {target}, the text {seen} is not valid JSON"
        case "arrow_invalid":
            return f"column {shown(column)}: {seen} is no valid {source}"
        case "encoding":
            return f"column {shown(column)}: {seen} is not valid UTF-8"
        case "surrogate":
            return f"column {shown(column)}: {seen} holds half a surrogate pair, which no text may"
        case "nul_char":
            return f"column {shown(column)}: {seen} holds a NUL character (U+0000), which the target cannot keep"
        case "json_depth":
            return f"column {shown(column)}: the value is nested too deep"
        case "unknown_column":
            return f"column {shown(column)} is {target}, the value {seen} has a field that this lacks"
        case "column_conflict":
            return f"column {shown(column)} is {target}, the value {seen} has two fields that differ in case only"
    return f"column {shown(column)}: {seen} ({source}) does not fit {target}"


def shown(value: Any) -> str:
    """A value for a message: on one line, quoted where it is text or bytes, at most `MAX_SHOWN` characters."""
    try:
        if isinstance(value, pa.Scalar):
            value = _python(value)
        if isinstance(value, _Spelled):
            text = str(value)
        elif isinstance(value, str | bytes):
            value = value[: MAX_SHOWN + 1]
            text = repr(value)
        else:
            plainly = isinstance(value, Decimal | int | float | date | time | UUID)
            text = str(value) if plainly else repr(value)
            if text.startswith("<") and " object at 0x" in text:  # An address in memory tells nobody anything.
                text = f"of type {type(value).__name__}"
    except (RecursionError, ValueError):  # Nested too deep for repr, or more than 4,300 digits.
        text = f"of type {type(value).__name__}"
    text = _BREAKS_TERMINALS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


def _python(scalar: pa.Scalar) -> Any:
    """The Python value, or Arrow's spelling of one that Python cannot hold (a year beyond 9999, a nanosecond)."""
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        pass
    if pa.types.is_string(scalar.type):
        return scalar.cast(pa.binary()).as_py()
    try:
        return _Spelled(str(scalar.cast(pa.string())))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _Spelled(f"of type {sql_name(scalar.type)}")


class _Spelled(str):
    """Shown without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _a(noun: str) -> str:
    if noun in ("text", "json"):
        return noun
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"


def complain(reason: str, column: str, array: pa.Array, row: int, target: pa.DataType) -> str:
    """`complaint` about one row of a column that was cast."""
    return complaint(reason, column, array[row], sql_name(array.type), sql_name(target))
