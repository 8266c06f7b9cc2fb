"""The first of the engine's two threads: source, parser, processors. It makes chunks and hands them to load.

It alone touches the source. What load answers comes back through a queue that is looked at between two reads. Documents are read to
their ends, waiting for room; messages are `stream.py`'s matter.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ddpm_core.engine.answers import Answer, Claimed, Committed, Drained, Finished
from ddpm_core.engine.blame import blame
from ddpm_core.engine.chunk import Chunk, Refusal
from ddpm_core.engine.contract import HandedOut, broken, check_processed, check_step, of_type, steps
from ddpm_core.engine.early import EarlySteps
from ddpm_core.engine.fifo import Abandon, Claim, Closed, End, Fifo
from ddpm_core.engine.recovery import Recovery, Stopped
from ddpm_core.engine.report import DocumentReport
from ddpm_core.engine.stream import POLL, Stream
from ddpm_core.errors import DataError, DdpmError, FencedError, RetryableError
from ddpm_core.plugin.events import ChunkRead, DocumentEnded, DocumentStarted, Event
from ddpm_core.plugin.format import Parser
from ddpm_core.plugin.processor import Processor
from ddpm_core.plugin.source import Source
from ddpm_core.plugin.specs import FormatSpec, Plugin, ProcessorSpec, SourceSpec
from ddpm_core.records import (
    Assigned,
    Batch,
    Document,
    EndOfSource,
    Failed,
    Item,
    Messages,
    Parsed,
    Position,
    Rows,
    Skipped,
    stream_of,
)

log = logging.getLogger("ddpm.engine.intake")

TAKEN_OVER = "Wait until it has ended; then run the same command again."
"""What to do about a document that another instance has claimed."""


class Intake:
    """Reads, parses, processes, in the order of the source.

    Args:
        source, parser, processors: The pipeline's plugins, each with whose it is. No parser for a source that decodes itself.
        fifo: Where chunks and claims go.
        answers: Where load's answers come from.
        gone: Partitions that another instance has; load adds to it too, and takes out what it claims. Chunks of them are dropped.
        retry_for: Seconds that the source's environment is waited for; None is for ever.
        stopping: Set when the run is to end early.
        documents: The report's list; every document gets its line there.
        emit: Told what happens.
        table: Where it all goes, for the report.
        linger: Seconds that messages may gather though load is free.
        hopeless: Whether a sink is down, so that it is not worth waiting for it.
    """

    IDLE = 0.5

    def __init__(
        self,
        *,
        source: tuple[Source, Plugin[SourceSpec]],
        parser: tuple[Parser, Plugin[FormatSpec]] | None,
        processors: Sequence[tuple[Processor, Plugin[ProcessorSpec]]],
        fifo: Fifo,
        answers: queue.SimpleQueue[Answer],
        gone: set[str],
        retry_for: float | None,
        stopping: threading.Event,
        documents: list[DocumentReport],
        emit: Callable[[Event], None],
        table: str = "",
        linger: float = 0.0,
        hopeless: Callable[[], bool] = lambda: False,
    ) -> None:
        self._source, self._source_plugin = source
        self._handed_out = HandedOut(self._source_plugin)
        self._parser = parser
        self._decoder: Plugin[Any] = parser[1] if parser is not None else self._source_plugin
        """Whose judgement a record is that could not be decoded."""
        self._processors = processors
        self._fifo = fifo
        self._answers = answers
        self._recovery = Recovery(retry_for=retry_for, stopping=stopping, emit=emit)
        self._polling = Recovery(retry_for=retry_for, stopping=stopping, emit=emit, wait=self._poll_on)
        self._stopping = stopping
        self._documents = documents
        self._emit = emit
        self._table = table
        self._gone = gone
        self._claims: deque[Sequence[str]] = deque()
        """What load was asked to claim and has not answered yet, in order."""
        self._early: EarlySteps | None = None
        """What was parsed of the document whose claim is on its way."""
        self._outdated = 0
        """How many of them, from the left, a source asked for that was closed since: their answers are not for the one that is open."""
        self._finished = False
        self.ended = False
        """Whether the source has been read to its end."""
        self._stream = Stream(
            source=source,
            fifo=fifo,
            answers=answers,
            gone=gone,
            linger=linger,
            make=self._chunk_of_messages,
            poll=self._poll,
            heed=self._heed,
            hopeless=hopeless,
            emit=emit,
        )
        self._source.drain = self._stream.drain
        self._source.lost = self._stream.lost

    def run(self) -> None:
        """Until the source ends or the run stops. Closes what it opened.

        Raises:
            ConfigError, FatalError, PluginError: The run cannot go on. Chunks that load has not taken yet are forgotten; the next run
                reads them again.
        """
        try:
            self._until_the_end()
            self._fifo.put(End())
            while not self._finished:  # The source is told of the last commits too.
                self._listen(wait=True)
        except Closed:
            log.debug("intake stops: the run is over")
        finally:
            self._stream.end()
            self._close_source()
            for processor, plugin in self._processors:
                blame(plugin, processor.close)

    def _until_the_end(self) -> None:
        try:
            self._recovery.until_done("source", self._open, restore=self._close_source)
            for processor, plugin in self._processors:
                blame(plugin, processor.open)
            while not (self._stopping.is_set() or self._finished or self.ended):
                self._step()
            self._stream.hand_over()
        except Stopped:
            log.debug("stopped while waiting")

    def _open(self) -> None:
        blame(self._source_plugin, self._source.open)

    def _close_source(self) -> None:
        blame(self._source_plugin, self._source.close)

    def _step(self) -> None:
        """Hand over what has gathered, or read one item and deal with it."""
        self._listen(wait=False)
        self._stream.look_after()
        if self._stream.ready:
            self._stream.hand_over()
            return
        patience = self._stream.patience
        if patience is None:
            patience = 0.0 if self._claims else self.IDLE
        item = self._recovery.until_done("source", partial(self._read, patience), restore=self._reopen)
        if item is None and self._claims and not (self._early is not None and self._early.advance()):
            self._listen(wait=True)
        self._take(item)

    def _poll(self, seconds: float) -> None:
        """Keep the source alive while nothing can be handed over."""
        self._listen(wait=False)
        if self.ended:
            self._listen(wait=True)
        else:
            self._take(self._recovery.until_done("source", partial(self._read, seconds), restore=self._reopen))

    def _poll_on(self, seconds: float) -> bool:
        """Let time pass, keeping the source alive. Whether the run was asked to stop."""
        until = time.monotonic() + seconds
        while not self._stopping.is_set() and (left := until - time.monotonic()) > 0:
            self._stream.pause()
            self._poll(min(left, POLL))
        return self._stopping.is_set()

    def _take(self, item: Item | None) -> None:
        match item:
            case None:
                return
            case EndOfSource():
                self.ended = True
            case Assigned(partitions):
                self._handed_out.assigned(partitions)
                self._stream.assigned(partitions)
                self._claims.append(partitions)
                self._fifo.put(Claim(partitions))
                self._early = self._begin_early()
            case Skipped(name, note):
                self._early = None
                self._documents.append(DocumentReport(name, "skipped", note, self._table))
                self._emit(DocumentEnded(name, "skipped", note))
            case Failed(name, error):
                line = DocumentReport(name, "failed", "", self._table)
                self._documents.append(line)
                self._failed(line, error)
            case Document() | Rows():
                self._document(item)
            case Messages():
                self._handed_out.messages(item)
                self._stream.add(item)
            case _:
                raise broken(self._source_plugin, f"read gave {item!r:.60}, which is none of the things that it may give")

    def _read(self, seconds: float) -> Item | None:
        return blame(self._source_plugin, lambda: self._source.read(seconds))

    def _reopen(self) -> None:
        self._close_source()
        self._outdated = len(self._claims)
        self._open()

    def _listen(self, *, wait: bool) -> None:
        """Take in load's answers; with `wait`, at most `IDLE` seconds for the first."""
        while self._stream.deferred:
            self._heed(self._stream.deferred.pop(0))
        while True:
            try:
                answer = self._answers.get(block=wait, timeout=self.IDLE if wait else None)
            except queue.Empty:
                return
            wait = False
            self._heed(answer)

    def _heed(self, answer: Answer) -> None:
        match answer:
            case Claimed(positions, schema):
                names = self._claims.popleft()
                again = {name for later in self._claims for name in later}
                self._stream.claimed([name for name in names if name not in again])
                if schema is not None and self._parser is not None:
                    parser, plugin = self._parser
                    blame(plugin, partial(parser.expect, schema))
                if self._outdated:
                    self._outdated -= 1
                else:
                    blame(self._source_plugin, partial(self._source.seek, positions))
            case Committed(positions):
                blame(self._source_plugin, partial(self._source.commit, positions))
            case Drained():
                log.debug("a drain was over after it was given up")
            case Finished():
                self._finished = True
                self._stream.end()

    def _chunk_of_messages(self, messages: Messages) -> Chunk:
        """What the parser and the processors make of messages. A parser whose environment fails (a registry of schemas) is waited for."""
        parser, plugin = self._a_parser()
        if not len(messages):  # A position that moves over what is no message, such as a transaction's marker.
            return Chunk(messages, Parsed(None, 0), messages.first, messages.next)

        def parse() -> Parsed:
            return blame(plugin, lambda: parser.parse_messages(messages))

        parsed = self._polling.until_done(plugin.spec.name, parse, restore=lambda: None)
        check_step(plugin, parsed, "parse_messages", records=len(messages))
        return self._processed(Chunk(messages, parsed, messages.first, messages.next))

    def _document(self, document: Document | Rows) -> None:
        self._handed_out.document(document)
        line = DocumentReport(document.name, "stopped", document.note, self._table)
        self._documents.append(line)
        self._emit(DocumentStarted(document.name, document.note, document.size, _start_byte(document)))
        try:
            for chunk in self._chunks_of(document, line):
                if self._stopping.is_set():
                    return
                self._fifo.put(self._processed(chunk))
                self._emit(ChunkRead(chunk.records, chunk.nbytes))
        except (DataError, FencedError, RetryableError) as error:
            self._failed(line, error, atomic=document.atomic)
            return
        self._emit(DocumentEnded(document.name, "landed", document.note))

    def _begin_early(self) -> EarlySteps | None:
        """The steps of the document that was just claimed, where they do not depend on the answer."""
        if self._parser is None or not self._parser[0].self_describing:
            return None
        document = blame(self._source_plugin, self._source.upcoming)
        if document is None:
            return None
        parser, plugin = self._parser
        of_type(self._source_plugin, "upcoming", document, Document)
        return EarlySteps(document, steps(plugin, lambda: parser.parse_document(document), resumes=parser.resumable))

    def _chunks_of(self, document: Document | Rows, line: DocumentReport) -> Iterator[Chunk]:
        """The steps of a document as chunks, and a last one that says that it has been read to its end."""
        start = document.start
        known_rows = int(start.detail.get("rows", 0))
        found = self._steps_of(document)
        last = Position(document.start.offset, {**document.detail, **_resume(start.detail), "rows": known_rows})
        for parsed in found:
            following = Position(last.offset + parsed.records, {**document.detail, **_resume({"resume": parsed.resume})})
            yield self._chunk(document, line, parsed, last, following)
            last = following
        ended = {} if isinstance(document, Rows) and document.lasting else {"finished": True}
        yield self._chunk(document, line, Parsed(None, 0), last, Position(last.offset, {**last.detail, **ended}), ends=True)

    def _steps_of(self, document: Document | Rows) -> Iterator[Parsed]:
        """What the parser makes of a document, or what the source has decoded itself."""
        if isinstance(document, Rows):
            return steps(self._source_plugin, document.steps, resumes=not document.atomic, method="Rows.steps")
        parser, plugin = self._a_parser()
        if not parser.resumable:
            document.start = Position(0)  # It is read from its beginning, and delivery drops what is there already.
        early, self._early = self._early, None
        parsed = None if early is None else early.steps_of(document)
        if parsed is not None:
            return parsed
        return steps(plugin, lambda: parser.parse_document(document), resumes=parser.resumable and not document.atomic)

    def _a_parser(self) -> tuple[Parser, Plugin[FormatSpec]]:
        if self._parser is None:
            raise broken(self._source_plugin, "it says that it decodes itself, and handed out undecoded data")
        return self._parser

    def _chunk(
        self,
        document: Document | Rows,
        line: DocumentReport,
        parsed: Parsed,
        first: Position,
        following: Position,
        *,
        ends: bool = False,
    ) -> Chunk:
        if stream_of(document.partition) in self._gone:
            raise FencedError([document.name], hint=TAKEN_OVER)
        return Chunk(
            source=document,
            step=parsed,
            first={document.partition: first},
            next={document.partition: following},
            document=line,
            ends=ends,
            atomic=document.atomic,
        )

    def _processed(self, chunk: Chunk) -> Chunk:
        """Run the processors over a chunk."""
        judge = self._decoder
        chunk.refusals = [Refusal(r.index, r, "parse", judge.spec.name, judge.version) for r in chunk.step.rejects]
        if chunk.step.data is not None and chunk.step.data.num_rows:
            first = None if isinstance(chunk.source, Messages) else next(iter(chunk.first.values())).offset
            batch: Batch | None = Batch(chunk.step.data, chunk.step.origin, chunk.source, first, chunk.step.valid)
            for processor, plugin in self._processors:
                if batch is None:
                    break
                batch = self._process(chunk, batch, processor, plugin)
            if batch is not None and len(batch):
                chunk.batches = [batch]
        self._hold_back(chunk)
        return chunk

    def _process(self, chunk: Chunk, batch: Batch, processor: Processor, plugin: Plugin[ProcessorSpec]) -> Batch | None:
        processed = blame(plugin, lambda: processor.process(batch))
        check_processed(plugin, processed, batch, chunk.step.records)
        chunk.refusals += [
            Refusal(batch.record(r.index), r, "process", plugin.spec.name, plugin.version) for r in processed.rejects
        ]
        if processed.batch is not None:
            processed.batch.valid = False
        return processed.batch

    def _hold_back(self, chunk: Chunk) -> None:
        """Commits may not pass what a processor still keeps."""
        for processor, plugin in self._processors:
            for partition, position in blame(plugin, processor.held).items():
                if partition in chunk.next and position.offset < chunk.next[partition].offset:
                    chunk.next[partition] = position

    def _failed(self, line: DocumentReport, error: Exception, *, atomic: bool = False) -> None:
        """A document that broke off; the others go on. What was committed of it stays."""
        known = error if isinstance(error, DdpmError) else DataError(str(error))
        line.status, line.error = "failed", known
        self._fifo.put(Abandon(line, known, atomic))
        self._emit(DocumentEnded(line.name, "failed", known.message))


def _start_byte(document: Document | Rows) -> int:
    """Where in the document reading starts, for progress, where its parser calls that `byte`."""
    resume = document.start.detail.get("resume")
    byte = resume.get("byte") if isinstance(resume, Mapping) else None
    return byte if isinstance(byte, int) else 0


def _resume(detail: Mapping[str, Any]) -> dict[str, Any]:
    """The parser's part of a position's detail, if it has one."""
    resume = detail.get("resume")
    return {"resume": dict(resume)} if resume else {}
