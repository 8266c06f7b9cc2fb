"""When rows are the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def plain(value: Any) -> Any:
    """A value in a form in which equal means the same: NaN equals itself, a struct without its nulls, a map as its pairs."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(inner) for inner in value]
    return value


def plain_rows(rows: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Rows to compare. A column without a value counts as null, since a step that saw no value has no such column."""
    return [plain(row) for row in rows]


def in_any_order(rows: Iterable[Mapping[str, Any]]) -> list[Any]:
    """As `plain_rows`, sorted, for targets that promise no order, neither of rows nor of columns."""
    return sorted(plain_rows(rows), key=lambda row: (repr(row.get("id")), repr(sorted(row.items()))))


def difference(got: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> str:
    """What a person needs to know when rows are not the same: how many there are, or the first values that differ."""
    if len(got) != len(wanted):
        return f"{len(got)} rows, and {len(wanted)} are wanted; the first: {got[:3]!r}, and {wanted[:3]!r}"
    for row, (one, other) in enumerate(zip(got, wanted, strict=True)):
        names = [name for name in {**other, **one} if one.get(name) != other.get(name)]
        if names:
            values = ", ".join(f"{name!r}: {one.get(name)!r}, and {other.get(name)!r} is wanted" for name in names[:5])
            return f"row {row} differs in {len(names)} columns: {values}"
    return ""
