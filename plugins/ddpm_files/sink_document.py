"""One file of a round, while it is being written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pyarrow as pa

from ddpm_core import ConfigError, DataError, DdpmError, DocumentWriter, FatalError, OutputFormat, Reject
from ddpm_files.output_store import StagedFile

T = TypeVar("T")

_OTHER = "another format, such as -o sink.format=json."


class OpenDocument:
    """A document of one schema in one folder.

    Args:
        output: The format.
        file: Where it goes.
        schema: Its columns.
        folder: Below the table's folder.

    Attributes:
        rows, given: Rows in it, and their bytes in Arrow's memory.
        held: Of those bytes, about how many the format's writer still keeps in memory.

    Raises:
        ConfigError: The format cannot write these columns at all.
    """

    def __init__(self, output: OutputFormat, file: StagedFile, schema: pa.Schema, folder: str) -> None:
        self.schema = schema
        self.folder = folder
        self.file = file
        self.suffix = output.suffix
        self.rows = self.given = self.held = 0
        self._columns = dict(zip(schema.names, schema.types, strict=True))
        try:
            self._writer: DocumentWriter = self._calling(lambda: output.serializer.document_writer(file.stream, schema))  # type: ignore[arg-type]
        except DataError as error:  # Every row has these columns, so not one of them is at fault.
            raise ConfigError(
                f"format {output.name} cannot write these columns: {error.message}",
                hint=f"{error.hint} Or choose {_OTHER}" if error.hint else f"Choose {_OTHER}",
            ) from error

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self.file.stream.size

    def fits(self, schema: pa.Schema) -> bool:
        """Whether rows of this schema can be rows of this document: it has all of their columns, with the same types."""
        return all(self._columns.get(field.name) == field.type for field in schema)

    def write(self, data: pa.RecordBatch) -> list[Reject]:
        """Add rows; columns that they lack are null. Returns those that the format cannot hold."""
        padded = _padded(data, self.schema)
        rejects: list[Reject] = []
        self._write(padded, 0, rejects)
        return rejects

    def finish(self) -> None:
        """Complete the document, and make it durable where it is staged."""
        try:
            self._calling(self._writer.close)
        except DataError as error:
            raise FatalError(f"{error.message}, which shows only at the end of a file", hint=error.hint) from error
        self.file.finish()
        self.held = 0

    def _write(self, data: pa.RecordBatch, first: int, rejects: list[Reject]) -> None:
        """A batch that the format refuses is written by halves: a writer that refuses a batch has taken none of its rows."""
        try:
            self._add(data)
        except DataError as error:
            if data.num_rows == 1:
                rejects.append(Reject(first, error.reason, error.message))
                return
            half = data.num_rows // 2
            self._write(data.slice(0, half), first, rejects)
            self._write(data.slice(half), first + half, rejects)

    def _add(self, data: pa.RecordBatch) -> None:
        before = self.size
        self._calling(lambda: self._writer.write(data))
        self.rows += data.num_rows
        self.given += data.nbytes
        self.held = data.nbytes if self.size > before else self.held + data.nbytes

    def _calling(self, call: Callable[[], T]) -> T:
        """What the disk did counts for more than what a format's writer makes of it."""
        try:
            return call()
        except (DdpmError, OSError):
            if self.file.stream.failure is not None:
                raise self.file.stream.failure from self.file.stream.failure.__cause__
            raise


def _padded(data: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if data.schema.equals(schema, check_metadata=False):
        return data
    names = set(data.schema.names)
    columns = [data.column(field.name) if field.name in names else pa.nulls(data.num_rows, field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
