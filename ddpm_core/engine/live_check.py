"""Whether what a pipeline reads and writes can be reached, and what it would find there. Nothing is written or claimed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ddpm_core.engine.blame import blame
from ddpm_core.engine.build import Pipeline, SinkUse
from ddpm_core.errors import DdpmError, FatalError
from ddpm_core.plugin.sink import Sink
from ddpm_core.plugin.specs import Plugin
from ddpm_core.values import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one part of a pipeline.

    Attributes:
        part: Such as `sink postgres`.
        found: What there is, in a few words; empty when there is an error.
        error: Why it cannot be used.
    """

    part: str
    found: str = ""
    error: DdpmError | None = None


def look(pipeline: Pipeline) -> Iterator[Finding]:
    """Connect to every part in turn, look, and disconnect. Never raises for what is not reachable.

    A source that has an `inspect` is asked to look, another one is opened and closed again. A sink without `inspect` is left alone: opening
    it may make a folder, or take over from the instance that is running.

    Raises:
        PluginError: A plugin failed.
    """
    source, plugin = pipeline.source
    yield _looked(f"source {plugin.spec.name}", plugin, source.inspect, source.close, lambda: "reachable")
    for use in pipeline.sinks:
        yield _sink(use)
    if pipeline.dead_letters is not None:
        store, owner = pipeline.dead_letters
        yield _looked("dead_letter", owner, store.inspect, store.close, lambda: "reachable")


def guarantee_of(sink: Sink) -> str:
    """What a sink gives, for people."""
    return "exactly once" if sink.keeps_positions else "at least once"


def _sink(use: SinkUse) -> Finding:
    sink = use.sink
    if type(sink).inspect is Sink.inspect:
        return Finding(f"sink {use.name}", f"cannot be looked at without opening it, and was not; {guarantee_of(sink)}")
    return _looked(f"sink {use.name}", use.plugin, sink.inspect, sink.close, lambda: _target_of(sink))


def _target_of(sink: Sink) -> str:
    """What was found there, after `inspect`.

    Raises:
        FatalError: Rows would not land there.
    """
    problems = sink.problems()
    if problems:
        raise FatalError("; ".join(problems))
    expected = sink.expected_schema()
    there = "" if expected is None else f", the table has {len(expected)} columns"
    return f"reachable{there}; {guarantee_of(sink)}"


def _looked(
    part: str, plugin: Plugin[Any] | None, connect: Callable[[], None], close: Callable[[], None], found: Callable[[], str]
) -> Finding:
    def all_of_it() -> str:
        try:
            connect()
            return found()
        finally:
            close()

    try:
        return Finding(part, all_of_it() if plugin is None else blame(plugin, all_of_it))
    except DdpmError as error:
        return Finding(part, error=error)
