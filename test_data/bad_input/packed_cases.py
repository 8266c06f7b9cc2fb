"""Hostile compressed files and archives, read as the source `files` reads them."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import zstandard

from test_data.bad_input.case import Cases

MEGABYTE = 1 << 20
LINE = b'{"id": 1, "name": "first"}\n'
ROWS = LINE * 1000
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "zst": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def cases() -> Cases:
    """All of them."""
    c = Cases("packed", "packed_cases.py")
    _damaged(c)
    _misnamed(c)
    _bombs(c)
    _archives(c)
    _hostile_archives(c)
    return c


def _damaged(c: Cases) -> None:
    for suffix, pack in PACKERS.items():
        packed = pack(ROWS + bytes(range(256)).hex().encode() + b"\n")
        name = f"bad.ndjson.{suffix}"
        c.add(f"{suffix}: empty file", b"", file=name, process=suffix == "gz")
        c.add(f"{suffix}: nothing, compressed", pack(b""), file=name)
        c.add(f"{suffix}: cut off after 3 bytes", packed[:3], file=name)
        c.add(f"{suffix}: cut off in the middle", packed[: len(packed) // 2], file=name, process=suffix == "gz")
        c.add(f"{suffix}: without its last byte", packed[:-1], file=name)
        c.add(f"{suffix}: a byte wrong in the middle", _flipped(packed, len(packed) // 2), file=name)
        c.add(
            f"{suffix}: a byte wrong near the end, where the checksum is",
            _flipped(packed, len(packed) - _CHECKSUM[suffix]),
            file=name,
        )
        c.add(f"{suffix}: garbage behind it", pack(LINE) + b"garbage behind it", file=name, process=suffix == "zst")
        c.add(f"{suffix}: zeros behind it", pack(LINE) + bytes(64), file=name)
        c.add(f"{suffix}: two streams", pack(LINE) + pack(LINE), file=name)
        c.add(f"{suffix}: two streams, the second cut off", pack(LINE) + pack(LINE)[:-5], file=name)
    c.add("10,000 streams of one line", lambda: PACKERS["gz"](LINE) * 10_000, file="bad.ndjson.gz")
    c.add("100,000 streams of nothing", lambda: PACKERS["gz"](b"") * 100_000, file="bad.ndjson.gz")
    c.add(
        "100,000 zstd frames that are skipped",
        lambda: (b"\x50\x2a\x4d\x18" + bytes(4)) * 100_000 + PACKERS["zst"](LINE),
        file="bad.ndjson.zst",
    )
    c.add("a zstd frame to skip that claims 4 GB", b"\x50\x2a\x4d\x18\xff\xff\xff\xff", file="bad.ndjson.zst")
    c.add("zstd with a window of 1 GB", _wide_window, file="bad.ndjson.zst")
    c.add("xz that needs 1 GB of memory", _wide_dictionary(), file="bad.ndjson.xz")
    c.add("zstd with a dictionary that nobody has", _with_dictionary(), file="bad.ndjson.zst")
    c.add(
        "gz with a name of 10 MB",
        lambda: b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * (10 * MEGABYTE) + b"\0" + PACKERS["gz"](LINE)[10:],
        file="bad.ndjson.gz",
    )


_CHECKSUM = {"gz": 7, "zst": 3, "bz2": 5, "xz": 40}
"""How far before the end a byte of the checksum of the data stands."""


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def _wide_window() -> bytes:
    parameters = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=False)
    pack = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return pack.compress(ROWS) + pack.flush()


def _wide_dictionary() -> bytes:
    data = lzma.compress(LINE, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}])
    # The size of the dictionary is one byte of the block's header, which has a checksum of its own.
    header = bytearray(data[12:24])
    header[4] = 38  # 2 GB
    header[8:12] = zlib.crc32(header[:8]).to_bytes(4, "little")
    return data[:12] + bytes(header) + data[24:]


def _with_dictionary() -> bytes:
    samples = [b'{"id": %d, "name": "name %d"}\n' % (n, n * 7919) for n in range(1000)]
    return zstandard.ZstdCompressor(dict_data=zstandard.train_dictionary(4096, samples)).compress(ROWS)


def _misnamed(c: Cases) -> None:
    for suffix in PACKERS:
        c.add(f"plain text named .{suffix}", ROWS, file=f"bad.ndjson.{suffix}", process=suffix == "gz")
    c.add("zstd named .gz", PACKERS["zst"](ROWS), file="bad.ndjson.gz")
    c.add("gz without its suffix", PACKERS["gz"](ROWS), file="bad.ndjson")
    c.add("a zip named .gz", lambda: archive([("a.ndjson", ROWS)]), file="bad.ndjson.gz")
    c.add("gz in gz", PACKERS["gz"](PACKERS["gz"](ROWS)), file="bad.ndjson.gz")
    c.add("gz of something that is no data", PACKERS["gz"](bytes(range(256)) * 10), file="bad.ndjson.gz")


def repeated_gzip(piece: bytes, times: int, before: bytes = b"", after: bytes = b"") -> bytes:
    """One gzip stream of a piece again and again. Compressed once: a flushed block stands alone."""
    crc = zlib.crc32(before)
    for _ in range(times):
        crc = zlib.crc32(piece, crc)
    crc, size = zlib.crc32(after, crc), len(before) + len(piece) * times + len(after)
    return (
        b"\x1f\x8b\x08" + bytes(7) + _flushed(before) + _flushed(piece) * times + _flushed(after)
        + b"\x03\0" + struct.pack("<II", crc, size & 0xFFFFFFFF)
    )  # fmt: skip


def _flushed(data: bytes) -> bytes:
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    return pack.compress(data) + pack.flush(zlib.Z_FULL_FLUSH) if data else b""


@functools.cache
def _zstd_bomb() -> bytes:
    return zstandard.ZstdCompressor().compress(b"x" * MEGABYTE) * 1024


def _bombs(c: Cases) -> None:
    text, long = b"x" * MEGABYTE, b'{"id": 1, "name": "%s"}\n' % (b"n" * 2000)
    lines = long * (MEGABYTE // len(long))
    c.add("bomb: 1 GB of one value in gz", lambda: repeated_gzip(text, 1024), file="bad.json.gz", process=True)
    c.add("bomb: 1 GB of opening brackets in gz", lambda: repeated_gzip(b"[" * MEGABYTE, 1024), file="bad.json.gz", process=True)
    c.add("bomb: 1 GB of open objects in gz", lambda: repeated_gzip(b'{"a":' * (MEGABYTE // 5), 1024), file="bad.json.gz")
    c.add("bomb: a line of 1 GB in gz", lambda: repeated_gzip(text, 1024, LINE + b'{"name": "', b'"}\n'), file="bad.ndjson.gz")
    c.add("bomb: 1 GB of line ends in gz", lambda: repeated_gzip(b"\n" * MEGABYTE, 1024, LINE), file="bad.ndjson.gz")
    c.add("bomb: 400 MB of a valid line in gz", lambda: repeated_gzip(lines, 400), file="bad.ndjson.gz")
    c.add("bomb: 1 GB of an unclosed quote in gz", lambda: repeated_gzip(b"x" * MEGABYTE, 1024, b'id,name\n1,"'), file="bad.csv.gz")
    c.add(
        "bomb: 1 GB in gz for Parquet, which reads its end first",
        lambda: repeated_gzip(bytes(MEGABYTE), 1024, b"PAR1"),
        file="bad.parquet.gz",
        process=True,
    )
    c.add("bomb: 1 GB in gz for Avro", lambda: repeated_gzip(bytes(MEGABYTE), 1024, b"Obj\x01"), file="bad.avro.gz")
    c.add("bomb: 1 GB in gz for Arrow", lambda: repeated_gzip(bytes(MEGABYTE), 1024, b"ARROW1\0\0"), file="bad.arrow.gz")
    c.add("bomb: 1 GB in gz for raw", lambda: repeated_gzip(bytes(MEGABYTE), 1024), file="bad.bin.gz")
    c.add("bomb: 1 GB in zstd", _zstd_bomb, file="bad.json.zst", process=True)
    c.add("bomb: 1 GB in bz2", lambda: bz2.compress(b"x" * (10 * MEGABYTE)) * 100, file="bad.json.bz2", process=True)
    c.add("bomb: 1 GB in xz", lambda: lzma.compress(b"x" * (32 * MEGABYTE), preset=0) * 32, file="bad.json.xz")
    c.add(
        "bomb: 1 GB of NDJSON in zstd in a zip",
        lambda: archive([("a.ndjson.zst", zstandard.ZstdCompressor().compress(lines) * 1024)]),
        file="bad.zip",
    )
    c.add("bomb: 1 GB in a member of a zip", _zip_bomb, file="bad.zip", process=True)
    c.add("bomb: gz in gz in a zip", lambda: archive([("a.json.gz", PACKERS["gz"](repeated_gzip(text, 1024)))]), file="bad.zip")
    c.add("100 MB of a valid line in gz, which is allowed", lambda: repeated_gzip(lines, 100), file="bad.ndjson.gz", process=True)


def _zip_bomb() -> bytes:
    """One deflated member of 1 GB, put together by hand."""
    packed = repeated_gzip(b"x" * MEGABYTE, 1024)
    crc, size = struct.unpack("<II", packed[-8:])
    return _one_member(packed[10:-8], method=8, size=size, crc=crc, name=b"a.json")


def archive(members: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", method) as made:
        warnings.simplefilter("ignore")  # Of names that stand twice.
        for name, data in members:
            made.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def _one_member(data: bytes, *, method: int, size: int, crc: int, name: bytes, flags: int = 0, times: int = 1) -> bytes:
    """An archive whose directory names its only member, as often as asked for."""
    fields = struct.pack("<HHHHHIIIHH", 20, flags, method, 0, 33, crc, len(data), size, len(name), 0)
    local = b"PK\x03\x04" + fields + name + data
    entries = b""
    for number in range(times):
        own = name if times == 1 else b"%d%s" % (number, name)
        changed = fields[:-4] + struct.pack("<HH", len(own), 0)
        entries += b"PK\x01\x02" + struct.pack("<H", 20) + changed + struct.pack("<HHHII", 0, 0, 0, 0, 0) + own
    ending = struct.pack("<HHHHIIH", 0, 0, times, times, len(entries), len(local), 0)
    return local + entries + b"PK\x05\x06" + ending


def _archives(c: Cases) -> None:
    def add(name: str, members: list[tuple[str, bytes]], **options: Any) -> None:
        c.add(name, lambda: archive(members), file="bad.zip", **options)

    add("zip of nothing", [])
    c.add("zip that is empty", b"", file="bad.zip")
    add("zip of folders only", [("a/", b""), ("b/", b"")])
    add("zip of two formats", [("a.ndjson", LINE), ("b.csv", b"id,name\n2,x\n")])
    add("zip of a member without a known suffix", [("a.ndjson", LINE), ("README", b"text")], process=True)
    add("zip of an empty member", [("a.ndjson", b"")])
    add("zip in a zip", [("a.zip", archive([("b.ndjson", LINE)]))], process=True)
    add("zip in a zip beside data", [("a.ndjson", LINE), ("b.zip", archive([("b.ndjson", LINE)]))])
    add(
        "names that lead out of the folder",
        [("../../../tmp/slip.ndjson", LINE), ("/etc/slip.ndjson", LINE), ("C:\\slip.ndjson", LINE)],
        process=True,
    )
    add("a name with a line end and colours of a terminal", [("a\n\x1b[31mred.ndjson", LINE)])
    add("a name of 60,000 bytes", [("n" * 60_000 + ".ndjson", LINE)])
    add("a name that looks like an option", [("--help.ndjson", LINE)])
    add("two members of one name", [("a.ndjson", LINE), ("a.ndjson", LINE)])
    add("hidden members", [("a.ndjson", LINE), ("__MACOSX/._a.ndjson", b"\0\5\x16\7"), (".DS_Store", b"x")])
    c.add(
        "100,000 members without a known suffix",
        lambda: archive(((f"{n}.no", b"") for n in range(100_000)), zipfile.ZIP_STORED),
        file="bad.zip",
    )
    c.add(
        "1,000 members of one line",
        lambda: archive(((f"{n}.ndjson", LINE) for n in range(1_000)), zipfile.ZIP_STORED),
        file="bad.zip",
    )


def _hostile_archives(c: Cases) -> None:
    whole = archive([("a.ndjson", ROWS), ("b.ndjson", ROWS)])
    crc = zlib.crc32(LINE)
    hand = functools.partial(_one_member, LINE, method=0, size=len(LINE), crc=crc, name=b"a.ndjson")
    directory = whole.index(b"PK\x01\x02")

    def add(name: str, data: bytes, **options: Any) -> None:
        c.add(name, data, file="bad.zip", **options)

    add("zip by hand, as it should be", hand())
    add("zip whose members overlap", hand(times=1000), process=True)
    add("zip with an encrypted member", hand(flags=1), process=True)
    add("zip by an unknown method", hand(method=77))
    add("zip by deflate64", hand(method=9))
    add("zip that says too many bytes", hand(size=1000))
    add("zip that says too few bytes", hand(size=5))
    add("zip with a wrong checksum", hand(crc=1), process=True)
    add("zip that says deflate where there is none", hand(method=8))
    add("zip without its directory", whole[:directory])
    add("zip cut off in its directory", whole[: directory + 30])
    add("zip without its beginning", whole[100:])
    add("zip with bytes before it", b"#!/bin/sh\n" + whole)
    add("zip with bytes behind it", whole + bytes(100))
    add("zip whose member has no header", whole.replace(b"PK\x03\x04", b"PK\x07\x07"))
    add("zip with a byte wrong in a member", _flipped(whole, 60))
    add("zip whose directory claims 2 GB", hand()[:-10] + struct.pack("<II", 1 << 31, 0) + b"\0\0")
    add("zip whose directory claims 65,535 members", hand()[:-14] + struct.pack("<HH", 65_535, 65_535) + hand()[-10:])
    add("zip with a member far beyond its end", whole[: directory + 42] + b"\xff\xff\xff\x7f" + whole[directory + 46 :])
    add("plain text named .zip", ROWS)
    add("gz named .zip", PACKERS["gz"](ROWS))
