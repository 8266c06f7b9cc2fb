"""Hostile Parquet: from pyarrow's writer, with its bytes damaged, and put together by hand."""

from __future__ import annotations

import io
import itertools
import struct
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from test_data.bad_input import parquet_by_hand as hand
from test_data.bad_input.case import Cases
from test_data.bad_input.parquet_by_hand import Column, levels, page, parquet, run

MEGABYTE = 1 << 20


def written(table: pa.Table | None = None, **options: Any) -> bytes:
    out = io.BytesIO()
    table = table if table is not None else pa.table({"id": range(1000), "name": [f"name {n}" for n in range(1000)]})
    pq.write_table(table, out, **{"row_group_size": 100, "write_page_checksum": True, **options})
    return out.getvalue()


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def footer_start(data: bytes) -> int:
    return len(data) - 8 - int.from_bytes(data[-8:-4], "little")


def constant(value: pa.Scalar, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array([value.as_py()], value.type))


def many_rows(rows: int) -> bytes:
    """So many times one number, in run lengths: a dictionary, and a page for every 2^28 rows."""
    dictionary = page(struct.pack("<q", 7), 1, 8, kind=hand.DICTIONARY)
    data = b"\x01" + run(0, rows)
    pages = dictionary + page(data, rows, len(data), encoding=hand.RLE_DICTIONARY)
    column = Column("n", hand.INT64, pages, rows, encodings=(hand.PLAIN, hand.RLE, hand.RLE_DICTIONARY), dictionary=len(dictionary))
    return parquet(rows, column)


def cases() -> Cases:
    """All of them."""
    c = Cases("parquet", "parquet_cases.py")
    _whole(c)
    _footers(c)
    _columns(c)
    _pages(c)
    _bombs(c)
    return c


def _whole(c: Cases) -> None:
    good = written()
    c.add("empty file", b"")
    c.add("without rows", written(pa.table({"id": pa.array([], pa.int64())})))
    c.add("without row groups", written(pa.table({"id": pa.array([], pa.int64())}).slice(0, 0)))
    c.add("without columns", written(pa.table({})))
    c.add("only the magic", b"PAR1")
    c.add("both magics and nothing between", b"PAR1" + bytes(4) + b"PAR1")
    c.add("JSON named Parquet", b'{"id": 1}\n')
    c.add("cut off", good[:-100], process=True)
    c.add("beginning cut off", good[100:])
    c.add("encrypted, with an encrypted footer", good[:-4].replace(b"PAR1", b"PARE", 1) + b"PARE")
    c.add("encrypted, with a footer for all to read", _encrypted(), process=True)


def _encrypted() -> bytes:
    """By pyarrow, with keys that it gets from a service which keeps them in memory."""
    from pyarrow.parquet import encryption

    class Keys(encryption.KmsClient):  # type: ignore[misc]
        def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
            return key_bytes.hex().encode()

        def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
            return bytes.fromhex(bytes(wrapped_key).decode())

    wanted = encryption.EncryptionConfiguration(footer_key="f", column_keys={"c": ["id"]}, plaintext_footer=True)
    factory = encryption.CryptoFactory(lambda _: Keys())
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), wanted)
    table = pa.table({"id": range(10), "name": ["x"] * 10})
    out = io.BytesIO()
    with pq.ParquetWriter(out, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    return out.getvalue()


def _footers(c: Cases) -> None:
    good = written()
    start = footer_start(good)
    for name, length in (
        ("0 bytes", 0),
        ("more than the file has", 1 << 30),
        ("4 GB", (1 << 32) - 1),
        ("a byte too few", len(good) - 8 - start - 1),
    ):
        c.add(f"footer that claims {name}", good[:-8] + length.to_bytes(4, "little") + b"PAR1")
    c.add("footer of zeros", good[:start] + bytes(len(good) - 8 - start) + good[-8:])
    c.add("footer of ones", good[:start] + b"\xff" * (len(good) - 8 - start) + good[-8:])
    for at in (2, 20, 60, 150, 300, 600, 1000):
        c.add(f"footer with byte {at} wrong", flipped(good, start + at))
    number = struct.pack("<q", 5)
    plain = page(number, 1, 8)
    c.add("footer whose list claims 2^31 row groups", _claims_many_groups())
    c.add("footer that claims more rows than there are", parquet(100, Column("n", hand.INT64, plain, 1)))
    c.add("footer that claims fewer rows than there are", parquet(1, Column("n", hand.INT64, page(number * 3, 3, 24), 3)))
    c.add("footer that claims 2^62 rows", parquet(1 << 62, Column("n", hand.INT64, plain, 1 << 62)))
    c.add("footer that claims -1 rows", parquet(-1, Column("n", hand.INT64, plain, -1)))
    c.add("footer that claims 2^62 bytes of a column", parquet(1, Column("n", hand.INT64, plain, 1, size=1 << 62)))
    c.add("footer that claims -1 bytes of a column", parquet(1, Column("n", hand.INT64, plain, 1, size=-1)))
    c.add(
        "footer with two columns of different lengths",
        parquet(3, Column("a", hand.INT64, page(number * 3, 3, 24), 3), Column("b", hand.INT64, plain, 1)),
    )
    c.add("10,000 row groups that share their bytes", lambda: parquet(1, Column("n", hand.INT64, plain, 1), groups=10_000))


def _claims_many_groups() -> bytes:
    data = parquet(1, Column("n", hand.INT64, page(struct.pack("<q", 5), 1, 8), 1))
    start = footer_start(data)
    footer = data[start:-8]
    # Field 4, a list of one struct, becomes a list that says it has 2^31 - 1 of them.
    at = footer.index(b"\x19\x1c\x19")
    footer = footer[: at + 1] + b"\xfc" + hand.varint((1 << 31) - 1) + footer[at + 2 :]
    return data[:start] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def _columns(c: Cases) -> None:
    nested = pa.array([1])
    for n in range(120):
        nested = pa.StructArray.from_arrays([nested], [f"f{n}"])
    c.add("columns nested 120 deep, which is allowed", written(pa.table({"a": nested})))
    for n in range(30):
        nested = pa.StructArray.from_arrays([nested], [f"g{n}"])
    c.add("columns nested 150 deep", written(pa.table({"a": nested})), process=True)
    c.add("columns nested over max_depth", written(pa.table({"a": [{"b": {"c": 1}}]})), max_depth=2)
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    c.add("two columns of one name", written(twice), process=True)
    c.add("columns that differ in case", written(pa.table({"a": [1], "A": [2]})))
    c.add("a column without a name", written(pa.table({"": [1]})))
    c.add("2,000 columns", lambda: written(pa.table({f"c{n}": [n] for n in range(2_000)})))
    far = pa.table({"t": pa.array([0, 1 << 62], pa.timestamp("us"))})
    c.add("timestamp far in the future", written(far))
    c.add("date far in the future", written(pa.table({"d": pa.array([0, 1 << 30], pa.date32())})))
    days = pa.table({"t": pa.array([0, 1_000], pa.timestamp("ns"))})
    c.add("INT96 timestamps", written(days, use_deprecated_int96_timestamps=True))
    julian = struct.pack("<qI", 0, 5_373_485)  # 9999-12-31
    c.add("INT96 timestamp beyond the nanoseconds' range", parquet(1, Column("t", hand.INT96, page(julian, 1, 12), 1)))
    c.add("INT96 timestamp beyond any", parquet(1, Column("t", hand.INT96, page(b"\xff" * 12, 1, 12), 1)))
    wrong = b"\4\0\0\0good" + b"\2\0\0\0\xff\xfe" + b"\4\0\0\0good"
    c.add(
        "text that is not UTF-8", parquet(3, Column("s", hand.BYTE_ARRAY, page(wrong, 3, len(wrong)), 3, text=True)), process=True
    )
    c.add("NUL in a text", written(pa.table({"s": ["a\0b"]})))
    c.add("a text that claims 2 GB", parquet(1, Column("s", hand.BYTE_ARRAY, page(b"\xff\xff\xff\x7fx", 1, 5), 1, text=True)))
    c.add("a row over max_record_bytes", written(pa.table({"id": [1, 2, 3], "s": ["a", "x" * 5_000, "b"]})), max_record_bytes=1_000)


def _pages(c: Cases) -> None:
    good = written()
    c.add("page with a wrong checksum", flipped(good, 400), process=True)
    c.add("page with a wrong checksum, in the last row group", flipped(good, footer_start(good) - 30))
    number, packed = struct.pack("<q", 5), zstandard.compress(struct.pack("<q", 5))
    c.add("page without a checksum, damaged", flipped(written(write_page_checksum=False), 400))
    c.add("page header of zeros", parquet(1, Column("n", hand.INT64, bytes(40), 1)))
    c.add("page header of ones", parquet(1, Column("n", hand.INT64, b"\xff" * 40, 1)))
    c.add("page header that never ends", parquet(1, Column("n", hand.INT64, b"\x18" + hand.varint(1 << 40) + bytes(50), 1)))
    c.add("page that claims more values than it has", parquet(1000, Column("n", hand.INT64, page(number, 1000, 8), 1000)))
    c.add("page that claims -1 values", parquet(1, Column("n", hand.INT64, page(number, -1, 8), 1)))
    c.add("page that claims a negative size", parquet(1, Column("n", hand.INT64, page(number, 1, -8), 1)))
    c.add("page that claims to be larger than the file", parquet(1, Column("n", hand.INT64, page(number, 1, 8)[:-8], 1)))
    c.add("page of an unknown encoding", parquet(1, Column("n", hand.INT64, page(number, 1, 8, encoding=99), 1)))
    c.add(
        "page with a dictionary's index and no dictionary",
        parquet(1, Column("n", hand.INT64, page(b"\1\2\0", 1, 3, encoding=hand.RLE_DICTIONARY), 1)),
    )
    beyond = page(number, 1, 8, kind=hand.DICTIONARY)
    index = page(b"\x08" + run(200, 1, 8), 1, 4, encoding=hand.RLE_DICTIONARY)
    c.add("index beyond its dictionary", parquet(1, Column("n", hand.INT64, beyond + index, 1, dictionary=len(beyond))))
    c.add("page that becomes smaller than it claims", parquet(1, Column("n", hand.INT64, page(packed, 1, 80), 1, codec=hand.ZSTD)))
    c.add(
        "page that becomes larger than it claims",
        parquet(1, Column("n", hand.INT64, page(zstandard.compress(number * 100), 1, 8), 1, codec=hand.ZSTD)),
    )
    c.add("codec unknown", parquet(1, Column("n", hand.INT64, page(number, 1, 8), 1, codec=99)))


def _bombs(c: Cases) -> None:
    c.add("bomb: 200,000,000 rows", lambda: many_rows(200_000_000), process=True)
    c.add("bomb: 200,000,000 rows in row groups of 2,000,000", lambda: _many_groups(100, 2_000_000), process=True)
    c.add("2,000,000 rows of one number, which is allowed", lambda: many_rows(2_000_000), process=True)
    c.add("bomb: a text of 10 MB that 100,000 rows repeat", lambda: _long_text(10 * MEGABYTE, 100_000), process=True)
    c.add("bomb: a text of 10 kB that 1,000,000 rows repeat", lambda: _long_text(10_000, 1_000_000))
    c.add("bomb: a page of 1 GB, of which the footer says nothing", lambda: _hidden_page(1 << 30), process=True)
    c.add("bomb: a dictionary of 1 GB, of which the footer says nothing", lambda: _hidden_dictionary(1 << 30))
    c.add("bomb: a page of 300,000,000 values, of which the footer says nothing", lambda: _hidden_values(300_000_000), process=True)
    c.add("bomb: one row holds nearly all values of a list column", lambda: _one_long_row(100_000_000), process=True)
    c.add("bomb: one row over many pages holds nearly all values of a list column", lambda: _one_long_row(100_000_000, pages=100))
    c.add("a list column of 40,000,000 values in 400,000 even rows, which is allowed", lambda: _even_rows(400_000, 100))
    c.add("bomb: long texts that share their beginnings", lambda: _prefixed(1_000, MEGABYTE), process=True)
    c.add("bomb: longer texts that share their beginnings", lambda: _prefixed(100, 60 * MEGABYTE))
    c.add("a list of 100,000,000 nulls in a row", lambda: _null_list(100_000_000))
    c.add(
        "bomb: a column without values and 2^31 - 1 rows",
        lambda: parquet((1 << 31) - 1, Column("n", hand.INT64, page(b"", 0, 0), 0)),
    )


def _many_groups(groups: int, rows: int) -> bytes:
    dictionary = page(struct.pack("<q", 7), 1, 8, kind=hand.DICTIONARY)
    data = b"\x01" + run(0, rows)
    pages = dictionary + page(data, rows, len(data), encoding=hand.RLE_DICTIONARY)
    return parquet(
        rows,
        Column("n", hand.INT64, pages, rows, encodings=(hand.PLAIN, hand.RLE, hand.RLE_DICTIONARY), dictionary=len(dictionary)),
        groups=groups,
    )


def _long_text(size: int, rows: int) -> bytes:
    text = size.to_bytes(4, "little") + b"x" * size
    dictionary = page(zstandard.compress(text), 1, len(text), kind=hand.DICTIONARY)
    data = b"\x01" + run(0, rows)
    pages = dictionary + page(zstandard.compress(data), rows, len(data), encoding=hand.RLE_DICTIONARY)
    column = Column("s", hand.BYTE_ARRAY, pages, rows, size=len(text) + 100, codec=hand.ZSTD, dictionary=len(dictionary), text=True)
    column.encodings = (hand.PLAIN, hand.RLE, hand.RLE_DICTIONARY)
    return parquet(rows, column)


def _zeros(size: int) -> bytes:
    pack = zstandard.ZstdCompressor(level=3).compressobj(size=size)
    return b"".join(pack.compress(bytes(MEGABYTE)) for _ in range(size >> 20)) + pack.flush()


def _hidden_page(size: int) -> bytes:
    return parquet(10, Column("n", hand.INT64, page(_zeros(size), size // 8, size), 10, size=200, codec=hand.ZSTD))


def _hidden_dictionary(size: int) -> bytes:
    dictionary = page(_zeros(size), size // 8, size, kind=hand.DICTIONARY)
    data = b"\x01" + run(0, 10)
    pages = dictionary + page(zstandard.compress(data), 10, len(data), encoding=hand.RLE_DICTIONARY)
    encodings = (hand.PLAIN, hand.RLE, hand.RLE_DICTIONARY)
    return parquet(
        10, Column("n", hand.INT64, pages, 10, size=200, codec=hand.ZSTD, encodings=encodings, dictionary=len(dictionary))
    )


def _list_page(*rows: int, starts: bool = True) -> bytes:
    """A page of lists of one number in run lengths; `starts`: the first one begins here."""
    values = sum(rows)
    repetition = b"".join((run(0, 1) if starts or n else b"") + run(1, size - (starts or n > 0)) for n, size in enumerate(rows))
    data = levels(repetition) + levels(run(1, values)) + b"\x01" + run(0, values)
    return page(data, values, len(data), encoding=hand.RLE_DICTIONARY)


def _lists(rows: int, values: int, *pages: bytes) -> bytes:
    dictionary = page(struct.pack("<q", 7), 1, 8, kind=hand.DICTIONARY)
    column = Column("l", hand.INT64, dictionary + b"".join(pages), values, lists=True, dictionary=len(dictionary))
    column.encodings = (hand.PLAIN, hand.RLE, hand.RLE_DICTIONARY)
    return parquet(rows, column)


def _hidden_values(values: int) -> bytes:
    return _lists(1, 10, _list_page(values))


def _one_long_row(values: int, pages: int = 1) -> bytes:
    """In a thousand rows, with so many bytes beside it that the column as a whole looks harmless."""
    others = [_list_page(*[2] * 1_000) for _ in range(500)]
    long = [_list_page(values // pages, starts=not n) for n in range(pages)]
    return _lists(500_001, values + 1_000_000, *others, *long)


def _even_rows(rows: int, values: int) -> bytes:
    one = _list_page(*[values] * 1_000)
    return _lists(rows, rows * values, *[one] * (rows // 1_000))


def _null_list(values: int) -> bytes:
    data = levels(run(0, 1), run(1, values - 1)) + levels(run(0, values))
    return _lists(1, values, page(data, values, len(data)))


def _prefixed(rows: int, size: int) -> bytes:
    """Texts that take a few bytes each in the file, since they begin like the one before them."""
    deltas = _delta_packed([0] + [size] * (rows - 1)) + _delta_packed([size] + [0] * (rows - 1)) + b"x" * size
    data = zstandard.compress(deltas)
    pages = page(data, rows, len(deltas), encoding=hand.DELTA_BYTE_ARRAY)
    encodings = (hand.DELTA_BYTE_ARRAY, hand.RLE)
    return parquet(
        rows, Column("s", hand.BYTE_ARRAY, pages, rows, size=len(deltas) + 50, codec=hand.ZSTD, encodings=encodings, text=True)
    )


def _delta_packed(values: list[int]) -> bytes:
    """DELTA_BINARY_PACKED, in blocks of 128 values in 4 parts, each part 32 bits wide."""

    def zigzag(value: int) -> bytes:
        return hand.varint((value << 1) ^ (value >> 63))

    out = hand.varint(128) + hand.varint(4) + hand.varint(len(values)) + zigzag(values[0])
    deltas = [b - a for a, b in itertools.pairwise(values)]
    for start in range(0, len(deltas), 128):
        part = deltas[start : start + 128]
        least = min(part)
        padded = [delta - least for delta in part] + [0] * (128 - len(part))
        out += zigzag(least) + bytes([32] * 4) + b"".join(value.to_bytes(4, "little") for value in padded)
    return out
