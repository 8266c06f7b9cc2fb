"""What this plugin gives to DDPM."""

from __future__ import annotations

from collections.abc import Iterator

from ddpm_core import SinkSpec, hookimpl


@hookimpl
def ddpm_sinks() -> Iterator[SinkSpec]:
    yield SinkSpec(
        name="stdout",
        summary="Rows to standard output, a JSON object on each line or in another format that can be streamed",
        options="ddpm_stdout.options:StdoutOptions",
        build="ddpm_stdout.sink:build",
        addresses=("-",),
        address="path",
        guarantee="at_least_once",
        example="ddpm ingest events.avro --to - | head",
    )
