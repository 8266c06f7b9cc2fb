"""Durations, shares, sizes and bounds as users write them, on the command line and in files."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_NUMBER = r"\d+(?:\.\d+)?"
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


def seconds(text: str) -> float:
    """`90`, `10ms`, `90s`, `5m`, `1h` as seconds. Raises `ValueError` for anything else, without repeating it."""
    found = re.fullmatch(rf"({_NUMBER})\s*(ms|s|m|h|)", text.strip().lower(), re.ASCII)
    if found is None:
        raise ValueError("is no duration; write 10ms, 90, 90s, 5m or 1h")
    return float(found[1]) * _SECONDS[found[2]]


def share(text: str) -> float:
    """`5%` or `0.05` as a number from 0 to 1; errors as in `seconds`."""
    found = re.fullmatch(rf"({_NUMBER})\s*(%?)", text.strip(), re.ASCII)
    value = float(found[1]) / (100 if found[2] else 1) if found else -1.0
    if not 0 <= value <= 1:
        raise ValueError("is no share; write 5% or 0.05")
    return value


def nbytes(text: str) -> int:
    """`1000000`, `16MiB`, `1GB` as bytes, at least one; errors as in `seconds`."""
    found = re.fullmatch(rf"({_NUMBER})\s*([kmg]i?b|b|)", text.strip().lower(), re.ASCII)
    number = float(found[1]) * _BYTES[found[2]] if found else 0.0
    if not 1 <= number < 1 << 62:
        raise ValueError("is no size; write 1000000, 16MiB or 1GB")
    return round(number)


def bound(text: str) -> int | datetime:
    """An offset, or a time such as `2026-11-21`, `2026-11-21T10:00` or `2026-11-21T10:00:00+01:00`; without a zone it is UTC.

    Errors as in `seconds`.
    """
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,18}", text):
        return int(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("is neither an offset nor a time; write 1500 or 2026-11-21T10:00") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
