"""Arrow columns as text for tables, and as plain values for JSON."""

from __future__ import annotations

import base64
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ddpm_core.cli.output import printable
from ddpm_core.schema.spell import plain_digits

if TYPE_CHECKING:
    import pyarrow as pa

NULL = "NULL"


def text_columns(batch: pa.RecordBatch, *, null: str = NULL, escape: bool = True) -> list[list[str]]:
    """Each column's values as text: NULL as `null`, dates and times in ISO 8601 form, durations too, bytes as `\\x0a1b`, nested values as JSON.

    Args:
        escape: Write control characters as escapes, which a table needs and a CSV file does not.
    """
    columns = []
    for column in batch.columns:
        texts = (_text(value, null) for value in _values(column))
        columns.append([printable(text) for text in texts] if escape else list(texts))
    return columns


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type is aligned to the right."""
    import pyarrow.types as t

    return bool(t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind))


def json_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows as dicts for `dump`. Of two columns with one name the second is called `name_2`; NaN and infinities are text."""
    names = unique_names(batch.schema.names)
    columns = [_for_json(column) for column in batch.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)] if columns else []


def unique_names(names: list[str]) -> list[str]:
    """These names with a number behind those that were there before."""
    taken: set[str] = set()
    unique = []
    for name in names:
        number, candidate = 1, name
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate)
        unique.append(candidate)
    return unique


def dump(value: Any, *, indent: bool = False) -> str:
    """JSON. Decimals become strings, so that no digit is lost; bytes are text where they are UTF-8, else base64."""
    import orjson

    option = orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if indent else 0)
    try:
        return orjson.dumps(value, default=_plain, option=option).decode()
    except TypeError:  # orjson refuses integers beyond 64 bits, and text that is not valid Unicode.
        import json

        return json.dumps(_with_text_keys(value), default=_plain, ensure_ascii=True, indent=2 if indent else None)


def duration_text(months: int, days: int, seconds: Decimal) -> str:
    """ISO 8601 without the parts that are zero: `P1M2DT3.5S`, `PT-0.5S`, `PT0S`."""
    date_part = f"{months}M" * bool(months) + f"{days}D" * bool(days)
    return f"P{date_part}" + (f"T{plain_digits(seconds.normalize())}S" if seconds or not date_part else "")


def _for_json(column: pa.Array) -> list[Any]:
    import pyarrow.compute as pc
    import pyarrow.types as t

    values = _values(column)
    kind = column.type
    if t.is_floating(kind):
        return values if pc.all(pc.is_finite(column)).as_py() is not False else [_speakable(value) for value in values]
    return [_speakable(value) for value in values] if t.is_nested(kind) or t.is_dictionary(kind) else values


def _speakable(value: Any) -> Any:
    """With text for NaN and infinities, which JSON has no numbers for; orjson would write null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else _float_text(value)
    if isinstance(value, dict):
        return {_speakable(key): _speakable(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return [_speakable(item) for item in value]
    return _plain(value) if isinstance(value, tuple) else value  # An interval with months is a tuple of its own kind.


def _float_text(value: float) -> str:
    if math.isfinite(value):
        return str(value)
    return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"


def _values(column: pa.Array) -> list[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    kind = column.type
    if t.is_dictionary(kind):
        return _values(column.dictionary_decode())
    if t.is_timestamp(kind) and kind.tz is not None:
        column = column.cast(pa.timestamp(kind.unit, "UTC"))  # Arrow needs the system's time zones for any other.
    if t.is_timestamp(kind) or t.is_time(kind) or t.is_date(kind):
        # As text by Arrow: Python knows neither nanoseconds nor the years that databases use for infinity.
        return list(pc.replace_substring_regex(column.cast(pa.string()), pattern=r"\.0+(Z?)$", replacement=r"\1").to_pylist())
    if t.is_duration(kind):  # As numbers: Python knows no nanoseconds.
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
        counts = column.cast(pa.int64()).to_pylist()
        return [None if count is None else duration_text(0, 0, Decimal(count) / per_second) for count in counts]
    if t.is_interval(kind):
        return [None if value is None else _plain(value) for value in column.to_pylist()]
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):  # Nanoseconds or years out of range inside a nested value; text that is not UTF-8.
        return [_one_value(column.slice(row, 1)) for row in range(len(column))]


def _one_value(column: pa.Array) -> Any:
    import pyarrow.types as t

    try:
        return column[0].as_py()
    except (ValueError, OverflowError):
        if t.is_string(column.type) or t.is_large_string(column.type):
            return column[0].as_buffer().to_pybytes().decode("utf-8", "backslashreplace")
        return " ".join(column.to_string().split())[1:-1].strip()


def _text(value: Any, null: str) -> str:
    if value is None:
        return null
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, list | dict | tuple):
        return dump(_speakable(value))
    return str(value)


def _plain(value: Any) -> Any:
    import pyarrow as pa

    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, timedelta):
        return duration_text(0, 0, Decimal(value // timedelta(microseconds=1)) / 10**6)
    if isinstance(value, pa.MonthDayNano):
        return duration_text(value.months, value.days, Decimal(value.nanoseconds) / 10**9)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    return str(value)


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _with_text_keys(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_text_keys(item) for item in value]
    return value
