"""From the paths of `ddpm ingest` to groups of documents that have source, format and table in common: each is one pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import PurePath
from typing import Any

from ddpm_core.config.options import check_options
from ddpm_core.config.redact import mask_url
from ddpm_core.engine.blame import blame
from ddpm_core.engine.build import option_names, options_model
from ddpm_core.errors import ConfigError, Problem
from ddpm_core.plugin.names import data_name, scheme_of, split_table
from ddpm_core.plugin.specs import FormatSpec, Plugin, SourceSpec, resolve
from ddpm_core.registry import Registry
from ddpm_core.values import dataclass

STDIN = "-"


@dataclass(slots=True)
class Group:
    """Documents of one pipeline.

    Attributes:
        source: What reads them.
        format: What decodes them; None where the source does.
        table: Where they go, or an empty string for a sink without tables.
        paths: Their names, as the source takes them.
    """

    source: Plugin[SourceSpec]
    format: Plugin[FormatSpec] | None
    table: str
    paths: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the user wants to be read, and how it is told apart.

    Attributes:
        registry: What is installed.
        format: The format asked for, or None: each name's suffix decides.
        table: The table asked for, or None: each name decides.
        tables: Whether the sink has tables at all.
        own: Whether a document that a folder or pattern led to is what DDPM writes itself, and therefore left out.
        again: Take again what has landed.
        options: Options of the sources, as typed.
    """

    registry: Registry
    format: str | None
    table: str | None
    tables: bool
    own: Callable[[str], bool]
    again: bool
    options: Mapping[str, str]

    def source_options(self, source: Plugin[SourceSpec], paths: Sequence[str]) -> dict[str, Any]:
        """A source's options for these paths."""
        names = option_names(source)
        address = tuple(paths) if source.spec.documents is not None else paths[0]
        again = {"again": True} if self.again and "again" in names else {}
        return {source.spec.address: address, **again, **self.options}

    def groups(self, paths: Sequence[str]) -> tuple[list[Group], list[str]]:
        """The groups, and the names of documents that no format is known for and that were not named one by one.

        Raises:
            ConfigError: Something is not there, or cannot be told; everything of one kind at once.
        """
        groups: dict[tuple[str, ...], Group] = {}
        unknown: list[str] = []
        problems: list[Problem] = []
        for source, mine in self._by_source(paths):
            if source.spec.decodes:
                for path in mine:
                    groups[(source.spec.name, path)] = Group(source, None, self._table_of_rows(source, path), [path])
                continue
            for name in self._documents(source, mine):
                if name not in paths and self.own(name):
                    continue
                plugin = self._format_of(name)
                if plugin is not None:
                    table = self._table_of(name, plugin)
                    key = (source.spec.name, plugin.spec.name, table)
                    groups.setdefault(key, Group(source, plugin, table)).paths.append(name)
                elif name in paths:
                    problems.append(self._no_format(name))
                else:
                    unknown.append(mask_url(name))
        if problems:
            raise ConfigError(problems)
        if self.format is not None and groups and all(group.format is None for group in groups.values()):
            raise ConfigError("--format has no meaning here: the rows of a query are decoded already")
        return list(groups.values()), unknown

    def _by_source(self, paths: Sequence[str]) -> list[tuple[Plugin[SourceSpec], list[str]]]:
        """The paths of each source, in the order in which the sources come up."""
        files = self.registry.source("files")
        found: dict[str, tuple[Plugin[SourceSpec], list[str]]] = {}
        problems = []
        for path in paths:
            source = self.registry.source_for(path)
            if source is None and scheme_of(path):
                known = sorted(s for p in self.registry.all() if p.spec.kind == "source" for s in p.spec.schemes)
                problems.append(
                    Problem(
                        mask_url(path), f"no installed source takes {scheme_of(path)}:// addresses", f"known: {', '.join(known)}"
                    )
                )
                continue
            source = source or files
            found.setdefault(source.spec.name, (source, []))[1].append(path)
        if problems:
            raise ConfigError(problems)
        return list(found.values())

    def _documents(self, source: Plugin[SourceSpec], paths: list[str]) -> list[str]:
        lister = source.spec.documents
        if lister is None:
            return paths
        options = check_options(options_model(source), self.source_options(source, paths), owner=f"source {source.spec.name}")
        return blame(source, lambda: resolve(lister)(options))

    def _format_of(self, name: str) -> Plugin[FormatSpec] | None:
        if self.format is not None:
            return self.registry.format(self.format)
        return None if name == STDIN else self.registry.format_for(name)

    def _no_format(self, name: str) -> Problem:
        known = ", ".join(self.registry.names("format"))
        if name == STDIN:
            return Problem("standard input", "has no suffix that tells its format", f"name it with --format: {known}")
        return Problem(mask_url(name), "no installed format has this suffix", f"name one with --format: {known}")

    def _table_of(self, name: str, plugin: Plugin[FormatSpec]) -> str:
        """The table as asked for, or the document's own name without the format's suffix, quoted so that dots in it stay."""
        if self.table is not None or not self.tables:
            return self.table or ""
        if name == STDIN:
            return "stdin"
        last = data_name(name)
        suffix = max((s for s in plugin.spec.suffixes if last.lower().endswith(s)), key=len, default="")
        stem = last[: len(last) - len(suffix)] if suffix else PurePath(last).stem
        return stem if stem.isidentifier() else '"' + (stem or last).replace('"', '""') + '"'

    def _table_of_rows(self, source: Plugin[SourceSpec], path: str) -> str:
        """Rows that a source decodes have no file name: the table is the one asked for, or the one that is read."""
        if self.table is not None or not self.tables:
            return self.table or ""
        read = self.options.get("table", "")
        if not read:
            raise ConfigError(
                f"source {source.spec.name} gives the rows of a query, which has no name that a table could have",
                hint="Name the table with --table.",
            )
        name = split_table(read)[1]
        return name if name.isidentifier() else '"' + name.replace('"', '""') + '"'


def refuse_filling_twice(groups: Sequence[Group]) -> None:
    """Each pipeline replaces all rows of its table, so of two with one table the second would delete what the first put in.

    Names that differ in case only are one table in some databases.
    """
    first: dict[str, Group] = {}
    for group in groups:
        other = first.setdefault(group.table.casefold(), group)
        if other is not group:
            raise ConfigError(
                f"--mode replace cannot fill table {group.table} twice in one run: from {mask_url(other.paths[0])} and "
                f"from {mask_url(group.paths[0])}",
                hint="Files of one format and one --table are taken together; replace with those, then append the others.",
            )
