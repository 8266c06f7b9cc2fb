"""What this plugin gives to DDPM."""

from __future__ import annotations

from collections.abc import Iterator

from ddpm_core import ProcessorSpec, hookimpl


@hookimpl
def ddpm_processors() -> Iterator[ProcessorSpec]:
    yield ProcessorSpec(
        name="map",
        summary="Columns from SQL expressions; columns not named are kept",
        options="ddpm_transforms.options:MapOptions",
        build="ddpm_transforms.map:build",
        example="processors:\n  - map: {processed_at: now(), locale: upper(locale)}",
    )
