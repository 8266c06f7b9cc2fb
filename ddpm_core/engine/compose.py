"""From a pipeline's document to a pipeline that can be run. Nothing is opened here."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ddpm_core.config.node import Node, in_order
from ddpm_core.config.pipeline_document import PipelineDocument, SinkEntry
from ddpm_core.config.pipeline_file import RESERVED
from ddpm_core.config.redact import mask_url
from ddpm_core.engine.build import (
    Pipeline,
    Settings,
    SinkUse,
    build_dead_letters,
    build_parser,
    build_processor,
    build_sink,
    build_source,
    output_format,
)
from ddpm_core.engine.checked import Checked, CheckedDocument, DeadLetterFileOptions, check_document, relocated, scrubbed
from ddpm_core.engine.dead_letter_file import DeadLetterFile
from ddpm_core.errors import ConfigError, Problem
from ddpm_core.plugin.dead_letters import DeadLetterStore
from ddpm_core.plugin.sink import Sink
from ddpm_core.plugin.source import Source
from ddpm_core.plugin.specs import BuildContext, Plugin, ReadBounds, SinkSpec
from ddpm_core.registry import Registry
from ddpm_core.values import dataclass

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What `ddpm run` was asked for beside the file.

    Attributes:
        until_end: Read to the end offsets seen at the start, then end.
        start, end: The part of an endless source to read: an offset of every partition, or a time. Both need `as_name`.
        as_name: Run under this name instead of the file's, with positions of its own.
        retry_for: Seconds that the environment is waited for, instead of what the file says; None: as the file says.
        worker, workers: Which of how many processes this is, from 0.
        sample: Only look at what there is; nothing is written and no position is kept.
    """

    until_end: bool = False
    start: int | datetime | None = None
    end: int | datetime | None = None
    as_name: str | None = None
    retry_for: float | None = None
    worker: int = 0
    workers: int = 1
    sample: bool = False

    @property
    def bounded(self) -> bool:
        """Whether the run ends by itself, whatever its source is."""
        return self.until_end or self.start is not None or self.end is not None


def compose(document: PipelineDocument, registry: Registry, *, request: RunRequest | None = None, load: bool = True) -> Pipeline:
    """The pipeline that a document describes, checked and built.

    Args:
        document: From `load_pipeline`.
        registry: What is installed.
        request: What was asked for beside the file.
        load: Build formats and processors too, which may import code that the file names. Without, those that are not known to be safe
            are checked by their options only, and the pipeline returned cannot be run.

    Raises:
        ConfigError: Every mistake in file and request at once.
        PluginError: A plugin failed.
    """
    checked = check_document(document, registry)
    return _Composer(checked, registry, request or RunRequest(), load=load).compose()


@dataclass(frozen=True, slots=True)
class _Ends:
    """Source and sinks as they were built together."""

    context: BuildContext
    source: Source | None
    sinks: list[tuple[SinkEntry, Checked[SinkSpec], Sink]]

    @property
    def keeps_positions(self) -> bool:
        return any(sink.keeps_positions for _, _, sink in self.sinks)


class _Composer:
    def __init__(self, checked: CheckedDocument, registry: Registry, request: RunRequest, *, load: bool) -> None:
        self._checked = checked
        self._document = checked.document
        self._registry = registry
        self._request = request
        self._load = load
        self._problems = list(checked.problems)
        source = checked.source
        self._endless = source is not None and source.plugin.spec.endless and not request.bounded

    def compose(self) -> Pipeline:
        self._check_request()
        ends = self._build_ends()
        self._check_sinks(ends)
        parser = self._build_parser(ends.context)
        processors = self._build_processors(ends.context)
        dead_letters = self._build_dead_letters(ends.context)
        source = self._checked.source
        if self._problems:
            scrub = self._document.environment.scrub
            raise ConfigError(Problem(p.where, scrub(p.what), scrub(p.hint)) for p in in_order(dict.fromkeys(self._problems)))
        assert source is not None and ends.source is not None  # noqa: S101, PT018 - without them there are problems
        return Pipeline(
            name=ends.context.pipeline,
            source=(ends.source, source.plugin),
            parser=parser,
            sinks=[SinkUse(entry.name, sink, checked.plugin, entry.when) for entry, checked, sink in ends.sinks],
            processors=processors,
            settings=self._settings(),
            dead_letters=dead_letters,
            target=_target(ends.sinks[0][1]),
            table=str(getattr(ends.sinks[0][1].options, "table", "")),
            columns=self._checked.columns,
        )

    def _context(self, *, positions_kept: bool) -> BuildContext:
        request, source = self._request, self._checked.source
        bounds: ReadBounds | None = ReadBounds(request.start, request.end)
        if self._endless:
            bounds = None
        return BuildContext(
            pipeline=f"{self._document.name}.sample" if request.sample else request.as_name or self._document.name,
            beside=self._document.name if request.as_name else "",
            looking=request.sample,
            columns=self._checked.columns,
            retry_for=self._retry_for(),
            output=partial(output_format, self._registry),
            bounds=bounds if source is None or source.plugin.spec.endless else ReadBounds(),
            positions_kept=positions_kept,
            worker=request.worker,
            workers=request.workers,
        )

    def _build_ends(self) -> _Ends:
        """Source and sinks. Whether a sink keeps positions is known when it is built, and the source, which is built first, has to know it:
        where the guess was wrong, all of them are built once more. Building opens nothing."""
        guess = any(
            checked.plugin.spec.guarantee == "exactly_once" and entry.guarantee != "at_least_once"
            for entry, checked in self._checked.sinks
        )
        before = len(self._problems)
        ends = self._built_ends(guess)
        if len(self._problems) == before and ends.keeps_positions != guess:
            ends = self._built_ends(not guess)
        return ends

    def _built_ends(self, positions_kept: bool) -> _Ends:
        context = self._context(positions_kept=positions_kept)
        source, sinks = self._checked.source, []
        built = None if source is None else self._try(source.use.at, lambda: build_source(source.plugin, source.options, context))
        for entry, checked in self._checked.sinks if built is not None else ():  # What a sink is may hang on its source.
            sink = self._try(checked.use.at, partial(self._built_sink, entry, checked, context))
            if sink is not None:
                sinks.append((entry, checked, sink))
        return _Ends(context, built, sinks)

    def _built_sink(self, entry: SinkEntry, checked: Checked[SinkSpec], context: BuildContext) -> Sink:
        evolve = None if entry.schema is None else entry.schema == "evolve"
        return build_sink(checked.plugin, checked.options, replace(context, evolve=evolve))

    def _check_sinks(self, ends: _Ends) -> None:
        """What only a sink that is built can say of itself, and the conditions of all."""
        for entry, checked, sink in ends.sinks:
            owner = checked.plugin.owner
            if entry.guarantee == "exactly_once" and checked.plugin.spec.guarantee == "exactly_once" and not sink.keeps_positions:
                self._add(
                    entry.entry.entries["guarantee"], f"{owner} cannot write exactly once with these options", "remove guarantee:"
                )
            if entry.schema is not None and type(sink).plan is Sink.plan:
                self._add(entry.entry.entries["schema"], f"schema is for tables of databases, and {owner} has none")
            if self._endless and sink.atomic:
                what = "all rows are put in place at the end, and this pipeline has none: they would never be seen"
                self._add(checked.use.at, what, "use another mode, or --until-end")
            self._refuse_double_rows(checked)
        for entry in self._document.sinks:  # Of a sink with other mistakes too.
            if entry.when:
                self._try(entry.entry.entries["when"], partial(self._check_condition, entry.when, ends.context))

    def _check_condition(self, condition: str, context: BuildContext) -> None:
        """Parse it, and let the source know which metadata it names. Nothing of it runs."""
        from ddpm_core.engine.routing import Route

        route = Route(condition, columns=context.columns)
        context.shared.setdefault("metadata", set()).update(route.metadata)

    def _refuse_double_rows(self, checked: Checked[SinkSpec]) -> None:
        """A run under another name knows nothing of what the live one has put into the same table or topic."""
        entries, run = checked.use.options.entries, f"with --as {self._request.as_name}"
        table, topic = entries.get("table"), entries.get("topic")
        if self._request.as_name is None:
            return
        if table is not None and table.shown is None and getattr(checked.options, "mode", "") == "append":
            what = f"{run} rows would be added to the table that {self._document.name} adds the same rows to"
            self._add(table, what, "use mode upsert with a key, or name the table by a variable such as ${TABLE:logins}")
        if topic is not None and topic.shown is None:
            what = f"{run} messages would be added to the topic that {self._document.name} adds the same ones to"
            self._add(topic, what, "name the topic by a variable such as ${TOPIC:logins}")

    def _build_parser(self, context: BuildContext) -> Any:
        checked = self._checked.format
        if checked is None or not (self._load or checked.options.safe_to_build):
            return None
        parser = self._try(checked.use.at, lambda: build_parser(checked.plugin, checked.options, context))
        return None if parser is None else (parser, checked.plugin)

    def _build_processors(self, context: BuildContext) -> Sequence[Any]:
        built = []
        for checked in self._checked.processors:
            if self._load or checked.options.safe_to_build:
                processor = self._try(checked.use.at, partial(build_processor, checked.plugin, checked.options, context))
                built.append((processor, checked.plugin))
        return built

    def _build_dead_letters(self, context: BuildContext) -> tuple[DeadLetterStore, Plugin[SinkSpec] | None] | None:
        checked = self._checked.dead_letter
        if checked is None:
            return None
        if isinstance(checked, DeadLetterFileOptions):
            return DeadLetterFile(checked.path), None
        store = self._try(checked.use.at, lambda: build_dead_letters(checked.plugin, checked.options, context))
        return None if store is None else (store, checked.plugin)

    def _settings(self) -> Settings:
        document, default = self._document, Settings()
        return Settings(
            on_error=document.on_error or default.on_error,
            retry_for=self._retry_for(),
            reject_share=default.reject_share if document.reject_share is None else document.reject_share,
            reject_run=default.reject_run if document.reject_run is None else document.reject_run,
            endless=self._endless,
            linger=document.linger,
            in_flight_bytes=document.in_flight,
        )

    def _retry_for(self) -> float | None:
        """Seconds, or None for ever: as asked for, else as the file says, else for ever in a run that has no end."""
        for wanted in (self._request.retry_for, self._document.retry_for):
            if wanted is not None:
                return None if math.isinf(wanted) else wanted
        return None if self._endless else Settings().retry_for

    def _check_request(self) -> None:
        request, source, name = self._request, self._checked.source, self._document.name
        part = request.start is not None or request.end is not None
        if part and request.as_name is None:
            self._ask("--start and --end read a part of the source again", "run it under a name of its own: --as NAME")
        if part and source is not None and not source.plugin.spec.endless:
            self._ask(f"--start and --end are for sources that never end, and {source.plugin.owner} does", "remove them")
        if type(request.start) is type(request.end) and request.start is not None and request.start >= request.end:  # type: ignore[operator]
            self._ask("--start is not before --end")
        if request.as_name is not None and not re.fullmatch(r"[^\W_][\w.-]{0,99}", request.as_name):
            self._ask("--as takes a name of up to 100 letters, digits, _, - and dots, which begins with a letter or digit")
        if request.as_name in (RESERVED, name):
            self._ask(f"--as {request.as_name} is the name of another pipeline", "choose a name of its own, such as backfill-1")

    def _try(self, at: Node, build: Callable[[], T]) -> T | None:
        """What `build` gives; None where it finds a mistake, which is noted."""
        try:
            return scrubbed(self._document.environment.scrub, build)
        except ConfigError as error:
            self._problems += relocated(error, at)
            return None

    def _ask(self, what: str, hint: str = "") -> None:
        self._problems.append(Problem("", what, hint))

    def _add(self, node: Node, what: str, hint: str = "") -> None:
        self._problems.append(node.problem(what, hint))


def _target(sink: Checked[SinkSpec]) -> str:
    """Where the first sink writes to, as the report says it."""
    address: Any = getattr(sink.options, sink.plugin.spec.address, None)
    if hasattr(address, "get_secret_value"):
        address = address.get_secret_value()
    return mask_url(str(address)) if isinstance(address, str | Path) else sink.plugin.spec.name
