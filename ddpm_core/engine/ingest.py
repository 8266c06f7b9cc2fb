"""`ddpm ingest`: from paths and flags to one pipeline for each table and format, run one after the other."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from ddpm_core.config.redact import mask_url
from ddpm_core.engine.build import (
    DEFAULT_DATABASE,
    Pipeline,
    Settings,
    SinkUse,
    build_parser,
    build_sink,
    build_source,
    option_names,
    output_format,
    sink_for,
)
from ddpm_core.engine.inputs import Group, Inputs, refuse_filling_twice
from ddpm_core.engine.report import DocumentReport, Report
from ddpm_core.engine.runner import Runner, tell
from ddpm_core.errors import ConfigError, Problem
from ddpm_core.plugin.events import DocumentEnded, Event
from ddpm_core.plugin.format import Parser
from ddpm_core.plugin.sink import Sink
from ddpm_core.plugin.specs import BuildContext, FormatSpec, Plugin
from ddpm_core.registry import Registry
from ddpm_core.values import dataclass

NAME = "ingest"
"""The pipeline's name: sinks keep positions under it, so every `ddpm ingest` into a table knows what the others landed."""


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """What the user asked for, as typed.

    Attributes:
        paths: Files, folders, patterns, `-`.
        format: Name of the format, or None: each file's suffix decides.
        to: Where to, a URL or a path; None is `ddpm.duckdb`.
        table: `[schema.]table`, or None: each file's own name.
        mode, key: How to write; None is append, or upsert when there is a key.
        columns: Declared types, such as `ts=timestamp,amount=decimal(12,2)`.
        options: Further options of plugins, each `KIND.NAME=VALUE`.
        again: Take finished files again.
        evolve: Whether tables may change; see `BuildContext`.
        max_record_bytes, max_depth: Limits on records, for formats that have them; None leaves the format's own.
        on_error, retry_for, reject_share, reject_run: See `Settings`.
    """

    paths: tuple[str, ...]
    format: str | None = None
    to: str | None = None
    table: str | None = None
    mode: str | None = None
    key: tuple[str, ...] = ()
    columns: str | None = None
    options: tuple[str, ...] = ()
    again: bool = False
    evolve: bool | None = None
    max_record_bytes: int | None = None
    max_depth: int | None = None
    on_error: Literal["dead-letter", "fail"] = "dead-letter"
    retry_for: float = 60.0
    reject_share: float = 0.05
    reject_run: int = 1000


class Ingest:
    """One `ddpm ingest`. Everything is checked when it is made; nothing is opened before `run`.

    Args:
        request: What the user asked for.
        registry: What is installed.
        observers: Called with every event, from the engine's threads.

    Raises:
        ConfigError: Unknown names, wrong options, files that are not there; all of them that can be seen at once.
    """

    def __init__(self, request: IngestRequest, registry: Registry, *, observers: Sequence[Callable[[Event], None]] = ()) -> None:
        self._request = request
        self._registry = registry
        self._observers = [*observers, *plugins_as_observers(registry)]
        self._options = split_options(request.options)
        self._to = DEFAULT_DATABASE if request.to is None else request.to
        self._sink_plugin = sink_for(self._to, registry)
        self._context = BuildContext(
            pipeline=NAME,
            columns=declared_columns(request.columns),
            retry_for=request.retry_for,
            evolve=request.evolve,
            output=partial(output_format, registry),
        )
        self._inputs = Inputs(
            registry,
            format=request.format,
            table=request.table,
            tables="table" in option_names(self._sink_plugin),
            own=self._is_own,
            again=request.again or self._mode() == "replace",
            options=self._options["source"],
        )
        self._target = mask_url(self._to)
        self._skipped: list[DocumentReport] = []
        self._stopping = threading.Event()
        self._runner: Runner | None = None
        self._settings = Settings(
            on_error=request.on_error,
            retry_for=request.retry_for,
            reject_share=request.reject_share,
            reject_run=request.reject_run,
        )
        self.pipelines = [self._pipeline(group) for group in self._groups()]

    def run(self) -> Report:
        """Run every pipeline in turn, and put their reports together. Called once.

        Raises:
            ConfigError: The target cannot do what is asked; nothing has landed.
        """
        queryable = self._sink_plugin.spec.database is not None
        whole = Report(NAME, target=self._target, documents=list(self._skipped), queryable=queryable)
        for skipped in self._skipped:
            tell(self._observers, DocumentEnded(skipped.name, "skipped", skipped.note))
        for pipeline in self.pipelines:
            if self._stopping.is_set():
                whole.status = "stopped"
                break
            self._runner = Runner(pipeline, observers=self._observers)
            if self._stopping.is_set():
                self._runner.stop()
            try:
                part = self._runner.run()
            except ConfigError as error:
                if pipeline is self.pipelines[0]:
                    raise
                part = Report(NAME, status="failed", error=error)  # What landed before is to be told too.
            _add(whole, part)
            if whole.error is not None or whole.status == "stopped":
                break
        return whole

    def stop(self) -> None:
        """Ask it to end soon; see `Runner.stop`. Safe from any thread and from signal handlers."""
        self._stopping.set()
        if self._runner is not None:
            self._runner.stop()

    def _groups(self) -> list[Group]:
        """What is to be read, by source, format and table."""
        groups, unknown = self._inputs.groups(self._request.paths)
        note = "no installed format has its suffix; name one with --format"
        self._skipped = [DocumentReport(name, "skipped", note) for name in unknown]
        if not groups:
            names = ", ".join(unknown[:3])
            raise ConfigError(f"none of the files has a known suffix: {names}", hint="Name the format with --format.")
        if self._mode() == "replace":
            refuse_filling_twice(groups)
        return groups

    def _is_own(self, name: str) -> bool:
        """Whether this is the file of dead letters, or lies in the folder that is written: a second run would eat what the first made."""
        path = os.path.realpath(name)
        if path == os.path.realpath(self._settings.dead_letter_file):
            return True
        return self._sink_plugin.spec.folders and path.startswith(os.path.join(os.path.realpath(self._to), ""))

    def _mode(self) -> str:
        return self._request.mode or ("upsert" if self._request.key else "append")

    def _pipeline(self, group: Group) -> Pipeline:
        sink = build_sink(self._sink_plugin, self._sink_options(group.table), self._context)
        if self._request.evolve is not None and type(sink).plan is Sink.plan:
            raise ConfigError(f"--schema is for tables of databases, and {self._sink_plugin.owner} has none")
        return Pipeline(
            name=NAME,
            source=(
                build_source(group.source, self._inputs.source_options(group.source, group.paths), self._context),
                group.source,
            ),
            parser=None if group.format is None else (self._parser(group.format), group.format),
            sinks=[SinkUse(self._sink_plugin.spec.name, sink, self._sink_plugin)],
            settings=self._settings,
            target=self._target,
            table=group.table,
        )

    def _parser(self, plugin: Plugin[FormatSpec]) -> Parser:
        """The format's parser, held to the limits asked for."""
        request, names = self._request, option_names(plugin)
        limits = {"max_record_bytes": request.max_record_bytes, "max_depth": request.max_depth}
        given = {name: limit for name, limit in limits.items() if limit is not None and name in names}
        parser = build_parser(plugin, {**given, **self._options["format"]}, self._context)
        if request.max_record_bytes is not None and "max_record_bytes" not in names:
            parser.max_record_bytes = request.max_record_bytes
        return parser

    def _sink_options(self, table: str) -> Mapping[str, Any]:
        """What the flags say, for the options that this sink has; what was typed for one that it has not is an error."""
        request, spec = self._request, self._sink_plugin.spec
        names = option_names(self._sink_plugin)
        values: dict[str, Any] = {spec.address: self._to} if spec.address in names else {}
        defaults = {"table": table, "mode": self._mode(), "key": request.key}
        typed = {"table": request.table, "mode": request.mode, "key": request.key}
        values |= {name: value for name, value in defaults.items() if name in names or typed[name]}
        return values | self._options["sink"]


def split_options(options: Sequence[str], kinds: Sequence[str] = ("source", "format", "sink")) -> dict[str, dict[str, str]]:
    """`KIND.NAME=VALUE` -> kind -> name -> value.

    Raises:
        ConfigError: All that are of no other form, or of no other kind.
    """
    split: dict[str, dict[str, str]] = {kind: {} for kind in kinds}
    known = f"{', '.join(kinds[:-1])} or {kinds[-1]}"
    problems = []
    for option in options:
        target, separator, value = option.partition("=")
        kind, dot, name = target.partition(".")
        if not separator or not dot or not name or kind not in split:
            problems.append(Problem(f"option {target!r}", "is not of the form KIND.NAME=VALUE", f"KIND is {known}"))
        else:
            split[kind][name] = value
    if problems:
        raise ConfigError(problems)
    return split


def declared_columns(text: str | None) -> Any:
    """The types that a user declared for columns, as an Arrow schema; None where nothing was."""
    if text is None:
        return None
    from ddpm_core.schema.declare import parse_columns

    return parse_columns(text)


def plugins_as_observers(registry: Registry) -> list[Callable[[Event], None]]:
    """The installed plugins' `ddpm_event`, if any has one; each that fails is logged once."""
    if not registry.has_observers:
        return []
    import logging

    failed: set[str] = set()

    def note(owner: str, error: Exception) -> None:
        if owner not in failed:
            failed.add(owner)
            logging.getLogger("ddpm.engine").warning("the observer of %s failed and is ignored: %s", owner, error)

    return [partial(registry.observe, failed=note)]


_WORST: tuple[str, ...] = ("landed", "dead_letters", "failed", "stopped")


def _add(whole: Report, part: Report) -> None:
    whole.records += part.records
    whole.rows += part.rows
    whole.nbytes += part.nbytes
    whole.seconds += part.seconds
    whole.documents += part.documents
    whole.error = whole.error or part.error
    whole.dead_letter_file = whole.dead_letter_file or part.dead_letter_file
    whole.status = max(whole.status, part.status, key=_WORST.index)
    for reason, count in part.rejects.items():
        whole.rejects[reason] = whole.rejects.get(reason, 0) + count
