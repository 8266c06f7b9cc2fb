"""What a plugin hands to the engine: a record of what it is, and how to build it.

Specs are data, so the registry can list, check and compare them, and name who gave them. They are made when a plugin's light module
is imported, so `options` and the builders may be given as `"module:attribute"` strings: what they name is imported on first use.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeAlias, TypeVar, cast

from ddpm_core.errors import ConfigError
from ddpm_core.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa

    from ddpm_core.config.options import PluginOptions
    from ddpm_core.plugin.database import Database
    from ddpm_core.plugin.dead_letters import DeadLetterStore
    from ddpm_core.plugin.format import Parser, Serializer
    from ddpm_core.plugin.processor import Processor
    from ddpm_core.plugin.sink import Sink
    from ddpm_core.plugin.source import Source

T = TypeVar("T")
Lazy: TypeAlias = T | str
"""The thing itself, or `"module:attribute"`, where it is."""

Stability: TypeAlias = Literal["stable", "beta", "alpha"]
Kind: TypeAlias = Literal["source", "format", "processor", "sink"]


def resolve(thing: Lazy[T]) -> T:
    """The thing that a `Lazy` stands for; imports its module when it is named by a string."""
    if not isinstance(thing, str):
        return thing
    module, _, attribute = thing.partition(":")
    return cast(T, getattr(importlib.import_module(module), attribute))


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """A format that a sink writes.

    Attributes:
        name: The format's name.
        suffix: What names of its files end with, with the dot.
        serializer: Built with its options.
    """

    name: str
    suffix: str
    serializer: Serializer


def _no_formats(name: str, options: Mapping[str, Any]) -> OutputFormat:
    raise ConfigError(f"format {name!r} cannot be had: this run was built without a registry")


@dataclass(frozen=True, slots=True)
class ReadBounds:
    """Which part of an endless source a run reads. An offset holds for every partition; a time is when a message was written.

    Attributes:
        start: The first record wanted; None: where the sinks stand.
        end: The first record not wanted any more; None: what is there when the source is opened.
    """

    start: int | datetime | None = None
    end: int | datetime | None = None


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What a builder may know about the run.

    Attributes:
        pipeline: Name of the pipeline; sinks keep positions under it. `ingest` for `ddpm ingest`.
        columns: Types that the user declared for columns, or None.
        batch_rows: A parser's step should not hold more rows.
        batch_bytes: Nor consume more bytes of the source, where its blocks allow.
        retry_for: Seconds that a source or sink may wait for its environment within a call; None is for ever.
        evolve: Whether tables may change so that every value has a place. None: those that DDPM created may, others may not.
        output: `output(name, options) -> OutputFormat`, for sinks that write a format. Raises `ConfigError` when there is no such
            format, when it is only read, or when its options are wrong.
        bounds: For sources that never end: the part to read, after which they give `EndOfSource`. None: they go on for ever.
        positions_kept: Whether a sink of the pipeline keeps positions. Where none does, a source that can keeps them itself.
        shared: Where the plugins of one pipeline meet: a Kafka sink without brokers of its own writes to its source's. The source is
            built first, then processors, sinks, and the store of dead letters.
        beside: The pipeline that this run is beside under a name of its own, or an empty string. A sink that adds rows refuses a target
            that the other one has written to: it would hold them twice.
        looking: Nothing may be made (a topic, a table): the run only looks at what there is.
        worker, workers: Which of how many processes that share the source's partitions this one is, from 0.
    """

    pipeline: str = "ingest"
    columns: pa.Schema | None = None
    batch_rows: int = 16_384
    batch_bytes: int = 2 << 20
    retry_for: float | None = 60.0
    evolve: bool | None = None
    output: Callable[[str, Mapping[str, Any]], OutputFormat] = _no_formats
    bounds: ReadBounds | None = field(default_factory=ReadBounds)
    positions_kept: bool = True
    shared: dict[str, Any] = field(default_factory=dict)
    beside: str = ""
    looking: bool = False
    worker: int = 0
    workers: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSpec:
    """What every kind of plugin says of itself.

    Attributes:
        name: How users name it: lower-case letters, digits and `_`, beginning with a letter.
        summary: One line, no full stop.
        options: Its options model, a subclass of `PluginOptions`.
        stability: What users may rely on.
        example: A command line or YAML that works, for `ddpm plugins show`.
    """

    kind: ClassVar[Kind]
    name: str
    summary: str
    options: Lazy[type[PluginOptions]] = "ddpm_core.config.options:NoOptions"
    stability: Stability = "stable"
    example: str = ""

    def options_model(self) -> type[PluginOptions]:
        """The options model, imported now if it was named by a string."""
        return resolve(self.options)

    def capabilities(self) -> dict[str, str]:
        """What it can do, as `ddpm plugins show` prints it: name -> value."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec(PluginSpec):
    """Describes a source.

    Attributes:
        build: `build(options, context) -> Source`. Called once for each run; opens nothing.
        schemes: The URL schemes that pick this source, such as `kafka`.
        address: The option that URLs or paths given by the user fill.
        decodes: It hands out `Rows`, so a run with it has no format.
        endless: It never ends by itself, and honours `BuildContext.bounds`.
        documents: `documents(options) -> names`, for sources of documents: lists what the options mean, folders and patterns
            resolved, without opening anything. Raises `ConfigError` with everything that is not there. Lets the engine choose
            each document's format and table by its name.
    """

    kind: ClassVar[Kind] = "source"
    build: Lazy[Callable[[Any, BuildContext], Source]]
    schemes: tuple[str, ...] = ()
    address: str = "url"
    decodes: bool = False
    endless: bool = False
    documents: Lazy[Callable[[Any], list[str]]] | None = None

    def capabilities(self) -> dict[str, str]:
        return {"URL schemes": ", ".join(self.schemes) or "none", "needs a format": "no" if self.decodes else "yes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatSpec(PluginSpec):
    """Describes a format.

    Attributes:
        parser: `parser(options, context) -> Parser`. Called once for each run.
        serializer: `serializer(options, context) -> Serializer`, or None for a format that is only read.
        suffixes: File suffixes that mean this format, with the dot, such as `.avro`.
        magic: What documents of this format begin with; lets an error say what a wrongly named file really is.
    """

    kind: ClassVar[Kind] = "format"
    parser: Lazy[Callable[[Any, BuildContext], Parser]]
    serializer: Lazy[Callable[[Any, BuildContext], Serializer]] | None = None
    suffixes: tuple[str, ...] = ()
    magic: tuple[bytes, ...] = ()

    def capabilities(self) -> dict[str, str]:
        return {
            "reads": "yes",
            "writes": "yes" if self.serializer else "no",
            "suffixes": ", ".join(self.suffixes) or "none",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorSpec(PluginSpec):
    """Describes a processor.

    Attributes:
        build: `build(options, context) -> Processor`. Called once for each use in a pipeline.
    """

    kind: ClassVar[Kind] = "processor"
    build: Lazy[Callable[[Any, BuildContext], Processor]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSpec(PluginSpec):
    """Describes a sink.

    Attributes:
        build: `build(options, context) -> Sink`. Called once for each use in a run; opens nothing.
        schemes: The URL schemes that pick this sink, such as `postgresql`.
        suffixes: The file suffixes that pick this sink, such as `.duckdb`.
        addresses: Words that pick this sink, such as `-`.
        folders: Folders pick this sink: addresses that end with a slash or are a folder.
        address: The option that the URL or path given with `--to` fills.
        guarantee: The best it gives.
        modes: The ways it can write; empty for sinks without tables.
        database: `database(address) -> Database`, for sinks that can be asked what they hold (`ddpm query`, `ddpm dlq`). The
            address is what `--to` takes: a URL or a path. Called for each command; it may connect.
        dead_letters: `dead_letters(options, context) -> DeadLetterStore`, for sinks that can be named under `dead_letter:` in a
            pipeline. Opens nothing.
        dead_letter_options: The options model of that use.
        dead_letters_at: `dead_letters_at(address) -> DeadLetterStore`, for `ddpm dlq --db ADDRESS`. Opens nothing.
    """

    kind: ClassVar[Kind] = "sink"
    build: Lazy[Callable[[Any, BuildContext], Sink]]
    schemes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    folders: bool = False
    address: str = "url"
    guarantee: Literal["exactly_once", "at_least_once"] = "at_least_once"
    modes: tuple[str, ...] = field(default=())
    database: Lazy[Callable[[str], Database]] | None = None
    dead_letters: Lazy[Callable[[Any, BuildContext], DeadLetterStore]] | None = None
    dead_letter_options: Lazy[type[PluginOptions]] | None = None
    dead_letters_at: Lazy[Callable[[str], DeadLetterStore]] | None = None

    def capabilities(self) -> dict[str, str]:
        return {
            "guarantee": self.guarantee.replace("_", " "),
            "modes": ", ".join(self.modes) or "none",
            "URL schemes": ", ".join(self.schemes) or "none",
            "suffixes": ", ".join((*self.suffixes, *self.addresses, *(["folders"] if self.folders else []))) or "none",
            "can be queried": "yes" if self.database else "no",
        }


SpecT = TypeVar("SpecT", bound=PluginSpec)


@dataclass(frozen=True, slots=True)
class Plugin(Generic[SpecT]):
    """A spec together with who gave it.

    Attributes:
        spec: What the plugin handed over.
        distribution: The distribution that it came from, as pip names it.
        version: That distribution's version.
    """

    spec: SpecT
    distribution: str
    version: str

    @property
    def owner(self) -> str:
        """For messages: `format json (ddpm-core 0.1.0)`."""
        return f"{self.spec.kind} {self.spec.name} ({self.distribution} {self.version})"
