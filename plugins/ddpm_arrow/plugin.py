"""What this plugin gives to DDPM."""

from __future__ import annotations

from collections.abc import Iterator

from ddpm_core import FormatSpec, hookimpl


@hookimpl
def ddpm_formats() -> Iterator[FormatSpec]:
    yield FormatSpec(
        name="arrow",
        summary="Apache Arrow IPC: files, streams and Feather V2, batch by batch, fully validated",
        options="ddpm_arrow.options:ArrowOptions",
        parser="ddpm_arrow.parser:build",
        serializer="ddpm_arrow.serializer:build",
        suffixes=(".arrow", ".arrows", ".feather", ".ipc"),
        magic=(b"ARROW1", b"FEA1"),
        example="ddpm ingest --format arrow flights.arrow",
    )
