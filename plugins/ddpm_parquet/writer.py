"""Writing one Parquet file."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from ddpm_core import DataError, DocumentWriter, FatalError

_HELD_BYTES = 128 << 20
"""A row group is written when this much is held, however few rows it has."""


class ParquetDocumentWriter(DocumentWriter):
    """Gathers batches into row groups: a row group of each small batch would make a file that is slow to read."""

    def __init__(self, writer: pq.ParquetWriter, row_group_rows: int) -> None:
        self._writer = writer
        self._row_group_rows = row_group_rows
        self._held: list[pa.RecordBatch] = []
        self._rows = 0
        self._bytes = 0
        self._closed = False

    def write(self, data: pa.RecordBatch) -> None:
        while data.num_rows:
            part = data.slice(0, self._row_group_rows - self._rows)
            data = data.slice(part.num_rows)
            self._held.append(part)
            self._rows += part.num_rows
            self._bytes += part.nbytes
            if self._rows >= self._row_group_rows or self._bytes >= _HELD_BYTES:
                self._flush()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._flush()
        finally:
            self._writer.close()

    def _flush(self) -> None:
        held, self._held, self._rows, self._bytes = self._held, [], 0, 0
        if not held:
            return
        table = pa.Table.from_batches(held)
        try:
            self._writer.write_table(table, row_group_size=max(table.num_rows, 1))
        except (pa.ArrowException, OSError, ValueError) as error:
            text = " ".join(str(error).split())
            if isinstance(error, OSError) and error.errno is not None:
                raise FatalError(f"the Parquet file cannot be written: {(error.strerror or text).lower()}") from error
            raise DataError(f"rows cannot be written as Parquet: {text}", reason="value_unsupported") from error
