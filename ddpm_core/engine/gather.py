"""Messages that were read and not parsed yet: they gather while the sinks are busy, so that a busy pipeline works in large pieces."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from ddpm_core.records import Messages, Positions

FULL_MESSAGES = 5_000
FULL_BYTES = 4 << 20
"""More is not gathered: a source hands out at most 10,000 messages or about 8 MB at a time, and a piece should not become much larger."""


class Gathered:
    """Pieces of messages, in the order in which they were read.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pieces: list[Messages] = []
        self._count = 0
        self._bytes = 0
        self._since = 0.0

    @property
    def empty(self) -> bool:
        """Whether nothing was read since the last `take`. A piece without messages counts: a position has moved."""
        return not self._pieces

    @property
    def full(self) -> bool:
        """Whether it is large enough to be worth parsing though nobody waits for it."""
        return self._count >= FULL_MESSAGES or self._bytes >= FULL_BYTES

    @property
    def age(self) -> float:
        """Seconds since the oldest piece was read; 0 when there is none."""
        return self._clock() - self._since if self._pieces else 0.0

    def add(self, messages: Messages) -> None:
        """A piece that was just read."""
        if not self._pieces:
            self._since = self._clock()
        self._pieces.append(messages)
        self._count += len(messages)
        self._bytes += messages.nbytes

    def take(self) -> Messages:
        """All of it as one piece; nothing is left."""
        pieces, self._pieces, self._count, self._bytes = self._pieces, [], 0, 0
        return pieces[0] if len(pieces) == 1 else _joined(pieces)

    def drop(self, partitions: Collection[str]) -> None:
        """Forget what was read of these: somebody else reads it."""
        kept = [_without(piece, partitions) for piece in self._pieces]
        self._pieces = [piece for piece in kept if piece is not None]
        self._count = sum(len(piece) for piece in self._pieces)
        self._bytes = sum(piece.nbytes for piece in self._pieces)


def _joined(pieces: list[Messages]) -> Messages:
    """One piece of several. A column that one of them lacks is left out: sources have it in all pieces or in none."""
    first: Positions = {}
    following: Positions = {}
    for piece in pieces:
        first = {**piece.first, **first}
        following.update(piece.next)
    whole = Messages(values=[], partitions=[], offsets=[], first=first, next=following, nbytes=sum(p.nbytes for p in pieces))
    keys = [piece.keys for piece in pieces if piece.keys is not None]
    headers = [piece.headers for piece in pieces if piece.headers is not None]
    timestamps = [piece.timestamps for piece in pieces if piece.timestamps is not None]
    for piece in pieces:
        whole.values += piece.values
        whole.partitions += piece.partitions
        whole.offsets += piece.offsets
    whole.keys = [key for some in keys for key in some] if len(keys) == len(pieces) else None
    whole.headers = [header for some in headers for header in some] if len(headers) == len(pieces) else None
    whole.timestamps = [at for some in timestamps for at in some] if len(timestamps) == len(pieces) else None
    letters = [piece.letters for piece in pieces if piece.letters is not None]
    whole.letters = [letter for some in letters for letter in some] if len(letters) == len(pieces) else None
    return whole


def _without(messages: Messages, partitions: Collection[str]) -> Messages | None:
    """These messages but for those of some partitions; None when none is left."""
    if not any(partition in messages.next for partition in partitions):
        return messages
    kept = [index for index, partition in enumerate(messages.partitions) if partition not in partitions]
    if not kept:
        return None
    values = [messages.values[index] for index in kept]
    return Messages(
        values=values,
        partitions=[messages.partitions[index] for index in kept],
        offsets=[messages.offsets[index] for index in kept],
        first={name: at for name, at in messages.first.items() if name not in partitions},
        next={name: at for name, at in messages.next.items() if name not in partitions},
        keys=None if messages.keys is None else [messages.keys[index] for index in kept],
        headers=None if messages.headers is None else [messages.headers[index] for index in kept],
        timestamps=None if messages.timestamps is None else [messages.timestamps[index] for index in kept],
        nbytes=sum(len(value) for value in values if value is not None),
        letters=None if messages.letters is None else [messages.letters[index] for index in kept],
    )
