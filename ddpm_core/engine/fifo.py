"""The one queue between the engine's two threads: in order, bounded in bytes, closable from either side."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence

from ddpm_core.engine.chunk import Chunk
from ddpm_core.engine.report import DocumentReport
from ddpm_core.errors import DdpmError
from ddpm_core.values import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """Ask the sinks to take over these partitions and to say where they stand."""

    partitions: Sequence[str]


@dataclass(frozen=True, slots=True)
class Drain:
    """Say so when everything before this has been dealt with: these partitions are about to be another instance's."""

    partitions: Sequence[str]
    number: int


@dataclass(frozen=True, slots=True)
class Abandon:
    """A document broke off. What was written of one that lands as a whole (`atomic`) is to be forgotten."""

    document: DocumentReport
    error: DdpmError
    atomic: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more will come."""


FifoItem = Chunk | Claim | Drain | Abandon | End


class Closed(Exception):  # noqa: N818 - not an error: the other side has gone
    """The other side has gone; there is no point in going on."""


class Fifo:
    """Chunks and control items, first in first out.

    `put` waits while more than `budget` bytes are queued or being written, `offer` only so long; control items pass the bound. The
    bytes of a chunk are given back by `release`, after it has been committed, so the budget covers all that is in flight.

    Args:
        budget: Bytes of the source that may be in flight.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._in_flight = 0
        self._items: deque[FifoItem] = deque()
        self._closed = False
        self._taking = False
        self._changed = threading.Condition()

    @property
    def hungry(self) -> bool:
        """Whether the other side waits for something to do. A glance without a lock: it may be over when it is acted on."""
        return self._taking and not self._items

    @property
    def half_empty(self) -> bool:
        """Whether at most half of the budget is in flight: time to go on after `offer` found no room."""
        return self._in_flight * 2 <= self._budget

    def allow(self, budget: int) -> None:
        """From now on so many bytes may be in flight."""
        with self._changed:
            self._budget = budget
            self._changed.notify_all()

    def put(self, item: FifoItem) -> None:
        """Append; waits for room if it is a chunk. Raises `Closed`."""
        with self._changed:
            if isinstance(item, Chunk):
                self._changed.wait_for(lambda: self._closed or self._in_flight < self._budget)
                self._in_flight += item.held_bytes
            if self._closed:
                raise Closed
            self._items.append(item)
            self._changed.notify_all()

    def offer(self, chunk: Chunk, seconds: float) -> bool:
        """Append a chunk if there is room for it within so many seconds. Raises `Closed`."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._in_flight < self._budget, seconds)
            if self._closed:
                raise Closed
            if self._in_flight >= self._budget:
                return False
            self._append(chunk)
            return True

    def force(self, chunk: Chunk) -> None:
        """Append a chunk past the bound: it must stand before a control item. Raises `Closed`."""
        with self._changed:
            if self._closed:
                raise Closed
            self._append(chunk)

    def _append(self, chunk: Chunk) -> None:
        self._in_flight += chunk.held_bytes
        self._items.append(chunk)
        self._changed.notify_all()

    def take(self, max_bytes: int, seconds: float | None = None) -> list[Chunk] | Claim | Drain | Abandon | End:
        """The next control item, or the chunks at the head: whatever has gathered, up to `max_bytes`. Waits. Raises `Closed`.

        What gathered while the last transaction was being written is the next one: a quiet pipeline commits at once, a busy one
        in large transactions.
        """
        with self._changed:
            self._taking = True
            self._changed.wait_for(lambda: self._closed or self._items, seconds)
            self._taking = False
            if self._closed:
                raise Closed
            if not self._items:
                return []
            head = self._items.popleft()
            if not isinstance(head, Chunk):
                return head
            return [head] if head.atomic else [head, *self._that_may_join(max_bytes - head.held_bytes)]

    def take_more(self, max_bytes: int, until: float) -> list[Chunk]:
        """The chunks at the head that may join what was taken before, up to `max_bytes`. Waits for the first one, until this moment of
        `time.monotonic`. Nothing when none came, when it is too large, when it must not be committed with others, and when something
        else is next or the other side has gone.
        """
        with self._changed:
            self._taking = True
            self._changed.wait_for(lambda: self._closed or self._items, max(until - time.monotonic(), 0.0))
            self._taking = False
            return self._that_may_join(max_bytes)

    def _that_may_join(self, max_bytes: int) -> list[Chunk]:
        chunks: list[Chunk] = []
        while self._items:
            following = self._items[0]
            if not isinstance(following, Chunk) or following.atomic or following.held_bytes > max_bytes:
                break
            chunks.append(following)
            max_bytes -= following.held_bytes
            self._items.popleft()
        return chunks

    def release(self, chunks: Sequence[Chunk]) -> None:
        """These chunks are done with: their bytes no longer count."""
        with self._changed:
            self._in_flight -= sum(chunk.held_bytes for chunk in chunks)
            self._changed.notify_all()

    def close(self) -> None:
        """Wake both sides; what is queued is forgotten."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
