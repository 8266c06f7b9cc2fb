"""What landed, held against what golden messages say: every difference in words that a plugin's author can use."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from ddpm_core.testing.golden import GoldenMessage
from ddpm_core.values import dataclass

Row = Mapping[str, Any]

_MOST = 5
"""So many differences are told; the others are counted."""
_WIDE = 400
"""So many characters of a row or a message are told."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A golden message that lies in the topic.

    Attributes:
        label: Which one it is, such as `good[1]`.
        partition, offset: Where it lies; the partition as DDPM calls it.
    """

    label: str
    message: GoldenMessage
    partition: str
    offset: int

    def __str__(self) -> str:
        return f"{self.label}, {_short(self.message.payload)} ({self.partition}, offset {self.offset})"


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, as it lies in the database."""

    partition: str
    offset: int
    stage: str
    reason: str
    message: str
    plugin: str
    payload: bytes
    key: bytes | None
    attempts: int


def row_problems(sent: Sequence[Sent], found: Sequence[Row]) -> list[str]:
    """Rows that are missing, doubled, or in no golden message. Values are the same when their types are too."""
    times = Counter(id(one.message) for one in sent)
    fractions = _fractions(sent)
    wanted: Counter[str] = Counter()
    example: dict[str, tuple[Sent, Row]] = {}
    for one in {id(one.message): one for one in reversed(sent)}.values():
        for row in one.message.rows:
            key = _key(landing := _widened(row, fractions))
            wanted[key] += times[id(one.message)]
            example[key] = one, landing
    keys = [_key(row) for row in found]
    there = Counter(keys)
    strangers = {key: row for key, row in zip(keys, found, strict=True) if key not in wanted}
    problems = []
    for key, (one, row) in example.items():
        if there[key] != wanted[key]:
            near = "" if there[key] else _nearest(row, list(strangers.values()))
            expected = f"expected {_times(wanted[key])}: {_short(_present(row))}"
            problems.append(f"{one}\n    {expected}\n    found {_times(there[key])}{near}")
    for key, row in strangers.items():
        problems.append(f"a row that no golden message has, {_times(there[key])}: {_short(_present(row))}")
    return list(_fewer(problems))


def letter_problems(sent: Sequence[Sent], found: Sequence[Letter], *, plugin: str, attempts: int = 1) -> list[str]:
    """Bad messages without their one dead letter, with another one, and dead letters of messages that are not bad.

    Args:
        sent: What lies in the topic.
        found: Every dead letter.
        plugin: The format's name, which each letter must name.
        attempts: How often each was tried.
    """
    there: dict[tuple[str, int], list[Letter]] = {}
    for letter in found:
        there.setdefault((letter.partition, letter.offset), []).append(letter)
    problems = []
    for one in sent:
        letters = there.pop((one.partition, one.offset), [])
        problems += [f"{one}\n    {problem}" for problem in _of_message(one.message, letters, plugin, attempts)]
    for letters in there.values():
        problems += [f"a dead letter of no message that was sent: {letter}" for letter in letters]
    return list(_fewer(problems))


def position_problems(sent: Sequence[Sent], found: Mapping[str, int]) -> list[str]:
    """Partitions whose position is not behind their last message.

    Args:
        sent: What lies in the topic.
        found: Partition -> the next offset wanted.
    """
    ends = ends_of(sent)
    names = sorted({*ends, *found})
    return [
        f"the position of {name}\n    expected {ends.get(name, 0)}, behind its last message\n    found {found.get(name)}"
        for name in names
        if ends.get(name, 0) != found.get(name, 0)
    ]


def ends_of(sent: Sequence[Sent]) -> dict[str, int]:
    """Partition -> the offset behind its last message."""
    ends: dict[str, int] = {}
    for one in sent:
        ends[one.partition] = max(ends.get(one.partition, 0), one.offset + 1)
    return ends


def _of_message(message: GoldenMessage, letters: Sequence[Letter], plugin: str, attempts: int) -> Iterator[str]:
    if not message.reason:
        for letter in letters:
            yield f"expected no dead letter\n    found one at stage {letter.stage}: {letter.reason}: {letter.message}"
        return
    if len(letters) != 1:
        reasons = f" ({', '.join(letter.reason for letter in letters)})" if letters else ""
        yield f"expected one dead letter, {message.reason}\n    found {len(letters) or 'none'}{reasons}"
        return
    (letter,) = letters
    wanted = {
        "reason": message.reason, "stage": "parse", "plugin": plugin, "payload": message.payload or b"", "key": message.key,
        "attempts": attempts,
    }  # fmt: skip
    for name, value in wanted.items():
        if getattr(letter, name) != value:
            why = f": {letter.message}" if name == "reason" else ""
            yield f"expected a dead letter with {name} {_short(value)}\n    found {_short(getattr(letter, name))}{why}"


def _nearest(row: Row, strangers: Sequence[Row]) -> str:
    """How the row that is most like this one differs from it."""
    wanted = _present(row)

    def same(other: Row) -> int:
        return sum(_key({name: value}) == _key({name: other.get(name)}) for name, value in wanted.items())

    nearest = max(strangers, key=same, default=None)
    if nearest is None or not same(nearest):
        return ""
    names = [name for name in {**wanted, **_present(nearest)} if _key({name: row.get(name)}) != _key({name: nearest.get(name)})]
    values = "; ".join(f"{name}: expected {_typed(row.get(name))}, found {_typed(nearest.get(name))}" for name in names[:_MOST])
    return f"; the nearest row differs in {values}"


def _fractions(sent: Sequence[Sent]) -> set[str]:
    """The columns in which some message has a number with a fraction."""
    messages = {id(one.message): one.message for one in sent}.values()
    return {name for message in messages for row in message.rows for name, value in row.items() if type(value) is float}


def _widened(row: Row, fractions: set[str]) -> Row:
    """Whole numbers land as numbers with a fraction in a column that has those."""
    return {name: float(value) if name in fractions and type(value) is int else value for name, value in row.items()}


def _fewer(problems: Sequence[str]) -> Iterator[str]:
    yield from problems[:_MOST]
    if len(problems) > _MOST:
        yield f"and {len(problems) - _MOST} more"


def _times(count: int) -> str:
    return {0: "not at all", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _typed(value: Any) -> str:
    return "no value" if value is None else f"{_short(value)} ({type(value).__name__})"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _WIDE else f"{text[:_WIDE]}…"


def _present(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def _key(row: Row) -> str:
    """Rows with the same key have the same values, of the same types, in any order of columns; null is no value."""
    return repr(_canonical(row))


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return sorted((name, _canonical(inner)) for name, inner in value.items() if inner is not None)
    if isinstance(value, list | tuple):
        return [_canonical(inner) for inner in value]
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(timezone.utc)  # noqa: UP017
    if isinstance(value, Decimal):
        return value.normalize()
    return "NaN" if isinstance(value, float) and math.isnan(value) else value
