"""The local file of dead letters, for sinks that cannot keep them beside the data: written by runs, read by `ddpm dlq`."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from ddpm_core.errors import ConfigError, FatalError, RetryableError
from ddpm_core.plugin.database import DeadLetterFilter
from ddpm_core.records import DeadLetter

SUFFIX = ".ndjson"


class DeadLetterFile:
    """Dead letters in a local file, one JSON object a line, for sinks that cannot keep them beside the data.

    Args:
        path: The file; it is made when the first dead letter comes, and only ever appended to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, letters: Sequence[DeadLetter]) -> None:
        """Add these and wait until they are on disk. Called before the sink commits, so that none is lost.

        A crash after it writes the same letters again; their ids are the same.

        Raises:
            RetryableError: The file cannot be written.
        """
        lines = []
        for letter in letters:
            fields = asdict(letter)
            fields["payload"] = base64.b64encode(letter.payload).decode()
            fields["created_at"] = letter.created_at.isoformat()
            lines.append(json.dumps(fields) + "\n")
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RetryableError(
                f"dead letters cannot be written to {self.path}: {error.strerror}", hint="Make room or fix its permissions."
            ) from error

    def find(self, wanted: DeadLetterFilter) -> list[DeadLetter]:
        """The dead letters in it that are wanted, newest first; one that a crash had written twice comes once.

        Reads the whole file and keeps those that match.

        Raises:
            ConfigError: There is no such file, or it holds something else.
            FatalError: It cannot be read.
        """
        found = {letter.id: letter for letter in self._all() if _matches(letter, wanted)}
        return sorted(found.values(), key=lambda letter: letter.created_at, reverse=True)[: wanted.limit]

    def _all(self) -> Iterator[DeadLetter]:
        names = {field.name for field in fields(DeadLetter)}
        try:
            with self.path.open(encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    if not line.endswith("\n"):  # A crash cut it; its run writes the letter again.
                        return
                    yield _read(line, names, self.path, number)
        except FileNotFoundError:
            raise ConfigError(f"there is no file {self.path}") from None
        except OSError as error:
            raise FatalError(f"{self.path} cannot be read: {(error.strerror or str(error)).lower()}") from error


def _read(line: str, names: set[str], path: Path, number: int) -> DeadLetter:
    try:
        entry: dict[str, Any] = json.loads(line)
        entry["payload"] = base64.b64decode(entry["payload"], validate=True)
        entry["created_at"] = datetime.fromisoformat(entry["created_at"])
        return DeadLetter(**{name: value for name, value in entry.items() if name in names})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"line {number:,} of {path} is no dead letter", hint="Is it a file that ddpm wrote?") from error


def _matches(letter: DeadLetter, wanted: DeadLetterFilter) -> bool:
    return (
        letter.id.startswith(wanted.id)
        and wanted.reason in ("", letter.reason)
        and wanted.source in letter.source
        and wanted.table in ("", letter.target)
    )
