"""The second of the engine's two threads: takes chunks from the queue, has them delivered, counts what landed."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from ddpm_core.engine.answers import Answer, Claimed, Drained, Finished
from ddpm_core.engine.chunk import Chunk
from ddpm_core.engine.delivery import Delivery
from ddpm_core.engine.fifo import Abandon, Claim, Closed, Drain, End, Fifo
from ddpm_core.engine.intake import TAKEN_OVER
from ddpm_core.engine.limit import TooManyRejectsError
from ddpm_core.engine.outcome import reasons, streams
from ddpm_core.engine.report import Report
from ddpm_core.engine.sink_slot import Landed
from ddpm_core.errors import FatalError, FencedError
from ddpm_core.plugin.events import ChunkCommitted, Event
from ddpm_core.records import Positions, Rows

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("ddpm.engine.load")

GLANCE = 0.2
"""Seconds between two looks at whether what has gathered is to be committed, while nothing comes."""

HELD_EVERY = 10.0
"""Seconds after which a run that is held says so again."""


class Load:
    """Owns the sinks and every chunk that is not committed yet.

    Args:
        delivery: What knows the commit order.
        fifo: Where chunks and claims come from.
        answers: Where intake listens.
        gone: Intake's set of partitions that another instance has; one is taken out when it is claimed.
        report: Where what landed is counted.
        stopping: Set when the run is to end early: the group at hand is finished.
        drains: Whether what is in flight is delivered then, until intake's `End`. If not, no other group is begun.
        holds: Whether too many rejects keep the run where it is, until it is stopped, instead of ending it.
        emit: Told what happens.
        transaction_bytes: Asked for the bytes, as read or as decoded, in one transaction, at most, where more than one chunk waits.
        transaction_seconds: How long a transaction that holds less may stay open for more to come.
    """

    def __init__(
        self,
        delivery: Delivery,
        *,
        fifo: Fifo,
        answers: queue.SimpleQueue[Answer],
        gone: set[str],
        report: Report,
        stopping: threading.Event,
        emit: Callable[[Event], None],
        transaction_bytes: Callable[[], int],
        transaction_seconds: float = 0.0,
        drains: bool = False,
        holds: bool = False,
    ) -> None:
        self._delivery = delivery
        self._fifo = fifo
        self._answers = answers
        self._gone = gone
        self._drains = drains
        self._holds = holds
        self._report = report
        self._stopping = stopping
        self._emit = emit
        self._transaction_bytes = transaction_bytes
        self._transaction_seconds = transaction_seconds
        self._ended: list[Chunk] = []
        """The last chunks of documents that nothing is known of yet: their rounds may still be open."""
        self._fenced: set[str] = set()
        """Partitions that another instance claimed at a sink, and that were not claimed again since."""
        self.held = False
        """Whether it keeps still because of too many rejects. Safe from any thread."""
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
        while self._drains or not self._stopping.is_set():
            try:
                item = self._fifo.take(self._transaction_bytes(), GLANCE if self._drains and self._delivery.gathers else None)
            except Closed:
                return
            match item:
                case End():
                    self._count(self._delivery.finish())
                    self._note_landed_by_others()
                    if self._drains and self._fenced and not self._stopping.is_set():
                        raise FencedError(sorted(self._fenced), hint=TAKEN_OVER)
                    self.ended = True
                    return
                case Claim(partitions):
                    self._gone.difference_update(partitions)
                    self._fenced.difference_update(partitions)
                    self._answers.put(Claimed(*self._claim(partitions)))
                case Drain(partitions, number):
                    self._settle()
                    self._delivery.give_up(partitions)
                    self._fenced.difference_update(partitions)
                    self._answers.put(Drained(number))
                case Abandon(document, error, atomic):
                    self._abandon(document.name, error, atomic=atomic)
                case []:
                    self._settle(self._delivery.settle_when_full)
                case chunks:
                    try:
                        self._deliver(chunks)
                    except TooManyRejectsError as error:
                        self._hold(error)
                    self._fifo.release(chunks)

    def _claim(self, partitions: Sequence[str]) -> tuple[Positions, pa.Schema | None]:
        try:
            return self._delivery.claim(partitions)
        except FencedError as error:  # The round at hand is gone with its connection.
            self._taken(error)
            self._gone.difference_update(partitions)
            self._fenced.difference_update(partitions)
            return self._delivery.claim(partitions)

    def _settle(self, settle: Callable[[], list[Landed]] | None = None) -> None:
        """Commit what has gathered. Of a stream, what cannot be committed any more is read again."""
        try:
            self._count((settle or self._delivery.settle)())
        except FencedError as error:
            if not self._drains:
                raise
            self._taken(error)

    def _taken(self, error: FencedError) -> None:
        self._gone.update(error.partitions)
        self._fenced.update(error.partitions)

    def _deliver(self, chunks: list[Chunk]) -> None:
        """Deliver these, and what comes while they are written and goes into the same transaction: it joins `chunks`."""
        until = time.monotonic() + self._transaction_seconds
        held = sum(chunk.held_bytes for chunk in chunks)

        def more() -> list[Chunk]:
            nonlocal held
            room = self._transaction_bytes() - held
            if self._transaction_seconds <= 0 or room <= 0 or self._stopping.is_set():
                return []
            following = self._fifo.take_more(room, until)
            chunks.extend(following)
            held += sum(chunk.held_bytes for chunk in following)
            return self._ours(following)

        left = self._ours(chunks)
        while left:
            try:
                self._count(self._delivery.deliver(left, more))
                self._ended += [chunk for chunk in left if chunk.ends]
                self._note_landed_by_others()
            except FencedError as error:
                self._gone.update(error.partitions)
                self._fenced.update(
                    name for chunk in left if chunk.document is None for name in streams(chunk) & set(error.partitions)
                )
                self._blame_fence(left, error)
                if not any(streams(chunk) & self._gone for chunk in left):  # The sink contradicts itself.
                    raise
                left = self._ours(left)
            else:
                return

    def _ours(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """What is left of these without the partitions that are another instance's."""
        return [chunk for chunk in (chunk.without(self._gone) for chunk in chunks) if chunk is not None]

    def _hold(self, error: TooManyRejectsError) -> NoReturn:
        """An endless run that rejects too much keeps still, with its positions where they are, until somebody looks."""
        if not self._holds:
            raise error
        self._delivery.abandon()
        self.held = True
        while not self._stopping.is_set():
            log.error("held: %s. Nothing is lost: stop it, change the rule or the limit, and start it again.", error.message)
            self._stopping.wait(HELD_EVERY)
        raise error

    def _blame_fence(self, chunks: Sequence[Chunk], error: FencedError) -> None:
        for chunk in chunks:
            if chunk.document is not None and streams(chunk) & self._gone:
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
