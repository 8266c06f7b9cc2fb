"""Where dead letters of `ddpm ingest` go when they are sent again: into the table that they were meant for, in the format they are in."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any

from ddpm_core.config.redact import mask_url
from ddpm_core.engine.build import (
    DEFAULT_DATABASE,
    Pipeline,
    SinkUse,
    build_parser,
    build_sink,
    option_names,
    output_format,
    sink_for,
)
from ddpm_core.engine.ingest import declared_columns, split_options
from ddpm_core.engine.replay_source import ROWS, SOURCE, ReplaySource, RowsOfLetters, schema_of
from ddpm_core.errors import ConfigError
from ddpm_core.plugin.format import Parser
from ddpm_core.plugin.specs import BuildContext, FormatSpec, Plugin
from ddpm_core.records import DeadLetter
from ddpm_core.registry import Registry
from ddpm_core.values import dataclass

PIPELINE = "ingest"
"""The pipeline whose letters go here."""


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What the user asked for, as typed; every field means what it means in an `IngestRequest`.

    Attributes:
        to: Where to; None is `ddpm.duckdb`.
        format, table: None: each letter's own.
        mode, key, columns, options, evolve, max_record_bytes, max_depth, retry_for: As in `IngestRequest`.
    """

    to: str | None = None
    format: str | None = None
    table: str | None = None
    mode: str | None = None
    key: tuple[str, ...] = ()
    columns: str | None = None
    options: tuple[str, ...] = ()
    evolve: bool | None = None
    max_record_bytes: int | None = None
    max_depth: int | None = None
    retry_for: float = 60.0


class IngestTarget:
    """Letters of `ddpm ingest`, on their way to one database.

    Args:
        request: What the user asked for.
        registry: What is installed.
        in_tables: Whether the letters come from tables, whose `target` is `schema.table` as it is stored, and not as a user types it.

    Raises:
        ConfigError: Unknown names or wrong options.
    """

    def __init__(self, request: ReplayRequest, registry: Registry, *, in_tables: bool) -> None:
        self._request = request
        self._registry = registry
        self._in_tables = in_tables
        self._to = DEFAULT_DATABASE if request.to is None else request.to
        self._plugin = sink_for(self._to, registry)
        self._options = split_options(request.options, ("format", "sink"))
        self._context = BuildContext(
            pipeline=PIPELINE,
            columns=declared_columns(request.columns),
            retry_for=request.retry_for,
            evolve=request.evolve,
            output=partial(output_format, registry),
        )
        if request.format is not None:
            registry.format(request.format)

    def refuses(self, letter: DeadLetter) -> str:
        """Letters of a pipeline of its own belong into that pipeline."""
        return "" if letter.pipeline == PIPELINE else f"of pipeline {letter.pipeline}: replay them with --pipeline FILE"

    def way(self, letter: DeadLetter) -> Hashable:
        """By format, table and columns."""
        return letter.payload_kind, letter.format, letter.target, schema_of(letter)

    def pipeline(self, letter: DeadLetter) -> Pipeline:
        """See `ReplayTarget`."""
        table = self._table(letter)
        sink = build_sink(self._plugin, self._sink_options(table), self._context)
        return Pipeline(
            name=PIPELINE,
            source=(ReplaySource([]), SOURCE),
            parser=self._parser(letter),
            sinks=[SinkUse(self._plugin.spec.name, sink, self._plugin)],
            target=mask_url(self._to),
            table=table,
        )

    def _parser(self, letter: DeadLetter) -> tuple[Parser, Plugin[FormatSpec]]:
        if letter.payload_kind == "arrow":
            return RowsOfLetters(), ROWS
        name = self._request.format or letter.format
        known = self._registry.format(name) if name else self._registry.format_for(letter.source)
        if known is None:
            raise ConfigError(f"dead letter {letter.id} does not say what format it is in", hint="Name it with --format.")
        plugin = known
        names = option_names(plugin)
        limits = {"max_record_bytes": self._request.max_record_bytes, "max_depth": self._request.max_depth}
        given = {name: limit for name, limit in limits.items() if limit is not None and name in names}
        return build_parser(plugin, {**given, **self._options["format"]}, self._context), plugin

    def _table(self, letter: DeadLetter) -> str:
        if self._request.table is not None or not letter.target or not self._in_tables:
            return self._request.table or letter.target
        schema, _, table = letter.target.partition(".")
        return f"{_typed(schema)}.{_typed(table)}"

    def _sink_options(self, table: str) -> Mapping[str, Any]:
        request, spec = self._request, self._plugin.spec
        names = option_names(self._plugin)
        values: dict[str, Any] = {spec.address: self._to} if spec.address in names else {}
        mode = request.mode or ("upsert" if request.key else "append")
        wanted = {"table": table, "mode": mode, "key": request.key}
        typed = {"table": request.table, "mode": request.mode, "key": request.key}
        values |= {name: value for name, value in wanted.items() if name in names or typed[name]}
        return values | self._options["sink"]


def _typed(name: str) -> str:
    """A name as it is typed for `--table`."""
    return name if name.isidentifier() else '"' + name.replace('"', '""') + '"'
