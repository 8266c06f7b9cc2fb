"""What this plugin hands to DDPM."""

from __future__ import annotations

from collections.abc import Iterable

from ddpm_core import FormatSpec, hookimpl


@hookimpl
def ddpm_formats() -> Iterable[FormatSpec]:
    """The format `json`."""
    yield FormatSpec(
        name="json",
        summary="JSON: one object on each line, one array, one document, or objects in a row",
        options="ddpm_json.options:JsonOptions",
        parser="ddpm_json.parser:build",
        serializer="ddpm_json.serializer:build",
        suffixes=(".json", ".ndjson", ".jsonl"),
        example="ddpm ingest --format json events.ndjson",
    )
