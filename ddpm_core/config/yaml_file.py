"""YAML into nodes that know their place. Strict: what could be meant in two ways, or is there to harm, is an error.

Only the core of YAML 1.2: text, numbers, `true` and `false`, `null`, lists, mappings, and aliases of a bounded size. `no`, `on` and dates
are text. Keys are always text. Tags, merge keys, duplicate keys and further documents are errors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ddpm_core.config.node import Mark, Node, Scalar, below
from ddpm_core.errors import ConfigError, Problem

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 10_000_000
MAX_DEPTH = 64
MAX_VALUES = 100_000
"""Values in a file, those that aliases repeat counted each time."""
MAX_PROBLEMS = 100

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,400}|0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
"""As what it matches: as what it does not match, it takes 5 ms to compile."""


def read_yaml(path: Path) -> tuple[Node, list[Problem]]:
    """The one document of a file, and the mistakes in it that are no reason to stop reading.

    Raises:
        ConfigError: The file is not there, is too large, or is no YAML from some place on.
    """
    return parse_yaml(_text_of(path), str(path))


def parse_yaml(text: str, file: str) -> tuple[Node, list[Problem]]:
    """The same for text; `file` is its name in messages."""
    found = _UNPRINTABLE.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise ConfigError(
            Problem(f"{file}:{line}", f"the character {found[0]!a} may not be in YAML", "write it as an escape in double quotes")
        )
    import yaml

    composer = _Composer(file)
    try:
        node = composer.document(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except yaml.MarkedYAMLError as error:
        raise ConfigError([*composer.problems, _syntax(error, file, text)]) from None
    except yaml.YAMLError:
        raise ConfigError([*composer.problems, Problem(file, "is no YAML")]) from None
    return node, composer.problems


def plain_scalar(text: str) -> Scalar:
    """What a scalar without quotes means."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return _NOT_FINITE.get(text.lower(), text)


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder, not a file") from None
    except (OSError, ValueError) as error:
        said = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{path} cannot be read: {said.lower()}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(
            f"{path} has more than {MAX_BYTES:,} bytes", hint="Is it a configuration? Keep data and schemas in files of their own."
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(Problem(f"{path}:{line}", "is not UTF-8", "save the file as UTF-8")) from None


def _syntax(error: yaml.MarkedYAMLError, file: str, text: str) -> Problem:
    """PyYAML's error in one line. What stands in the file is not repeated."""
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    lines = text.splitlines()
    here = lines[line - 1] if line <= len(lines) else ""
    said = " ".join(part for part in (error.context, error.problem) if part)
    hint = ""
    if "\t" in here[: len(here) - len(here.lstrip())] or "\\t" in said:
        said, hint = "a tab is used to indent", "YAML is indented by spaces"
    elif "${" in here:
        hint = 'inside [ ] and { } put a variable into quotes: "${NAME}"'
    elif "mapping values are not allowed" in said:
        hint = "text that holds a colon and a space goes into quotes"
    elif "cannot start any token" in said or "anchor" in said or "alias" in said:
        hint = "text that begins with one of @ ` & * ! % | > goes into quotes"
    return Problem(f"{file}:{line}", f"is no YAML: {said}", hint)


class _Composer:
    """Makes nodes of PyYAML's events. Its own composer knows no depth, no duplicates, and no size of what aliases repeat."""

    def __init__(self, file: str) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._open: set[str] = set()
        self._count = 0
        self._events: Iterator[Any] = iter(())

    def document(self, events: Iterator[Any]) -> Node:
        import yaml

        self._events = events
        next(events)
        begin = next(events)
        if isinstance(begin, yaml.StreamEndEvent):
            raise ConfigError(Problem(self._file, "is empty"))
        node = self._node(next(events), "", 0)
        next(events)
        more = next(events)
        if not isinstance(more, yaml.StreamEndEvent):
            self._add(more, "", "a second document begins here", "a file holds one pipeline: remove the ---, or make two files")
        return node

    def _node(self, event: Any, path: str, depth: int) -> Node:
        import yaml

        if depth > MAX_DEPTH:
            self._stop(event, "", f"values are nested deeper than {MAX_DEPTH}")
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event, path)
        self._grow(event, path, 1)
        before = self._count
        anchor = event.anchor
        if event.tag is not None:
            self._add(
                event, path, "tags (!) have no meaning here", "write the value alone; text that begins with ! goes into quotes"
            )
        if anchor is not None:
            self._open.add(anchor)
        match event:
            case yaml.ScalarEvent():
                node = self._scalar(event, path)
            case yaml.SequenceStartEvent():
                node = self._sequence(event, path, depth)
            case _:
                node = self._mapping(event, path, depth)
        if anchor is not None:
            self._open.discard(anchor)
            self._anchors[anchor] = node, self._count - before + 1
        return node

    def _scalar(self, event: Any, path: str) -> Node:
        plain = not event.style
        value = plain_scalar(event.value) if plain else event.value
        return Node(value, self._mark(event), path, written=event.value, plain=plain)

    def _sequence(self, event: Any, path: str, depth: int) -> Node:
        import yaml

        items: list[Node] = []
        while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(inner, below(path, len(items)), depth + 1))
        return Node(items, self._mark(event), path)

    def _mapping(self, event: Any, path: str, depth: int) -> Node:
        import yaml

        entries: dict[str, Node] = {}
        keys: dict[str, Mark] = {}
        while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
            key = self._key(inner, path, depth)
            value = self._node(next(self._events), below(path, key or ""), depth + 1)
            if key is None:
                continue
            if key in keys:
                self._add(
                    inner, below(path, key), f"stands here a second time; the first is in line {keys[key].line}", "keep one of them"
                )
            elif key == "<<" and not inner.style:
                self._add(
                    inner, below(path, key), "merge keys are not taken", "write the keys out, or repeat a whole value by an alias"
                )
            entries[key], keys[key] = value, self._mark(inner)
        return Node(entries, self._mark(event), path, keys)

    def _key(self, event: Any, path: str, depth: int) -> str | None:
        import yaml

        if isinstance(event, yaml.ScalarEvent):
            if event.tag is not None:
                self._add(event, path, "tags (!) have no meaning here", "write the key alone")
            self._grow(event, path, 1)
            return str(event.value)
        self._add(event, path, "a key is text, and this is none")
        self._node(event, path, depth + 1)
        return None

    def _aliased(self, event: Any, path: str) -> Node:
        if event.anchor in self._open:
            self._stop(event, path, "an alias stands inside of what it repeats")
        if event.anchor not in self._anchors:
            self._stop(event, path, "an alias repeats what is not there", "text that begins with * goes into quotes")
        node, size = self._anchors[event.anchor]
        self._grow(event, path, size)
        return node

    def _grow(self, event: Any, path: str, by: int) -> None:
        self._count += by
        if self._count > MAX_VALUES:
            self._stop(event, path, f"there are more than {MAX_VALUES:,} values, those that aliases repeat counted each time")

    def _mark(self, event: Any) -> Mark:
        return Mark(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _problem(self, event: Any, path: str, what: str, hint: str) -> Problem:
        return Node(None, self._mark(event), path).problem(what, hint)

    def _add(self, event: Any, path: str, what: str, hint: str = "") -> None:
        self.problems.append(self._problem(event, path, what, hint))
        if len(self.problems) >= MAX_PROBLEMS:
            self._stop(event, "", "there are more mistakes than are listed here")

    def _stop(self, event: Any, path: str, what: str, hint: str = "") -> NoReturn:
        raise ConfigError([*self.problems, self._problem(event, path, what, hint)])
