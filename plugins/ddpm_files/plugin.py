"""What this plugin gives to DDPM."""

from __future__ import annotations

from collections.abc import Iterator

from ddpm_core import SourceSpec, hookimpl


@hookimpl
def ddpm_sources() -> Iterator[SourceSpec]:
    yield SourceSpec(
        name="files",
        summary="Files, folders, patterns and standard input; each content once",
        options="ddpm_files.options:FilesOptions",
        build="ddpm_files.source:build",
        documents="ddpm_files.listing:documents",
        schemes=("file",),
        address="paths",
        example="ddpm ingest orders.json 'data/**/*.parquet' archive/",
    )
