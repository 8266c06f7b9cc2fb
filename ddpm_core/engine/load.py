"""The second of the engine's two threads: takes chunks from the queue, has them delivered, counts what landed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

from ddpm_core.engine.chunk import Chunk
from ddpm_core.engine.delivery import Delivery, reasons, streams
from ddpm_core.engine.fifo import Abandon, Claim, Closed, End, Fifo
from ddpm_core.engine.intake import TAKEN_OVER, Answer, Claimed, Finished
from ddpm_core.engine.report import Report
from ddpm_core.engine.sink_slot import Landed
from ddpm_core.errors import FatalError, FencedError
from ddpm_core.plugin.events import ChunkCommitted, Event


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
    ) -> None:
        self._delivery = delivery
        self._fifo = fifo
        self._answers = answers
        self._fenced = fenced
        self._report = report
        self._stopping = stopping
        self._emit = emit
        self._transaction_bytes = transaction_bytes
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
                    self.ended = True
                    return
                case Claim(partitions):
                    self._answers.put(Claimed(*self._delivery.claim(partitions)))
                case Abandon(document, error, atomic):
                    self._abandon(document.name, error, atomic=atomic)
                case chunks:
                    self._deliver(chunks)
                    self._fifo.release(chunks)

    def _deliver(self, chunks: Sequence[Chunk]) -> None:
        left = self._ours(chunks)
        while left:
            try:
                self._count(self._delivery.deliver(left))
                self._note_landed_by_others(left)
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

    def _note_landed_by_others(self, chunks: Sequence[Chunk]) -> None:
        """After a wait, a sink may have all of a document, and nothing of it was left to write."""
        for chunk in chunks:
            line = chunk.document
            if chunk.ends and line is not None and line.status == "stopped" and not self._delivery.atomic:
                line.status, line.note = "landed", "another ddpm process landed the rest of it"

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
