"""The reference sink: transactional, in memory, with faults on request."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, TypeAlias

from ddpm_core.errors import FencedError, RetryableError
from ddpm_core.plugin.sink import Sink
from ddpm_core.records import Batch, DeadLetter, Positions, Reject, stream_of
from ddpm_core.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa

Row: TypeAlias = Mapping[str, Any]
Fault: TypeAlias = BaseException | Callable[[], None]


@dataclass(slots=True)
class Blockade:
    """A call that hangs until it is let go: `reached` is set when a sink is in it, `release` lets it go on."""

    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        self.released.set()


class MemoryStore:
    """What a database would be: it outlives the sinks, and all sinks given the same store share it.

    Attributes:
        rows: Every committed row, in the order of arrival.
        batches: The same as Arrow batches.
        positions, dead_letters: As committed; a dead letter of the same id is kept once.
        epochs: Partition -> how often it has been claimed.
        calls: The names of the sinks' methods in the order in which they were called.
        commits: How many rounds were committed.
        refuse: Row -> why the store does not take it, or an empty string.
        schema: What sinks answer to `expected_schema`.
    """

    def __init__(self, *, refuse: Callable[[Row], str] = lambda _: "", schema: pa.Schema | None = None) -> None:
        self.rows: list[dict[str, Any]] = []
        self.batches: list[pa.RecordBatch] = []
        self.positions: Positions = {}
        self.epochs: dict[str, int] = defaultdict(int)
        self.dead_letters: list[DeadLetter] = []
        self.calls: list[str] = []
        self.commits = 0
        self.refuse = refuse
        self.schema = schema
        self.lock = threading.RLock()
        self._faults: dict[str, list[Fault | None]] = defaultdict(list)
        self._lost_replies: list[tuple[int, bool]] = []
        self._blockades: list[Blockade] = []

    def fail(self, method: str, fault: Fault, *, after: int = 0, times: int = 1) -> None:
        """Let calls of a sink's method fail, before they have done anything.

        Args:
            method: `open`, `claim`, `write` or `commit`.
            fault: The error to raise, or something to call (which may let another sink claim, say).
            after: How many calls go well first.
            times: How many calls in a row fail.
        """
        queue = self._faults[method]
        queue.extend([None] * (after + times - len(queue)))
        queue[after : after + times] = [fault] * times

    def lose_commit_reply(self, *, landed: bool, after: int = 0) -> None:
        """Let a commit end with a `RetryableError` although it is durable (`landed`), or because it never happened."""
        self._lost_replies.append((self.calls.count("commit") + after + 1, landed))

    def forget_faults(self) -> None:
        """Let everything go well from now on."""
        self._faults.clear()
        self._lost_replies.clear()

    def block(self, method: str, *, after: int = 0) -> Blockade:
        """Let a call of this method hang until the blockade is released or the sink is cancelled."""
        blockade = Blockade()
        self._blockades.append(blockade)

        def hang() -> None:
            blockade.reached.set()
            blockade.released.wait(250)

        self.fail(method, hang, after=after)
        return blockade

    def enter(self, method: str) -> None:
        """What every method of a sink begins with: note the call, fail if it was asked for."""
        with self.lock:
            self.calls.append(method)
            queue = self._faults[method]
            fault = queue.pop(0) if queue else None
        if isinstance(fault, BaseException):
            raise fault
        if fault is not None:
            fault()

    def reply_lost(self) -> bool | None:
        """Whether the commit being made lands although its reply is lost; None when its reply arrives."""
        number = self.calls.count("commit")
        return next((landed for at, landed in self._lost_replies if at == number), None)

    def release_all(self) -> None:
        """Let every call go on that hangs."""
        for blockade in self._blockades:
            blockade.release()


class MemorySink(Sink):
    """The reference of what a transactional sink does, in memory: rows, dead letters and positions land together or not at all.

    It holds its caller to the contract too: a call out of order is a `RuntimeError`.

    Args:
        store: What it writes to.
        replace: The whole run is one round, which takes the place of all that was in the store.
    """

    keeps_positions = True
    keeps_dead_letters = True

    def __init__(self, store: MemoryStore, *, replace: bool = False) -> None:
        self.store = store
        self.cancelled = threading.Event()
        self._replace = replace
        self._open = False
        self._round: list[pa.RecordBatch] = []
        self._epochs: dict[str, int] = {}
        self._known: dict[str, int] = {}
        self._thread: int | None = None

    @property
    def atomic(self) -> bool:
        return self._replace

    def open(self) -> None:
        self._enter("open")
        if self._open:
            raise RuntimeError("open was called on an open sink")
        self._open, self._round = True, []
        self._epochs, self._known = {}, {}

    def expected_schema(self) -> pa.Schema | None:
        return self.store.schema

    def claim(self, partitions: Sequence[str]) -> Positions:
        self._enter("claim")
        self._must_be_open("claim")
        if not self.keeps_positions:
            return {}
        found: Positions = {}
        with self.store.lock:
            for stream in partitions:
                self.store.epochs[stream] += 1
                self._epochs[stream] = self.store.epochs[stream]
                self._known = {name: offset for name, offset in self._known.items() if stream_of(name) != stream}
                found.update({name: at for name, at in self.store.positions.items() if stream_of(name) == stream})
            self._known.update({name: at.offset for name, at in found.items()})
        return found

    def write(self, batch: Batch) -> list[Reject]:
        self._enter("write")
        self._must_be_open("write")
        reasons = [self.store.refuse(row) for row in batch.data.to_pylist()]
        kept = [number for number, reason in enumerate(reasons) if not reason]
        self._round.append(batch.data.take(kept) if kept else batch.data.slice(0, 0))
        return [Reject(number, "refused", reason) for number, reason in enumerate(reasons) if reason]

    def commit(self, positions: Positions, dead_letters: Sequence[DeadLetter]) -> None:
        self._enter("commit")
        self._must_be_open("commit")
        lost = self.store.reply_lost()
        if lost is not False:
            with self.store.lock:
                self._check_owned(positions)
                self._land(positions, dead_letters)
        if lost is not None:
            raise RetryableError("the connection to the memory store was lost during commit")

    def rollback(self) -> None:
        self.store.calls.append("rollback")
        self._round = []

    def cancel(self) -> None:
        self.cancelled.set()
        self.store.release_all()

    def close(self) -> None:
        self.store.calls.append("close")
        self._open, self._round, self._thread = False, [], None

    def _enter(self, method: str) -> None:
        here = threading.get_ident()
        self._thread = self._thread or here
        if here != self._thread:
            raise RuntimeError(f"{method} was called from a second thread")
        self.store.enter(method)
        if self.cancelled.is_set():
            raise RetryableError(f"{method} was cancelled")

    def _must_be_open(self, method: str) -> None:
        if not self._open:
            raise RuntimeError(f"{method} was called on a sink that is not open")

    def _check_owned(self, positions: Positions) -> None:
        if not self.keeps_positions:
            return
        for partition in positions:
            stream = stream_of(partition)
            if stream not in self._epochs:
                raise RuntimeError(f"commit of {partition}, which was not claimed")
            stored = self.store.positions.get(partition)
            moved = (stored.offset if stored else None) != self._known.get(partition)
            if self.store.epochs[stream] != self._epochs[stream] or moved:
                raise FencedError([stream])

    def _land(self, positions: Positions, dead_letters: Sequence[DeadLetter]) -> None:
        if self.atomic:
            self.store.rows.clear()
            self.store.batches.clear()
            self.store.positions.clear()
        self.store.batches.extend(self._round)
        for data in self._round:
            self.store.rows.extend(data.to_pylist())
        self._round = []
        if self.keeps_positions:
            self.store.positions.update(positions)
            self._known.update({name: at.offset for name, at in positions.items()})
        if self.keeps_dead_letters:
            ids = {letter.id for letter in self.store.dead_letters}
            self.store.dead_letters.extend(letter for letter in dead_letters if letter.id not in ids)
        self.store.commits += 1


class ForgetfulMemorySink(MemorySink):
    """A sink that keeps rows only: neither positions nor dead letters. Delivery into it is at least once."""

    keeps_positions = False
    keeps_dead_letters = False
