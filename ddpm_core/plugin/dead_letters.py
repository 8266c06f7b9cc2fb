"""The contract of a place that dead letters are kept in: a table beside the data, a topic, a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import datetime

from ddpm_core.plugin.database import DeadLetterFilter
from ddpm_core.records import DeadLetter


class DeadLetterStore(ABC):
    """Keeps dead letters that do not go into the rows' own transaction, and finds them again. Used from one thread.

    A letter is known by its `id`. There may be several entries of one id, and the letter is shown once, as the one of them that
    `supersedes` the others says: a crash writes a letter twice, and a replay adds what became of it.
    """

    @abstractmethod
    def open(self) -> None:
        """Connect. Called once before anything else, and again after `close`, which follows every `RetryableError`.

        Raises:
            ConfigError: It is not there, or is something else.
            RetryableError, FatalError: It cannot be reached; waiting may help, or does not.
        """

    def inspect(self) -> None:
        """As `open`, for looking only: nothing is made. Called instead of it; `close` follows."""
        self.open()

    @abstractmethod
    def append(self, letters: Sequence[DeadLetter]) -> None:
        """Add these, and return when they are durable. Called before the rows' transaction is committed, within at most 10 s.

        A replay calls it too, for letters that failed again: they have the id that they had, and more `attempts`.

        Raises:
            RetryableError: They may not be durable; the engine rolls the rows back and writes both again.
        """

    @abstractmethod
    def find(self, wanted: DeadLetterFilter) -> Iterator[DeadLetter]:
        """The dead letters that are wanted, newest first, each once. May read all of them; keeps no more than `wanted.limit` in memory.

        Read to its end or closed before anything else of the store is called.
        """

    @abstractmethod
    def mark_replayed(self, letters: Sequence[DeadLetter]) -> None:
        """Note that these got through when they were sent again, at their `replayed_at`. Where they landed is known by the target's own
        positions: losing a mark is no harm."""

    @abstractmethod
    def purge(self, letters: Sequence[DeadLetter]) -> int:
        """Remove these for good, with every entry of their ids. Returns how many there were."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back. Safe without `open` and when called again."""


def supersedes(entry: DeadLetter, known: DeadLetter) -> bool:
    """Whether of two entries of one id this one, which was written later, is what the letter is now: its `rank` is not lower."""
    return rank(entry) >= rank(known)


def rank(entry: DeadLetter) -> tuple[datetime, int, bool]:
    """Of several entries of one id the one of the highest rank says what the letter is, in whatever order they are found.

    What was set aside later wins: the record was read and refused anew (the source was read again from its beginning, say), and is open
    again although it had been replayed. A replay keeps that time. Of those with the same time more attempts win over fewer, and of
    the same number one that got through over one that is open.

    A run that crashed may set a letter aside once more after it was replayed. Then a replay finds at the target that it has landed.
    """
    return entry.created_at, entry.attempts, entry.replayed_at is not None
