"""What becomes a timestamp, a date, a time of day, a duration or an interval."""

from __future__ import annotations

import pyarrow as pa

from ddpm_core.schema import kernels as pc
from ddpm_core.schema.outcome import REFUSALS, Bad, Outcome, attempt, mismatch, set_aside
from ddpm_core.schema.types import Kind

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?"
_HOUR_OR_TIME = rf"(?:{_TIME}|[0-9]{{2}})"
_ZONE = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)"
_ISO_TIMESTAMP = rf"\A{_DATE}(?:[T ]{_HOUR_OR_TIME}{_ZONE}?)?\z"
_ZONED = rf"[T ]{_HOUR_OR_TIME}{_ZONE}\z"
_SURPLUS_DIGITS = r"(\.[0-9]{6})[0-9]+"
_NAIVE, _UTC = pa.timestamp("us"), pa.timestamp("us", "UTC")


def to_timestamp(array: pa.Array, source: Kind, target: pa.DataType) -> Outcome:
    """Timestamps of any unit (naive counts as UTC), dates, and ISO 8601 text."""
    bad: Bad = {}
    match source:
        case "text":
            array, bad = _timestamp_of_text(array)
        case "date" | "timestamp":
            pass
        case _:
            return mismatch(array, target)
    if pa.types.is_timestamp(array.type) and array.type.unit == "ns" and target.unit == "us":
        array = pc.floor_temporal(array, unit="microsecond")
    data, more = attempt(array, lambda part: part.cast(target), "time_range")
    return Outcome(data, bad | more)


def to_date(array: pa.Array, source: Kind, target: pa.DataType) -> Outcome:
    """Dates, timestamps at midnight UTC, and `YYYY-MM-DD`."""
    match source:
        case "date":
            return attempt(array, lambda part: part.cast(target), "time_range")
        case "timestamp":
            if array.type.tz is not None:
                array = array.cast(pa.timestamp(array.type.unit))
            array, bad = set_aside(array, pc.not_equal(pc.floor_temporal(array, unit="day"), array), "type_mismatch")
            data, more = attempt(array, lambda part: part.cast(pa.date32()).cast(target), "time_range")
            return Outcome(data, bad | more)
        case "text":
            array, bad = set_aside(array, pc.invert(pc.match_substring_regex(array, rf"\A{_DATE}\z")), "type_mismatch")
            data, more = attempt(array, lambda part: part.cast(pa.date32()).cast(target), "type_mismatch")
            return Outcome(data, bad | more)
        case _:
            return mismatch(array, target)


def to_time(array: pa.Array, source: Kind, target: pa.DataType) -> Outcome:
    """Times of day, and `HH:MM[:SS[.fraction]]`."""
    match source:
        case "time":
            if array.type == pa.time64("ns") and target == pa.time64("us"):
                return Outcome(array.cast(target, safe=False), {})
            return attempt(array, lambda part: part.cast(target), "time_range")
        case "text":
            array, bad = set_aside(array, pc.invert(pc.match_substring_regex(array, rf"\A{_TIME}\z")), "type_mismatch")
            # Arrow casts no text to a time of day, but it does to a timestamp.
            stamped = pc.binary_join_element_wise("1970-01-01T", _at_most_microseconds(array), "")
            data, more = attempt(stamped, lambda part: part.cast(_NAIVE).cast(pa.time64("us")), "type_mismatch")
            data, inexact = attempt(data, lambda part: part.cast(target), "time_range")
            return Outcome(data, bad | more | inexact)
        case _:
            return mismatch(array, target)


def to_duration(array: pa.Array, source: Kind, target: pa.DataType) -> Outcome:
    """Durations of any unit; nanoseconds are cut to microseconds toward the past."""
    if source != "duration":
        return mismatch(array, target)
    if array.type.unit == "ns" and target.unit == "us":
        stamps = pc.floor_temporal(array.cast(pa.int64()).cast(pa.timestamp("ns")), unit="microsecond")
        return Outcome(stamps.cast(_NAIVE).cast(pa.int64()).cast(target), {})
    return attempt(array, lambda part: part.cast(target), "time_range")


def to_interval(array: pa.Array, source: Kind, target: pa.DataType) -> Outcome:
    """Intervals as they are; durations as nanoseconds, where 64 bits hold them."""
    if source != "duration":
        return mismatch(array, target)
    nanoseconds, bad = attempt(array, lambda part: part.cast(pa.duration("ns")), "time_range")
    values = nanoseconds.cast(pa.int64()).to_pylist()
    return Outcome(pa.array([None if v is None else pa.MonthDayNano([0, 0, v]) for v in values], target), bad)


def _timestamp_of_text(array: pa.StringArray) -> Outcome:
    """Naive timestamps in UTC. One cast when all rows are in order and have a zone, or none has; more when they are mixed."""
    for wanted in (_UTC, _NAIVE):  # What Arrow takes is a part of what the pattern takes; each try ends at the first row unlike it.
        try:
            return Outcome(array.cast(wanted).cast(_NAIVE), {})
        except REFUSALS:
            continue
    array, bad = set_aside(array, pc.invert(pc.match_substring_regex(array, _ISO_TIMESTAMP)), "type_mismatch")
    array = _at_most_microseconds(array)
    with_zone = pc.match_substring_regex(array, _ZONED)
    nothing = pa.scalar(None, pa.string())
    aware, more = attempt(pc.if_else(with_zone, array, nothing), lambda part: part.cast(_UTC).cast(_NAIVE), "type_mismatch")
    naive, also = attempt(pc.if_else(with_zone, nothing, array), lambda part: part.cast(_NAIVE), "type_mismatch")
    return Outcome(pc.coalesce(aware, naive), bad | more | also)


def _at_most_microseconds(array: pa.StringArray) -> pa.StringArray:
    return pc.replace_substring_regex(array, _SURPLUS_DIGITS, r"\1")
