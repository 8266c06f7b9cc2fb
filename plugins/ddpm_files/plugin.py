"""What this plugin gives to DDPM."""

from __future__ import annotations

from collections.abc import Iterator

from ddpm_core import SinkSpec, SourceSpec, hookimpl


@hookimpl
def ddpm_sources() -> Iterator[SourceSpec]:
    yield SourceSpec(
        name="files",
        summary="Files, folders, patterns, object stores, web servers and standard input; each content once",
        options="ddpm_files.options:FilesOptions",
        build="ddpm_files.source:build",
        documents="ddpm_files.listing:documents",
        schemes=("file", "s3", "gs", "http", "https"),
        address="paths",
        example="ddpm ingest orders.json 'data/**/*.parquet' archive/",
    )


@hookimpl
def ddpm_sinks() -> Iterator[SinkSpec]:
    yield SinkSpec(
        name="files",
        summary="Files in a folder or an object store, in any format that is written, by columns if wanted",
        options="ddpm_files.sink_options:FilesSinkOptions",
        build="ddpm_files.sink:build",
        schemes=("s3", "gs"),
        folders=True,
        address="path",
        guarantee="exactly_once",
        modes=("append",),
        example="ddpm ingest orders.csv --to out/ -o sink.partition_by=day",
    )
