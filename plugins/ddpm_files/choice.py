"""Where to go on in a file, given what the sinks know of its path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ddpm_core import Position, Positions
from ddpm_files.content import Content


class Read(NamedTuple):
    """Read the file, and commit its rows under this generation."""

    generation: str
    start: Position
    note: str


class Skip(NamedTuple):
    """Leave the file alone."""

    note: str


class _Known(NamedTuple):
    """A generation that a sink knows. A content that was taken again has several, told apart by `number`."""

    content: str
    number: int
    position: Position

    @classmethod
    def parse(cls, generation: str, position: Position) -> _Known:
        content, _, number = generation.partition("~")
        return cls(content, int(number) if number.isdecimal() else 1, position)


def choose(content: Content, known: Positions, *, again: bool, begins: Callable[[Content], bool]) -> Read | Skip:
    """What to do with a file of this content.

    Args:
        content: What the file holds now.
        known: Generation -> where it stands, for every generation of the path that a sink knows.
        again: Whether a content that has landed is taken again. One that was interrupted is resumed either way, and so is a
            second taking: killed in its middle it is not begun a third time.
        begins: Whether the file is longer than a content recorded earlier, and begins with it.
    """
    generations = [_Known.parse(name, position) for name, position in known.items()]
    same = max((g for g in generations if g.content == content.generation), key=lambda g: g.number, default=None)
    if same is not None:
        return _same_content(same, again=again)
    for older in _continuable(generations, content.size):
        recorded = Content.recorded(older.position.detail)
        if recorded is not None and begins(recorded):
            # The rows go with it: should the table be dropped, this generation is void like the older one.
            kept = {key: older.position.detail[key] for key in ("resume", "rows") if key in older.position.detail}
            start = Position(older.position.offset, kept)
            grew = f"the file grew from {recorded.size:,} to {content.size:,} bytes"
            return Read(content.generation, start, f"continued at record {start.offset:,}: {grew}")
    return Read(content.generation, Position(0), "new: the content at this path changed" if generations else "new")


def _same_content(same: _Known, *, again: bool) -> Read | Skip:
    position = same.position
    if not position.finished:
        name = same.content if same.number == 1 else f"{same.content}~{same.number}"
        return Read(name, position, f"resumed at record {position.offset:,}")
    if again:
        return Read(f"{same.content}~{same.number + 1}", Position(0), "taken again")
    rows = position.detail.get("rows", position.offset)
    return Skip(f"already landed ({rows:,} row{'' if rows == 1 else 's'}); use --again to take it again")


def _continuable(generations: list[_Known], size: int) -> list[_Known]:
    """Those that a longer file may go on from: the longest first, and of one content the latest taking only."""
    latest: dict[str, _Known] = {}
    for known in sorted(generations, key=lambda g: g.number):
        latest[known.content] = known
    shorter = [(_size(g.position.detail), g) for g in latest.values() if _grows(g.position.detail)]
    return [g for at, g in sorted(shorter, key=lambda pair: -pair[0]) if 0 <= at < size]


def _grows(detail: Mapping[str, Any]) -> bool:
    resume = detail.get("resume")
    return isinstance(resume, Mapping) and resume.get("grows") is True


def _size(detail: Mapping[str, Any]) -> int:
    recorded = Content.recorded(detail)
    return -1 if recorded is None else recorded.size
