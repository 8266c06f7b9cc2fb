"""The sink `stdout`: rows to standard output, each group as soon as it is there."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from io import BytesIO
from typing import Any, BinaryIO, TypeVar

import pyarrow as pa

from ddpm_core import AtLeastOnceSink, Batch, BuildContext, ConfigError, DataError, DocumentWriter, FatalError, OutputFormat, Reject
from ddpm_stdout.options import StdoutOptions

T = TypeVar("T")

_OTHER = "another format, such as -o sink.format=json."
_NDJSON = ("ndjson", "jsonl")
"""Other names of the format `json`, which writes a row on each line."""


def build(options: StdoutOptions, context: BuildContext) -> StdoutSink:
    """The sink for these options.

    Raises:
        ConfigError: The format cannot be written.
    """
    ((name, values),) = options.format.items()
    return StdoutSink(context.output("json" if name in _NDJSON else name, values))


class StdoutSink(AtLeastOnceSink):
    """Rows as one document of a format on standard output. Nothing is kept, so a run that is repeated writes them again.

    Formats whose documents begin with a header (csv) keep the columns of the first rows: columns that are missing later are empty, and
    rows with a value in a further one are rejects. Formats without a header (json, lines) take rows of any columns.

    A reader that closes the pipe ends the run: `FatalError`, whose cause is the `BrokenPipeError`.

    Args:
        output: The format.
        stream: Where to; standard output when there is none.
    """

    def __init__(self, output: OutputFormat, stream: BinaryIO | None = None) -> None:
        self._output = output
        self._given = stream
        self._stream: BinaryIO | None = None
        self._writer: DocumentWriter | None = None
        self._schema: pa.Schema = pa.schema([])
        self._has_header = False

    def open(self) -> None:
        """Once or again: an open document goes on."""
        self._stream = self._given if self._given is not None else sys.stdout.buffer

    def write(self, batch: Batch) -> list[Reject]:
        data = batch.data
        if not data.num_rows:
            return []
        if self._writer is None or not (self._has_header or data.schema.equals(self._schema)):
            self._begin(data)
        rows = pa.array(range(data.num_rows), pa.int64())
        rejects: list[Reject] = []
        if self._has_header:
            data, rows, rejects = self._as_begun(data)
        self._write(data, rows, rejects)
        return sorted(rejects, key=lambda reject: reject.index)

    def flush(self) -> None:
        stream = self._stream
        if stream is not None:
            self._calling(stream.flush)

    def close(self) -> None:
        """Complete the document."""
        writer, self._writer = self._writer, None
        stream, self._stream = self._stream, None
        if writer is not None and stream is not None:
            self._calling(writer.close)
            self._calling(stream.flush)

    def _begin(self, data: pa.RecordBatch) -> None:
        """Begin a document with these columns, if the format has them and can be streamed."""
        make = self._output.serializer.document_writer
        empty, trial = BytesIO(), BytesIO()
        try:
            begun = make(empty, data.schema)
        except DataError as error:  # Every row has these columns, so not one of them is at fault.
            raise ConfigError(
                f"format {self._output.name} cannot write these columns: {error.message}",
                hint=f"{error.hint} Or choose {_OTHER}" if error.hint else f"Choose {_OTHER}",
            ) from error
        begun.close()
        try:
            writer = make(trial, data.schema)
            writer.write(data.slice(0, 0))
            before = len(trial.getvalue())
            writer.write(data.slice(0, 1))
            streams = len(trial.getvalue()) > before
        except DataError:
            streams = True  # Its rows are looked at below, one by one.
        if not streams:
            raise ConfigError(
                f"format {self._output.name} writes rows in blocks, so it cannot be streamed to standard output",
                hint="Write it to a folder, such as --to out/, or choose another one, such as -o sink.format=json.",
            )
        stream = self._opened()
        self._writer = self._calling(lambda: make(stream, data.schema))
        self._schema, self._has_header = data.schema, bool(empty.getvalue())

    def _as_begun(self, data: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.Array, list[Reject]]:
        """The rows with the columns that the document has, their numbers, and those that have values elsewhere."""
        names = data.schema.names
        refused: dict[int, Reject] = {}
        columns = []
        for field in self._schema:
            if field.name not in names:
                columns.append(pa.nulls(data.num_rows, field.type))
                continue
            column = data.column(field.name)
            if column.type != field.type:
                try:
                    column = column.cast(field.type)
                except (pa.ArrowException, ValueError) as error:
                    message = f"column {field.name!r} is {field.type} in the document begun, and {column.type} here: {_line(error)}"
                    for row in _with_value(column):
                        refused.setdefault(row, Reject(row, "type_mismatch", message))
                    column = pa.nulls(data.num_rows, field.type)
            columns.append(column)
        for name in names:
            if name not in self._schema.names:
                for row in _with_value(data.column(name)):
                    refused.setdefault(row, Reject(row, "unknown_column", f"the document begun has no column {name!r}"))
        rows = pa.array([row for row in range(data.num_rows) if row not in refused], pa.int64())
        made = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        return (made.take(rows) if refused else made), rows, list(refused.values())

    def _write(self, data: pa.RecordBatch, rows: pa.Array, rejects: list[Reject]) -> None:
        """A batch that the format refuses is written by halves: a writer that refuses a batch has taken none of its rows."""
        writer = self._writer
        if writer is None or not data.num_rows:
            return
        try:
            self._calling(lambda: writer.write(data))
        except DataError as error:
            if data.num_rows == 1:
                rejects.append(Reject(rows[0].as_py(), error.reason, error.message))
                return
            half = data.num_rows // 2
            self._write(data.slice(0, half), rows.slice(0, half), rejects)
            self._write(data.slice(half), rows.slice(half), rejects)

    def _opened(self) -> BinaryIO:
        if self._stream is None:
            raise FatalError("standard output is not open")
        return self._stream

    def _calling(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except BrokenPipeError as error:
            self._writer = self._stream = None  # There is nobody to write an end for.
            raise FatalError("whoever read standard output has closed it") from error
        except OSError as error:
            self._writer = self._stream = None
            hint = "Free space there." if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
            said = (error.strerror or os.strerror(error.errno or 0)).lower()
            raise FatalError(f"standard output cannot be written: {said}", hint=hint) from error


def _with_value(column: pa.Array) -> list[int]:
    return [row for row, there in enumerate(column.is_valid().to_pylist()) if there]


def _line(error: Any) -> str:
    return " ".join(str(error).split())
