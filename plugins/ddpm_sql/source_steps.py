"""The rows of a result as steps, in bounded memory; with a cursor, each step ends where a position may stand."""

from __future__ import annotations

import logging
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ddpm_core import FatalError, Parsed, RetryableError
from ddpm_sql.cursor import Mark, check_finite, check_same_kinds, kind_of
from ddpm_sql.cursor_positions import resume
from ddpm_sql.cursor_ties import Ties
from ddpm_sql.source_batches import Batches, column_at_once
from ddpm_sql.source_columns import ResultColumn
from ddpm_sql.source_question import COARSE, coarse

log = logging.getLogger("ddpm.sql")

MAX_TIED_BYTES = 64 << 20
"""Rows of one cursor value, which can only be committed together, take no more memory than about this."""

_FIRST_FETCH = 16
_SAMPLE = 16

_is_time = pa.types.is_temporal

Fetch = Callable[[int], Sequence[Any]]


@dataclass(slots=True)
class Portions:
    """How many rows to fetch at a time: about `nbytes`, as the last ones were, and never more than `most`."""

    most: int
    nbytes: int
    _rows: int = field(default=_FIRST_FETCH)

    def next(self) -> int:
        return min(self._rows, self.most)

    def came(self, rows: Sequence[Any]) -> int:
        """Take in how large rows are. Returns about how many bytes these hold."""
        step = max(1, len(rows) // _SAMPLE)
        sample = rows[::step]
        each = max(1, sum(sum(map(sys.getsizeof, row)) for row in sample) // len(sample))
        self._rows = max(1, min(self.nbytes // each, self._rows * 4))
        return each * len(rows)


def all_rows(fetch: Fetch, batches: Batches, portions: Portions) -> Iterator[Parsed]:
    """The steps of a result without an order."""
    while rows := fetch(portions.next()):
        portions.came(rows)
        yield batches.parsed(rows)


class InOrder:
    """The steps of a result that is in the order of its cursor.

    Args:
        cursor: Names of the cursor columns.
        columns: The result's columns.
        ranked: Behind them each row has the number of its cursor value, as the database tells values apart.
        times: Times come from this driver with all their digits.
    """

    def __init__(
        self, cursor: tuple[str, ...], columns: Sequence[ResultColumn], batches: Batches, *, ranked: bool, times: bool = True
    ) -> None:
        self._cursor = cursor
        self._places = [[column.name for column in columns].index(name) for name in cursor]
        self._endless = [columns[place].endless for place in self._places]
        self._types = [columns[place].type for place in self._places]
        self._batches = batches
        self._ranked = ranked
        self._times = times

    def steps(self, fetch: Fetch, portions: Portions, mark: Mark | None) -> Iterator[tuple[Parsed, Mark]]:
        """Each step, and the mark that it reaches. Rows with one value of the cursor are in one step.

        Raises:
            FatalError: The cursor's values cannot keep a position; too many rows have one value.
        """
        ties = Ties()
        pending: list[Any] = []
        held_bytes = 0
        while rows := fetch(portions.next()):
            held_bytes += portions.came(rows)
            done = ties.complete(self._keys(rows))
            pending += rows
            if done:
                step, mark = self._step(pending[:done], mark, end=False)
                yield step, mark
                del pending[:done]
                held_bytes = held_bytes * len(pending) // (done + len(pending))
            if held_bytes > MAX_TIED_BYTES and len(pending) > 1:
                raise self._too_many(pending)
        if pending:
            yield self._step(pending, mark, end=True)

    def _keys(self, rows: Sequence[Any]) -> Sequence[Any]:
        if self._ranked:
            return [row[-1] for row in rows]
        if len(self._places) == 1:
            place = self._places[0]
            return [row[place] for row in rows]
        return [tuple(row[place] for place in self._places) for row in rows]

    def _step(self, rows: list[Any], before: Mark | None, *, end: bool) -> tuple[Parsed, Mark]:
        self._check(rows)
        mark = self._mark(rows[-1])
        self._check_times(mark)
        if before is not None:
            check_same_kinds(before, mark)
        check_same_kinds(self._mark(rows[0]), mark)
        step = self._batches.parsed(rows)
        step.resume = resume(mark, end=end)
        return step, mark

    def _check(self, rows: list[Any]) -> None:
        """What sorts last in Postgres, or first: infinity and NaN. In between are the values that a position can be kept by."""
        for name, place, endless in zip(self._cursor, self._places, self._endless, strict=True):
            if endless:
                for value in {rows[0][place], rows[-1][place]} if len(self._places) == 1 else {row[place] for row in rows}:
                    check_finite(name, value)

    def _check_times(self, mark: Mark) -> None:
        """SQLite keeps times as text, and orders any other text behind all of them."""
        for name, value, kind, endless in zip(mark.columns, mark.values, self._types, self._endless, strict=True):
            if (
                isinstance(value, str)
                and not endless
                and kind is not None
                and _is_time(kind)
                and column_at_once([value], kind) is None
            ):
                raise FatalError(
                    f"cursor column {name!r} holds {value!r:.60}, which is no {kind}; behind it no later row would ever be read",
                    hint="Correct such rows, or leave them out with source.query. What was committed before stays.",
                )

    def _mark(self, row: Any) -> Mark:
        values = tuple(bytes(v) if isinstance(v := row[place], (memoryview, bytearray)) else v for place in self._places)
        mark = Mark(self._cursor, values)
        for name, value in zip(self._cursor, values, strict=True):
            if kind_of(name, value).startswith("timestamp") and not self._times:
                raise FatalError(coarse(name), hint=COARSE)
        return mark

    def _too_many(self, rows: list[Any]) -> FatalError:
        further = f"{','.join(self._cursor)},id"
        return FatalError(
            f"more than {len(rows):,} rows have the cursor value {self._mark(rows[-1])}; they can only be committed together, "
            f"and take more than {MAX_TIED_BYTES >> 20} MB",
            hint=f"Name a further column that tells them apart: -o source.cursor={further}. It goes on where it stopped.",
        )


class Patience:
    """How long to wait for a database that went away, with exponential backoff and full jitter.

    Args:
        retry_for: Seconds since the last row came; None is for ever.
    """

    LONGEST = 5.0
    _MOST_SIGNS = 5_000

    def __init__(self, retry_for: float | None, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._retry_for = retry_for
        self._sleep = sleep
        self._since: float | None = None
        self._longest = 0.1
        self._signs = 0

    def came_forward(self) -> None:
        """Rows came: what was lost is back."""
        self._since, self._longest, self._signs = None, 0.1, 0

    def wait(self, error: RetryableError) -> bool:
        """Wait a while; whether the engine should be told that this is still alive, which lets it stop.

        Raises:
            RetryableError: That very error, after `retry_for`.
        """
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        spent = now - self._since
        if self._retry_for is not None and spent >= self._retry_for:
            raise error
        seconds = random.uniform(0, self._longest)  # noqa: S311 - jitter, no secret
        if self._retry_for is not None:
            seconds = min(seconds, self._retry_for - spent)
        self._longest = min(self._longest * 2, self.LONGEST)
        log.warning("waiting for the source: %s", error.message)
        self._sleep(seconds)
        self._signs += 1
        return self._signs < self._MOST_SIGNS
