"""Times of day that a driver hands out as durations: `TIME` of MySQL and MariaDB, which goes from -838 to 838 hours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as is_type

from ddpm_sql.source_columns import ResultColumn

_DAY = timedelta(days=1)
_NONE = timedelta(0)


def clock_at_once(values: Sequence[Any], wanted: pa.DataType) -> pa.Array | None:
    """Durations and nulls as times of day; None where one of them lies outside of a day."""
    passed = pa.array(values, pa.duration("us")).view(pa.int64())
    bounds = pc.min_max(passed)
    if bounds["min"].is_valid and (bounds["min"].as_py() < 0 or bounds["max"].as_py() >= _DAY // timedelta(microseconds=1)):
        return None
    return passed.view(pa.time64("us")).cast(wanted)


def clocks(column: ResultColumn, values: Sequence[Any], outside: dict[int, str]) -> Sequence[Any]:
    """Durations in a column of times as times; those outside of a day stay, and `outside` gets a message for their row."""
    if column.type is None or not is_type.is_time(column.type) or timedelta not in set(map(type, values)):
        return values
    made = list(values)
    for row, value in enumerate(values):
        if not isinstance(value, timedelta):
            continue
        if _NONE <= value < _DAY:
            made[row] = (datetime.min + value).time()  # noqa: DTZ901 - a day to count from, which is left out
        else:
            outside.setdefault(
                row,
                f"column {column.name!r} is time, the value {spelled(value)} is not between 00:00:00 and 24:00:00 "
                f"(--columns {column.name}=interval takes it)",
            )
    return made


def spelled(value: timedelta) -> str:
    """As the database writes it: `-100:00:00.5`."""
    minutes, rest = divmod(abs(value), timedelta(minutes=1))
    seconds, fraction = divmod(rest, timedelta(seconds=1))
    digits = f".{fraction.microseconds:06}".rstrip("0") if fraction else ""
    return f"{'-' if value < _NONE else ''}{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{digits}"
