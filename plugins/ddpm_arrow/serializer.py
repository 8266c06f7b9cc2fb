"""The serializer of Arrow IPC."""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa

from ddpm_arrow.options import ArrowOptions
from ddpm_arrow.plain import plain_batch, plain_fields
from ddpm_arrow.writer import ArrowDocumentWriter
from ddpm_core import BuildContext, DataError, Serializer


def build(options: ArrowOptions, context: BuildContext) -> ArrowSerializer:
    """The serializer that these options describe."""
    return ArrowSerializer(options)


class ArrowSerializer(Serializer):
    """Writes documents in the file form, which every Arrow library reads as Feather V2 too. A message is a stream of one row.

    Encodings are unpacked: many readers lack them, and a file cannot hold two dictionaries of one column.
    """

    def __init__(self, options: ArrowOptions) -> None:
        self._rows = options.batch_rows
        codec = None if options.compression == "none" else options.compression
        self._documents = pa.ipc.IpcWriteOptions(compression=codec, use_threads=False)
        self._messages = pa.ipc.IpcWriteOptions(use_threads=False)

    def serialize_rows(self, data: pa.RecordBatch) -> list[bytes]:
        schema = _writable(data.schema)
        plain = _plain(data, schema)
        # Copied row by row: a slice would take the buffers of its neighbours along.
        return [self._one(plain.take(pa.array([row], pa.int64())), schema) for row in range(plain.num_rows)]

    def document_writer(self, stream: BinaryIO, schema: pa.Schema) -> ArrowDocumentWriter:
        wanted = _writable(schema)
        writer = pa.ipc.new_file(stream, wanted, options=self._documents)
        return ArrowDocumentWriter(writer, wanted, self._rows)

    def _one(self, row: pa.RecordBatch, schema: pa.Schema) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema, options=self._messages) as writer:
            writer.write_batch(row)
        return bytes(sink.getvalue())


def _writable(schema: pa.Schema) -> pa.Schema:
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise DataError(f"there is more than one column {twice[0]!r}", reason="duplicate_column", hint="Rename one of them.")
    return pa.schema(plain_fields(schema))


def _plain(data: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    try:
        return plain_batch(data).cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"rows cannot be written as Arrow: {' '.join(str(error).split())}", reason="value_unsupported") from error
