"""The object container file: a header, then blocks, each closed by the header's sync marker.

https://avro.apache.org/docs/1.12.0/specification/#object-container-files
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

from ddpm_avro.codecs import CODECS, CorruptError, compress, decompress, too_large
from ddpm_avro.limits import Shape
from ddpm_core import DataError, Document

MAGIC = b"Obj\x01"
SYNC_BYTES = 16
_MAX_HEADER = 16 << 20
_READ = 256 << 10
_LOOKS_LIKE = (
    (b"PAR1", "a Parquet file", "--format parquet"),
    (b"{", "JSON", "--format json"),
    (b"[", "JSON", "--format json"),
    (b"\xef\xbb\xbf", "text", "--format json, or what else it is"),
    (b"\xc3\x01", "a single Avro message without a container", ""),
    (b"\x1f\x8b", "compressed with gzip", "gunzip first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unzstd first"),
    (b"PK\x03\x04", "a ZIP archive", "unzip first"),
    (b"ORC", "an ORC file", ""),
    (b"Obj", "a container of an older Avro version", ""),
)


_REMEDY = {
    "decompressed_size": "raise max_block_bytes if that is no mistake",
    "collection_limit": "write the file again in smaller blocks",
}


class TruncatedError(Exception):
    """The bytes end before what was asked for."""


class ByteReader:
    """Reads a stream forward, in large pieces, and knows where it is. Takes short reads, as pipes give them."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._buffer = b""
        self._next = 0
        self.at = 0

    def seek(self, at: int) -> None:
        """Go on at this byte of the stream."""
        self._stream.seek(at)
        self._buffer, self._next, self.at = b"", 0, at

    def at_end(self) -> bool:
        """Whether nothing more comes."""
        if self._next == len(self._buffer):
            self._buffer, self._next = self._stream.read(_READ) or b"", 0
        return not self._buffer

    def peek(self, size: int) -> bytes:
        """Up to `size` of the next bytes, which stay the next ones."""
        while len(self._buffer) - self._next < size:
            more = self._stream.read(_READ)
            if not more:
                break
            self._buffer, self._next = self._buffer[self._next :] + more, 0
        return self._buffer[self._next : self._next + size]

    def take(self, size: int) -> bytes:
        """The next `size` bytes. Memory is used only for what is there. Raises `TruncatedError`."""
        got = self._buffer[self._next : self._next + size]
        self._next += len(got)
        self.at += len(got)
        if len(got) == size:
            return got
        parts, missing = [got], size - len(got)
        while missing:
            if self.at_end():
                raise TruncatedError
            part = self._buffer[self._next : self._next + missing]
            self._next += len(part)
            self.at += len(part)
            missing -= len(part)
            parts.append(part)
        return b"".join(parts)

    def long(self) -> int:
        """The next number. Raises `TruncatedError`, and `ValueError` when it is longer than 64 bits can be."""
        result = shift = 0
        while True:
            byte = self.take(1)[0]
            result |= (byte & 127) << shift
            if byte < 128:
                return (result >> 1) ^ -(result & 1)
            shift += 7
            if shift > 63:
                raise ValueError("a number longer than 10 bytes")


@dataclass(frozen=True, slots=True)
class Header:
    """What every block of a container needs.

    Attributes:
        schema: The writer's schema in JSON, as stored.
        codec: How blocks are compressed.
        sync: The marker that ends every block.
        end: Where the first block begins.
    """

    schema: bytes
    codec: str
    sync: bytes
    end: int

    def container(self, count: int, data: bytes) -> bytes:
        """A complete container, not compressed, of one block with these records."""
        return header_bytes(self.schema, "null", self.sync) + block_bytes("null", count, data, self.sync)

    def container_of_stored(self, count: int, stored: bytes) -> bytes:
        """A complete container of one block whose bytes are compressed already."""
        return header_bytes(self.schema, self.codec, self.sync) + stored_block(count, stored, self.sync)


@dataclass(frozen=True, slots=True)
class Block:
    """One block.

    Attributes:
        at: Where in the document it begins.
        end: Where the next one begins.
        count: How many records its header says.
        data: Its records, decompressed; or its stored bytes when `problem` is set.
        problem: Why it could not be decompressed, or an empty string.
    """

    at: int
    end: int
    count: int
    data: bytes
    problem: str = ""


class Container:
    """A document as a container: its header is read when this is made, its blocks by `blocks`."""

    def __init__(self, document: Document, max_block_bytes: int) -> None:
        self._document = document
        self._limit = max_block_bytes
        resume = document.start.detail.get("resume", {})
        self._start = int(resume.get("byte", 0))
        self._records = document.start.offset - int(resume.get("skip", 0))
        if self._start:
            document.stream.seek(0)
        self._reader = ByteReader(document.stream)
        self.header = self._read_header()

    def blocks(self, shape: Shape) -> Iterator[Block]:
        """The blocks from `document.start` on, with records of this shape.

        Raises:
            DataError: The next block is not whole (`avro_truncated`), not at its place (`avro_invalid`) or too large
                (`decompressed_size`), or has more records than can be (`collection_limit`). Those before it are fine.
        """
        if self._start:
            self._reader.seek(self._start)
        while not self._reader.at_end():
            block = self._read_block(shape)
            yield block
            self._records += block.count

    def _read_header(self) -> Header:
        reader, name = self._reader, self._document.name
        if reader.at_end():
            raise DataError(f"{name} is empty: not even the header of an Avro file is there", reason="avro_truncated")
        beginning = reader.peek(64)
        if not beginning.startswith(MAGIC) and not MAGIC.startswith(beginning):
            raise wrong_format(name, beginning)
        try:
            reader.take(len(MAGIC))
            metadata = self._read_metadata()
            sync = reader.take(SYNC_BYTES)
        except TruncatedError:
            raise DataError(
                f"{name} ends in the middle of the Avro header, at byte {reader.at:,}",
                reason="avro_truncated",
                hint="Copy the file again, or run again when it is complete.",
            ) from None
        except ValueError as error:
            raise DataError(f"{name}: the Avro header is damaged at byte {reader.at:,}: {error}", reason="avro_invalid") from None
        codec = metadata.get(b"avro.codec", b"null").decode("utf-8", "replace")
        if codec not in CODECS:
            raise DataError(
                f"{name} is compressed with {codec!r}, which is not known",
                reason="avro_codec",
                hint=f"Write it again with one of {', '.join(CODECS)}.",
            )
        if b"avro.schema" not in metadata:
            raise DataError(f"{name}: the Avro header has no schema", reason="avro_invalid")
        return Header(metadata[b"avro.schema"], codec, sync, reader.at)

    def _read_metadata(self) -> dict[bytes, bytes]:
        metadata: dict[bytes, bytes] = {}
        while count := self._reader.long():
            if count < 0:
                count = -count
                self._reader.long()
            for _ in range(count):
                key = self._text()
                metadata[key] = self._text()
        return metadata

    def _text(self) -> bytes:
        size = self._reader.long()
        if size < 0 or self._reader.at + size > _MAX_HEADER:
            raise ValueError(f"a text of {size:,} bytes")
        return self._reader.take(size)

    def _read_block(self, shape: Shape) -> Block:
        at = self._reader.at
        try:
            return self._take_block(at, shape)
        except TruncatedError:
            self._fail(at, "avro_truncated", "the file ends in the middle of a block", "run again when the file is complete")
        except ValueError as error:
            self._fail(at, "avro_invalid", f"the block is damaged: {error}", "copy the file again")
        except DataError as error:
            self._fail(at, error.reason, f"the block is refused: {error.message}", _REMEDY[error.reason])

    def _take_block(self, at: int, shape: Shape) -> Block:
        reader, limit = self._reader, self._limit
        count, size = reader.long(), reader.long()
        if count < 0 or size < 0:
            raise ValueError(f"{count:,} records in {size:,} bytes")
        if size > limit + 1024:  # What does not compress is stored a little longer than it is.
            raise too_large(limit)
        stored = reader.take(size)
        if reader.take(SYNC_BYTES) != self.header.sync:
            raise ValueError("it does not end with the sync marker")
        data, problem = stored, ""
        try:
            data = decompress(self.header.codec, stored, limit)
        except CorruptError as error:
            problem = str(error)
        shape.check(count, len(data), self._records, readable=not problem)
        return Block(at, reader.at, count, data, problem)

    def _fail(self, at: int, reason: str, what: str, hint: str) -> NoReturn:
        raise DataError(
            f"{self._document.name}, byte {at:,}: {what}",
            reason=reason,
            hint=f"The {self._records:,} records before it are fine; {hint}.",
        ) from None


def wrong_format(name: str, beginning: bytes) -> DataError:
    """The error for a document that is no container; says what it looks like."""
    text = beginning.lstrip()
    for magic, what, remedy in _LOOKS_LIKE:
        if text.startswith(magic):
            return DataError(
                f"{name} is no Avro file: it looks like {what}", reason="wrong_format", hint=f"Try {remedy}." if remedy else ""
            )
    return DataError(
        f"{name} is no Avro file: it begins with {beginning[:8]!r} instead of {MAGIC!r}",
        reason="wrong_format",
        hint="Name the right format with --format.",
    )


def encode_long(value: int) -> bytes:
    """A number as Avro writes it."""
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def header_bytes(schema: bytes, codec: str, sync: bytes) -> bytes:
    """A container's beginning."""
    entries = ((b"avro.codec", codec.encode()), (b"avro.schema", schema))
    texts = b"".join(encode_long(len(text)) + text for entry in entries for text in entry)
    return MAGIC + encode_long(len(entries)) + texts + b"\x00" + sync


def block_bytes(codec: str, count: int, data: bytes, sync: bytes) -> bytes:
    """One block of a container."""
    return stored_block(count, compress(codec, data), sync)


def stored_block(count: int, stored: bytes, sync: bytes) -> bytes:
    """One block whose bytes are compressed already."""
    return encode_long(count) + encode_long(len(stored)) + stored + sync
