"""What this plugin offers: the format `avro`."""

from __future__ import annotations

from collections.abc import Iterable

from ddpm_core import FormatSpec, hookimpl


@hookimpl
def ddpm_formats() -> Iterable[FormatSpec]:
    yield FormatSpec(
        name="avro",
        summary="Avro: container files, and messages with or without a schema registry",
        options="ddpm_avro.options:AvroOptions",
        parser="ddpm_avro.parser:build",
        serializer="ddpm_avro.serializer:build",
        suffixes=(".avro",),
        magic=(b"Obj\x01",),
        example="ddpm ingest --format avro events.avro",
    )
