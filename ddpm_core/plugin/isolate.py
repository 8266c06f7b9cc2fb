"""Finding the rows that a database refuses, and keeping all others, in few statements."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ddpm_core.records import Reject
from ddpm_core.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa

PATIENCE = 4
"""Refusals in one batch after which smaller pieces are tried, so that many bad rows do not send the batch over and over."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The database took a row for bad data.

    Attributes:
        code: Its own code.
        reason: Ours, stable, such as `unique_violation`.
        message: Its own words.
        row: The row that it was at, from 0, or None where it did not say.
    """

    code: str
    reason: str
    message: str
    row: int | None = None


def isolate(data: pa.RecordBatch, attempt: Callable[[pa.RecordBatch], Refusal | None]) -> list[Reject]:
    """Put in every row that the database takes. Returns the others.

    A row is set aside only if the database named it (it was judging just that row), or refused it alone.

    Args:
        data: The rows.
        attempt: Puts all of these rows in and returns None; or puts none in and says why not.
    """
    rejects: list[Reject] = []
    start, size = 0, data.num_rows
    while start < data.num_rows:
        stop = min(data.num_rows, start + size)
        refused = attempt(data.slice(start, stop - start))
        if refused is None:
            start, size = stop, size * 8
            continue
        bad, why = _first_bad(data, start, stop, refused, attempt)
        if why is not None:
            rejects.append(Reject(bad, why.reason, why.message))
        size = data.num_rows if len(rejects) < PATIENCE else max(1, 8 * (bad - start))
        start = bad + 1
    return rejects


def _first_bad(
    data: pa.RecordBatch, start: int, stop: int, refused: Refusal, attempt: Callable[[pa.RecordBatch], Refusal | None]
) -> tuple[int, Refusal | None]:
    """The first row of [start, stop) that is refused, all before it put in; and why.

    None for the reason means that the row was taken after all, when it was tried alone.
    """
    while True:
        if refused.row is not None and start + refused.row < stop:
            bad = start + refused.row
            if bad == start:
                return bad, refused
            again = attempt(data.slice(start, bad - start))
            if again is None:
                return bad, refused
            stop, refused = bad, again  # What was good before is not so now (a trigger?): look among these.
            continue
        if stop - start == 1:
            return start, refused
        middle = (start + stop) // 2
        half = attempt(data.slice(start, middle - start))
        if half is None:
            start = middle
            if stop - start == 1:
                return start, attempt(data.slice(start, 1))
        else:
            stop, refused = middle, half
