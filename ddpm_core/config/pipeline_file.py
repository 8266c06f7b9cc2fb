"""Reads a pipeline's YAML file into a `PipelineDocument`."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ddpm_core.config import quantities
from ddpm_core.config.app_file import app_pipeline, is_app_file
from ddpm_core.config.environment import Environment
from ddpm_core.config.node import Node, below
from ddpm_core.config.pipeline_document import PipelineDocument as PipelineDocument
from ddpm_core.config.pipeline_document import PluginUse, SinkEntry
from ddpm_core.config.pipeline_keys import LIMIT_KEYS, PIPELINE_KEYS, SINK_KEYS, names
from ddpm_core.config.yaml_file import read_yaml
from ddpm_core.errors import ConfigError, Problem

T = TypeVar("T")

KEYS = names(PIPELINE_KEYS)
ENTRY_KEYS = names(SINK_KEYS)
RESERVED = "ingest"
"""The name under which `ddpm ingest` keeps its positions."""

FOREVER = "forever"
"""What `retry_for` says for no limit."""


def load_pipeline(path: Path | str, *, environment: Mapping[str, str] | None = None) -> PipelineDocument:
    """Read a pipeline's file, and fill its variables in. No plugin is looked at, and nothing that the file names is opened.

    Args:
        path: The file.
        environment: Instead of the process's own; `.env` files are read all the same.

    Raises:
        ConfigError: It is not there, or so wrong that nothing else can be told. All other mistakes are in the document's `problems`.
    """
    path = Path(path)
    raw, problems = read_yaml(path)
    variables = Environment.of(path, environment)
    app = app_pipeline(raw, path, variables) if is_app_file(raw) else None
    if app is not None:
        raw = app.root
    root = variables.fill(raw, problems)
    if root.broken or not isinstance(root.value, dict):
        raise ConfigError(
            [*problems, root.problem(f"a pipeline is a mapping, and this is {root.kind}", "begin with name: and source:")]
        )
    return _Reader(root, PipelineDocument(path, root, variables, app=app, problems=problems)).read()


class _Reader:
    """Reads a pipeline's keys out of its nodes. A mistake costs the key that it is in, and the others are read all the same."""

    def __init__(self, root: Node, document: PipelineDocument) -> None:
        self._root = root
        self._document = document

    def read(self) -> PipelineDocument:
        document, root = self._document, self._root
        self._refuse_unknown(root, KEYS, f"keys of a pipeline: {', '.join(KEYS)}")
        document.name = self._name()
        if self._entry("source", required=True) is not None:
            document.source = self._use(root.entries["source"])
        if self._entry("format") is not None:
            document.format = self._use(root.entries["format"])
        document.processors = [use for node in self._list("processors") if (use := self._use(node)) is not None]
        document.sinks = self._sinks()
        if self._entry("dead_letter") is not None:
            document.dead_letter = self._use(root.entries["dead_letter"])
        document.columns = self._entry("columns")
        document.linger = self._parsed(root, "linger", quantities.seconds) or 0.0
        document.in_flight = self._parsed(root, "in_flight", quantities.nbytes)
        document.retry_for = self._parsed(root, "retry_for", _patience)
        document.on_error = self._choice(root, "on_error", ("dead-letter", "fail"))
        self._read_limits()
        return document

    def _name(self) -> str:
        node = self._entry("name", required=True, why="positions are kept under it")
        if node is None:
            return ""
        name = self._as_name(node)
        if name == RESERVED:
            self._add(node.problem(f"{RESERVED!r} is what `ddpm ingest` keeps its positions under", "choose another name"))
        return name

    def _read_limits(self) -> None:
        node = self._entry("reject_limit")
        if node is None:
            return
        if not isinstance(node.value, dict):
            self._add(node.problem(f"is a mapping of share and in_a_row, and this is {node.kind}"))
            return
        self._refuse_unknown(node, names(LIMIT_KEYS), f"its keys: {', '.join(names(LIMIT_KEYS))}")
        self._document.reject_share = self._parsed(node, "share", quantities.share)
        self._document.reject_run = self._parsed(node, "in_a_row", _count)

    def _sinks(self) -> list[SinkEntry]:
        root = self._root
        one = self._entry("sink")
        if one is not None and "sinks" in root.entries:
            self._add(root.problem_at("sink", "stands beside sinks", "keep one of them"))
        if one is None and self._entry("sinks") is None:
            if not any(node.broken for node in (root.entries.get("sink"), root.entries.get("sinks")) if node):
                self._add(root.problem("sinks: is missing", "name at least one, such as sinks: [{duckdb: {table: events}}]"))
            return []
        nodes = [*([one] if one is not None else []), *self._list("sinks")]
        if not nodes:
            self._add(root.problem_at("sinks", "is empty", "name at least one sink"))
        entries = [entry for node in nodes if (entry := self._sink(node)) is not None]
        self._refuse_same_names(entries)
        return entries

    def _sink(self, node: Node) -> SinkEntry | None:
        if not isinstance(node.value, dict):
            use = self._use(node)
            return None if use is None else SinkEntry(use, use.name, "", None, None, node)
        others = [key for key in node.entries if key not in ENTRY_KEYS]
        misspelt = [key for key in others if _near(key, ENTRY_KEYS)]
        if len(others) - len(misspelt) == 1:
            others = [key for key in others if key not in misspelt]
            self._refuse_unknown(node, (*ENTRY_KEYS, *others), "")
        if len(others) != 1:
            self._add(node.problem(*_which_plugin(others)))
            return None
        use = _use_of(node, others[0])
        name = self._as_name(node.entries["name"]) if "name" in node.entries else use.name
        when = node.entries.get("when")
        condition = _text(when) if when is not None else ""
        if when is not None and not when.broken and not condition.strip():
            self._add(when.problem("is a condition in SQL, such as amount > 0"))
        return SinkEntry(
            use,
            name,
            condition.strip(),
            self._choice(node, "schema", ("evolve", "freeze")),
            self._choice(node, "guarantee", ("exactly_once", "at_least_once")),
            node,
        )

    def _refuse_same_names(self, entries: Sequence[SinkEntry]) -> None:
        first: dict[str, SinkEntry] = {}
        for entry in entries:
            other = first.setdefault(entry.name, entry)
            if entry.name and other is not entry:
                what = f"is called {entry.name!r}, as the sink in line {other.entry.mark.line} is"
                self._add(entry.entry.problem(what, "dead letters are known by the sink's name: give each a name:"))

    def _use(self, node: Node) -> PluginUse | None:
        """A plugin by its name, or as a mapping of its name to its options."""
        if node.broken:
            return None
        if isinstance(node.value, str) and node.value:
            return PluginUse(node.value, Node({}, node.mark, node.path), node)
        if not isinstance(node.value, dict):
            self._add(node.problem(f"is a plugin's name, or a mapping of the name to its options, and this is {node.kind}"))
            return None
        if len(node.entries) != 1:
            self._add(node.problem(*_which_plugin(list(node.entries))))
            return None
        return _use_of(node, next(iter(node.entries)))

    def _as_name(self, node: Node) -> str:
        name = _text(node)
        if node.broken:
            return ""
        if not re.fullmatch(r"[^\W_][\w.-]{0,99}", name):
            self._add(node.problem("a name has up to 100 letters, digits, _, - and dots, and begins with a letter or digit"))
            return ""
        return name

    def _entry(self, key: str, *, required: bool = False, why: str = "") -> Node | None:
        """What stands at this key of the pipeline; None where there is nothing, or nothing that can be used."""
        node = self._root.entries.get(key)
        if node is not None and node.value is not None:
            return None if node.broken else node
        if required:
            problem = self._root.problem if node is None else node.problem
            self._add(problem(f"{key}: is missing" if node is None else "is empty", why))
        return None

    def _list(self, key: str) -> list[Node]:
        node = self._entry(key)
        if node is None:
            return []
        if isinstance(node.value, list):
            return node.value
        self._add(node.problem(f"is a list, and this is {node.kind}", "begin each entry with a dash"))
        return []

    def _parsed(self, of: Node, key: str, parse: Callable[[str], T]) -> T | None:
        """The value at a key, read by `parse`; None where there is none."""
        node = of.entries.get(key)
        if node is None or node.broken or node.value is None:
            return None
        if not node.is_scalar:
            self._add(node.problem(f"is one value, and this is {node.kind}"))
            return None
        try:
            return parse(_text(node))
        except ValueError as error:
            self._add(node.problem(str(error)))
            return None

    def _choice(self, of: Node, key: str, choices: Sequence[str]) -> Any:
        def chosen(text: str) -> str:
            if text in choices:
                return text
            raise ValueError(f"is one of {', '.join(choices)}{_meant(text, choices)}")

        return self._parsed(of, key, chosen)

    def _refuse_unknown(self, node: Node, known: Sequence[str], hint: str) -> None:
        for key in node.entries:
            if key not in known:
                near = _near(key, known)
                self._add(node.problem_at(key, "there is no such key", f"did you mean {near!r}?" if near else hint))

    def _add(self, problem: Problem) -> None:
        self._document.problems.append(problem)


def _use_of(node: Node, key: str) -> PluginUse:
    options = node.entries[key]
    if options.value is None and not options.broken:
        options = Node({}, options.mark, options.path)
    return PluginUse(key, options, Node(key, node.keys[key], below(node.path, key)))


def _which_plugin(names: Sequence[str]) -> tuple[str, str]:
    """What is wrong with an entry that names no plugin, or several."""
    if not names:
        return "names no plugin", "write its name and options, such as postgres: {table: events}"
    return (
        "names more than one plugin",
        f"one of these keys, the others are not known: {', '.join(below('', name) for name in names[:10])}",
    )


def _near(name: str, known: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, known, n=1)), None)


def _meant(text: str, choices: Sequence[str]) -> str:
    near = _near(text, choices)
    return f"; did you mean {near}?" if near else ""


def _text(node: Node) -> str:
    """A scalar as text: what variables made of it, or a number as it was written."""
    return node.value if isinstance(node.value, str) else node.written


def _patience(text: str) -> float:
    return math.inf if text.strip().lower() == FOREVER else quantities.seconds(text)


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text.strip()) or int(text) < 1:
        raise ValueError("is a whole number from 1 on")
    return int(text)
