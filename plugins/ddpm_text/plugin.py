"""What this plugin gives to DDPM."""

from __future__ import annotations

from collections.abc import Iterator

from ddpm_core import FormatSpec, hookimpl


@hookimpl
def ddpm_formats() -> Iterator[FormatSpec]:
    yield FormatSpec(
        name="lines",
        summary="Text: each line is a row with one column",
        options="ddpm_text.options:LinesOptions",
        parser="ddpm_text.lines_parser:build",
        serializer="ddpm_text.lines_serializer:build",
        suffixes=(".txt",),
        example="ddpm ingest --format lines notes.txt",
    )
    yield FormatSpec(
        name="raw",
        summary="Each document or message is a row with one column, its bytes as they are",
        options="ddpm_text.options:RawOptions",
        parser="ddpm_text.raw_parser:build",
        serializer="ddpm_text.raw_serializer:build",
        suffixes=(".bin",),
        example="ddpm ingest --format raw invoice.pdf",
    )
