"""What the group's offsets say beside where the group stands: how many partitions the topic had, and to where every sink has it.

With `start` at `latest` or at a time, that is where a partition begins which not every sink knows, and which partitions were added since.
Two write it. The source notes offsets itself, with the metadata `ddpm 4`: four partitions, and every sink has what is before the offset.
Where a Kafka sink keeps the group's offsets as its positions, the metadata is the position's detail as JSON, with `partitions` and `start`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

_OURS = "ddpm"
PARTITIONS, START = "partitions", "start"
"""Keys of a position's detail."""


@dataclass(frozen=True, slots=True)
class Note:
    """An offset of the group.

    Attributes:
        offset: Where the group stands.
        known: How many partitions the topic had when this was noted; 0 where it does not say, since somebody else wrote it.
        start: Every sink has what is before; None where it does not say.
    """

    offset: int
    known: int = 0
    start: int | None = None


def note(known: int) -> str:
    """The metadata of an offset that every sink has reached.

    Args:
        known: Partitions of the topic.
    """
    return f"{_OURS} {known}"


def read_note(offset: int, metadata: str | None) -> Note:
    """What this metadata says, whoever wrote it."""
    words = (metadata or "").split()
    if len(words) == 2 and words[0] == _OURS and words[1].isdecimal():
        return Note(offset, int(words[1]), offset)
    try:
        detail = json.loads(metadata or "")
    except ValueError:
        return Note(offset)
    known, start = (detail.get(PARTITIONS), detail.get(START)) if isinstance(detail, dict) else (None, None)
    return Note(offset, known if type(known) is int else 0, start if type(start) is int else None)
