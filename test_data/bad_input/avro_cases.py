"""Hostile Avro: what other writers make, and bytes put together by hand where no writer would make them."""

from __future__ import annotations

import bz2
import io
import json
import lzma
import struct
import zlib
from collections.abc import Callable
from typing import Any

import cramjam
import fastavro
import zstandard

from test_data.bad_input.case import Cases

SYNC = b"0123456789abcdef"
MEGABYTE = 1 << 20
PLAIN = {"type": "record", "name": "r", "fields": [{"name": "id", "type": "long"}, {"name": "name", "type": ["null", "string"]}]}


def long(value: int) -> bytes:
    """A number as Avro writes it."""
    rest, out = (value << 1) ^ (value >> 63), bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*out, rest])


def text(raw: bytes | str) -> bytes:
    raw = raw.encode() if isinstance(raw, str) else raw
    return long(len(raw)) + raw


def header(schema: Any, codec: bytes = b"null", extra: dict[bytes, bytes] | None = None) -> bytes:
    written = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
    entries = {b"avro.codec": codec, b"avro.schema": written, **(extra or {})}
    return b"Obj\x01" + long(len(entries)) + b"".join(text(k) + text(v) for k, v in entries.items()) + b"\0" + SYNC


def block(count: int, data: bytes, sync: bytes = SYNC) -> bytes:
    return long(count) + long(len(data)) + data + sync


def record(*fields: tuple[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": "r", "fields": [{"name": name, "type": kind} for name, kind in fields]}


def between(schema: Any, good: bytes, bad: bytes) -> bytes:
    """One record that is bad between two that are not, in one block; and a good block after it."""
    return header(schema) + block(3, good + bad + good) + block(1, good)


def whole(codec: str = "null", rows: int = 1000, **more: Any) -> bytes:
    out = io.BytesIO()
    found = [{"id": n, "name": f"name {n}"} for n in range(rows)]
    fastavro.writer(out, PLAIN, found, codec=codec, sync_interval=1000, sync_marker=SYNC, **more)
    return out.getvalue()


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def cases() -> Cases:
    """All of them."""
    c = Cases("avro", "avro_cases.py")
    _containers(c)
    _schemas(c)
    _values(c)
    _logical(c)
    _bombs(c)
    return c


def _containers(c: Cases) -> None:
    good = whole()
    c.add("empty file", b"")
    c.add("without rows", whole(rows=0))
    c.add("only the magic", b"Obj\x01")
    c.add("wrong magic", b"Obj\x02" + good[4:])
    c.add("three bytes", b"Obj")
    c.add("JSON named Avro", b'{"id": 1}\n')
    c.add("a single message without a container", b"\xc3\x01" + bytes(8) + long(1))
    c.add("cut off in its header", good[:40], process=True)
    c.add("cut off before its first block", good[: good.index(SYNC) + 16])
    c.add("cut off in a block", good[: len(good) // 2], process=True)
    c.add("cut off in a sync marker", good[:-5])
    c.add("cut off in a block's count", good + b"\x80")
    c.add("zeros behind the last block", good + bytes(100))
    c.add("wrong sync marker", header(PLAIN) + block(1, long(1) + b"\0") + block(1, long(2) + b"\0", b"another marker!!"))
    c.add("negative record count", header(PLAIN) + block(-1, long(1) + b"\0"))
    c.add("negative block size", header(PLAIN) + long(1) + long(-5) + SYNC)
    c.add("record count too large for the bytes", header(PLAIN) + block(1_000_000, long(1) + b"\0"))
    c.add("record count too small", header(PLAIN) + block(1, (long(1) + b"\0") * 3) + block(1, long(7) + b"\0"))
    c.add("block of 2^62 bytes", header(PLAIN) + long(1) + long(1 << 61) + SYNC)
    c.add("block of no records and no bytes", header(PLAIN) + block(0, b"") + block(1, long(1) + b"\0"))
    c.add("record count of 31 bytes", header(PLAIN) + b"\x80" * 30 + b"\x01" + SYNC)
    c.add("metadata count of 31 bytes", b"Obj\x01" + b"\x80" * 30 + b"\x01")
    c.add("metadata that is not UTF-8", header(PLAIN, extra={b"\xff\xfe": b"\xff"}) + block(1, long(1) + b"\0"))
    c.add("metadata that claims a gigabyte", b"Obj\x01" + long(1) + long(1 << 30) + b"x" * 100)
    c.add(
        "metadata in a block with a negative count",
        b"Obj\x01" + long(-1) + long(99) + text("avro.schema") + text('"long"') + b"\0" + SYNC + block(1, long(5)),
    )
    c.add(
        "a million metadata entries",
        lambda: header(PLAIN, extra={b"%d" % n: b"" for n in range(1_000_000)}) + block(1, long(1) + b"\0"),
    )
    c.add("codec unknown", header(PLAIN, b"lzo"))
    c.add("codec that is not UTF-8", header(PLAIN, b"\xff"))
    for codec in ("deflate", "bzip2", "snappy", "zstandard", "lz4", "xz"):
        data = whole(codec)
        c.add(f"{codec}: a byte of a block is wrong", flipped(data, data.index(SYNC) + 16 + 40))
        c.add(f"{codec}: what is stored is not {codec}", header(PLAIN, codec.encode()) + block(1, b"\x07" * 50))


def _schemas(c: Cases) -> None:
    node = {"type": "record", "name": "r", "fields": [{"name": "next", "type": ["null", "r"]}]}
    deep: Any = "long"
    for n in range(200):
        deep = record(("f", deep)) | {"name": f"r{n}"}
    wide = {
        "type": "record",
        "name": "r",
        "fields": [{"name": f"a_field_with_a_long_name_{n}", "type": "null"} for n in range(250_000)],
    }
    doubling: list[Any] = [record(("a", "long"), ("b", "long")) | {"name": "r0"}]
    doubling += [record(("a", f"r{n - 1}"), ("b", f"r{n - 1}")) | {"name": f"r{n}"} for n in range(1, 50)]
    c.add("no schema", b"Obj\x01" + long(1) + text("avro.codec") + text("null") + b"\0" + SYNC)
    c.add("schema that is not JSON", header(b"{"))
    c.add("schema that is not UTF-8", header(b'"\xff"'))
    c.add("schema that is a number", header(b"5"))
    c.add("schema of an unknown type", header(record(("a", "nothing"))))
    c.add("record without fields", header({"type": "record", "name": "r"}))
    c.add("two fields of one name", header(record(("a", "long"), ("a", "long"))) + block(1, long(1) + long(2)))
    c.add("enum without symbols", header(record(("a", {"type": "enum", "name": "e", "symbols": []}))))
    c.add("fixed of a negative size", header(record(("a", {"type": "fixed", "name": "f", "size": -1}))))
    c.add("union within a union", header(record(("a", ["null", ["long"]]))))
    c.add(
        "type defined twice",
        header(record(("a", record(("x", "long")) | {"name": "q"}), ("b", record(("y", "long")) | {"name": "q"}))),
    )
    c.add(
        "schema that contains itself, data 100,000 deep", lambda: header(node) + block(1, b"\x02" * 100_000 + b"\0"), process=True
    )
    c.add("schema 200 levels deep", header(deep) + block(1, long(1)), process=True)
    c.add("schema whose JSON is 100,000 brackets deep", header(b"[" * 100_000))
    c.add("schema of 50 types that stands for 2^50", header([*doubling]))
    c.add("schema of 10 MB", lambda: header(wide) + block(1, b""), process=True)
    c.add("schema of 17 MB of white space", lambda: header(b" " * (17 * MEGABYTE) + b'"long"'))


def _values(c: Cases) -> None:
    number, union = record(("a", "int")), record(("a", ["null", "long", "string"]))
    enum = record(("a", {"type": "enum", "name": "e", "symbols": ["x", "y"]}))
    items = record(("a", {"type": "array", "items": "long"}))
    for index in (-1, -2, 2, 1 << 40):
        c.add(f"no such union branch: {index:,}", between(PLAIN, long(1) + b"\0", long(2) + long(index)))
    c.add("no such branch of a larger union: -1", between(union, long(1) + long(5), long(-1) + long(5)))
    for index in (-1, 2, 1 << 33):
        c.add(f"no such enum symbol: {index:,}", between(enum, long(1), long(index)))
    c.add("int above 32 bits", between(number, long(1), long(1 << 31)))
    c.add("int below 32 bits", between(number, long(1), long(-(1 << 31) - 1)))
    c.add("number of 31 bytes", between(number, long(1), b"\x80" * 30 + b"\x01"))
    c.add("number of 10 bytes beyond 64 bits", between(record(("a", "long")), long(1), b"\xff" * 9 + b"\x7f"))
    c.add("boolean that is 2", between(record(("a", "boolean")), b"\1", b"\2"))
    c.add("text that is not UTF-8", between(record(("a", "string")), text("good"), text(b"\xff\xfe")))
    c.add(
        "text that is not UTF-8, as a map's key",
        between(record(("a", {"type": "map", "values": "long"})), b"\0", long(1) + text(b"\xff") + long(1) + b"\0"),
    )
    c.add("text of negative length", between(record(("a", "string")), text("good"), long(-5)))
    c.add("text longer than the block", between(record(("a", "string")), text("good"), long(1 << 40)))
    c.add("bytes longer than the block", between(record(("a", "bytes")), text("good"), long(1 << 40)))
    c.add("NUL in a text", between(record(("a", "string")), text("good"), text("a\0b")))
    c.add("array longer than the block", between(items, long(1) + long(5) + b"\0", long(1 << 40)))
    c.add("array with a negative count and a wrong size", between(items, b"\0", long(-2) + long(-99) + long(1) + long(2) + b"\0"))
    c.add("array without its end", header(items) + block(1, long(1) + long(5)) + block(1, b"\0"))
    c.add(
        "map with one key twice",
        between(
            record(("a", {"type": "map", "values": "long"})), b"\0", long(2) + text("k") + long(1) + text("k") + long(2) + b"\0"
        ),
    )
    c.add("trailing bytes after the last record", header(number) + block(2, long(1) + long(2) + b"\x04") + block(1, long(9)))
    c.add(
        "trailing byte that looks like a number's beginning",
        header(number) + block(2, long(1) + long(2) + b"\x80") + block(1, long(9)),
    )
    c.add(
        "NaN and infinities",
        header(record(("a", "double"))) + block(3, b"".join(struct.pack("<d", float(x)) for x in ("nan", "inf", "-inf"))),
    )


def _logical(c: Cases) -> None:
    def logical(kind: str, name: str, **more: int) -> dict[str, Any]:
        return record(("a", {"type": kind, "logicalType": name, **more}))

    price = logical("bytes", "decimal", precision=9, scale=2)
    c.add("date out of range", between(logical("int", "date"), long(1), long(1 << 30)))
    c.add("time out of range", between(logical("int", "time-millis"), long(1), long(86_400_000)))
    c.add("time below zero", between(logical("long", "time-micros"), long(1), long(-1)))
    for unit in ("millis", "micros"):
        c.add(
            f"timestamp-{unit} out of range",
            between(logical("long", f"timestamp-{unit}"), long(1), long(1 << 62)),
            process=unit == "micros",
        )
        c.add(
            f"local-timestamp-{unit} out of range", between(logical("long", f"local-timestamp-{unit}"), long(1), long(-(1 << 62)))
        )
    c.add("timestamp-nanos at the end of its range", between(logical("long", "timestamp-nanos"), long(1), long((1 << 63) - 1)))
    c.add("uuid that is none", between(logical("string", "uuid"), text("6f1c3a52-0d5e-4ad1-9d3c-3f4ae6a7a001"), text("no uuid")))
    c.add("decimal with too many digits", between(price, text(b"\1"), text(b"\x7f" * 4)))
    c.add("decimal of no bytes", between(price, text(b"\1"), text(b"")))
    for size in (100_000, MEGABYTE):
        c.add(
            f"giant decimal of {size:,} bytes",
            lambda size=size: between(price, text(b"\1"), text(b"\x7f" * size)),
            process=size == MEGABYTE,
        )  # type: ignore[misc]
    c.add(
        "decimal of 1,000 digits", between(logical("bytes", "decimal", precision=1000, scale=2), text(b"\1"), text(b"\x7f" * 300))
    )
    c.add(
        "decimal of a scale above its precision",
        between(logical("bytes", "decimal", precision=2, scale=5), text(b"\1"), text(b"\x7f")),
    )
    c.add(
        "decimal of a precision beyond any number",
        header(logical("bytes", "decimal", precision=10**30, scale=0)) + block(1, text(b"\1")),
    )
    fixed = {"type": "fixed", "name": "f", "size": 12, "logicalType": "duration"}
    c.add("duration too long", between(record(("a", fixed)), bytes(12), b"\xff" * 12))


def _deflated(size: int, piece: bytes = bytes(MEGABYTE)) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"".join(deflate.compress(piece) for _ in range(size // len(piece))) + deflate.flush()


def _xz(size: int) -> bytes:
    pack = lzma.LZMACompressor(preset=0)
    return b"".join(pack.compress(bytes(MEGABYTE)) for _ in range(size >> 20)) + pack.flush()


def _zstandard_of_unknown_size(size: int) -> bytes:
    pack = zstandard.ZstdCompressor().compressobj()
    return b"".join(pack.compress(bytes(MEGABYTE)) for _ in range(size >> 20)) + pack.flush()


def _snappy(size: int) -> bytes:
    data = bytes(size)
    return bytes(cramjam.snappy.compress_raw(data)) + zlib.crc32(data).to_bytes(4, "big")


GIGABYTE_BOMBS: dict[str, tuple[bytes, Callable[[], bytes]]] = {
    "deflate": (b"deflate", lambda: _deflated(1 << 30)),
    "bzip2": (b"bzip2", lambda: bz2.compress(bytes(200 * MEGABYTE))),
    "xz": (b"xz", lambda: _xz(1 << 29)),
    "zstandard": (b"zstandard", lambda: _zstandard_of_unknown_size(1 << 30)),
    "snappy": (b"snappy", lambda: _snappy(100 * MEGABYTE)),
    "snappy that lies about its size": (b"snappy", lambda: long(50) + _snappy(100 * MEGABYTE)[4:]),
    "lz4 that claims 2 GB": (b"lz4", lambda: b"\xff\xff\xff\x7f" + b"\x1f\0" * 100),
    "zstandard that claims 2^60 bytes": (
        b"zstandard",
        lambda: b"\x28\xb5\x2f\xfd\xe0" + (1 << 60).to_bytes(8, "little") + b"\x01\0\0",
    ),
}


def _bombs(c: Cases) -> None:
    nulls, values = record(("a", {"type": "array", "items": "null"})), record(("a", "string"))
    for name, (codec, make) in GIGABYTE_BOMBS.items():
        c.add(
            f"bomb: {name}",
            lambda codec=codec, make=make: header(values, codec) + block(1, make()),
            process=name in ("deflate", "zstandard"),
        )  # type: ignore[misc]
    c.add("bomb: array<null> of 50,000,000 items", header(nulls) + block(1, long(50_000_000) + b"\0"))
    c.add("bomb: array<null> of 1,000,000,000 items", header(nulls) + block(1, long(1_000_000_000) + b"\0"), process=True)
    c.add("bomb: array<null> of 2^62 items", header(nulls) + block(1, long(1 << 62) + b"\0"))
    c.add("bomb: array<null> in many records", lambda: header(nulls) + block(1000, (long(900_000) + b"\0") * 1000))
    c.add("bomb: a billion records of null", header(record(("a", "null"))) + block(1_000_000_000, b""))
    c.add("bomb: records of null in many blocks", lambda: header(record(("a", "null"))) + block(900_000, b"") * 1000)
    c.add(
        "bomb: a record without fields, a billion times",
        header({"type": "record", "name": "r", "fields": []}) + block(1_000_000_000, b""),
    )
    for name, kind, one in (
        ("long", "long", b"\0"), ("boolean", "boolean", b"\0"), ("optional long", ["null", "long"], b"\0"),
        ("union", ["long", "string"], b"\0\0"), ("array", {"type": "array", "items": "long"}, b"\0"), ("map", {"type": "map", "values": "long"}, b"\0"),
        ("record of a boolean", record(("b", "boolean")) | {"name": "q"}, b"\0"),
        ("decimal", {"type": "bytes", "logicalType": "decimal", "precision": 70, "scale": 0}, b"\0"),
        ("uuid", {"type": "string", "logicalType": "uuid"}, b"\0"),
    ):  # fmt: skip
        _millions(c, name, kind, one)
    symbols = [{"type": "enum", "name": f"e{n}", "symbols": ["x"]} for n in range(4_000)]
    c.add(
        "bomb: 4 MB of a union of 4,000 branches",
        lambda: header(record(("a", symbols)), b"deflate") + block(2 * MEGABYTE, _deflated(4 * MEGABYTE)),
    )
    c.add(
        "bomb: 1,000 optional fields, a block of 15 MB",
        lambda: (
            header(record(*((f"f{n}", ["null", "string"]) for n in range(1_000))), b"deflate")
            + block(15_000, _deflated(15_000_000, bytes(1_000_000)))
        ),
    )
    c.add(
        "bomb: 100 blocks of 15 MB of booleans",
        lambda: header(record(("a", "boolean")), b"deflate") + block(15 * MEGABYTE, _deflated(15 * MEGABYTE)) * 100,
    )


def _millions(c: Cases, name: str, kind: Any, one: bytes) -> None:
    """15 MB of the smallest values there are: each takes far more in memory than in the block."""
    count = 15 * MEGABYTE // len(one)

    def records(broken: bool) -> bytes:
        data = _deflated(15 * MEGABYTE) if not broken else zlib.compress(bytes(15 * MEGABYTE) + b"\x02", 9, -15)
        return header(record(("a", kind)), b"deflate") + block(count, data)

    def items() -> bytes:
        pack = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = pack.compress(long(count)) + pack.compress(bytes(15 * MEGABYTE)) + pack.compress(b"\0") + pack.flush()
        return header(record(("a", {"type": "array", "items": kind})), b"deflate") + block(1, data)

    c.add(f"15 MB of {name}s, one in a record", lambda: records(False))
    c.add(f"15 MB of {name}s, one in a record, and a byte too many", lambda: records(True))
    c.add(f"15 MB of {name}s in one array", items, process=True)
