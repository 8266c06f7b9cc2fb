"""The five hooks. A plugin implements those it has something for, in the module that its entry point (group `ddpm`) names.

Hooks are called once, when DDPM starts: they must be cheap, and must not import heavy libraries.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from ddpm_core.plugin.events import Event
    from ddpm_core.plugin.specs import FormatSpec, ProcessorSpec, SinkSpec, SourceSpec

    F = TypeVar("F", bound=Callable[..., object])

PROJECT = "ddpm"
"""pluggy's project name, and the entry-point group."""

_hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = cast("Callable[[F], F]", pluggy.HookimplMarker(PROJECT))
"""Marks a function as the implementation of the hook that has its name."""


class HookSpecs:
    """What DDPM asks of its plugins."""

    @_hookspec
    def ddpm_sources(self) -> Iterable[SourceSpec]:  # type: ignore[empty-body]
        """The sources of this plugin.

        Example:
            @hookimpl
            def ddpm_sources():
                yield SourceSpec(name="mqtt", summary="Topics of an MQTT broker", build="my_mqtt.source:build", schemes=("mqtt",))
        """

    @_hookspec
    def ddpm_formats(self) -> Iterable[FormatSpec]:  # type: ignore[empty-body]
        """The formats of this plugin.

        Example:
            @hookimpl
            def ddpm_formats():
                yield FormatSpec(name="logline", summary="Access logs", parser="ddpm_logline.parser:build", suffixes=(".log",))
        """

    @_hookspec
    def ddpm_processors(self) -> Iterable[ProcessorSpec]:  # type: ignore[empty-body]
        """The processors of this plugin.

        Example:
            @hookimpl
            def ddpm_processors():
                yield ProcessorSpec(name="geoip", summary="Adds the country of an IP address", build="my_geoip.processor:build")
        """

    @_hookspec
    def ddpm_sinks(self) -> Iterable[SinkSpec]:  # type: ignore[empty-body]
        """The sinks of this plugin.

        Example:
            @hookimpl
            def ddpm_sinks():
                yield SinkSpec(name="redis", summary="Hashes in Redis", build="my_redis.sink:build", schemes=("redis",))
        """

    @_hookspec
    def ddpm_event(self, event: Event) -> None:
        """Something happened in a run: `Event` is one of ten classes. Called after the fact, from the engine's threads.

        An observer can never affect the run: what it raises is logged once and otherwise ignored. It must return quickly.

        Example:
            from ddpm_core import ChunkCommitted, hookimpl

            @hookimpl
            def ddpm_event(event):
                if isinstance(event, ChunkCommitted):
                    statsd.incr("rows", event.rows)
        """
