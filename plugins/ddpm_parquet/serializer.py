"""The serializer of Parquet files."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ddpm_core import BuildContext, DataError, Serializer
from ddpm_parquet.options import ParquetOptions
from ddpm_parquet.writer import ParquetDocumentWriter


def build(options: ParquetOptions, context: BuildContext) -> ParquetSerializer:
    """The serializer that these options describe."""
    return ParquetSerializer(options)


class ParquetSerializer(Serializer):
    """Writes Parquet files with page checksums. As messages, each row is a small file of its own."""

    def __init__(self, options: ParquetOptions) -> None:
        self._rows = options.row_group_rows
        self._format: dict[str, Any] = {"compression": options.compression, "write_page_checksum": True}

    def serialize_rows(self, data: pa.RecordBatch) -> list[bytes]:
        self._refuse_unwritable(data.schema)
        return [self._one(data.slice(row, 1)) for row in range(data.num_rows)]

    def document_writer(self, stream: BinaryIO, schema: pa.Schema) -> ParquetDocumentWriter:
        self._refuse_unwritable(schema)
        return ParquetDocumentWriter(pq.ParquetWriter(stream, schema, **self._format), self._rows)

    def _one(self, row: pa.RecordBatch) -> bytes:
        stream = io.BytesIO()
        writer = ParquetDocumentWriter(pq.ParquetWriter(stream, row.schema, **self._format), self._rows)
        writer.write(row)
        writer.close()
        return stream.getvalue()

    def _refuse_unwritable(self, schema: pa.Schema) -> None:
        twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
        if twice:
            raise DataError(f"there is more than one column {twice[0]!r}", reason="duplicate_column", hint="Rename one of them.")
        for field in schema:
            try:
                pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([field]), **self._format).close()
            except (pa.ArrowException, OSError, ValueError) as error:
                raise DataError(
                    f"column {field.name!r} of type {field.type} cannot be written as Parquet: {' '.join(str(error).split())}",
                    reason="type_unsupported",
                    hint="Cast it to another type.",
                ) from error
