"""`ddpm schema plan`: reads what would be ingested, and asks the sink what it would change. Nothing is written or claimed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field
from functools import partial

from ddpm_core.engine.blame import blame
from ddpm_core.engine.build import Pipeline
from ddpm_core.engine.contract import steps
from ddpm_core.errors import DataError, FatalError, RetryableError
from ddpm_core.plugin.sink import Sink
from ddpm_core.plugin.source import Source
from ddpm_core.plugin.specs import Plugin, SinkSpec, SourceSpec
from ddpm_core.records import Assigned, Document, EndOfSource, Failed, Parsed, Rows
from ddpm_core.values import dataclass

IDLE = 0.5
"""Seconds that a read of the source may wait."""


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """A statement, why it is needed, and the document whose rows need it first."""

    ddl: str
    why: str
    source: str


@dataclass(slots=True)
class TablePlan:
    """All that would change for one table."""

    table: str
    changes: list[PlannedChange] = field(default_factory=list)


def plan_tables(pipelines: Sequence[Pipeline], *, everything: bool) -> list[TablePlan]:
    """What each pipeline would change, in the order in which they would run.

    Args:
        pipelines: Built, not opened. They are opened for reading and closed again.
        everything: Look at every record, not only at each document's first step.

    Raises:
        ConfigError: Source or target are not there or cannot do this.
        DataError: A document cannot be read; a plan without it would be no plan.
        FatalError: The environment failed.
    """
    plans: dict[str, TablePlan] = {}
    for pipeline in pipelines:
        plan = plans.setdefault(pipeline.table, TablePlan(pipeline.table))
        try:
            _plan_one(pipeline, plan, everything=everything)
        except RetryableError as error:
            raise FatalError(error.message, hint=error.hint) from error
    return list(plans.values())


def _plan_one(pipeline: Pipeline, plan: TablePlan, *, everything: bool) -> None:
    use = pipeline.sinks[0]
    sink, sink_plugin = use.sink, use.plugin
    source, source_plugin = pipeline.source
    try:
        blame(sink_plugin, sink.inspect)
        expected = blame(sink_plugin, sink.expected_schema)
        if expected is not None and pipeline.parser is not None:
            parser, format_plugin = pipeline.parser
            blame(format_plugin, partial(parser.expect, expected))
        blame(source_plugin, source.open)
        for document in _documents(source, source_plugin):
            for number, step in enumerate(_steps(pipeline, document)):
                if number and not everything:
                    break
                _ask(sink, sink_plugin, step, plan, document.name)
    finally:
        blame(source_plugin, source.close)
        blame(sink_plugin, sink.close)


def _documents(source: Source, plugin: Plugin[SourceSpec]) -> Iterator[Document | Rows]:
    while True:
        item = blame(plugin, lambda: source.read(IDLE))
        match item:
            case EndOfSource():
                return
            case Assigned():
                blame(plugin, lambda: source.seek({}))  # Everything, as if nothing had landed.
            case Failed(name, error):
                raise DataError(f"{name}: {error}") from error
            case Document() | Rows():
                yield item


def _steps(pipeline: Pipeline, document: Document | Rows) -> Iterator[Parsed]:
    if isinstance(document, Rows):
        return steps(pipeline.source[1], document.steps, resumes=False, method="Rows.steps")
    assert pipeline.parser is not None  # noqa: S101 - a source that does not decode is built with one
    parser, plugin = pipeline.parser
    return steps(plugin, lambda: parser.parse_document(document), resumes=False)


def _ask(sink: Sink, plugin: Plugin[SinkSpec], step: Parsed, plan: TablePlan, name: str) -> None:
    data = step.data
    if data is not None and data.num_rows:
        plan.changes += [PlannedChange(change.ddl, change.why, name) for change in blame(plugin, lambda: sink.plan(data))]
