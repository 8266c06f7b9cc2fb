"""What this plugin hands to DDPM."""

from __future__ import annotations

from collections.abc import Iterable

from ddpm_core import FormatSpec, hookimpl


@hookimpl
def ddpm_formats() -> Iterable[FormatSpec]:
    """The format `csv`."""
    yield FormatSpec(
        name="csv",
        summary="CSV and TSV: fields between delimiters, types found by written rules",
        options="ddpm_csv.options:CsvOptions",
        parser="ddpm_csv.parser:build",
        serializer="ddpm_csv.serializer:build",
        suffixes=(".csv", ".tsv"),
        example="ddpm ingest --format csv orders.csv",
    )
