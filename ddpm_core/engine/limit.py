"""How many rejects are bad rows, and from where on they are an outage of meaning."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

from ddpm_core.errors import FatalError
from ddpm_core.values import dataclass


class TooManyRejectsError(FatalError):
    """What is rejected is hardly bad rows. Nothing of the group at hand is committed."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Records of a chunk, and which of them were rejected (numbers within the chunk)."""

    records: int
    rejected: frozenset[int]


class RejectLimit:
    """Stops a run that rejects too much: a wrong format or a changed producer is not a matter for the dead letters.

    Trips when more than `share` of the records of the last minute were rejected, or `in_a_row` records one after the other; neither
    is looked at before `grace` records have been seen, nor the share of fewer than `grace` records.

    Args:
        share: Fraction of records, 0 to 1.
        in_a_row: Rejects without a good record between them.
        grace: Records before the limit applies.
        clock: Monotonic seconds.
    """

    WINDOW = 60.0

    def __init__(
        self, *, share: float = 0.05, in_a_row: int = 1000, grace: int = 1000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._share = share
        self._in_a_row = in_a_row
        self._grace = grace
        self._clock = clock
        self._seen = 0
        self._run = 0
        self._window: deque[tuple[float, int, int]] = deque()

    def problem(self, chunks: Iterable[Counted]) -> str:
        """What would be over the limit if these chunks were committed next, or an empty string. Changes nothing."""
        chunks = list(chunks)
        if not any(chunk.rejected for chunk in chunks):
            return ""
        seen = self._seen + sum(chunk.records for chunk in chunks)
        if seen <= self._grace:
            return ""
        longest, _ = self._runs(chunks)
        if longest >= self._in_a_row:
            return f"{longest:,} records in a row were rejected (limit {self._in_a_row:,})"
        since = self._clock() - self.WINDOW
        records = sum(n for at, n, _ in self._window if at >= since) + sum(chunk.records for chunk in chunks)
        rejected = sum(n for at, _, n in self._window if at >= since) + sum(len(chunk.rejected) for chunk in chunks)
        if records >= self._grace and rejected > self._share * records:
            return f"{rejected:,} of the last {records:,} records were rejected (limit {self._share:.3g} of them)"
        return ""

    def committed(self, chunks: Iterable[Counted]) -> None:
        """These chunks have been committed: they count from now on."""
        chunks = list(chunks)
        _, self._run = self._runs(chunks)
        self._seen += sum(chunk.records for chunk in chunks)
        now = self._clock()
        self._window.append((now, sum(c.records for c in chunks), sum(len(c.rejected) for c in chunks)))
        while self._window and self._window[0][0] < now - self.WINDOW:
            self._window.popleft()

    def _runs(self, chunks: list[Counted]) -> tuple[int, int]:
        """The longest run of rejects that these chunks would show, and the one they would end with."""
        longest = run = self._run
        for chunk in chunks:
            following = 0
            for record in sorted(chunk.rejected):
                run = run + 1 if record == following else 1
                following = record + 1
                longest = max(longest, run)
            if chunk.records > following:
                run = 0
        return longest, run
