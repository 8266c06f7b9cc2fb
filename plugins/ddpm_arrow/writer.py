"""Writing one Arrow file."""

from __future__ import annotations

import pyarrow as pa

from ddpm_arrow.plain import plain_batch
from ddpm_core import DataError, DocumentWriter, FatalError

_HELD_BYTES = 32 << 20
"""A batch is written when this much is held, however few rows it has."""


class ArrowDocumentWriter(DocumentWriter):
    """Gathers rows into record batches: one for each small batch that comes would make a file that is slow to read."""

    def __init__(self, writer: pa.ipc.RecordBatchFileWriter, schema: pa.Schema, batch_rows: int) -> None:
        self._writer = writer
        self._schema = schema
        self._batch_rows = batch_rows
        self._held: list[pa.RecordBatch] = []
        self._rows = 0
        self._bytes = 0
        self._closed = False

    def write(self, data: pa.RecordBatch) -> None:
        data = self._plain(data)  # All of it before any of it is taken.
        while data.num_rows:
            part = data.slice(0, self._batch_rows - self._rows)
            data = data.slice(part.num_rows)
            self._held.append(part)
            self._rows += part.num_rows
            self._bytes += part.nbytes
            if self._rows >= self._batch_rows or self._bytes >= _HELD_BYTES:
                self._flush()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._flush()
        finally:
            self._writer.close()

    def _plain(self, part: pa.RecordBatch) -> pa.RecordBatch:
        try:
            return plain_batch(part)
        except (pa.ArrowException, ValueError) as error:
            raise DataError(f"rows cannot be written as Arrow: {_short(error)}", reason="value_unsupported") from error

    def _flush(self) -> None:
        held, self._held, self._rows, self._bytes = self._held, [], 0, 0
        if not held:
            return
        try:
            table = pa.Table.from_batches(held, held[0].schema).cast(self._schema).combine_chunks()
            self._writer.write_table(table)
        except (pa.ArrowException, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise FatalError(f"the Arrow file cannot be written: {(error.strerror or str(error)).lower()}") from error
            raise DataError(f"rows cannot be written as Arrow: {_short(error)}", reason="value_unsupported") from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
