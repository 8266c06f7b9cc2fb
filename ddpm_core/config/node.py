"""A value of a configuration file, which knows where it stands."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import field
from typing import Any, NamedTuple, TypeAlias

from ddpm_core.errors import Problem
from ddpm_core.values import dataclass

LONGEST_KEY = 80
"""A longer key is cut where it is shown."""

Scalar: TypeAlias = str | int | float | bool | None


class Mark(NamedTuple):
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(slots=True)
class Node:
    """A scalar, a list or a mapping of a configuration file.

    Attributes:
        value: The scalar, the items, or the entries by their key.
        mark: Where it begins.
        path: The way to it from the top, such as `sinks[1].postgres.table`.
        keys: Where each key of a mapping stands.
        written: A scalar as it stands in the file, before variables are filled in.
        plain: Whether a scalar stands there without quotes.
        shown: For people: the scalar with what came from secrets masked. None: as `value`.
        broken: It has no value, since a variable in it has none; that is told already.
    """

    value: Scalar | list[Node] | dict[str, Node] = field(repr=False)
    mark: Mark
    path: str = ""
    keys: dict[str, Mark] = field(default_factory=dict, repr=False)
    written: str = field(default="", repr=False)
    plain: bool = False
    shown: str | None = field(default=None, repr=False)
    broken: bool = False

    @property
    def entries(self) -> dict[str, Node]:
        """The entries of a mapping; of anything else, none."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def is_scalar(self) -> bool:
        """Whether it is neither a list nor a mapping."""
        return not isinstance(self.value, list | dict)

    @property
    def kind(self) -> str:
        """What it is, for messages that must not repeat it."""
        match self.value:
            case dict():
                return "a mapping"
            case list():
                return "a list"
            case None:
                return "nothing"
            case str():
                return "text"
            case bool():
                return "true or false"
            case _:
                return "a number"

    def plain_value(self, *, as_text: Collection[int] = ()) -> Any:
        """The same as Python's own dicts and lists. Nodes whose `id` is in `as_text` are taken as they were written."""
        match self.value:
            case dict() as entries:
                return {key: node.plain_value(as_text=as_text) for key, node in entries.items()}
            case list() as items:
                return [node.plain_value(as_text=as_text) for node in items]
            case scalar:
                return self.written if id(self) in as_text else scalar

    def scalars(self) -> Iterator[Node]:
        """Every scalar in it, itself included."""
        inner = list(self.value.values()) if isinstance(self.value, dict) else self.value
        if isinstance(inner, list):
            for node in inner:
                yield from node.scalars()
        else:
            yield self

    def find(self, location: Sequence[str | int]) -> Node:
        """The node at this location. Parts of it that are not in the file are passed over: a model may nest what a user does not."""
        node = self
        for part in location:
            inner = node.value
            if isinstance(inner, dict) and str(part) in inner:
                node = inner[str(part)]
            elif isinstance(inner, list) and isinstance(part, int) and part < len(inner):
                node = inner[part]
        return node

    def problem(self, what: str, hint: str = "") -> Problem:
        """A mistake in this value."""
        return Problem(f"{self.mark}: {self.path}" if self.path else str(self.mark), what, hint)

    def problem_at(self, key: str, what: str, hint: str = "") -> Problem:
        """A mistake at this key of this mapping."""
        return Problem(f"{self.keys.get(key, self.mark)}: {below(self.path, key)}", what, hint)


def below(path: str, part: str | int) -> str:
    """The path of what is below a path."""
    if isinstance(part, int):
        return f"{path}[{part}]"
    shown = part if part.isprintable() else ascii(part)
    shown = shown if len(shown) <= LONGEST_KEY else f"{shown[:LONGEST_KEY]}…"
    return f"{path}.{shown}" if path else shown


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """These mistakes in the order of the lines in which they are; those of no line first."""
    return sorted(problems, key=_line_of)


def _line_of(problem: Problem) -> int:
    found = re.search(r":(\d+)(?::|$)", problem.where)
    return int(found[1]) if found else 0
