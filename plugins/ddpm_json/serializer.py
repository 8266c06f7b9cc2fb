"""The serializer of the format `json`: one object for each row."""

from __future__ import annotations

from typing import BinaryIO

import orjson
import pyarrow as pa

from ddpm_core import BuildContext, DataError, DocumentWriter, Serializer
from ddpm_json.options import JsonOptions
from ddpm_json.rendering import rendered


class JsonSerializer(Serializer):
    """Writes each row as one JSON object on one line; a document of them is NDJSON.

    Times are ISO 8601, with a Z where the column has a time zone; decimals are numbers with all their digits; binary is base64;
    json columns are embedded as JSON, not quoted. NaN and infinities, which JSON lacks, are refused with `number_range`, nested ones too.
    """

    def serialize_rows(self, data: pa.RecordBatch) -> list[bytes]:
        names = _names(data.schema)
        columns = []
        for name, column in zip(names, data.columns, strict=True):
            try:
                columns.append(rendered(column))
            except DataError as error:
                raise DataError(f"column {name!r}: {error.message}", reason=error.reason) from None
        rows = zip(*columns, strict=True) if columns else iter([()] * data.num_rows)
        try:
            return [orjson.dumps(dict(zip(names, row, strict=True))) for row in rows]
        except orjson.JSONEncodeError as error:
            raise DataError(f"a row cannot be written as JSON: {error}", reason="json_invalid") from None

    def document_writer(self, stream: BinaryIO, schema: pa.Schema) -> DocumentWriter:
        _names(schema)
        return NdjsonWriter(self, stream)


class NdjsonWriter(DocumentWriter):
    """Writes one object on each line. Of a batch with a row that JSON cannot hold, nothing is written."""

    def __init__(self, serializer: JsonSerializer, stream: BinaryIO) -> None:
        self._serializer = serializer
        self._stream = stream

    def write(self, data: pa.RecordBatch) -> None:
        if data.num_rows:
            self._stream.write(b"\n".join([*self._serializer.serialize_rows(data), b""]))

    def close(self) -> None:
        """Nothing ends an NDJSON document."""


def _names(schema: pa.Schema) -> list[str]:
    names: list[str] = schema.names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"two columns are called {twice!r}, and a JSON object holds a name once", reason="duplicate_column")
    return names


def build(_: JsonOptions, __: BuildContext) -> JsonSerializer:
    """The serializer for a run."""
    return JsonSerializer()
