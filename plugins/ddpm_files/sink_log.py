"""The commit log: numbered records in the folder `_ddpm/log`, each created exclusively, none ever changed or removed.

A commit is the creation of the record with the next number. It succeeds for one of those who try, and only for one who has read all
records before: whoever comes second finds the number taken, reads what was written there, decides anew, and tries the next one. So each
decision is made on the whole log, as if everybody stood in one line.

Checkpoints (`_ddpm/checkpoints`) are the sum of the records up to a number, so that opening reads few of them. They follow from the
records alone; who writes one, and whether, changes nothing.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from ddpm_core import RetryableError
from ddpm_files.output_store import OutputStore
from ddpm_files.sink_state import Record, State

RECORDS = "_ddpm/log"
CHECKPOINTS = "_ddpm/checkpoints"

CHECKPOINT_EVERY = 100
_KEPT_CHECKPOINTS = 2


class CommitLog:
    """The log of one folder, as one instance knows it.

    Args:
        store: The folder.
        scratch: A name that only this instance uses, for files on their way.

    Attributes:
        state: The sum of all records that were read.
        unsure: Whether an attempt to create a record ended in such a way that it may be there, or may still come to be there.
    """

    def __init__(self, store: OutputStore, scratch: str) -> None:
        self._store = store
        self._scratch = scratch
        self._checkpoint = 0
        self._read_at = 0.0
        self.state = State()
        self.unsure = False

    def open(self) -> None:
        """Read what is there: the latest checkpoint, and the records behind it."""
        for _ in range(10):
            names = sorted(found.name for found in self._store.list(CHECKPOINTS))
            if not names:
                break
            data = self._store.read(names[-1])
            if data is not None:  # Else a newer one took its place.
                self.state = State.decoded(data, f"{self._store.where}/{names[-1]}")
                self._checkpoint = self.state.number
                break
        self.refresh()

    def refresh(self, *, older_than: float = 0.0) -> None:
        """Read the records that have come since. `older_than`: not if the last reading is fewer seconds ago."""
        if older_than and time.monotonic() - self._read_at < older_than:
            return
        while (record := self._read(self.state.number + 1)) is not None:
            self.state.apply(record)
        self._read_at = time.monotonic()

    def append(self, decide: Callable[[str], Record]) -> Record:
        """Add a record. Returns it when it is durable and everybody sees it.

        Args:
            decide: Makes the record with this token, from what `state` says now; called again when somebody else was faster. What
                it raises goes through, and nothing is added.

        Raises:
            RetryableError: The environment failed; whether the record is there is not known, see `unsure`.
        """
        token = secrets.token_hex(4)
        while True:
            number = self.state.number + 1
            record = decide(token)
            self.unsure = True
            created = self._store.create(_name(number), record.encoded(), scratch=self._scratch)
            self.unsure = False
            if created:
                self.state.apply(record)
                return record
            there = self._read(number)
            if there is None:
                raise RetryableError(
                    f"{self._store.where}/{_name(number)} is there and is not", hint="Is the folder being deleted?"
                )
            self.state.apply(there)
            if there.token == token:  # An earlier try of the same request had made it, and its answer was lost.
                return record

    @property
    def checkpoint_due(self) -> bool:
        """Whether so many records have come that a checkpoint is worth it."""
        return self.state.number - self._checkpoint >= CHECKPOINT_EVERY

    def checkpoint(self) -> None:
        """Write the sum of all records that were read."""
        data = self.state.encoded()
        self._store.put(f"{CHECKPOINTS}/{self.state.number:010}.json", data, scratch=self._scratch)
        self._checkpoint = self.state.number
        names = sorted(found.name for found in self._store.list(CHECKPOINTS))
        self._store.remove(names[:-_KEPT_CHECKPOINTS])

    def _read(self, number: int) -> Record | None:
        data = self._store.read(_name(number))
        return None if data is None else Record.decoded(data, f"{self._store.where}/{_name(number)}")


def _name(number: int) -> str:
    return f"{RECORDS}/{number:010}.json"
