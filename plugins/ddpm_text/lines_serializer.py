"""The serializer of lines of text."""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from ddpm_core import BuildContext, DataError, DocumentWriter, Serializer
from ddpm_text.columns import column_to_write, values_to_write
from ddpm_text.options import LinesOptions


def build(options: LinesOptions, context: BuildContext) -> LinesSerializer:
    """The serializer for a run."""
    return LinesSerializer(options)


class LinesSerializer(Serializer):
    """Writes one column of text, each value on a line. A message is a value as it is."""

    def __init__(self, options: LinesOptions) -> None:
        self._options = options

    def serialize_rows(self, data: pa.RecordBatch) -> list[bytes]:
        payloads: list[bytes] = self._values(data, self._column(data.schema)).to_pylist()
        return payloads

    def document_writer(self, stream: BinaryIO, schema: pa.Schema) -> LinesWriter:
        return LinesWriter(self, stream, self._column(schema))

    def lines(self, data: pa.RecordBatch, column: str) -> bytes:
        """These rows as lines.

        Raises:
            DataError: A value is null, or holds a line end, or cannot be said in the encoding.
        """
        values = self._values(data, column)
        for end, name in ((b"\n", "a line feed"), (b"\r", "a carriage return")):
            found = pc.match_substring(values, end) if end == b"\n" else pc.ends_with(values, end)
            if pc.any(found).as_py():
                row = found.index(True).as_py()
                raise DataError(
                    f"column {column!r} has {name} in row {row + 1} of the batch, where a line would end",
                    reason="line_end",
                    hint="Replace it first, or write another format, such as json.",
                )
        joined = pc.binary_join(pa.LargeListArray.from_arrays(pa.array([0, len(values)]), values.cast(pa.binary())), b"\n")
        return bytes(joined[0].as_py()) + b"\n"

    def _column(self, schema: pa.Schema) -> str:
        explicit = "column" in self._options.model_fields_set
        return column_to_write(schema, self._options.column, explicit=explicit, binary=False, format_name="lines")

    def _values(self, data: pa.RecordBatch, column: str) -> pa.Array:
        values = values_to_write(data, column)
        encoding = self._options.encoding
        if encoding == "utf-8":
            return values
        try:
            return pa.array([value.decode().encode(encoding) for value in values.to_pylist()], pa.large_binary())
        except UnicodeEncodeError as error:
            raise DataError(
                f"column {column!r} has the character {error.object[error.start]!r}, which {encoding} lacks",
                reason="encoding",
                hint="Write utf-8.",
            ) from None


class LinesWriter(DocumentWriter):
    """Writes lines, each with a line feed at its end."""

    def __init__(self, serializer: LinesSerializer, stream: BinaryIO, column: str) -> None:
        self._serializer = serializer
        self._stream = stream
        self._column = column

    def write(self, data: pa.RecordBatch) -> None:
        if data.num_rows:
            self._stream.write(self._serializer.lines(data, self._column))

    def close(self) -> None:
        """Nothing ends a document of lines."""
