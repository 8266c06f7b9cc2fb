"""One encapsulated message: the unit of which Arrow's files and streams are made, and what it claims about itself.

https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO, Literal, NamedTuple

from ddpm_arrow.errors import truncated
from ddpm_arrow.tables import MalformedError, Table, unpack

Kind = Literal["schema", "dictionary", "batch", "other"]

CONTINUATION = b"\xff\xff\xff\xff"
END_OF_STREAM = CONTINUATION + b"\0\0\0\0"
MAX_METADATA = 16 << 20
"""A message's metadata, or a footer, with more bytes is refused: a schema of 10,000 columns has less than one megabyte."""

_KINDS: dict[int, Kind] = {1: "schema", 2: "dictionary", 3: "batch"}
_PIECE = 4 << 20


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a message's metadata claims.

    Attributes:
        metadata: The FlatBuffer.
        kind: What the message is.
        body_bytes: How many bytes of body follow the metadata.
        rows: Rows of the batch, entries of the dictionary; else 0.
        dictionary: Which dictionary it is; else 0.
        delta: Whether it is added to what is known of this dictionary.
        compressed: Where in the body compressed buffers begin.
        plain_bytes: Bytes of buffers that are not compressed.
    """

    metadata: bytes
    kind: Kind
    body_bytes: int
    rows: int = 0
    dictionary: int = 0
    delta: bool = False
    compressed: tuple[int, ...] = ()
    plain_bytes: int = 0

    @property
    def head(self) -> bytes:
        """What stands before the body, in today's spelling."""
        return CONTINUATION + struct.pack("<i", len(self.metadata)) + self.metadata

    def unpacked_bytes(self, body: bytes | bytearray) -> int:
        """How many bytes the buffers of this body have when they are decompressed, as each of them says.

        Raises:
            MalformedError: A buffer lies outside of the body, or claims a negative size.
        """
        total, view = self.plain_bytes, memoryview(body)
        for at in self.compressed:
            size = unpack("<q", view, at)
            if size < -1:
                raise MalformedError("a compressed buffer of negative size")
            total += max(size, 0)  # -1 says that it is not compressed after all; then it is within the body.
        return total


@dataclass(frozen=True, slots=True)
class Message:
    """An envelope and its body."""

    envelope: Envelope
    body: bytes | bytearray


class Place(NamedTuple):
    """Where in a file a message is: its first byte, the bytes of its prefix and metadata, the bytes of its body."""

    at: int
    head: int
    body: int

    @property
    def end(self) -> int:
        """Where the next one may begin."""
        return self.at + self.head + self.body


def opened(metadata: bytes) -> Envelope:
    """What this metadata claims.

    Raises:
        MalformedError: It is no message.
    """
    message = Table.root(metadata)
    kind = _KINDS.get(message.number(1, "B"), "other")
    header = message.table(2)
    body_bytes = message.number(3, "q")
    if header is None or body_bytes < 0:
        raise MalformedError("a message without content, or of negative size")
    if kind == "dictionary":
        batch = header.table(1)
        if batch is None:
            raise MalformedError("a dictionary without content")
        rows, compressed, plain = _claims(batch)
        return Envelope(metadata, kind, body_bytes, rows, header.number(0, "q"), bool(header.number(2, "B")), compressed, plain)
    if kind == "batch":
        rows, compressed, plain = _claims(header)
        return Envelope(metadata, kind, body_bytes, rows, compressed=compressed, plain_bytes=plain)
    return Envelope(metadata, kind, body_bytes)


def _claims(batch: Table) -> tuple[int, tuple[int, ...], int]:
    """Rows, where compressed buffers begin, and bytes of the others."""
    rows = batch.number(0, "q")
    if rows < 0:
        raise MalformedError("a batch of a negative number of rows")
    buffers = [(at, size) for at, size in batch.structs(2, "<qq") if size > 0]
    if batch.table(3) is None:
        return rows, (), sum(size for _, size in buffers)
    return rows, tuple(at for at, _ in buffers), 0


def opened_schema_length(beginning: bytes) -> int:
    """How long the first message's metadata is in a stream from before Arrow 0.15, which begins with that; 0 when these bytes do not."""
    if len(beginning) < 8:
        return 0
    length, root = struct.unpack("<iI", beginning[:8])
    return int(length) if 8 < length <= MAX_METADATA and length % 8 == 4 and root < length else 0


def read_body(name: str, stream: BinaryIO, size: int, where: str) -> bytearray:
    """A body of so many bytes. Memory is used only for those that are there."""
    body = bytearray()
    while len(body) < size:
        piece = stream.read(min(size - len(body), _PIECE))
        if not piece:
            raise truncated(name, f"a body of {size:,} bytes is announced and {len(body):,} are there", where)
        body += piece
    return body


def schema_of_footer(footer: bytes) -> tuple[bytes, list[Place], list[Place]]:
    """The schema of a file as a message's metadata, and where its dictionaries and its batches are.

    The schema is not copied out: a message is put before the whole footer that points into it, which works since all offsets of a
    FlatBuffer are relative.

    Raises:
        MalformedError: It is no footer.
    """
    table = Table.root(footer)
    schema = table.table(1)
    if schema is None:
        raise MalformedError("a footer without a schema")
    version, header_type = table.number(0, "h"), 1
    vtable = struct.pack("<HHHHH2x", 10, 12, 8, 10, 4)
    front = struct.pack("<I", 16) + vtable + struct.pack("<iIhBx4x", 12, 32 + schema.at - 20, version, header_type)
    padding = -len(footer) % 8
    dictionaries, batches = ([Place(*place) for place in table.structs(field, "<qi4xq")] for field in (2, 3))
    return front + footer + bytes(padding), dictionaries, batches
