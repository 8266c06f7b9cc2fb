"""COPY: record batches as the bytes that the server takes, handed to libpq piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv as pa_csv
from pgpq import ArrowToPostgresBinaryEncoder
from pgpq.encoders import StringEncoderBuilder
from pgpq.schema import Jsonb

from ddpm_postgres.text import csv_column
from ddpm_postgres.types import Way

PIECE_BYTES = 1 << 20
"""About how much is encoded at a time: libpq sends while the next piece waits, and memory stays flat."""

Encoding = Literal["binary", "csv"]
OPTIONS: Mapping[Encoding, str] = {"binary": "FORMAT binary", "csv": "FORMAT csv"}


class NotEncodableError(Exception):
    """pgpq cannot write these values: a date that Postgres does not have, say. The server judges them, in text."""


class CopyStream:
    """The file that `copy_expert` reads. Each read returns a whole piece, whatever size is asked for: nothing is copied again.

    psycopg2 turns an exception raised here into an error of the server's (it cancels the COPY), so it is kept in `error`.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.error: BaseException | None = None

    def read(self, size: int = -1, /) -> bytes:
        try:
            # An empty piece would end the COPY, and the server takes a binary COPY without its trailer for complete.
            return next(filter(None, self._pieces), b"")
        except BaseException as error:
            self.error = error
            raise

    def readline(self, size: int = -1, /) -> bytes:
        return self.read(size)


def encoding_for(data: pa.RecordBatch, ways: Mapping[str, Way]) -> Encoding:
    """Binary, unless a column that has values can only go as text."""
    return "csv" if any(ways[name] == "text" for name in data.schema.names) else "binary"


def stream(data: pa.RecordBatch, ways: Mapping[str, Way], encoding: Encoding) -> CopyStream:
    """The rows, encoded as they are read."""
    return CopyStream(_binary(data, ways) if encoding == "binary" else _csv(data))


def _binary(data: pa.RecordBatch, ways: Mapping[str, Way]) -> Iterator[bytes]:
    columns = [column.storage if isinstance(column.type, pa.BaseExtensionType) else column for column in data.columns]
    # The names are not sent. Plain ones keep those that repeat or that Rust would not like out of pgpq.
    schema = pa.schema([pa.field(str(i), column.type) for i, column in enumerate(columns)])
    plain = pa.record_batch(columns, schema=schema)
    try:
        encoder = ArrowToPostgresBinaryEncoder.new_with_encoders(schema, _encoders(schema, data.schema.names, ways))
        yield encoder.write_header()
        for piece in _pieces(plain):
            yield encoder.write_batch(piece)
        yield encoder.finish()
    except GeneratorExit:
        raise
    except BaseException as error:
        # A panic of pgpq's Rust derives from BaseException.
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise NotEncodableError(str(error)) from None
        raise


def _encoders(schema: pa.Schema, names: list[str], ways: Mapping[str, Way]) -> dict[str, Any]:
    infer = ArrowToPostgresBinaryEncoder.infer_encoder
    return {
        field.name: StringEncoderBuilder.new_with_output(field, Jsonb()) if ways[name] == "jsonb" else infer(field)
        for field, name in zip(schema, names, strict=True)
    }


def _csv(data: pa.RecordBatch) -> Iterator[bytes]:
    # Strings are quoted and nulls are not, which is how Postgres tells "" from NULL.
    options = pa_csv.WriteOptions(include_header=False, quoting_style="needed")
    schema: pa.Schema | None = None
    for piece in _pieces(data):
        columns = [csv_column(column) for column in piece.columns]
        schema = schema or pa.schema([pa.field(str(i), column.type) for i, column in enumerate(columns)])
        sink = BytesIO()
        pa_csv.write_csv(pa.record_batch(columns, schema=schema), sink, options)
        yield sink.getvalue()


def _pieces(data: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    rows = max(1, data.num_rows * PIECE_BYTES // max(1, data.nbytes))
    for start in range(0, data.num_rows, rows):
        yield data.slice(start, rows)
