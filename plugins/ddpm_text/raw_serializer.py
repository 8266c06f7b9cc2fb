"""The serializer of values as they are."""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa

from ddpm_core import BuildContext, DataError, DocumentWriter, Serializer
from ddpm_text.columns import column_to_write, values_to_write
from ddpm_text.options import RawOptions


def build(options: RawOptions, context: BuildContext) -> RawSerializer:
    """The serializer for a run."""
    return RawSerializer(options)


class RawSerializer(Serializer):
    """Writes one column of bytes or text: a message is a value, and a document is the only value there is."""

    def __init__(self, options: RawOptions) -> None:
        self._options = options

    def serialize_rows(self, data: pa.RecordBatch) -> list[bytes]:
        payloads: list[bytes] = values_to_write(data, self._column(data.schema)).to_pylist()
        return payloads

    def document_writer(self, stream: BinaryIO, schema: pa.Schema) -> RawWriter:
        return RawWriter(stream, self._column(schema))

    def _column(self, schema: pa.Schema) -> str:
        explicit = "column" in self._options.model_fields_set
        return column_to_write(schema, self._options.column, explicit=explicit, binary=True, format_name="raw")


class RawWriter(DocumentWriter):
    """Writes one value. Two could not be told apart again, so a second one is refused."""

    def __init__(self, stream: BinaryIO, column: str) -> None:
        self._stream = stream
        self._column = column
        self._written = False

    def write(self, data: pa.RecordBatch) -> None:
        if not data.num_rows:
            return
        if self._written or data.num_rows > 1:
            raise DataError(
                "a raw document is one value, and there is more than one row",
                reason="rows",
                hint="Write each row as a message, or another format.",
            )
        self._stream.write(values_to_write(data, self._column)[0].as_py())
        self._written = True

    def close(self) -> None:
        """Nothing ends a raw document."""
