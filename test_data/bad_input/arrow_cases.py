"""Hostile Arrow: what pyarrow writes, cut, bent and inflated."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.feather
import zstandard

from test_data.bad_input.case import Cases

MEGABYTE = 1 << 20
ROWS = 1000


def batch(rows: int = ROWS) -> pa.RecordBatch:
    return pa.record_batch({"id": pa.array(range(rows), pa.int64()), "name": [f"name {n}" for n in range(rows)]})


def file(*batches: pa.RecordBatch, codec: str | None = None) -> bytes:
    return _written(pa.ipc.new_file, batches, codec)


def stream(*batches: pa.RecordBatch, codec: str | None = None) -> bytes:
    return _written(pa.ipc.new_stream, batches, codec)


def _written(make: Callable[..., Any], batches: Iterable[pa.RecordBatch], codec: str | None) -> bytes:
    found = list(batches)
    sink = io.BytesIO()
    with make(sink, found[0].schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        for one in found:
            writer.write_batch(one)
    return sink.getvalue()


def of(array: pa.Array, codec: str | None = None) -> bytes:
    """A stream of one column."""
    return stream(pa.record_batch([array], names=["v"]), codec=codec)


def bent(data: bytes, old: bytes, new: bytes) -> bytes:
    """The last place with these bytes, overwritten."""
    at = data.rindex(old)
    return data[:at] + new + data[at + len(new) :]


def cases() -> Cases:
    """All of them."""
    c = Cases("arrow", "arrow_cases.py")
    _containers(c)
    _metadata(c)
    _types(c)
    _values(c)
    _bombs(c)
    return c


def _containers(c: Cases) -> None:
    whole, flow = file(batch(), batch()), stream(batch(), batch())
    schema_bytes = len(stream(batch().slice(0, 0))) // 2
    c.add("empty file", b"")
    c.add("only the magic", b"ARROW1")
    c.add("both magics and nothing between", b"ARROW1\0\0ARROW1")
    c.add("JSON named Arrow", b'{"id": 1}\n')
    c.add("Parquet named Arrow", b"PAR1" + bytes(100))
    c.add("Feather of version 1", b"FEA1" + bytes(100) + b"FEA1")
    c.add("Feather of version 2", _feather_v2())
    c.add("without rows", file(batch(0)))
    c.add("without batches", _written(pa.ipc.new_file, [batch(0)], None))
    c.add("without columns", stream(pa.record_batch([], names=[])))
    c.add("file without its last byte", whole[:-1], process=True)
    c.add("file without its beginning", whole[100:])
    for part in (10, 25, 50, 75, 90):
        c.add(f"file cut off after {part} %", whole[: len(whole) * part // 100])
        c.add(f"stream cut off after {part} %", flow[: len(flow) * part // 100], process=part == 50)
    for size in (1, 4, 7, 8, 12):
        c.add(f"stream cut off after {size} bytes", flow[:size])
    c.add("stream cut off in its schema", flow[:schema_bytes])
    c.add("stream without its mark of the end", flow[:-8])
    c.add("stream with half its mark of the end", flow[:-4])
    c.add("stream with more behind its end", flow + b"more")
    c.add("two streams", flow + flow)
    c.add("zeros behind a file", whole + bytes(100))
    c.add("a stream with a file's beginning", b"ARROW1\0\0" + flow)


def _metadata(c: Cases) -> None:
    flow, whole = stream(batch()), file(batch())
    second = flow.index(b"\xff\xff\xff\xff", 8)
    for length in (-1, 1, 8, 1 << 20, (1 << 31) - 1):
        prefix = b"\xff\xff\xff\xff" + struct.pack("<i", length)
        c.add(f"metadata that claims {length:,} bytes", prefix + flow[8:])
        c.add(f"metadata of a batch that claims {length:,} bytes", flow[:second] + prefix + flow[second + 8 :])
    for byte in (0, 255):
        c.add(f"metadata of the byte {byte}", b"\xff\xff\xff\xff" + struct.pack("<i", 200) + bytes([byte]) * 200)
        c.add(f"footer of the byte {byte}", whole[:-110] + bytes([byte]) * 100 + whole[-10:])
    for at in range(8, second, 24):
        c.add(f"schema with byte {at} wrong", flow[:at] + bytes([flow[at] ^ 0xFF]) + flow[at + 1 :])
    for at in range(second + 8, second + 200, 16):
        c.add(f"batch's metadata with byte {at - second} wrong", flow[:at] + bytes([flow[at] ^ 0x81]) + flow[at + 1 :])
    for length in (0, -1, 1 << 30, (1 << 31) - 1):
        c.add(f"footer that claims {length:,} bytes", whole[:-10] + struct.pack("<i", length) + b"ARROW1")
    one = stream(batch(777))
    rows = struct.pack("<q", 777)
    for count in (0, 776, 778, 1 << 40, -1):
        c.add(f"batch that claims {count:,} rows of 777", one.replace(rows, struct.pack("<q", count)))
    body = _body_bytes(one)
    for count in (0, 8, 1 << 40, 1 << 62, -1):
        c.add(
            f"body that claims {count:,} bytes",
            one.replace(struct.pack("<q", body), struct.pack("<q", count), 1),
            process=count == 1 << 40,
        )


def _body_bytes(data: bytes) -> int:
    message = list(pa.ipc.MessageReader.open_stream(data))[1]
    return int(message.body.size)


class _Pickled(pa.ExtensionType):  # type: ignore[misc]
    """As pyarrow's own PyExtensionType was: unpickling it runs code."""

    def __init__(self) -> None:
        super().__init__(pa.int64(), "arrow.py_extension_type")

    def __arrow_ext_serialize__(self) -> bytes:
        return pickle.dumps(_Runs())

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, data: bytes) -> _Pickled:
        return cls()


class _Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("import os; os._exit(66)",))


def _types(c: Cases) -> None:
    ints = pa.array([1, 2, 3], pa.int64())
    c.add(
        "extension type that is a pickle which ends the process", of(pa.ExtensionArray.from_storage(_Pickled(), ints)), process=True
    )
    c.add("dense union", of(pa.UnionArray.from_dense(pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [ints, ints])))
    c.add("sparse union", of(pa.UnionArray.from_sparse(pa.array([0, 1, 0], pa.int8()), [ints, ints.cast(pa.string())])))
    c.add("run-end encoded", of(pa.RunEndEncodedArray.from_arrays([2, 5], ["a", "b"])))
    c.add("list view", of(pa.ListViewArray.from_arrays([0, 1], [2, 2], ints)))
    c.add("large list view out of order", of(pa.LargeListViewArray.from_arrays([1, 0], [2, 3], ints)))
    c.add("string view", of(pa.array(["short", "a text that is longer than twelve bytes"], pa.string_view())))
    c.add("dictionary of a dictionary", of(pa.DictionaryArray.from_arrays([0, 0], pa.DictionaryArray.from_arrays([0], ["x"]))))
    c.add("null column", of(pa.nulls(1000)))
    c.add("half floats", of(pa.array([1.5], pa.float64()).cast(pa.float16())))
    c.add("intervals", of(pa.array([(1, 2, 3)], pa.month_day_nano_interval())))
    c.add("decimal256 of 76 digits", of(pa.array([9], pa.decimal256(76, 0))))
    c.add("decimal of a scale of -70", of(pa.array([None], pa.decimal256(5, -70))))
    c.add("two columns of one name", stream(pa.record_batch([ints, ints], names=["a", "a"])))
    c.add("columns that differ in case", stream(pa.record_batch([ints, ints], names=["a", "A"])))
    c.add("a column without a name", stream(pa.record_batch([ints], names=[""])))
    c.add("2,000 columns", lambda: stream(pa.record_batch([ints] * 2_000, names=[f"c{n}" for n in range(2_000)])), process=True)
    c.add("200,000 columns", lambda: stream(pa.record_batch([ints] * 200_000, names=[f"c{n}" for n in range(200_000)])))
    for depth in (50, 63, 70, 1_000):
        c.add(f"lists nested {depth:,} deep", _nested(depth), process=depth == 1_000)
    c.add("schema of 20 MB of metadata", lambda: stream(batch(1).replace_schema_metadata({"k": "x" * (20 * MEGABYTE)})))


def _nested(depth: int) -> bytes:
    """Only the schema: pyarrow would not write more."""
    t = pa.int64()
    for _ in range(depth):
        t = pa.list_(t)
    return bytes(pa.schema([pa.field("v", t)]).serialize()) + b"\xff\xff\xff\xff\0\0\0\0"


def _values(c: Cases) -> None:
    texts = stream(pa.record_batch({"v": ["first", "XYZZY", "last"]}))
    c.add("text that is not UTF-8", texts.replace(b"XYZZY", b"X\xffZZY"), process=True)
    c.add("text that is not UTF-8, in every row", of(pa.array([b"\xff"] * 400, pa.binary()).view(pa.string())))
    c.add("text that is not UTF-8, in a dictionary", of(_dictionary(["first", "XYZZY"])).replace(b"XYZZY", b"X\xffZZY"))
    c.add("name that is not UTF-8", of(pa.array([1])).replace(b"\x01\0\0\0v", b"\x01\0\0\0\xff"))
    c.add("NUL in a text", of(pa.array(["a\0b"])))
    numbers = pa.py_buffer(struct.pack("<4i", 0, 5, 1 << 30, 10))
    c.add("offsets beyond the text", of(pa.Array.from_buffers(pa.string(), 3, [None, numbers, pa.py_buffer(b"x" * 16)])))
    numbers = pa.py_buffer(struct.pack("<4i", 0, 5, 3, 10))
    c.add("offsets that go back", of(pa.Array.from_buffers(pa.string(), 3, [None, numbers, pa.py_buffer(b"x" * 16)])))
    c.add("index beyond its dictionary", of(_dictionary(["x", "y"], [0, 77])))
    c.add("index below zero", of(_dictionary(["x", "y"], [0, -1])))
    c.add("timestamps at the ends of their range", of(pa.array([-(2**63), 2**63 - 1], pa.timestamp("us"))), process=True)
    c.add("dates at the ends of their range", of(pa.array([-(2**31), 2**31 - 1], pa.date32())))
    c.add("times out of range", of(pa.array([-1, 2**40], pa.int64()).view(pa.time64("us"))))
    c.add("NaN and infinities", of(pa.array([float("nan"), float("inf"), -float("inf")])))
    c.add("zone that does not exist", of(pa.array([0], pa.timestamp("us", "Mars/Olympus"))))


def _dictionary(values: list[str], indices: list[int] | None = None) -> pa.Array:
    index = pa.array(indices if indices is not None else range(len(values)), pa.int32())
    return pa.DictionaryArray.from_arrays(index, pa.array(values), safe=False)


def _bombs(c: Cases) -> None:
    c.add("bomb: 1 GB of zeros in zstd", lambda: _inflated(1 << 30), process=True)
    c.add("bomb: 1 GB of zeros in zstd that claims 100 bytes", lambda: _inflated(1 << 30, 100))
    c.add("bomb: zstd that claims 2^60 bytes", lambda: _inflated(1 << 20, 1 << 60))
    c.add("bomb: zstd that claims -5 bytes", lambda: _inflated(1 << 20, -5))
    c.add("bomb: 100 batches of 8 MB of zeros in zstd", lambda: _many(100, MEGABYTE))
    c.add("bomb: a billion nulls", lambda: of(pa.nulls(1_000_000_000)), process=True)
    c.add("1,000,000 nulls, which is allowed", lambda: of(pa.nulls(1_000_000)))
    c.add(
        "a list of 100,000,000 nulls, which no bytes stand for",
        lambda: of(pa.ListArray.from_arrays([0, 100_000_000], pa.nulls(100_000_000))),
        process=True,
    )
    c.add("bomb: a run of a billion", lambda: of(pa.RunEndEncodedArray.from_arrays(pa.array([1_000_000_000], pa.int32()), ["x"])))
    long = "x" * (10 * MEGABYTE)
    c.add(
        "bomb: a text of 10 MB that 100,000 rows repeat",
        lambda: of(_dictionary([long], [0] * 100_000)),
    )
    c.add(
        "bomb: a run of 100,000 texts of 10 MB",
        lambda: of(pa.RunEndEncodedArray.from_arrays(pa.array([100_000], pa.int32()), [long])),
    )
    c.add(
        "bomb: 10,000 list views of the same 1,000,000 values",
        lambda: of(pa.ListViewArray.from_arrays([0] * 10_000, [1_000_000] * 10_000, pa.nulls(1_000_000, pa.int8()))),
    )
    c.add("bomb: an empty struct, a billion times", lambda: of(pa.StructArray.from_buffers(pa.struct([]), 1_000_000_000, [None])))
    c.add(
        "bomb: fixed_size_list of nothing, a billion times",
        lambda: of(
            pa.FixedSizeListArray.from_buffers(pa.list_(pa.int8(), 0), 1_000_000_000, [None], children=[pa.nulls(0, pa.int8())])
        ),
    )
    c.add("a dictionary of 100 MB", lambda: of(_dictionary([f"{n:01000}" for n in range(100_000)], [0, 1])))
    c.add("a dictionary over max_batch_bytes", of(_dictionary(["x" * 2_000], [0, 0])), max_batch_bytes=1024)
    c.add("a batch over max_batch_bytes", stream(batch(1_000)), max_batch_bytes=1024)


def _inflated(size: int, claims: int | None = None) -> bytes:
    """A stream of one column of 8-byte numbers; its buffer is replaced by what becomes `size` zeros."""
    rows = size // 8
    packed = _zstd_zeros(size)
    small = pa.record_batch({"v": pa.array([0] * 4096, pa.int64())})
    made = stream(small, codec="zstd")
    message = list(pa.ipc.MessageReader.open_stream(made))[1]
    old_body, metadata = message.body.to_pybytes(), message.metadata.to_pybytes()
    body = struct.pack("<q", size if claims is None else claims) + packed
    length = len(body)
    body += bytes(-len(body) % 8)
    stored = struct.unpack("<q", old_body[:8])[0]
    assert stored == 4096 * 8
    metadata = metadata.replace(struct.pack("<q", 4096), struct.pack("<q", rows))
    buffer = _stored_length(old_body)
    metadata = metadata.replace(struct.pack("<qq", 0, buffer), struct.pack("<qq", 0, length))
    metadata = metadata.replace(struct.pack("<q", len(old_body)), struct.pack("<q", len(body)), 1)
    return bytes(small.schema.serialize()) + _framed(metadata) + body + b"\xff\xff\xff\xff\0\0\0\0"


def _framed(metadata: bytes) -> bytes:
    padded = metadata + bytes(-len(metadata) % 8)
    return b"\xff\xff\xff\xff" + struct.pack("<i", len(padded)) + padded


def _stored_length(body: bytes) -> int:
    """The bytes of the only buffer: its length and a frame of zstd."""
    pack = zstandard.ZstdDecompressor().decompressobj()
    pack.decompress(body[8:])
    return len(body) - len(pack.unused_data)


def _zstd_zeros(size: int) -> bytes:
    pack = zstandard.ZstdCompressor(write_content_size=True).compressobj(size=size)
    return b"".join(pack.compress(bytes(MEGABYTE)) for _ in range(size >> 20)) + pack.flush()


def _many(batches: int, rows: int) -> bytes:
    one = pa.record_batch({"v": pa.array(memoryview(bytes(8 * rows)).cast("q"), pa.int64())})
    return stream(*[one] * batches, codec="zstd")


def _feather_v2() -> bytes:
    sink = pa.BufferOutputStream()
    pa.feather.write_feather(pa.table({"id": [1, 2]}), sink)
    return bytes(sink.getvalue())
