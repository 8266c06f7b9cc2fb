"""A round: the files that rows are gathered in until they are committed together."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import pyarrow as pa

from ddpm_core import DataError, FatalError, OutputFormat, Reject
from ddpm_files.output_store import OutputStore
from ddpm_files.sink_document import OpenDocument
from ddpm_files.sink_folders import Folders, Part
from ddpm_files.sink_options import FilesSinkOptions

MOST_OPEN = 500
"""Files that are written at the same time, where the system allows twice as many."""

MOST_HELD = 128 << 20
"""Bytes of rows that the formats' writers may keep in memory, all files together, where there is more than one."""

_FIRST_GUESS = 0.3
"""Bytes in a file for each byte in Arrow's memory, before anything is known about the data."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A complete file under the name that it is staged under.

    Attributes:
        folder, suffix: For its final name.
    """

    name: str
    folder: str
    suffix: str


class Density:
    """How many bytes in a file a byte of Arrow's memory becomes, learned from the files that are complete."""

    def __init__(self) -> None:
        self._given, self._written = 0, 0

    def learn(self, document: OpenDocument) -> None:
        """Take a complete file into account."""
        self._given += document.given
        self._written += document.size

    def guess(self, held: int) -> int:
        """What rows that a writer keeps will come to."""
        return round(held * (self._written / self._given if self._given else _FIRST_GUESS))


class Round:
    """The files of one commit.

    Args:
        output: Their format.
        store: Where they go.
        next_name: Makes names to stage files under.
        folders: Splits batches.
        options: The sink's.
        density: What earlier rounds taught.

    Attributes:
        names: Every name that a file may be staged under now.
    """

    def __init__(
        self,
        output: OutputFormat,
        store: OutputStore,
        next_name: Callable[[], str],
        folders: Folders,
        options: FilesSinkOptions,
        density: Density,
    ) -> None:
        self._output = output
        self._store = store
        self._next_name = next_name
        self._folders = folders
        self._options = options
        self._density = density
        self._open: dict[str, list[OpenDocument]] = {}
        self._count = 0
        self._held = 0
        self._used: set[str] = set()
        self.names: list[str] = []
        self._staged: list[Staged] = []
        self._bytes = 0
        self._schema: pa.Schema | None = None
        self._began = time.monotonic()

    @property
    def full(self) -> bool:
        """Whether it is time to commit."""
        waited = self._options.max_wait is not None and time.monotonic() - self._began >= self._options.max_wait
        size = self._bytes + sum(document.size for document in self._documents()) + self._density.guess(self._held)
        return bool(self.names) and (waited or size >= self._options.target_bytes)

    def write(self, data: pa.RecordBatch) -> list[Reject]:
        """Take rows. Returns those that cannot be written, in any order."""
        rejects: list[Reject] = []
        typed = [field.name for field in data.schema if not pa.types.is_null(field.type)]
        if data.num_rows and not typed:
            return [Reject(row, "no_columns", "the row has no value in any column") for row in range(data.num_rows)]
        if not data.num_rows:
            return []
        parts = list(self._folders.split(data, rejects))
        self._check_partitions({part.folder for part in parts})
        for part in parts:
            rejects += self._write(part)
        return rejects

    def finish(self) -> list[Staged]:
        """Complete every file. All are durable when this returns; those without rows are left out."""
        for document in self._documents():
            self._complete(document)
        return self._staged

    def drop(self) -> None:
        """Give up what is open. Never raises."""
        for document in self._documents():
            document.file.drop()
        self._open.clear()

    def _write(self, part: Part) -> list[Reject]:
        typed = [at for at, field in enumerate(part.data.schema) if not pa.types.is_null(field.type)]
        data = part.data.select(typed)
        try:
            document = self._document(part.folder, data.schema)
        except DataError as error:
            return [Reject(part.row(row), error.reason, error.message) for row in range(data.num_rows)]
        before = document.held
        rejects = [Reject(part.row(r.index), r.reason, r.message) for r in document.write(data)]
        self._held += document.held - before
        while self._count > 1 and self._held > MOST_HELD:
            self._complete(self._largest())
        return rejects

    def _document(self, folder: str, schema: pa.Schema) -> OpenDocument:
        """The file that rows of this schema go into: one that has all of their columns, or a new one."""
        for document in self._open.get(folder, ()):
            if document.fits(schema):
                return document
        wide = self._wide(schema)
        if not wide:
            raise DataError("the row has no value in any column", reason="no_columns")
        if self._count >= _most_open():
            self._complete(self._largest())
        self.names.append(self._next_name())
        file = self._store.stage(self.names[-1])
        try:
            document = OpenDocument(self._output, file, wide, folder)
        except BaseException:
            file.drop()
            raise
        self._open.setdefault(folder, []).append(document)
        self._count += 1
        return document

    def _documents(self) -> list[OpenDocument]:
        return [document for documents in self._open.values() for document in documents]

    def _largest(self) -> OpenDocument:
        """The one whose completion makes the largest file and gives back the most memory."""
        return max(self._documents(), key=lambda document: (document.held, document.given))

    def _wide(self, schema: pa.Schema) -> pa.Schema:
        """The columns of this schema and of those before, so that batches that lack some do not each begin a file."""
        if len(set(schema.names)) < len(schema):
            return schema  # The format says what it thinks of two columns with one name.
        fields = {field.name: field for field in self._schema or ()} | {field.name: field for field in schema}
        self._schema = pa.schema([field.with_nullable(True) for field in fields.values()])
        return self._schema

    def _check_partitions(self, folders: set[str]) -> None:
        self._used |= folders
        if len(self._used) > self._options.max_partitions:
            columns = ", ".join(self._options.partition_by)
            raise FatalError(
                f"more than {self._options.max_partitions:,} values of {columns} in one commit, and each would be a file of its own",
                hint="Partition by columns with fewer values, sort the input by them, or raise max_partitions.",
            )

    def _complete(self, document: OpenDocument) -> None:
        held = document.held
        document.finish()
        self._open[document.folder].remove(document)
        self._count -= 1
        self._held -= held
        self._density.learn(document)
        self._bytes += document.size
        if document.rows:
            self._staged.append(Staged(document.file.name, document.folder, document.suffix))


def _most_open() -> int:
    return max(1, min(MOST_OPEN, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))


def names_in(folder: str) -> Callable[[], str]:
    """Makes names for files that are staged in this folder."""
    numbers = count(1)
    return lambda: f"{folder}/{next(numbers):06}.tmp"
