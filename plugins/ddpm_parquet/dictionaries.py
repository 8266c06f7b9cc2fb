"""The longest text of a column's dictionary, found by pyarrow's own decoder without looking at the column's values.

Asked for the column as a dictionary, pyarrow would also put every text into a hash table and unpack a page of indexes: twice to three
times the work, and twice the memory. But the body of a dictionary page is byte for byte that of a data page of a required column: each text behind its length,
compressed with the column's codec. So it is put, as it is, into a Parquet file in memory that has that page and nothing else.

https://parquet.apache.org/docs/file-format/ and
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift, written in Thrift's compact protocol.
"""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa

from ddpm_parquet.pages import Page, PageError
from ddpm_parquet.reader import open_reader

_AT_ONCE = 65_536
_PIECE_BYTES = 64 << 10
_MAGIC = b"PAR1"
_REQUIRED, _BYTE_ARRAY, _DATA_PAGE, _PLAIN, _RLE = 0, 6, 0, 0, 3

# By the names that pyarrow has for them: it calls LZ4_RAW `LZ4`, and has none for the older LZ4, which frames pages as Hadoop does.
_CODECS = {
    "UNCOMPRESSED": 0,
    "SNAPPY": 1,
    "GZIP": 2,
    "LZO": 3,
    "BROTLI": 4,
    "UNKNOWN": 5,
    "LZ4_HADOOP": 5,
    "ZSTD": 6,
    "LZ4": 7,
    "LZ4_RAW": 7,
}

_Value = tuple[int, bytes]
"""Its type in the compact protocol, and what is written."""


def longest_text(stream: BinaryIO, page: Page, codec: str) -> int:
    """Bytes of the longest text in this dictionary page.

    Args:
        codec: As pyarrow calls it.

    Raises:
        PageError: It ends too early, or nobody knows its codec.
        pa.ArrowException, OSError: It cannot be read, or is damaged.
    """
    if not page.values:
        return 0
    if codec not in _CODECS:
        raise PageError(f"a dictionary is compressed with the unknown codec {codec}")
    # `pyarrow.compute` makes hundreds of functions when it is imported, which takes 45 ms; most runs of Parquet need none but these two.
    from pyarrow._compute import call_function

    # With its checksum: what is damaged is called so here, as it would be later.
    reader = open_reader(pa.BufferReader(_wrapped(stream, page, _CODECS[codec])))
    longest = 0
    for batch in reader.iter_batches(_AT_ONCE, [0], None, False):
        lengths = call_function("binary_length", [batch.column(0)])
        longest = max(longest, call_function("max", [lengths]).as_py())
    return longest


def _wrapped(stream: BinaryIO, page: Page, codec: int) -> pa.Buffer:
    """A Parquet file of one column, whose only page has this body.

    In small pieces into memory of pyarrow, which keeps it for the next time: as `bytes`, the system would have to clear it each time.
    """
    before, behind = _around(page, codec)
    buffer = pa.allocate_buffer(len(before) + page.stored + len(behind))
    stream.seek(page.at)
    with pa.FixedSizeBufferWriter(buffer) as out:
        out.write(before)
        left = page.stored
        while left:
            piece = stream.read(min(_PIECE_BYTES, left))
            if not piece:
                raise PageError("a dictionary ends too early")
            out.write(piece)
            left -= len(piece)
        out.write(behind)
    return buffer


def _around(page: Page, codec: int) -> tuple[bytes, bytes]:
    """What stands before the body and behind it. All sizes are what the page's own header says."""
    about = {1: _i32(page.values), 2: _i32(_PLAIN), 3: _i32(_RLE), 4: _i32(_RLE)}
    header = {1: _i32(_DATA_PAGE), 2: _i32(page.size), 3: _i32(page.stored), 5: _struct(about)}
    if page.checksum is not None:
        header[4] = _i32(page.checksum)
    _, head = _struct(header)
    column = {
        1: _i32(_BYTE_ARRAY),
        2: _list([_i32(_PLAIN)]),
        3: _list([_binary(b"text")]),
        4: _i32(codec),
        5: _i64(page.values),
        6: _i64(len(head) + page.size),
        7: _i64(len(head) + page.stored),
        9: _i64(len(_MAGIC)),
    }
    group = {
        1: _list([_struct({2: _i64(0), 3: _struct(column)})]),
        2: _i64(len(head) + page.size),
        3: _i64(page.values),
    }
    root = _struct({4: _binary(b"dictionary"), 5: _i32(1)})
    text = _struct({1: _i32(_BYTE_ARRAY), 3: _i32(_REQUIRED), 4: _binary(b"text")})
    _, footer = _struct({1: _i32(1), 2: _list([root, text]), 3: _i64(page.values), 4: _list([_struct(group)])})
    return _MAGIC + head, footer + len(footer).to_bytes(4, "little") + _MAGIC


def _i32(number: int) -> _Value:
    return 5, _zigzag(number)


def _i64(number: int) -> _Value:
    return 6, _zigzag(number)


def _binary(data: bytes) -> _Value:
    return 8, _varint(len(data)) + data


def _list(items: list[_Value]) -> _Value:
    """Of up to 14 items, all of one type."""
    return 9, bytes([len(items) << 4 | items[0][0]]) + b"".join(data for _, data in items)


def _struct(fields: dict[int, _Value]) -> _Value:
    """Each field's number is written as what it is more than the one before: up to 15."""
    out = bytearray()
    before = 0
    for number, (kind, data) in sorted(fields.items()):
        out += bytes([(number - before) << 4 | kind]) + data
        before = number
    return 12, bytes(out) + b"\0"


def _zigzag(number: int) -> bytes:
    return _varint(number << 1 if number >= 0 else (-number << 1) - 1)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])
