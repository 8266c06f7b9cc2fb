"""From options and the registry to a checked pipeline. Nothing is opened here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ddpm_core.config.options import NoOptions, PluginOptions, check_options
from ddpm_core.engine.blame import blame
from ddpm_core.engine.contract import broken, of_type
from ddpm_core.errors import ConfigError
from ddpm_core.plugin.database import Database
from ddpm_core.plugin.dead_letters import DeadLetterStore
from ddpm_core.plugin.format import Parser, Serializer
from ddpm_core.plugin.processor import Processor
from ddpm_core.plugin.sink import Sink
from ddpm_core.plugin.source import Source
from ddpm_core.plugin.specs import BuildContext, FormatSpec, OutputFormat, Plugin, ProcessorSpec, SinkSpec, SourceSpec, resolve
from ddpm_core.registry import Registry
from ddpm_core.values import dataclass

Options: TypeAlias = Mapping[str, Any] | PluginOptions

if TYPE_CHECKING:
    import pyarrow as pa

DEFAULT_DATABASE = "ddpm.duckdb"
"""Where rows go when nobody says where."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run behaves, whatever its plugins are.

    Attributes:
        on_error: What happens to a record that cannot go on.
        retry_for: Seconds that an environment which fails is waited for; None waits for ever.
        reject_share, reject_run: Limits on rejects, see `RejectLimit`.
        dead_letter_file: Where dead letters go for sinks that cannot keep them, when the pipeline names no place for them.
        endless: The run has no end: it waits for its environment for ever, and being stopped is how it ends well.
        linger: Seconds that a message may wait for others, so that a transaction is worth its cost.
        in_flight_bytes: Bytes that may be read and not committed yet; None is the default of the kind of source.
    """

    on_error: Literal["dead-letter", "fail"] = "dead-letter"
    retry_for: float | None = 60.0
    reject_share: float = 0.05
    reject_run: int = 1000
    dead_letter_file: Path = Path("ddpm-dead-letters.ndjson")
    endless: bool = False
    linger: float = 0.0
    in_flight_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class SinkUse:
    """A sink in a pipeline, by the name it has there.

    Attributes:
        name: No other sink of the pipeline has it.
        sink: Built and not opened.
        plugin: What it was built from.
        when: The SQL condition that rows must fulfil to go there; an empty string: all rows do.
    """

    name: str
    sink: Sink
    plugin: Plugin[SinkSpec]
    when: str = ""


@dataclass(slots=True)
class Pipeline:
    """Everything that a run needs, built and not opened.

    Attributes:
        dead_letters: The store that dead letters of all sinks go to, and whose it is (None: the core's own file). None: beside the data
            where a sink keeps them, else a local file.
        target, table: Where the rows go, for the report.
        columns: Types that the user declared for columns, or None.
    """

    name: str
    source: tuple[Source, Plugin[SourceSpec]]
    parser: tuple[Parser, Plugin[FormatSpec]] | None
    sinks: Sequence[SinkUse]
    processors: Sequence[tuple[Processor, Plugin[ProcessorSpec]]] = ()
    settings: Settings = field(default_factory=Settings)
    dead_letters: tuple[DeadLetterStore, Plugin[SinkSpec] | None] | None = None
    target: str = ""
    table: str = ""
    columns: pa.Schema | None = None


def build_source(plugin: Plugin[SourceSpec], options: Options, context: BuildContext) -> Source:
    """A source of this plugin. Raises `ConfigError` for its options, `PluginError` when the plugin fails."""
    checked = checked_options(plugin, options)
    return of_type(plugin, "build", blame(plugin, lambda: resolve(plugin.spec.build)(checked, context)), Source)  # type: ignore[type-abstract]


def build_parser(plugin: Plugin[FormatSpec], options: Options, context: BuildContext) -> Parser:
    """A parser of this format; errors as in `build_source`."""
    checked = checked_options(plugin, options)
    return of_type(plugin, "parser", blame(plugin, lambda: resolve(plugin.spec.parser)(checked, context)), Parser)


def output_format(registry: Registry, name: str, options: Mapping[str, Any]) -> OutputFormat:
    """The format of this name, to be written by a sink.

    Raises:
        ConfigError: There is none, it is only read, or its options are wrong.
    """
    plugin = registry.format(name)
    make = plugin.spec.serializer
    if make is None:
        writers = [p.spec.name for p in registry.all() if p.spec.kind == "format" and p.spec.serializer is not None]
        raise ConfigError(f"format {name!r} is only read, not written", hint=f"Formats that are written: {', '.join(writers)}.")
    checked = checked_options(plugin, options)
    serializer = of_type(plugin, "serializer", blame(plugin, lambda: resolve(make)(checked, BuildContext())), Serializer)  # type: ignore[type-abstract]
    return OutputFormat(name, (plugin.spec.suffixes or (f".{name}",))[0], serializer)


def build_sink(plugin: Plugin[SinkSpec], options: Options, context: BuildContext) -> Sink:
    """A sink of this plugin; errors as in `build_source`."""
    checked = checked_options(plugin, options)
    return of_type(plugin, "build", blame(plugin, lambda: resolve(plugin.spec.build)(checked, context)), Sink)  # type: ignore[type-abstract]


def build_processor(plugin: Plugin[ProcessorSpec], options: Options, context: BuildContext) -> Processor:
    """A processor of this plugin; errors as in `build_source`."""
    checked = checked_options(plugin, options)
    return of_type(plugin, "build", blame(plugin, lambda: resolve(plugin.spec.build)(checked, context)), Processor)  # type: ignore[type-abstract]


def build_dead_letters(plugin: Plugin[SinkSpec], options: PluginOptions, context: BuildContext) -> DeadLetterStore:
    """A store of dead letters of this sink's plugin, which has one; errors as in `build_source`."""
    make = plugin.spec.dead_letters
    if make is None:
        raise ConfigError(f"{plugin.owner} keeps no dead letters")
    return of_type(plugin, "dead_letters", blame(plugin, lambda: resolve(make)(options, context)), DeadLetterStore)  # type: ignore[type-abstract]


def checked_options(plugin: Plugin[Any], options: Options) -> PluginOptions:
    """The plugin's options model, filled and checked; one that is filled already comes back as it is."""
    if isinstance(options, PluginOptions):
        return options
    return check_options(options_model(plugin), options, owner=f"{plugin.spec.kind} {plugin.spec.name}")


def option_names(plugin: Plugin[Any]) -> set[str]:
    """The names of the options that a plugin has."""
    return set(options_model(plugin).model_fields)


def options_model(plugin: Plugin[Any]) -> type[PluginOptions]:
    """The plugin's options model."""
    return _model(plugin, plugin.spec.options_model)


def dead_letter_model(plugin: Plugin[SinkSpec]) -> type[PluginOptions]:
    """The options model of this plugin under `dead_letter:`."""
    options = plugin.spec.dead_letter_options
    return _model(plugin, lambda: NoOptions if options is None else resolve(options))


def _model(plugin: Plugin[Any], make: Callable[[], Any]) -> type[PluginOptions]:
    model: Any = blame(plugin, make)
    if not isinstance(model, type) or not issubclass(model, PluginOptions):
        raise broken(plugin, f"its options are {model!r}, which is no subclass of PluginOptions")
    return model


def sink_for(address: str, registry: Registry) -> Plugin[SinkSpec]:
    """The sink that a URL or path means.

    Raises:
        ConfigError: None does; names what is installed.
    """
    if not address.strip():
        raise ConfigError(
            "the address of the database is empty", hint="Is a variable of the shell not set? Without one it is ./ddpm.duckdb."
        )
    plugin = registry.sink_for(address)
    if plugin is not None:
        return plugin
    scheme, separator, _ = address.partition("://")
    known = [p for p in registry.all() if p.spec.kind == "sink"]
    if separator:
        schemes = sorted(s for p in known for s in p.spec.schemes)
        raise ConfigError(f"no installed sink takes {scheme}:// addresses", hint=f"Known: {', '.join(schemes)}.")
    suffixes = sorted(s for p in known for s in p.spec.suffixes)
    raise ConfigError(
        f"cannot tell what kind of database {address!r} is",
        hint=f"Use a URL, a file name that ends in {', '.join(suffixes)}, a folder with a slash at its end, or - for standard output.",
    )


def open_database(address: str | None, registry: Registry) -> Database:
    """The database at this address, to be asked; the default one when there is no address.

    Raises:
        ConfigError: The address means no sink, or one that cannot be asked.
        RetryableError, FatalError: It cannot be reached.
    """
    address = DEFAULT_DATABASE if address is None else address
    plugin = sink_for(address, registry)
    opener = plugin.spec.database
    if opener is None:
        raise ConfigError(f"{plugin.owner} cannot be queried")
    return blame(plugin, lambda: resolve(opener)(address))
