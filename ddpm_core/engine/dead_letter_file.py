"""The local file of dead letters, for sinks that cannot keep them beside the data: written by runs, read and changed by `ddpm dlq`.

One JSON object a line. Runs only append, and so does a replay: of several lines with one id the one that `supersedes` the others says
what the letter is. Only `purge` writes the file anew; whoever appends holds a lock meanwhile, and looks whether it is still the file.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from ddpm_core.errors import ConfigError, FatalError, RetryableError
from ddpm_core.plugin.database import DeadLetterFilter
from ddpm_core.plugin.dead_letters import DeadLetterStore, supersedes
from ddpm_core.plugin.letter_rows import headers_as_text, headers_of_text
from ddpm_core.records import DeadLetter
from ddpm_core.values import dataclass

try:
    import fcntl
except ImportError:  # Windows has no such lock: purge there only while nothing runs.
    fcntl = None  # type: ignore[assignment]


SUFFIX = ".ndjson"
BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class _Found:
    """Where a letter's line begins, whether it is wanted, and the letter without what may be large."""

    at: int
    wanted: bool
    letter: DeadLetter


class DeadLetterFile(DeadLetterStore):
    """Dead letters in a local file.

    Args:
        path: The file; it is made when the first dead letter comes.
        named: A user named this file to look at, so that it is a mistake if it is not there. Else there are no dead letters yet.
    """

    def __init__(self, path: Path, *, named: bool = False) -> None:
        self.path = path
        self._named = named

    def open(self) -> None:
        """Only a look: the file is opened by each call.

        Raises:
            ConfigError: There is no such folder.
        """
        if not self.path.absolute().parent.is_dir():
            raise ConfigError(
                f"there is no folder {self.path.parent} for the file of dead letters", hint="Make it, or name another path."
            )

    def close(self) -> None:
        """Nothing to give back."""

    def append(self, letters: Sequence[DeadLetter]) -> None:
        """Add these and wait until they are on disk. Called before the sink commits, so that none is lost.

        A crash after it writes the same letters again; their ids are the same.

        Raises:
            RetryableError: The file cannot be written.
        """
        lines = [letter_line(letter) for letter in letters]
        try:
            with self._locked() as file:
                file.write(b"".join(lines))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RetryableError(
                f"dead letters cannot be written to {self.path}: {error.strerror}", hint="Make room or fix its permissions."
            ) from error

    def find(self, wanted: DeadLetterFilter) -> Iterator[DeadLetter]:
        """The dead letters in it that are wanted, newest first, each once.

        Reads the whole file once, keeping less than a kilobyte for each letter, and then the lines that match.

        Raises:
            ConfigError: There is no such file although it was named, or it holds something else.
            FatalError: It cannot be read.
        """
        if not self._named and not self.path.exists():
            return
        with self._readable() as file:
            last: dict[str, _Found] = {}
            for at, letter in self._all(file):
                known = last.get(letter.id)
                if known is None or supersedes(letter, known.letter):
                    small = replace(letter, payload=b"", view=None, key=None, headers=None, message="")
                    last[letter.id] = _Found(at, wanted.takes(letter), small)
            chosen = [found for found in last.values() if found.wanted]
            chosen.sort(key=lambda found: found.letter.created_at, reverse=True)
            for found in chosen[: wanted.limit or None]:
                file.seek(found.at)
                yield _read(file.readline(), self.path, 0)

    def mark_replayed(self, letters: Sequence[DeadLetter]) -> None:
        self.append(letters)

    def purge(self, letters: Sequence[DeadLetter]) -> int:
        """Write the file anew without these, beside the old one, and put it in its place.

        Raises:
            FatalError: It cannot be written; the old file stays as it is.
        """
        if not letters:
            return 0
        ids = {letter.id for letter in letters}
        gone: set[str] = set()
        new = self.path.with_name(f"{self.path.name}.purge")
        try:
            with self._locked(), self._readable() as old, new.open("wb") as file:
                for _, letter in self._all(old):
                    if letter.id in ids:
                        gone.add(letter.id)
                    else:
                        file.write(letter_line(letter))
                file.flush()
                os.fsync(file.fileno())
                os.replace(new, self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink()
            raise FatalError(f"{self.path} cannot be written anew: {(error.strerror or str(error)).lower()}") from error
        return len(gone)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        """The file, open at its end, for this process alone."""
        while True:
            with self.path.open("ab+") as file:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX)
                with contextlib.suppress(FileNotFoundError):
                    if os.fstat(file.fileno()).st_ino == self.path.stat().st_ino:  # Else a purge has replaced it meanwhile.
                        _drop_cut_line(file)
                        yield file
                        return

    @contextlib.contextmanager
    def _readable(self) -> Iterator[IO[bytes]]:
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            raise ConfigError(f"there is no file {self.path}") from None
        except OSError as error:
            raise FatalError(f"{self.path} cannot be read: {(error.strerror or str(error)).lower()}") from error
        with file:
            yield file

    def _all(self, file: IO[bytes]) -> Iterator[tuple[int, DeadLetter]]:
        """Every line's letter, with where the line begins."""
        at, number = 0, 0
        try:
            while line := file.readline():
                number += 1
                if not line.endswith(b"\n"):  # A crash cut it; its run writes the letter again.
                    return
                yield at, _read(line, self.path, number)
                at += len(line)
        except OSError as error:
            raise FatalError(f"{self.path} cannot be read: {(error.strerror or str(error)).lower()}") from error


def _drop_cut_line(file: IO[bytes]) -> None:
    """Remove the beginning of a line that a crash left at the end: its run writes the letter again, and the next line must not join it."""
    end = at = file.seek(0, os.SEEK_END)
    while at:
        begin = max(0, at - BLOCK)
        file.seek(begin)
        newline = file.read(at - begin).rfind(b"\n")
        if newline >= 0:
            at = begin + newline + 1
            break
        at = begin
    if at < end:
        file.truncate(at)


def letter_line(letter: DeadLetter) -> bytes:
    """A letter as a line of JSON."""
    entry: dict[str, Any] = asdict(letter)
    entry["payload"] = base64.b64encode(letter.payload).decode()
    entry["key"] = None if letter.key is None else base64.b64encode(letter.key).decode()
    entry["headers"] = None if letter.headers is None else headers_as_text(letter.headers)
    for name in ("created_at", "replayed_at"):
        entry[name] = None if entry[name] is None else entry[name].isoformat()
    return json.dumps(entry).encode() + b"\n"


_NAMES = {field.name for field in fields(DeadLetter)}


def read_letter(line: bytes) -> DeadLetter:
    """The letter of a line. Raises `ValueError`, `TypeError`, `KeyError` or `AttributeError` when it is none."""
    entry: dict[str, Any] = json.loads(line)
    entry["payload"] = base64.b64decode(entry["payload"], validate=True)
    entry["created_at"] = datetime.fromisoformat(entry["created_at"])
    if entry.get("key") is not None:
        entry["key"] = base64.b64decode(entry["key"], validate=True)
    if entry.get("headers") is not None:
        entry["headers"] = headers_of_text(entry["headers"])
    if entry.get("replayed_at") is not None:
        entry["replayed_at"] = datetime.fromisoformat(entry["replayed_at"])
    return DeadLetter(**{name: value for name, value in entry.items() if name in _NAMES})


def _read(line: bytes, path: Path, number: int) -> DeadLetter:
    try:
        return read_letter(line)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"line {number:,} of {path} is no dead letter", hint="Is it a file that ddpm wrote?") from error
