"""What this package gives to DDPM."""

from __future__ import annotations

from collections.abc import Iterator

from ddpm_core import FormatSpec, hookimpl


@hookimpl
def ddpm_formats() -> Iterator[FormatSpec]:
    yield FormatSpec(
        name="logline",
        summary="Access logs of Apache and nginx, in combined or common format",
        options="ddpm_logline.options:LoglineOptions",
        parser="ddpm_logline.parser:build",
        suffixes=(".log",),
        example="ddpm ingest --format logline /var/log/nginx/access.log",
    )
