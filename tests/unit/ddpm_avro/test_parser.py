"""Reading containers: what a user is promised of good files, bad files and files read in parts."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_avro.codecs import CODECS
from ddpm_avro.container import block_bytes, encode_long, header_bytes, stored_block
from ddpm_avro.options import AvroOptions
from ddpm_avro.parser import AvroParser
from ddpm_core import BuildContext, DataError, Document, Messages, Parsed, Position
from tests.examples import examples

SYNC = b"0123456789abcdef"
FLAT = {"type": "record", "name": "flat", "fields": [{"name": "n", "type": "long"}, {"name": "s", "type": ["null", "string"]}]}


class Pipe(io.RawIOBase):
    """A stream that cannot seek and gives five bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(5, size) if size >= 0 else 5)

    def seek(self, *_: Any) -> int:
        raise io.UnsupportedOperation("seek")


def parser(context: BuildContext | None = None, **options: Any) -> AvroParser:
    return AvroParser(AvroOptions(**options), context or BuildContext())


def document(data: bytes, start: Position | None = None) -> Document:
    return Document("events.avro", "events", io.BytesIO(data), start or Position(0), len(data))


def written(schema: Any, rows: list[Any], codec: str = "null", block: int = 16000) -> bytes:
    if codec == "zstandard":  # fastavro wants another library for it.
        plain = list(fastavro.block_reader(io.BytesIO(written(schema, rows, block=block))))
        return blocks(schema, *((each.num_records, each.bytes_.getvalue()) for each in plain), codec=codec)
    stream = io.BytesIO()
    fastavro.writer(stream, schema, rows, codec=codec, sync_interval=block, sync_marker=SYNC)
    return stream.getvalue()


def blocks(schema: Any, *parts: tuple[int, bytes], codec: str = "null") -> bytes:
    """A container of these blocks: number of records, their bytes."""
    header = header_bytes(json.dumps(schema).encode(), codec, SYNC)
    return header + b"".join(block_bytes(codec, count, data, SYNC) for count, data in parts)


def rows_of(steps: list[Parsed]) -> list[Any]:
    return [row for step in steps if step.data is not None for row in step.data.to_pylist()]


def collect(steps: Iterator[Parsed]) -> tuple[list[Parsed], DataError]:
    """The steps before the error, and the error."""
    got: list[Parsed] = []

    def run() -> None:
        for step in steps:
            got.append(step)  # noqa: PERF402 - `extend` would lose them all with the error

    with pytest.raises(DataError) as caught:
        run()
    return got, caught.value


FLAT_ROWS = [{"n": i, "s": None if i % 3 else f"é{i}"} for i in range(1000)]


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_is_read(codec: str) -> None:
    data = written(FLAT, FLAT_ROWS, codec, block=1000)
    assert rows_of(list(parser().parse_document(document(data)))) == FLAT_ROWS


def test_codecs_are_those_that_fastavro_knows() -> None:
    assert set(CODECS) == set(fastavro._read.BLOCK_READERS)


def test_every_logical_type_has_its_arrow_type_and_its_value() -> None:
    utc = datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC)
    local = datetime(2024, 2, 29, 12, 30, 15, 123456)  # noqa: DTZ001
    uuid = UUID("12345678-1234-5678-1234-567812345678")
    cases: list[tuple[Any, Any, Any, pa.DataType]] = [
        ({"type": "int", "logicalType": "date"}, date(2024, 2, 29), date(2024, 2, 29), pa.date32()),
        ({"type": "int", "logicalType": "time-millis"}, time(1, 2, 3, 4000), time(1, 2, 3, 4000), pa.time32("ms")),
        ({"type": "long", "logicalType": "time-micros"}, time(1, 2, 3, 4), time(1, 2, 3, 4), pa.time64("us")),
        ({"type": "long", "logicalType": "timestamp-millis"}, utc, utc.replace(microsecond=123000), pa.timestamp("ms", "UTC")),
        ({"type": "long", "logicalType": "timestamp-micros"}, utc, utc, pa.timestamp("us", "UTC")),
        ({"type": "long", "logicalType": "timestamp-nanos"}, 10**18, datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC), pa.timestamp("ns", "UTC")),
        ({"type": "long", "logicalType": "local-timestamp-millis"}, local, local.replace(microsecond=123000), pa.timestamp("ms")),
        ({"type": "long", "logicalType": "local-timestamp-micros"}, local, local, pa.timestamp("us")),
        ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, Decimal("-1.20"), Decimal("-1.20"), pa.decimal128(9, 2)),
        ({"type": "bytes", "logicalType": "decimal", "precision": 60}, Decimal(-5), Decimal(-5), pa.decimal256(60, 0)),
        ({"type": "fixed", "name": "d1", "size": 20, "logicalType": "decimal", "precision": 9, "scale": 2}, Decimal("-1.20"), Decimal("-1.20"), pa.decimal128(9, 2)),
        ({"type": "fixed", "name": "d2", "size": 3, "logicalType": "decimal", "precision": 6, "scale": 0}, Decimal(7), Decimal(7), pa.decimal128(6, 0)),
        ({"type": "string", "logicalType": "uuid"}, uuid, uuid, pa.uuid()),
        ({"type": "fixed", "name": "u", "size": 16, "logicalType": "uuid"}, uuid.bytes, uuid, pa.uuid()),
        ({"type": "fixed", "name": "p", "size": 12, "logicalType": "duration"}, struct.pack("<3I", 1, 2, 3), pa.MonthDayNano([1, 2, 3_000_000]), pa.month_day_nano_interval()),
        ({"type": "fixed", "name": "f", "size": 3}, b"abc", b"abc", pa.binary(3)),
        ({"type": "enum", "name": "e", "symbols": ["A", "B"]}, "B", "B", pa.string()),
        ({"type": "bytes", "logicalType": "decimal", "precision": 0}, b"\x01", b"\x01", pa.binary()),
        ({"type": "map", "values": "int"}, {"a": 1}, [("a", 1)], pa.map_(pa.string(), pa.int32())),
        ({"type": "array", "items": ["null", "float"]}, [None, 1.5], [None, 1.5], pa.list_(pa.float32())),
        ("null", None, None, pa.null()),
        (["null", "long", "string"], "x", '"x"', pa.json_()),
    ]  # fmt: skip
    plain = [(_without_invalid_decimal(schema), value) for schema, value, _, _ in cases]
    schema = {"type": "record", "name": "all", "fields": [{"name": f"c{i}", "type": t} for i, (t, _) in enumerate(plain)]}
    data = written(schema, [{f"c{i}": value for i, (_, value) in enumerate(plain)}])
    header = header_bytes(
        json.dumps(
            {"type": "record", "name": "all", "fields": [{"name": f"c{i}", "type": c[0]} for i, c in enumerate(cases)]}
        ).encode(),
        "null",
        SYNC,
    )
    data = header + data[data.index(SYNC) + 16 :]
    (step,) = parser().parse_document(document(data))
    assert step.data is not None
    assert step.data.schema.types == [case[3] for case in cases]
    assert [
        column[0].as_py() for column in step.data.columns if not pa.types.is_timestamp(column.type) or column.type.unit != "ns"
    ] == [want for _, _, want, type_ in cases if type_ != pa.timestamp("ns", "UTC")]
    nanos = next(column for column in step.data.columns if column.type == pa.timestamp("ns", "UTC"))
    assert nanos.cast(pa.int64())[0].as_py() == 10**18


def _without_invalid_decimal(schema: Any) -> Any:
    return "bytes" if isinstance(schema, dict) and schema.get("precision") == 0 else schema


def test_a_union_of_several_types_becomes_json() -> None:
    types: list[Any] = [
        "null", "long", "string", "double", "bytes", "boolean",
        {"type": "record", "name": "r", "fields": [{"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 20}}, {"name": "u", "type": ["int", "string"]}]},
        {"type": "map", "values": {"type": "int", "logicalType": "date"}},
    ]  # fmt: skip
    schema = {"type": "record", "name": "x", "fields": [{"name": "u", "type": types}]}
    values = [
        None,
        2**62,
        'a"b',
        1.5,
        float("nan"),
        b"\xff",
        True,
        {"d": Decimal("1.00000000000000000001"), "u": "x"},
        {"k": date(2020, 1, 2)},
    ]
    (step,) = parser().parse_document(document(written(schema, [{"u": v} for v in values])))
    assert step.data is not None
    assert step.data.column(0).to_pylist() == [
        None, "4611686018427387904", '"a\\"b"', "1.5", '"NaN"', '"/w=="', "true",
        '{"d":1.00000000000000000001,"u":"x"}', '{"k":"2020-01-02"}',
    ]  # fmt: skip


def test_a_schema_that_is_no_record_gives_the_column_value() -> None:
    (step,) = parser().parse_document(document(written({"type": "array", "items": "int"}, [[1, 2], []])))
    assert rows_of([step]) == [{"value": [1, 2]}, {"value": []}]


def test_named_types_are_found_in_their_namespaces() -> None:
    inner = {"type": "record", "name": "p", "fields": [{"name": "a", "type": "int"}]}
    schema = {
        "type": "record",
        "name": "x",
        "namespace": "n.s",
        "fields": [{"name": "first", "type": inner}, {"name": "second", "type": ["null", "n.s.p"]}, {"name": "third", "type": "p"}],
    }
    rows = [{"first": {"a": 1}, "second": None, "third": {"a": 3}}, {"first": {"a": 1}, "second": {"a": 2}, "third": {"a": 3}}]
    assert rows_of(list(parser().parse_document(document(written(schema, rows))))) == rows


def test_a_pipe_with_short_reads_gives_the_same_rows() -> None:
    data = written(FLAT, FLAT_ROWS, "deflate", block=500)
    piped = Document("-", "stdin", Pipe(data))  # type: ignore[arg-type]
    assert rows_of(list(parser().parse_document(piped))) == FLAT_ROWS
    assert not piped.stream.closed


def test_a_file_without_records_has_no_steps() -> None:
    assert list(parser().parse_document(document(written(FLAT, [])))) == []


@settings(max_examples=examples(8), deadline=None)
@given(st.integers(7, 60), st.integers(20, 800), st.integers(20, 800))
def test_going_on_from_any_step_gives_each_record_once(batch_rows: int, batch_bytes: int, block: int) -> None:
    rows = FLAT_ROWS[:120]
    data = written(FLAT, rows, block=block)
    context = BuildContext(batch_rows=batch_rows, batch_bytes=batch_bytes)
    steps = list(parser(context).parse_document(document(data)))
    assert rows_of(steps) == rows
    assert max(step.records for step in steps) <= batch_rows
    assert sum(step.nbytes for step in steps) <= len(data)
    done = 0
    for at, step in enumerate(steps):
        done += step.records
        rest = list(parser(context).parse_document(document(data, Position(done, {"resume": step.resume}))))
        assert rows_of(rest) == rows[done:], at


def test_a_file_that_grew_is_continued_behind_its_last_block() -> None:
    data = written(FLAT, FLAT_ROWS[:100])
    (step,) = parser().parse_document(document(data))
    assert step.resume == {"byte": len(data), "grows": True}
    longer = io.BytesIO(data)
    longer.seek(0, io.SEEK_END)
    longer.write(written(FLAT, FLAT_ROWS[100:200])[data.index(SYNC) + 16 :])
    rest = parser().parse_document(document(longer.getvalue(), Position(100, {"resume": step.resume})))
    assert rows_of(list(rest)) == FLAT_ROWS[100:200]


def test_a_truncated_file_keeps_its_complete_blocks_and_says_where_it_ends() -> None:
    data = blocks(FLAT, (2, b"\x02\x00\x04\x00"), (1, b"\x06\x00"))
    second = len(data) - 2 - 2 - 16
    for end in range(second + 1, len(data)):
        steps, error = collect(parser().parse_document(document(data[:end])))
        assert rows_of(steps) == [{"n": 1, "s": None}, {"n": 2, "s": None}]
        assert steps[-1].resume == {"byte": second, "grows": True}
        assert error.reason == "avro_truncated"
        assert str(error) == (
            f"events.avro, byte {second}: the file ends in the middle of a block\n"
            "The 2 records before it are fine; run again when the file is complete."
        )


def test_a_truncated_header_says_so() -> None:
    data = written(FLAT, [])
    for end in range(1, len(data)):
        steps, error = collect(parser().parse_document(document(data[:end])))
        assert (steps, error.reason) == ([], "avro_truncated")
        assert str(error) == (
            f"events.avro ends in the middle of the Avro header, at byte {end}\n"
            "Copy the file again, or run again when it is complete."
        )


def test_an_empty_file_says_so() -> None:
    _, error = collect(parser().parse_document(document(b"")))
    assert (error.reason, str(error)) == ("avro_truncated", "events.avro is empty: not even the header of an Avro file is there")


def test_a_wrong_sync_marker_ends_the_document_at_its_block() -> None:
    data = bytearray(blocks(FLAT, (2, b"\x02\x00\x04\x00"), (1, b"\x06\x00")))
    data[-1] ^= 1
    second = len(data) - 2 - 2 - 16
    steps, error = collect(parser().parse_document(document(bytes(data))))
    assert len(rows_of(steps)) == 2
    assert error.reason == "avro_invalid"
    assert str(error) == (
        f"events.avro, byte {second}: the block is damaged: it does not end with the sync marker\n"
        "The 2 records before it are fine; copy the file again."
    )


@pytest.mark.parametrize(
    ("beginning", "message"),
    [
        (b"PAR1....", "events.avro is no Avro file: it looks like a Parquet file\nTry --format parquet."),
        (b' \n{"a": 1}', "events.avro is no Avro file: it looks like JSON\nTry --format json."),
        (b"[1]", "events.avro is no Avro file: it looks like JSON\nTry --format json."),
        (b"\x1f\x8b\x08", "events.avro is no Avro file: it looks like compressed with gzip\nTry gunzip first."),
        (
            b"id,name\n1,x",
            "events.avro is no Avro file: it begins with b'id,name\\n' instead of b'Obj\\x01'\nName the right format with --format.",
        ),
    ],
)
def test_another_format_is_named(beginning: bytes, message: str) -> None:
    _, error = collect(parser().parse_document(document(beginning)))
    assert (error.reason, str(error)) == ("wrong_format", message)


@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_damage_anywhere_gives_rejects_or_a_data_error_and_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(written(FLAT, FLAT_ROWS[:60], data.draw(st.sampled_from(CODECS)), block=100))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    steps: list[Parsed] = []
    reason = "none"
    try:
        for step in parser().parse_document(document(bytes(whole))):
            steps.append(step)  # noqa: PERF402 - `extend` would lose them all with the error
    except DataError as error:
        reason = error.reason
    assert reason in {
        "none", "avro_truncated", "avro_invalid", "avro_codec", "wrong_format", "decompressed_size", "collection_limit", "depth",
    }  # fmt: skip
    for step in steps:
        rows = 0 if step.data is None else step.data.num_rows
        assert rows + len(step.rejects) == step.records


def bad_record(schema_type: Any, datum: bytes, good: bytes) -> tuple[list[Any], Any]:
    """Rows and the reject of a block of three records whose second one is bad; then the reject's bytes are read again."""
    schema = {"type": "record", "name": "x", "fields": [{"name": "c", "type": schema_type}]}
    data = blocks(schema, (3, good + datum + good))
    (step,) = parser().parse_document(document(data))
    (reject,) = step.rejects
    assert step.origin is not None
    assert step.origin.to_pylist() == [0, 2]
    assert (reject.index, step.records) == (1, 3)
    assert reject.byte_offset == data.index(SYNC) + 16
    again = list(parser().parse_document(document(reject.raw or b"")))
    assert [(r.reason, r.message, r.raw) for s in again for r in s.rejects] == [(reject.reason, reject.message, reject.raw)]
    assert reject.raw == blocks(schema, (1, datum))
    return [row["c"] for row in rows_of([step])], (reject.reason, reject.message)


@pytest.mark.parametrize(
    ("schema", "bad", "good", "value", "reason", "message"),
    [
        ({"type": "int", "logicalType": "date"}, encode_long(2932897), b"\x00", date(1970, 1, 1), "logical_type", "c: 2932897 is outside of date (-719162 to 2932896)"),
        ({"type": "long", "logicalType": "timestamp-millis"}, encode_long(2**62), b"\x00", datetime(1970, 1, 1, tzinfo=UTC), "logical_type", "c: 4611686018427387904 is outside of timestamp-millis (-62135596800000 to 253402300799999)"),
        ({"type": "int", "logicalType": "time-millis"}, b"\x01", b"\x00", time(0), "logical_type", "c: -1 is outside of time-millis (0 to 86399999)"),
        ({"type": "string", "logicalType": "uuid"}, b"\x02x", b"\x48" + str(UUID(int=1)).encode(), UUID(int=1), "logical_type", "c: 'x' is no UUID"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 3, "scale": 1}, b"\x04\x03\xe8", b"\x02\x01", Decimal("0.1"), "decimal_length", "c: 1000 (unscaled) does not fit decimal(3,1)"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 3, "scale": 1}, encode_long(200_000) + b"\x7f" * 200_000, b"\x00", Decimal(0), "decimal_length", "c: 200,000 bytes are more than decimal(3,1) can have"),
        ("int", encode_long(1 << 31), b"\x02", 1, "int_range", "c: 2147483648 does not fit an int of 32 bits"),
        ("string", b"\x02\xff", b"\x00", "", "encoding", "c: the text is not UTF-8: byte 0 is 0xff"),
        ("boolean", b"\x02", b"\x01", True, "avro_invalid", "c: the byte 0x02 is no boolean"),
        ({"type": "enum", "name": "e", "symbols": ["A", "B"]}, b"\x01", b"\x02", "B", "avro_invalid", "c: there is no symbol -1 in an enum of 2"),
        ({"type": "array", "items": {"type": "int", "logicalType": "date"}}, b"\x02" + encode_long(10**8) + b"\x00", b"\x00", [], "logical_type", "c[]: 100000000 is outside of date (-719162 to 2932896)"),
    ],
)  # fmt: skip
def test_a_bad_value_does_not_cost_its_neighbours(
    schema: Any, bad: bytes, good: bytes, value: Any, reason: str, message: str
) -> None:
    assert bad_record(schema, bad, good) == ([value, value], (reason, message))


@pytest.mark.parametrize(
    ("schema", "bad", "reason", "message"),
    [
        (["null", "string"], b"\x01\x02a", "avro_invalid", "c: there is no branch -1 in a union of 2"),
        (["null", "string", "int"], b"\x08", "avro_invalid", "c: there is no branch 4 in a union of 3"),
        ("string", b"\xfe\x01", "avro_invalid", "c: 127 bytes announced, 4 left"),
        ("long", b"\xff" * 11, "avro_invalid", "a number is longer than 10 bytes"),
        ({"type": "array", "items": "null"}, encode_long(10**9) + b"\x00", "collection_limit", "c[]: more than 1,000,000 items that take no bytes"),
    ],
)  # fmt: skip
def test_what_follows_a_record_without_an_end_is_set_aside_with_it(schema: Any, bad: bytes, reason: str, message: str) -> None:
    good = {"string": b"\x00", "long": b"\x00"}.get(schema if isinstance(schema, str) else "", b"\x00")
    record = {"type": "record", "name": "x", "fields": [{"name": "c", "type": schema}]}
    tail = b"\x00" * 4
    data = blocks(record, (6, good + bad + tail), (1, good))
    steps = list(parser().parse_document(document(data)))
    (step,) = steps
    assert step.records == 7
    assert step.origin is not None
    assert step.origin.to_pylist() == [0, 6]
    at = data.index(SYNC) + 16
    path_message = message.replace("c[]", "c")
    first, *rest = step.rejects
    assert (first.index, first.reason) == (1, reason)
    assert first.message == f"{path_message} (in the block at byte {at}, from its record 1 on)"
    assert first.raw == blocks(record, (5, bad + tail))
    assert [(r.index, r.reason, r.raw, r.byte_offset) for r in rest] == [(i, reason, b"", at) for i in range(2, 6)]
    assert {r.message for r in rest} == {f"lost with record 1 of the block at byte {at}, whose dead letter has the bytes of both"}


def test_a_block_with_bytes_left_over_is_not_believed() -> None:
    for schema in ("long", "bytes", {"type": "fixed", "name": "f", "size": 1}):
        data = blocks(schema, (2, b"\x00\x00\x00"))
        (step,) = parser().parse_document(document(data))
        assert step.data is None
        at = data.index(SYNC) + 16
        assert [(r.index, r.reason) for r in step.rejects] == [(0, "trailing_bytes"), (1, "trailing_bytes")]
        assert step.rejects[0].message == (
            f"1 bytes are left over after the last of 2 records (in the block at byte {at}, from its record 0 on)"
        )
        assert step.rejects[0].raw == data


def test_a_block_that_does_not_decompress_is_set_aside_whole_and_the_next_one_lands() -> None:
    header = header_bytes(json.dumps(FLAT).encode(), "snappy", SYNC)
    bad = bytearray(block_bytes("snappy", 2, b"\x02\x00\x04\x00", SYNC))
    bad[-17] ^= 1  # The checksum.
    data = header + bytes(bad) + block_bytes("snappy", 1, b"\x06\x00", SYNC)
    (step,) = parser().parse_document(document(data))
    assert rows_of([step]) == [{"n": 3, "s": None}]
    assert [r.index for r in step.rejects] == [0, 1]
    assert step.rejects[0].message == (
        f"snappy cannot decompress it: its checksum is wrong (in the block at byte {len(header)}, from its record 0 on)"
    )
    assert step.rejects[0].raw == header + bytes(bad)


@pytest.mark.parametrize("codec", [codec for codec in CODECS if codec != "null"])
def test_a_bomb_is_refused_before_it_is_unpacked(codec: str) -> None:
    data = blocks("bytes", (1, b"\x00"), (1, b"\x00" * (4 << 20)), codec=codec)
    steps, error = collect(parser(max_block_bytes=1 << 20).parse_document(document(data)))
    assert len(rows_of(steps)) == 1
    assert error.reason == "decompressed_size"
    at = data.index(SYNC, data.index(SYNC) + 16) + 16
    assert str(error) == (
        f"events.avro, byte {at}: the block is refused: it is larger than 1,048,576 bytes\n"
        "The 1 records before it are fine; raise max_block_bytes if that is no mistake."
    )


def test_a_count_that_cannot_be_is_refused() -> None:
    _, error = collect(parser().parse_document(document(blocks("long", (10**12, b"\x00")))))
    assert (error.reason, error.message.partition(": ")[2]) == (
        "avro_invalid",
        "the block is damaged: 1,000,000,000,000 records cannot be in 1 bytes",
    )
    _, error = collect(parser().parse_document(document(blocks("null", (10**12, b"")))))
    assert error.reason == "collection_limit"


def test_a_length_that_cannot_be_takes_no_memory() -> None:
    data = blocks("long") + encode_long(1) + encode_long(15 << 20) + b"x"
    tracemalloc.start()
    _, error = collect(parser().parse_document(document(data)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.reason == "avro_truncated"
    assert peak < 4 << 20


@pytest.mark.parametrize(
    ("schema", "reason", "message"),
    [
        ({"type": "record", "name": "r", "fields": [{"name": "next", "type": ["null", "r"]}]}, "depth", "events.avro: record 'r' contains itself, at 'next'; such schemas are not supported"),
        ("nonsense", "avro_invalid", "events.avro: the schema is wrong: 'nonsense' is no type"),
        ({"type": "record", "name": "r", "fields": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]}, "avro_invalid", "events.avro: the schema is wrong: record 'r' has two fields of one name"),
        ({"type": "fixed", "name": "f", "size": 0}, "avro_invalid", "events.avro: the schema is wrong: a fixed of size 0"),
        ([], "avro_invalid", "events.avro: the schema is wrong: a union without branches"),
    ],
)  # fmt: skip
def test_a_schema_that_cannot_be_read_is_refused(schema: Any, reason: str, message: str) -> None:
    _, error = collect(parser().parse_document(document(blocks(schema))))
    assert (error.reason, str(error)) == (reason, message)


def test_a_schema_nested_too_deep_or_standing_for_too_much_is_refused() -> None:
    deep: Any = "int"
    for _ in range(200):
        deep = {"type": "array", "items": deep}
    wide: list[Any] = [{"type": "record", "name": "r0", "fields": [{"name": "a", "type": "int"}]}]
    wide += [{"type": "record", "name": f"r{i}", "fields": [{"name": n, "type": f"r{i - 1}"} for n in "ab"]} for i in range(1, 30)]
    fields = [{"name": f"f{i}", "type": record} for i, record in enumerate(wide)]
    for schema in (deep, {"type": "record", "name": "top", "fields": fields}):
        _, error = collect(parser().parse_document(document(blocks(schema))))
        assert error.reason == "depth"
    text = b'{"type":"array","items":' * 100_000
    _, error = collect(parser().parse_document(document(header_bytes(text, "null", SYNC))))
    assert error.reason in ("depth", "avro_invalid")


def test_zstandard_frames_that_do_not_say_their_size_are_read_and_bounded() -> None:
    import zstandard

    squeeze = zstandard.ZstdCompressor(write_content_size=False).compress
    header = header_bytes(b'"bytes"', "zstandard", SYNC)
    small, large = squeeze(b"\x02x"), squeeze(encode_long(4 << 20) + b"x" * (4 << 20))
    data = header + stored_block(1, small, SYNC) + stored_block(1, small[:-1], SYNC) + stored_block(1, large, SYNC)
    steps, error = collect(parser(max_block_bytes=1 << 20).parse_document(document(data)))
    assert rows_of(steps) == [{"value": b"x"}]
    assert [reject.reason for step in steps for reject in step.rejects] == ["avro_invalid"]
    assert error.reason == "decompressed_size"


def test_an_unknown_codec_is_named() -> None:
    _, error = collect(parser().parse_document(document(header_bytes(b'"int"', "zip", SYNC))))
    assert error.reason == "avro_codec"
    assert str(error) == (
        "events.avro is compressed with 'zip', which is not known\n"
        "Write it again with one of null, deflate, bzip2, snappy, zstandard, lz4, xz."
    )


def test_any_record_can_be_had_as_a_container_of_its_own() -> None:
    data = written(FLAT, FLAT_ROWS, "deflate", block=300)
    (step,) = parser().parse_document(document(data))
    assert step.raw is not None
    assert step.byte_offset is not None
    for record in (0, 1, 499, 999):
        assert rows_of(list(parser().parse_document(document(step.raw(record) or b"")))) == [FLAT_ROWS[record]]
    assert step.byte_offset(0) == data.index(SYNC) + 16


def test_messages_are_containers_and_land_whole_or_not_at_all() -> None:
    good, bad = blocks("int", (2, b"\x02\x04")), blocks("int", (2, b"\x02" + encode_long(1 << 40)))
    messages = Messages([good, bad, None, b"junk", good], ["t/0"] * 5, list(range(5)), {}, {})
    parsed = parser().parse_messages(messages)
    assert parsed.data is not None
    assert parsed.data.column(0).to_pylist() == [1, 2, 1, 2]
    assert parsed.origin is not None
    assert parsed.origin.to_pylist() == [0, 0, 4, 4]
    assert [(r.index, r.reason) for r in parsed.rejects] == [(1, "int_range"), (2, "no_value"), (3, "wrong_format")]


def test_memory_does_not_grow_with_the_file() -> None:
    def peak(blocks_: int) -> int:
        block = block_bytes("deflate", 1000, b"".join(encode_long(i) + b"\x02\x0aabcde" for i in range(1000)), SYNC)
        stream = io.BytesIO(header_bytes(json.dumps(FLAT).encode(), "deflate", SYNC) + block * blocks_)
        before = pa.total_allocated_bytes()
        most = 0
        for step in parser(BuildContext(batch_rows=10_000)).parse_document(Document("x", "x", stream)):
            most = max(most, pa.total_allocated_bytes() - before)
            assert step.records == 10_000
        return most

    assert peak(300) <= 1.2 * peak(30)


def test_a_raw_deflate_stream_that_ends_early_is_noticed() -> None:
    stored = zlib.compress(b"\x02\x00" * 50, wbits=-15)[:-1]
    data = header_bytes(json.dumps(FLAT).encode(), "deflate", SYNC) + encode_long(50) + encode_long(len(stored)) + stored + SYNC
    (step,) = parser().parse_document(document(data))
    assert step.data is None
    assert len(step.rejects) == 50
