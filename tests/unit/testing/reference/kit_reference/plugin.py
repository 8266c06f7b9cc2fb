"""What the reference package gives to DDPM."""

from __future__ import annotations

from collections.abc import Iterator

from ddpm_core import FormatSpec, ProcessorSpec, SinkSpec, SourceSpec, hookimpl


@hookimpl
def ddpm_formats() -> Iterator[FormatSpec]:
    yield FormatSpec(
        name="kit_lines",
        summary="One text for each line",
        options="kit_reference.parts:Options",
        parser="kit_reference.parts:build_parser",
        serializer="kit_reference.parts:build_serializer",
        suffixes=(".lines",),
        example="ddpm ingest --format kit_lines a.lines",
    )


@hookimpl
def ddpm_sources() -> Iterator[SourceSpec]:
    yield SourceSpec(
        name="kit_list",
        summary="Documents and messages from lists",
        options="kit_reference.parts:ListOptions",
        build="kit_reference.parts:build_source",
        documents="kit_reference.parts:documents",
        example="kit_list: {}",
    )
    yield SourceSpec(
        name="kit_rows",
        summary="Rows from lists, decoded already",
        options="kit_reference.parts:RowsOptions",
        build="kit_reference.parts:build_rows",
        decodes=True,
        example="kit_rows: {}",
    )


@hookimpl
def ddpm_processors() -> Iterator[ProcessorSpec]:
    yield ProcessorSpec(
        name="kit_double",
        summary="Adds a column with twice the number, rejects negative numbers",
        build="kit_reference.parts:build_processor",
        example="processors: [kit_double]",
    )


@hookimpl
def ddpm_sinks() -> Iterator[SinkSpec]:
    yield SinkSpec(
        name="kit_memory",
        summary="A store in memory",
        options="kit_reference.parts:MemoryOptions",
        build="kit_reference.parts:build_sink",
        guarantee="exactly_once",
        example="ddpm ingest a.json --to kit_memory://",
    )
    yield SinkSpec(
        name="kit_sqlite",
        summary="Tables of an SQLite file",
        options="kit_reference.options:SqliteOptions",
        build="kit_reference.sink:build",
        guarantee="exactly_once",
        modes=("append", "replace", "upsert"),
        example="ddpm ingest a.json --to kit_sqlite://",
    )
