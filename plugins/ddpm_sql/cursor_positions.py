"""Where to go on in a query, given what the sinks know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ddpm_core import Position, Positions
from ddpm_sql.cursor import Mark, continues

_WHOLE = "all~"
"""Generations of runs without a cursor: each takes all rows."""


@dataclass(frozen=True, slots=True)
class Going:
    """How a run reads: the generation that its rows are committed under, and where it begins."""

    generation: str
    note: str = "new"
    start: Position = field(default_factory=lambda: Position(0))
    mark: Mark | None = None


def resume(mark: Mark, *, end: bool) -> dict[str, Any]:
    """What a step's position keeps. `end`: the query had been read to its end."""
    return {"cursor": mark.detail(), "end": end}


def go_on(partition: str, known: Positions, cursor: Sequence[str], *, again: bool, name: str) -> Going:
    """Behind the last mark; with `again` anew, unless such a run was interrupted.

    Raises:
        ConfigError: The marks are of another cursor.
        FatalError: They are not understood.
    """
    generations = _numbered(partition, known, "")
    if not generations:
        return Going("1")
    number = max(generations)
    position = generations[number]
    kept = position.detail.get("resume")
    if not isinstance(kept, Mapping) or "cursor" not in kept:
        return Going(str(number), start=Position(position.offset, dict(position.detail)))  # It had no rows yet.
    if again and kept.get("end"):
        return Going(str(number + 1), "taken again")
    mark = Mark.of_detail(kept["cursor"])
    continues(mark, cursor, name)
    how = "continued" if kept.get("end") else "resumed"
    return Going(str(number), f"{how} behind {mark}", position, mark)


def take_all(partition: str, known: Positions) -> Going:
    """Without a cursor nothing tells what has landed before."""
    finished = [number for number, position in _numbered(partition, known, _WHOLE).items() if position.finished]
    number = max(_numbered(partition, known, _WHOLE), default=0) + 1
    if finished:
        return Going(f"{_WHOLE}{number}", "all rows, which have landed before too: source.cursor takes new ones only")
    return Going(f"{_WHOLE}{number}", "all rows")


def _numbered(partition: str, known: Positions, prefix: str) -> dict[int, Position]:
    """Number -> position of the generations whose names are this prefix and a number."""
    before = f"{partition}#{prefix}"
    return {
        int(name[len(before) :]): position
        for name, position in known.items()
        if name.startswith(before) and name[len(before) :].isdecimal()
    }
