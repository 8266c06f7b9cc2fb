"""Writes containers of many rows to files, and one row to a message."""

from __future__ import annotations

import json
import re
import secrets
from io import BytesIO
from typing import Any, BinaryIO

import fastavro
import pyarrow as pa

from ddpm_avro.avro_schema import Encodings, record
from ddpm_avro.container import SYNC_BYTES, block_bytes, encode_long, header_bytes
from ddpm_avro.framing import confluent_head, single_object_head
from ddpm_avro.options import AvroOptions
from ddpm_avro.registry import Registry
from ddpm_core import BuildContext, ConfigError, DataError, DocumentWriter, Serializer

_ROWS = 1_000  # Turned into Python values at once.
_MESSAGE_SYNC = b"ddpm one record."  # Nothing is searched for in a message, so one marker does for all.


def build(options: AvroOptions, context: BuildContext) -> AvroSerializer:
    """A serializer for one run."""
    return AvroSerializer(options)


class AvroSerializer(Serializer):
    """Rows as records of one Avro type, which comes from the Arrow schema."""

    def __init__(self, options: AvroOptions) -> None:
        self._options = options
        self._encoders: dict[pa.Schema, tuple[RowEncoder, bytes]] = {}
        self._registry = Registry(options) if options.schema_registry else None

    def serialize_rows(self, data: pa.RecordBatch) -> list[bytes]:
        """Each payload is one record, framed as the option `framing` says; by default a container of it, which carries its schema.

        Raises:
            RetryableError: The schema registry does not answer.
            FatalError: It never will.
            ConfigError: The framing is confluent, and there is no subject.
        """
        known = self._encoders.get(data.schema)
        if known is None:
            encoder = RowEncoder(data.schema, self._options.record_name)
            known = self._encoders[data.schema] = encoder, self._head(encoder.schema)
        encoder, head = known
        if self._options.framed != "container":
            return [head + datum for datum in encoder.datums(data)]
        return [head + block_bytes("null", 1, datum, _MESSAGE_SYNC) for datum in encoder.datums(data)]

    def _head(self, schema: bytes) -> bytes:
        """What stands before every record of this schema."""
        match self._options.framed:
            case "confluent":
                if self._registry is None or not self._options.subject:
                    raise ConfigError(
                        "writing Avro with framing confluent needs the option subject",
                        hint="For a topic's values mostly TOPIC-value.",
                    )
                return confluent_head(self._registry.register(self._options.subject, schema))
            case "single_object":
                return single_object_head(schema)
            case "bare":
                return b""
        return header_bytes(schema, "null", _MESSAGE_SYNC)

    def document_writer(self, stream: BinaryIO, schema: pa.Schema) -> DocumentWriter:
        return AvroWriter(stream, RowEncoder(schema, self._options.record_name), self._options)


class AvroWriter(DocumentWriter):
    """One container. The header is written at once, a block as soon as it is full."""

    def __init__(self, stream: BinaryIO, encoder: RowEncoder, options: AvroOptions) -> None:
        self._stream = stream
        self._encoder = encoder
        self._options = options
        self._sync = secrets.token_bytes(SYNC_BYTES)
        self._held: list[bytes] = []
        self._rows = 0
        self._size = 0
        stream.write(header_bytes(encoder.schema, options.codec, self._sync))

    def write(self, data: pa.RecordBatch) -> None:
        # All of it is encoded before any of it is taken: of a batch that cannot be written, nothing is in the document.
        for rows, encoded in self._encoded(data):
            self._held.append(encoded)
            self._rows += rows
            self._size += len(encoded)
            if self._size >= self._options.block_bytes:
                self._flush()

    def _encoded(self, data: pa.RecordBatch) -> list[tuple[int, bytes]]:
        """The rows in pieces, each with how many rows it has: as many as the block has room for, if they are as long as those before."""
        pieces: list[tuple[int, bytes]] = []
        held, size, start = self._rows, self._size, 0
        while start < data.num_rows:
            usual = max(1, size // held) if held else 256
            rows = min(max(1, (self._options.block_bytes - size) // usual), _ROWS, data.num_rows - start)
            pieces.append((rows, self._encoder.together(data.slice(start, rows))))
            held, size, start = held + rows, size + len(pieces[-1][1]), start + rows
            if size >= self._options.block_bytes:
                held = size = 0
        return pieces

    def close(self) -> None:
        self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._stream.write(block_bytes(self._options.codec, self._rows, b"".join(self._held), self._sync))
        self._held, self._rows, self._size = [], 0, 0


class RowEncoder:
    """Encodes rows of one Arrow schema.

    Attributes:
        schema: The Avro schema in JSON.

    Raises:
        DataError: A column cannot be written as Avro.
    """

    def __init__(self, schema: pa.Schema, name: str) -> None:
        encodings = Encodings(name)
        self._columns = [(field.name, encodings.column(field, field.name)) for field in schema]
        twice = [field.name for field in schema if len(schema.get_all_field_indices(field.name)) > 1]
        if twice:
            raise DataError(f"two columns are named {twice[0]!r}", reason="avro_name", hint="Rename one of them.")
        full, plain = record(self._columns, name)
        self.schema = json.dumps(full, separators=(",", ":")).encode()
        self._row = fastavro.parse_schema(plain)
        self._rows = fastavro.parse_schema({"type": "array", "items": plain})

    def datums(self, data: pa.RecordBatch) -> list[bytes]:
        """The encoding of each row."""
        out = []
        for start in range(0, data.num_rows, _ROWS):
            for row in self._values(data.slice(start, _ROWS)):
                stream = BytesIO()
                self._write(stream, self._row, row)
                out.append(stream.getvalue())
        return out

    def together(self, data: pa.RecordBatch) -> bytes:
        """The encodings of all rows, one after the other."""
        stream = BytesIO()
        self._write(stream, self._rows, self._values(data))
        # An array is its length, its items, and a zero.
        return stream.getvalue()[len(encode_long(data.num_rows)) : -1]

    def _values(self, data: pa.RecordBatch) -> list[dict[str, object]]:
        columns = [made.prepare(column) for (_, made), column in zip(self._columns, data.columns, strict=True)]
        names = [name for name, _ in self._columns]
        try:
            values = [column.to_pylist(maps_as_pydicts="strict") for column in columns]
        except KeyError as error:
            found = re.search(r"duplicate key was (.*)\)", str(error), re.DOTALL)  # In pyarrow's message.
            key = f"the key {found[1]}" if found else "a key"
            raise DataError(f"a map has {key} twice, which Avro does not allow", reason="avro_type") from error
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)] if names else [{}] * data.num_rows

    def _write(self, stream: BytesIO, schema: Any, value: object) -> None:
        try:
            fastavro.schemaless_writer(stream, schema, value)
        except (ValueError, TypeError, OverflowError, UnicodeError) as error:
            raise DataError(f"a row cannot be written as Avro: {error}", reason="avro_type") from error
