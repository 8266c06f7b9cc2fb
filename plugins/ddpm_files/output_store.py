"""The folder that the sink writes into, wherever it lies: what both kinds can do, and what they promise."""

from __future__ import annotations

import io
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from ddpm_core import DdpmError


@dataclass(frozen=True, slots=True)
class Found:
    """A file that a listing found: its name below the root, and when it was last written (seconds since 1970)."""

    name: str
    modified: float


class OutputStore(ABC):
    """A folder. Names are relative to it, with `/` between their parts. Used from one thread.

    Every method raises what the environment's failure means: `RetryableError`, `FatalError`, or `ConfigError`.
    """

    where: str
    """The folder, as messages call it."""

    @abstractmethod
    def prepare(self) -> None:
        """Make the folder if it can be missing, and find out whether it can be written."""

    @abstractmethod
    def create(self, name: str, data: bytes, *, scratch: str) -> bool:
        """Make this file durable, at once and whole, unless there is one. Returns whether this call made it: of several, one does.

        After an error nobody knows whether the file is there, or will be.

        Args:
            scratch: A name that only this instance uses.
        """

    @abstractmethod
    def put(self, name: str, data: bytes, *, scratch: str) -> None:
        """Make this file durable, at once and whole, in the place of one that may be there."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """What is in this file, or None when there is none. What was created before is seen."""

    @abstractmethod
    def list(self, folder: str) -> list[Found]:
        """The files in this folder, to any depth."""

    @abstractmethod
    def stage(self, name: str) -> StagedFile:
        """A new file that rows are written into."""

    def settle(self, folder: str) -> None:
        """Make the names of finished files in this folder durable. What they hold is."""

    @abstractmethod
    def move(self, moves: Iterable[tuple[str, str]]) -> None:
        """Give durable files their final names, durably. A file that is not there under its first name has been moved before."""

    @abstractmethod
    def remove(self, names: Iterable[str]) -> None:
        """Remove these files, where they are there."""

    def tidy(self, folder: str) -> None:
        """Remove empty folders in this one."""


class StagedFile(ABC):
    """A file that is being written, under a name that no reader looks at.

    Attributes:
        name: That name.
        stream: What a serializer writes into.
    """

    name: str
    stream: StagedStream

    @abstractmethod
    def finish(self) -> None:
        """Make all that was written durable; `settle` does that for the name. Nothing is written afterwards."""

    @abstractmethod
    def drop(self) -> None:
        """Give up what is open. The file may stay; whoever dropped it removes it by name. Never raises."""


class StagedStream(io.RawIOBase):
    """Counts what is written, and remembers what went wrong: serializers turn an error of the disk into one of their own.

    Attributes:
        size: Bytes written.
        failure: Why the first write that failed did, as an error of DDPM.
        given_up: What is written goes nowhere: some writers write an end when they are deleted.
    """

    def __init__(self, file: BinaryIO, explain: Callable[[OSError], DdpmError]) -> None:
        super().__init__()
        self._file = file
        self._explain = explain
        self.size = 0
        self.failure: DdpmError | None = None
        self.given_up = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        if self.given_up:
            return memoryview(data).nbytes
        try:
            written = self._file.write(data)
        except OSError as error:
            if self.failure is None:
                self.failure = self._explain(error)
                self.failure.__cause__ = error
            raise
        self.size += written
        return written

    def tell(self) -> int:
        return self.size


def spool() -> BinaryIO:
    """A file on this machine's disk that has no name and goes away with the process."""
    return cast(BinaryIO, tempfile.TemporaryFile(prefix="ddpm-", buffering=1 << 16))
