"""What a pipeline's file says, as data: which plugins with which options, and the keys of the engine. No plugin is known here yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Literal

from ddpm_core.config.app_file import AppPipeline
from ddpm_core.config.environment import Environment
from ddpm_core.config.node import Node
from ddpm_core.errors import Problem
from ddpm_core.values import dataclass

Schema = Literal["evolve", "freeze"]
Guarantee = Literal["exactly_once", "at_least_once"]


@dataclass(frozen=True, slots=True)
class PluginUse:
    """A plugin in a pipeline.

    Attributes:
        name: The plugin's name.
        options: Its options: a mapping, or an empty scalar where there are none.
        at: Where the name stands.
    """

    name: str
    options: Node
    at: Node


@dataclass(frozen=True, slots=True)
class SinkEntry:
    """An entry of `sinks`.

    Attributes:
        use: The plugin.
        name: Its name in the pipeline, as given or made of the plugin's; no two are the same.
        when: The SQL condition that rows must fulfil, or an empty string.
        schema: Whether its tables may change; None leaves it to the sink.
        guarantee: What is asked of it at least; None takes the best.
        entry: The whole entry, for messages.
    """

    use: PluginUse
    name: str
    when: str
    schema: Schema | None
    guarantee: Guarantee | None
    entry: Node


@dataclass(slots=True)
class PipelineDocument:
    """What a pipeline's file says, variables filled in.

    Attributes:
        path: The file, as the user named it.
        root: All of it.
        name: What positions are kept under.
        source, format, processors, sinks, dead_letter: The plugins; `source` is None only where `problems` says why.
        columns: Column name -> type as text, of columns that are declared; or all of them as one text; or None.
        linger: Seconds, see the engine's `Settings`.
        in_flight: Bytes, or None.
        reject_share, reject_run: Limits on rejects; None leaves the engine's own.
        retry_for: Seconds; an infinite number is for ever; None leaves the engine's own.
        on_error: As in `Settings`; None leaves the engine's own.
        environment: Where variables came from; knows which values are secret.
        app: The `app:` file that it was made of, or None.
        problems: Every mistake found so far. `engine.compose` adds its own and raises them all.
    """

    path: Path
    root: Node
    environment: Environment
    name: str = ""
    source: PluginUse | None = None
    format: PluginUse | None = None
    processors: Sequence[PluginUse] = ()
    sinks: Sequence[SinkEntry] = ()
    dead_letter: PluginUse | None = None
    columns: Node | None = None
    linger: float = 0.0
    in_flight: int | None = None
    reject_share: float | None = None
    reject_run: int | None = None
    retry_for: float | None = None
    on_error: Literal["dead-letter", "fail"] | None = None
    app: AppPipeline | None = None
    problems: list[Problem] = field(default_factory=list)
