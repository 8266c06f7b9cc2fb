"""`ddpm run --dry-run`: what a pipeline makes of the first records of its source. Nothing is written, nothing is committed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import field
from typing import TYPE_CHECKING

from ddpm_core.engine.blame import blame
from ddpm_core.engine.build import Pipeline
from ddpm_core.engine.contract import broken, check_processed, check_step, steps
from ddpm_core.errors import DataError, FatalError, RetryableError
from ddpm_core.plugin.specs import Plugin, SourceSpec
from ddpm_core.records import Assigned, Batch, Document, EndOfSource, Failed, Messages, Parsed, Rows
from ddpm_core.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa

    from ddpm_core.plugin.source import Source

RECORDS = 1_000
"""Records in a sample, at least, where there are as many; the last piece counts whole."""

PATIENCE = 5.0
"""Seconds without anything new after which a sample is complete."""

IDLE = 0.2


@dataclass(slots=True)
class Sample:
    """What became of some records.

    Attributes:
        records: How many were looked at.
        batches: The rows that would go to the sinks.
        rejects: Reason -> how many would become dead letters.
        first: Reason -> the message of the first of them.
    """

    records: int = 0
    batches: list[pa.RecordBatch] = field(default_factory=list)
    rejects: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows that would go to the sinks."""
        return sum(batch.num_rows for batch in self.batches)

    def reject(self, reason: str, message: str) -> None:
        """One more record that would be set aside."""
        self.rejects[reason] += 1
        self.first.setdefault(reason, message)


def sample(pipeline: Pipeline, *, records: int = RECORDS, clock: Callable[[], float] = time.monotonic) -> Sample:
    """Read from the pipeline's source from its beginning, parse and process. The sinks are not even opened.

    Args:
        pipeline: Built, not opened; used up.
        records: Enough.

    Raises:
        ConfigError: The source is not there.
        DataError: A document cannot be read.
        FatalError: The environment failed.
    """
    source, plugin = pipeline.source
    found = Sample()
    try:
        blame(plugin, source.open)
        for processor, owner in pipeline.processors:
            blame(owner, processor.open)
        for piece, step in _steps(pipeline, source, plugin, clock):
            _look_at(pipeline, piece, step, found)
            if found.records >= records:
                break
    except RetryableError as error:
        raise FatalError(error.message, hint=error.hint) from error
    finally:
        blame(plugin, source.close)
        for processor, owner in pipeline.processors:
            blame(owner, processor.close)
    return found


def _steps(
    pipeline: Pipeline, source: Source, plugin: Plugin[SourceSpec], clock: Callable[[], float]
) -> Iterator[tuple[Messages | Document | Rows, Parsed]]:
    until = clock() + PATIENCE
    while clock() < until:
        item = blame(plugin, lambda: source.read(IDLE))
        match item:
            case None:
                continue
            case EndOfSource():
                return
            case Assigned():
                blame(plugin, lambda: source.seek({}))  # Everything, as if nothing had landed.
            case Failed(name, error):
                raise DataError(f"{name}: {error}") from error
            case Messages():
                yield item, _parsed(pipeline, item)
            case Document() | Rows():
                for step in _steps_of(pipeline, item):
                    yield item, step
        until = clock() + PATIENCE


def _parsed(pipeline: Pipeline, messages: Messages) -> Parsed:
    if pipeline.parser is None:
        raise broken(pipeline.source[1], "it says that it decodes itself, and handed out undecoded data")
    parser, plugin = pipeline.parser
    parsed = blame(plugin, lambda: parser.parse_messages(messages))
    check_step(plugin, parsed, "parse_messages", records=len(messages))
    return parsed


def _steps_of(pipeline: Pipeline, document: Document | Rows) -> Iterator[Parsed]:
    if isinstance(document, Rows):
        return steps(pipeline.source[1], document.steps, resumes=False, method="Rows.steps")
    if pipeline.parser is None:
        raise broken(pipeline.source[1], "it says that it decodes itself, and handed out undecoded data")
    parser, plugin = pipeline.parser
    return steps(plugin, lambda: parser.parse_document(document), resumes=False)


def _look_at(pipeline: Pipeline, piece: Messages | Document | Rows, step: Parsed, found: Sample) -> None:
    found.records += step.records
    for reject in step.rejects:
        found.reject(reject.reason, reject.message)
    if step.data is None or not step.data.num_rows:
        return
    batch: Batch | None = Batch(step.data, step.origin, piece)
    for processor, plugin in pipeline.processors:
        if batch is None or not len(batch):
            return
        given = batch
        processed = blame(plugin, lambda: processor.process(given))  # noqa: B023 - called at once
        check_processed(plugin, processed, given, step.records)
        for reject in processed.rejects:
            found.reject(reject.reason, reject.message)
        batch = processed.batch
    if batch is not None and len(batch):
        found.batches.append(batch.data)
