"""The second of the engine's two threads: takes chunks from the queue, has them delivered, counts what landed."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence

from ddpm_core.engine.chunk import Chunk
from ddpm_core.engine.delivery import Delivery, reasons, streams
from ddpm_core.engine.fifo import Abandon, Claim, Closed, End, Fifo
from ddpm_core.engine.intake import TAKEN_OVER, Answer, Claimed, Finished
from ddpm_core.engine.report import Report
from ddpm_core.engine.sink_slot import Landed
from ddpm_core.errors import FatalError, FencedError
from ddpm_core.plugin.events import ChunkCommitted, Event
from ddpm_core.records import Rows


class Load:
    """Owns the sinks and every chunk that is not committed yet.

    Args:
        delivery: What knows the commit order.
        fifo: Where chunks and claims come from.
        answers: Where intake listens.
        fenced: Intake's set of partitions that are another instance's.
        report: Where what landed is counted.
        stopping: Set when the run is to end early: the group at hand is finished, no other is begun.
        emit: Told what happens.
        transaction_bytes: Bytes, as read or as decoded, in one transaction, at most, where more than one chunk waits.
        transaction_seconds: How long a transaction that holds less may stay open for more to come.
    """

    def __init__(
        self,
        delivery: Delivery,
        *,
        fifo: Fifo,
        answers: queue.SimpleQueue[Answer],
        fenced: set[str],
        report: Report,
        stopping: threading.Event,
        emit: Callable[[Event], None],
        transaction_bytes: int = 4 << 20,
        transaction_seconds: float = 0.0,
    ) -> None:
        self._delivery = delivery
        self._fifo = fifo
        self._answers = answers
        self._fenced = fenced
        self._report = report
        self._stopping = stopping
        self._emit = emit
        self._transaction_bytes = transaction_bytes
        self._transaction_seconds = transaction_seconds
        self._ended: list[Chunk] = []
        """The last chunks of documents that nothing is known of yet: their rounds may still be open."""
        self.ended = False
        """Whether everything that the source had has been delivered."""

    def run(self) -> None:
        """Until the end of the source, or until the run stops.

        Raises:
            FatalError, ConfigError, PluginError: The run cannot go on; nothing of the group at hand was committed.
            Stopped: The user wanted to stop while it waited for the environment.
        """
        try:
            self._delivery.open()
            self._until_the_end()
            if not self.ended:
                self._count(self._delivery.settle())
        finally:
            self._answers.put(Finished())

    def _until_the_end(self) -> None:
        while not self._stopping.is_set():
            try:
                item = self._fifo.take(self._transaction_bytes)
            except Closed:
                return
            match item:
                case End():
                    self._count(self._delivery.finish())
                    self._note_landed_by_others()
                    self.ended = True
                    return
                case Claim(partitions):
                    self._answers.put(Claimed(*self._delivery.claim(partitions)))
                case Abandon(document, error, atomic):
                    self._abandon(document.name, error, atomic=atomic)
                case chunks:
                    self._deliver(chunks)
                    self._fifo.release(chunks)

    def _deliver(self, chunks: list[Chunk]) -> None:
        """Deliver these, and what comes while they are written and goes into the same transaction: it joins `chunks`."""
        until = time.monotonic() + self._transaction_seconds

        def more() -> list[Chunk]:
            room = self._transaction_bytes - sum(chunk.held_bytes for chunk in chunks)
            if self._transaction_seconds <= 0 or room <= 0 or self._stopping.is_set():
                return []
            following = self._fifo.take_more(room, until)
            chunks.extend(following)
            return self._ours(following)

        left = self._ours(chunks)
        while left:
            try:
                self._count(self._delivery.deliver(left, more))
                self._ended += [chunk for chunk in left if chunk.ends]
                self._note_landed_by_others()
            except FencedError as error:
                self._fenced.update(error.partitions)
                self._blame_fence(left, error)
                if not any(streams(chunk) & self._fenced for chunk in left):  # The sink contradicts itself.
                    raise
                left = self._ours(left)
            else:
                return

    def _ours(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """What is left of these without the partitions that are another instance's."""
        return [chunk for chunk in (chunk.without(self._fenced) for chunk in chunks) if chunk is not None]

    def _blame_fence(self, chunks: Sequence[Chunk], error: FencedError) -> None:
        for chunk in chunks:
            if chunk.document is not None and streams(chunk) & self._fenced:
                known = FencedError([chunk.document.name], hint=TAKEN_OVER)
                known.__cause__ = error
                chunk.document.status, chunk.document.error = "failed", known

    def _note_landed_by_others(self) -> None:
        """Documents that have ended, with nothing of them left to write: another process has landed it, or there was nothing new."""
        if self._delivery.atomic or self._delivery.gathers:
            return
        for chunk in self._ended:
            line = chunk.document
            if line is None or line.status != "stopped":
                continue
            line.status = "landed"
            if not (isinstance(chunk.source, Rows) and chunk.source.lasting):
                line.note = "another ddpm process landed the rest of it"
        self._ended.clear()

    def _abandon(self, name: str, error: Exception, *, atomic: bool) -> None:
        """A document broke off. One that lands as a whole must leave nothing, and a run of one transaction is over."""
        if self._delivery.atomic:
            raise FatalError(f"{error}", hint=f"Nothing was replaced, because {name} could not be read.") from error
        if atomic:
            self._delivery.abandon()

    def _count(self, landed: Sequence[Landed]) -> None:
        """Enter what was committed into the report, and tell the observers (step 7 of delivery)."""
        if not landed:
            return
        why = reasons(landed)
        for one in landed:
            line = one.chunk.document
            if line is not None:
                line.records += one.chunk.records
                line.rows += one.rows
                line.rejects += len(one.refusals)
                if one.chunk.ends:
                    line.status = "landed"
        records, rows = sum(one.chunk.records for one in landed), sum(one.rows for one in landed)
        nbytes = sum(one.chunk.nbytes for one in landed)
        self._report.records += records
        self._report.rows += rows
        self._report.nbytes += nbytes
        for reason, count in why.items():
            self._report.rejects[reason] = self._report.rejects.get(reason, 0) + count
        self._emit(ChunkCommitted(records, rows, nbytes, dict(why)))
