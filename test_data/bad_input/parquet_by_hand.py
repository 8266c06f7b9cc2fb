"""Parquet files put together by hand, whose page headers and footers say what one likes.

https://parquet.apache.org/docs/file-format/ and Thrift's compact protocol.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLE, BYTE_ARRAY, FIXED = range(8)
REQUIRED, OPTIONAL, REPEATED = range(3)
PLAIN, RLE, DELTA_BYTE_ARRAY, RLE_DICTIONARY = 0, 3, 7, 8
UNCOMPRESSED, SNAPPY, GZIP, ZSTD = 0, 1, 2, 6
DATA, DICTIONARY, DATA_V2 = 0, 2, 3


@dataclass(frozen=True)
class I32:
    value: int


@dataclass(frozen=True)
class I64:
    value: int


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _zigzag(value: int, bits: int) -> bytes:
    return varint(((value << 1) ^ (value >> (bits - 1))) & ((1 << bits) - 1))


def _kind(value: Any) -> int:
    if isinstance(value, bool):
        return 1 if value else 2
    for made, kind in ((I32, 5), (I64, 6), (bytes, 8), (str, 8), (list, 9), (dict, 12)):
        if isinstance(value, made):
            return kind
    raise TypeError(value)


def thrift(value: Any) -> bytes:
    """A value in the compact protocol; a struct is a dict of field number to value."""
    match value:
        case bool():
            return b""
        case I32(number):
            return _zigzag(number, 32)
        case I64(number):
            return _zigzag(number, 64)
        case bytes() | str():
            raw = value.encode() if isinstance(value, str) else value
            return varint(len(raw)) + raw
        case list():
            kind = _kind(value[0]) if value else 12
            head = bytes([len(value) << 4 | kind]) if len(value) < 15 else bytes([0xF0 | kind]) + varint(len(value))
            return head + b"".join(map(thrift, value))
        case dict():
            out, last = b"", 0
            for number, member in sorted(value.items()):
                out += bytes([(number - last) << 4 | _kind(member)]) + thrift(member)
                last = number
            return out + b"\0"
    raise TypeError(value)


def run(value: int, count: int, width: int = 1) -> bytes:
    """One value so many times, in run lengths."""
    return varint(count << 1) + value.to_bytes((width + 7) // 8, "little")


def levels(*runs: bytes) -> bytes:
    """Levels of a data page: their length, and their runs."""
    data = b"".join(runs)
    return len(data).to_bytes(4, "little") + data


def page(stored: bytes, values: int, size: int, *, encoding: int = PLAIN, kind: int = DATA, checksum: int | None = None) -> bytes:
    """A page of `values` values: `stored` are its bytes as they are in the file, `size` is what they claim to become."""
    head: dict[int, Any] = {1: I32(kind), 2: I32(size), 3: I32(len(stored))}
    if checksum is not None:
        head[4] = I32(checksum - (1 << 32) if checksum >> 31 else checksum)
    if kind == DICTIONARY:
        head[7] = {1: I32(values), 2: I32(encoding)}
    else:
        head[5] = {1: I32(values), 2: I32(encoding), 3: I32(RLE), 4: I32(RLE)}
    return thrift(head) + stored


def checked(stored: bytes, values: int, size: int) -> bytes:
    """A page whose checksum is right."""
    return page(stored, values, size, checksum=zlib.crc32(stored))


@dataclass
class Column:
    """A column chunk.

    Attributes:
        pages: Its bytes.
        values: How many values the footer says it has.
        size: How large the footer says its pages are, decompressed; None: as large as they are stored.
        lists: Whether each row is a list of values.
        dictionary: How many bytes of the pages are the dictionary's.
    """

    name: str
    type: int
    pages: bytes
    values: int
    size: int | None = None
    codec: int = UNCOMPRESSED
    encodings: tuple[int, ...] = (PLAIN, RLE)
    lists: bool = False
    dictionary: int = 0
    text: bool = False


def parquet(rows: int, *columns: Column, groups: int = 1, footer_length: int | None = None) -> bytes:
    """A whole file; all row groups share the bytes of the first."""
    out = bytearray(b"PAR1")
    chunks = []
    for column in columns:
        start = len(out)
        out += column.pages
        path = [column.name, "list", "element"] if column.lists else [column.name]
        about: dict[int, Any] = {
            1: I32(column.type), 2: [I32(encoding) for encoding in column.encodings], 3: path, 4: I32(column.codec), 5: I64(column.values),
            6: I64(column.size if column.size is not None else len(column.pages)), 7: I64(len(column.pages)), 9: I64(start + column.dictionary),
        }  # fmt: skip
        if column.dictionary:
            about[11] = I64(start)
        chunks.append({2: I64(start), 3: about})
    group = {1: chunks, 2: I64(sum(len(column.pages) for column in columns)), 3: I64(rows)}
    schema: list[dict[int, Any]] = [{4: "schema", 5: I32(len(columns))}]
    for column in columns:
        schema += _elements(column)
    footer = thrift({1: I32(2), 2: schema, 3: I64(rows * groups), 4: [group] * groups})
    length = len(footer) if footer_length is None else footer_length
    return bytes(out) + footer + length.to_bytes(4, "little") + b"PAR1"


def _elements(column: Column) -> list[dict[int, Any]]:
    leaf: dict[int, Any] = {1: I32(column.type), 3: I32(REQUIRED), 4: "element" if column.lists else column.name}
    if column.text:
        leaf[6] = I32(0)  # UTF8
    if not column.lists:
        return [leaf]
    return [{3: I32(REQUIRED), 4: column.name, 5: I32(1), 6: I32(3)}, {3: I32(REPEATED), 4: "list", 5: I32(1)}, leaf]
