"""A pipeline's document held against what is installed: every plugin found, every option checked. Nothing is built or opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import Field

from ddpm_core.config.located_options import located_options
from ddpm_core.config.node import Node
from ddpm_core.config.options import PluginOptions
from ddpm_core.config.pipeline_document import PipelineDocument, PluginUse, SinkEntry
from ddpm_core.engine.blame import blame
from ddpm_core.engine.build import dead_letter_model, options_model
from ddpm_core.errors import ConfigError, PluginError, Problem
from ddpm_core.plugin.specs import FormatSpec, Plugin, PluginSpec, ProcessorSpec, SinkSpec, SourceSpec
from ddpm_core.registry import Registry
from ddpm_core.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa

SpecT = TypeVar("SpecT", bound=PluginSpec)
OptionsT = TypeVar("OptionsT", bound=PluginOptions)
T = TypeVar("T")

_NOTHING: Mapping[str, Node | None] = {}

FILE = "file"
"""Under `dead_letter:` the name of the core's own store, a local file."""


class DeadLetterFileOptions(PluginOptions):
    """Options of the core's own store of dead letters."""

    path: Path = Field(
        description="The file, one JSON object a line; it is made when the first dead letter comes, and only ever appended to"
    )


@dataclass(frozen=True, slots=True)
class Checked(Generic[SpecT]):
    """A plugin in a pipeline with its options, which are right."""

    plugin: Plugin[SpecT]
    options: PluginOptions
    use: PluginUse


@dataclass(slots=True)
class CheckedDocument:
    """What a document asks for, as far as it is right; `problems` has the rest.

    Attributes:
        dead_letter: A sink's plugin with the options of that use, or the core's own file.
        columns: The columns that are declared.
        problems: Every mistake of the document, those of reading it included.
    """

    document: PipelineDocument
    source: Checked[SourceSpec] | None = None
    format: Checked[FormatSpec] | None = None
    processors: list[Checked[ProcessorSpec]] = field(default_factory=list)
    sinks: list[tuple[SinkEntry, Checked[SinkSpec]]] = field(default_factory=list)
    dead_letter: Checked[SinkSpec] | DeadLetterFileOptions | None = None
    columns: pa.Schema | None = None
    problems: list[Problem] = field(default_factory=list)


def check_document(document: PipelineDocument, registry: Registry) -> CheckedDocument:
    """Every plugin and option of this document.

    Raises:
        PluginError: A plugin's options model cannot be had.
    """
    return _Checker(document, registry).check()


def relocated(error: ConfigError, at: Node) -> Iterable[Problem]:
    """The mistakes of an error as mistakes of this place."""
    for problem in error.problems:
        known = not problem.where or at.path.endswith(f".{problem.where}")
        what = problem.what if known else f"{problem.where}: {problem.what}"
        yield at.problem(what, problem.hint or error.hint)


def scrubbed(scrub: Callable[[str], str], call: Callable[[], T]) -> T:
    """What `call` returns. A plugin that fails may say anything: its error goes on without secrets, and then without its cause."""
    try:
        return call()
    except PluginError as error:
        said = scrub(error.message)
        if said == error.message:
            raise
        raise PluginError(said, plugin=error.plugin, distribution=error.distribution, hint=error.hint) from None


class _Checker:
    def __init__(self, document: PipelineDocument, registry: Registry) -> None:
        self._registry = registry
        self._document = document
        self._result = CheckedDocument(document, problems=list(document.problems))

    def check(self) -> CheckedDocument:
        document, result, registry = self._document, self._result, self._registry
        if document.source is not None:
            result.source = self._checked(document.source, registry.source)
        if document.format is not None:
            result.format = self._checked(document.format, registry.format)
        self._check_format_fits()
        for use in document.processors:
            processor = self._checked(use, registry.processor)
            if processor is not None:
                result.processors.append(processor)
        for entry in document.sinks:
            self._check_sink(entry)
        if document.dead_letter is not None:
            self._check_dead_letter(document.dead_letter)
        if document.columns is not None:
            result.columns = self._columns(document.columns)
        return result

    def _checked(
        self, use: PluginUse, find: Callable[[str], Plugin[SpecT]], *, also: Mapping[str, Node | None] = _NOTHING
    ) -> Checked[SpecT] | None:
        """The plugin with its options. What stands beside it in `also` goes to the options that have its name."""
        plugin = self._found(use, find)
        if plugin is None:
            return None
        model = options_model(plugin)
        beside = {name: node for name, node in also.items() if node is not None and name in model.model_fields}
        if beside and isinstance(use.options.value, dict):
            use = replace(use, options=replace(use.options, value={**beside, **use.options.entries}))
        options = self._options(model, use, plugin.owner, plugin)
        return None if options is None else Checked(plugin, options, use)

    def _found(self, use: PluginUse, find: Callable[[str], Plugin[SpecT]]) -> Plugin[SpecT] | None:
        try:
            return find(use.name)
        except ConfigError as error:
            if use.at.shown is None:
                self._result.problems += relocated(error, use.at)
            else:  # What a variable holds is not repeated.
                self._add(
                    use.at.problem(f"there is no plugin of the name that {use.at.written} has", error.hint.rpartition("? ")[2])
                )
            return None

    def _options(self, model: type[OptionsT], use: PluginUse, owner: str, plugin: Plugin[Any] | None = None) -> OptionsT | None:
        scrub = self._document.environment.scrub

        def check() -> tuple[OptionsT | None, list[Problem]]:
            return located_options(model, use.options, use.at, owner=owner, scrub=scrub)

        options, problems = check() if plugin is None else scrubbed(scrub, lambda: blame(plugin, check))
        self._result.problems += problems
        return options

    def _check_format_fits(self) -> None:
        """Formats are for sources that hand out bytes."""
        document, source = self._document, self._result.source
        if source is None:
            return
        if source.plugin.spec.decodes and document.format is not None:
            self._add(document.format.at.problem(f"the rows of {source.plugin.owner} are decoded already", "remove format:"))
        if not source.plugin.spec.decodes and "format" not in document.root.entries:
            known = ", ".join(self._registry.names("format"))
            self._add(document.root.problem("format: is missing", f"what the source's bytes are in: {known}"))

    def _check_sink(self, entry: SinkEntry) -> None:
        checked = self._checked(entry.use, self._registry.sink, also={"guarantee": entry.entry.entries.get("guarantee")})
        if checked is None:
            return
        self._result.sinks.append((entry, checked))
        if entry.guarantee == "exactly_once" and checked.plugin.spec.guarantee != "exactly_once":
            self._add(_too_much_asked(entry, checked.plugin))

    def _check_dead_letter(self, use: PluginUse) -> None:
        if use.name == FILE:
            self._result.dead_letter = self._options(DeadLetterFileOptions, use, "dead_letter file")
            return
        plugin = self._found(use, self._registry.sink)
        if plugin is None:
            return
        if plugin.spec.dead_letters is None:
            able = [p.spec.name for p in self._registry.all() if p.spec.kind == "sink" and p.spec.dead_letters is not None]
            self._add(use.at.problem(f"{plugin.owner} keeps no dead letters", f"these do: {', '.join([FILE, *able])}"))
            return
        options = self._options(dead_letter_model(plugin), use, plugin.owner, plugin)
        if options is not None:
            self._result.dead_letter = Checked(plugin, options, use)

    def _columns(self, node: Node) -> Any:
        """Declared columns: a mapping of names to types, or the text that `--columns` takes."""
        if isinstance(node.value, str):
            return self._parsed_columns(node.value, node)
        if not isinstance(node.value, dict):
            self._add(node.problem(f"is a mapping of column names to types, and this is {node.kind}", "such as {ts: timestamp}"))
            return None
        import pyarrow as pa

        schemas = []
        for name, kind in node.entries.items():
            if kind.broken:
                continue
            if isinstance(kind.value, str):
                quoted = name.replace('"', '""')
                schemas.append(self._parsed_columns(f'"{quoted}"={kind.value}', kind))
            else:
                self._add(kind.problem(f"is a type, and this is {kind.kind}", "such as timestamp or decimal(12,2)"))
        return pa.schema([column for schema in schemas if schema is not None for column in schema]) if schemas else None

    def _parsed_columns(self, text: str, at: Node) -> Any:
        from ddpm_core.schema.declare import TYPE_NAMES, parse_columns

        try:
            return parse_columns(text)
        except ConfigError as error:
            if at.shown is None:
                self._result.problems += [at.problem(problem.what, problem.hint) for problem in error.problems]
            else:  # What a variable holds is not repeated.
                self._add(at.problem(f"what {at.written} holds is no type of a column", f"types: {TYPE_NAMES}"))
            return None

    def _add(self, problem: Problem) -> None:
        self._result.problems.append(problem)


def _too_much_asked(entry: SinkEntry, plugin: Plugin[SinkSpec]) -> Problem:
    return entry.entry.entries["guarantee"].problem(
        f"{plugin.owner} cannot write exactly once", "remove guarantee:, or choose another sink"
    )
