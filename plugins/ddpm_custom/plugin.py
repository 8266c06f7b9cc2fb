"""What this plugin gives to DDPM."""

from __future__ import annotations

from collections.abc import Iterator

from ddpm_core import FormatSpec, hookimpl


@hookimpl
def ddpm_formats() -> Iterator[FormatSpec]:
    yield FormatSpec(
        name="custom",
        summary="Your own Python function: one payload in, rows out",
        options="ddpm_custom.options:CustomOptions",
        parser="ddpm_custom.parser:build",
        example="ddpm ingest --format custom -o format.function=parse_log.py:parse -o format.text=true server.log",
    )
