"""Writing: what is written is read again as it was, by this plugin and by fastavro."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import fastavro
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddpm_avro.codecs import CODECS
from ddpm_avro.container import Container
from ddpm_avro.limits import Shape
from ddpm_avro.options import AvroOptions
from ddpm_avro.parser import AvroParser
from ddpm_avro.serializer import AvroSerializer
from ddpm_core import BuildContext, DataError, Document, Messages, Position
from tests.examples import examples

_LEAVES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int32(), st.integers(-(1 << 31), (1 << 31) - 1)),
    (pa.int64(), st.integers(-(1 << 63), (1 << 63) - 1)),
    (pa.float32(), st.floats(width=32, allow_nan=False)),
    (pa.float64(), st.floats(allow_nan=False)),
    (pa.string(), st.text(max_size=5)),
    (pa.binary(), st.binary(max_size=5)),
    (pa.binary(3), st.binary(min_size=3, max_size=3)),
    (pa.date32(), st.dates()),
    (pa.time32("ms"), st.integers(0, 86_399_999)),
    (pa.time64("us"), st.integers(0, 86_399_999_999)),
    (pa.timestamp("ms", "UTC"), st.integers(-(10**13), 10**13)),
    (pa.timestamp("us", "UTC"), st.integers(-(10**16), 10**16)),
    (pa.timestamp("ns", "UTC"), st.integers(-(10**18), 10**18)),
    (pa.timestamp("ms"), st.integers(-(10**13), 10**13)),
    (pa.timestamp("us"), st.integers(-(10**16), 10**16)),
    (pa.timestamp("ns"), st.integers(-(10**18), 10**18)),
    (pa.decimal128(7, 3), st.integers(-9_999_999, 9_999_999).map(lambda i: Decimal(i).scaleb(-3))),
    (pa.decimal128(38, 0), st.integers(1 - 10**38, 10**38 - 1).map(Decimal)),
    (pa.decimal256(60, 60), st.integers(-9, 9).map(lambda i: Decimal(i).scaleb(-60))),
    (pa.month_day_nano_interval(), st.builds(lambda m, d, n: pa.MonthDayNano([m, d, n * 10**6]), *[st.integers(0, 1000)] * 3)),
]


@st.composite
def columns(draw: st.DrawFn, depth: int = 2) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
    kind = draw(st.sampled_from(["leaf", "leaf", "list", "struct", "map"])) if depth else "leaf"
    if kind == "leaf":
        type_, values = draw(st.sampled_from(_LEAVES))
        return type_, st.none() | values
    if kind == "struct":
        fields = [draw(columns(depth - 1)) for _ in range(draw(st.integers(1, 3)))]
        type_ = pa.struct([pa.field(f"x{i}", each) for i, (each, _) in enumerate(fields)])
        return type_, st.none() | st.fixed_dictionaries({f"x{i}": values for i, (_, values) in enumerate(fields)})
    item, values = draw(columns(depth - 1))
    if kind == "list":
        return pa.list_(item), st.none() | st.lists(values, max_size=3)
    return pa.map_(pa.string(), item), st.none() | st.dictionaries(st.text("ab"), values, max_size=2).map(lambda d: list(d.items()))


def _read(payload: bytes) -> pa.Table:
    parser = AvroParser(AvroOptions(), BuildContext())
    steps = list(parser.parse_document(Document("x.avro", "x", io.BytesIO(payload))))
    assert not [reject for step in steps for reject in step.rejects]
    return pa.Table.from_batches([step.data for step in steps])


def _written(data: pa.RecordBatch, **options: Any) -> bytes:
    stream = io.BytesIO()
    writer = AvroSerializer(AvroOptions(**options)).document_writer(stream, data.schema)
    writer.write(data)
    writer.close()
    writer.close()
    return stream.getvalue()


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_type_comes_back_as_it_was(data: st.DataObject) -> None:
    made = [data.draw(columns()) for _ in range(data.draw(st.integers(1, 3)))]
    count = data.draw(st.integers(1, 5))
    arrays = [pa.array(data.draw(st.lists(values, min_size=count, max_size=count)), type_) for type_, values in made]
    batch = pa.RecordBatch.from_arrays(arrays, [f"c{i}" for i in range(len(arrays))])
    start = data.draw(st.integers(0, count - 1))
    batch = batch.slice(start)
    assert _read(_written(batch)).to_batches() == [batch]
    payloads = AvroSerializer(AvroOptions()).serialize_rows(batch)
    messages = Messages(list(payloads), ["t/0"] * len(payloads), list(range(len(payloads))), {}, {"t/0": Position(len(payloads))})
    parsed = AvroParser(AvroOptions(), BuildContext()).parse_messages(messages)
    assert parsed.rejects == []
    assert parsed.data == batch


def test_fastavro_reads_what_is_written_with_its_logical_types() -> None:
    moment = datetime(2024, 2, 29, 12, 30, 15, 123000, tzinfo=UTC)
    uuid = UUID(int=7)
    batch = pa.record_batch(
        {
            "at": pa.array([moment], pa.timestamp("ms", "UTC")),
            "local": pa.array([moment.replace(tzinfo=None)], pa.timestamp("us")),
            "day": pa.array([date(2024, 2, 29)]),
            "clock": pa.array([time(1, 2, 3)], pa.time32("s")),
            "amount": pa.array([Decimal("-0.05")], pa.decimal128(10, 2)),
            "id": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([uuid.bytes], pa.binary(16))),
            "doc": pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a":1}'])),
            "kind": pa.array(["x"]).dictionary_encode(),
            "big": pa.array([2**64 - 1], pa.uint64()),
            "small": pa.array([-5], pa.int8()),
            "tags": pa.array([["a", None]], pa.large_list(pa.string())),
            "pair": pa.array([[1, 2]], pa.list_(pa.int32(), 2)),
            "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            "nothing": pa.nulls(1),
        }
    )
    (row,) = fastavro.reader(io.BytesIO(_written(batch)))
    assert row == {
        "at": moment, "local": moment.replace(tzinfo=None), "day": date(2024, 2, 29), "clock": time(1, 2, 3),
        "amount": Decimal("-0.05"), "id": uuid, "doc": '{"a":1}', "kind": "x", "big": Decimal(2**64 - 1), "small": -5,
        "tags": ["a", None], "pair": [1, 2], "map": {"k": 1}, "nothing": None,
    }  # fmt: skip


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_is_written_in_blocks(codec: str) -> None:
    batch = pa.record_batch({"n": list(range(4_000)), "s": ["abcdefgh"] * 4_000})
    payload = _written(batch, codec=codec, block_bytes=2_000)
    assert _read(payload) == pa.Table.from_batches([batch])
    container = Container(Document("x", "x", io.BytesIO(payload)), 1 << 20)
    sizes = [len(block.data) for block in container.blocks(Shape(1))]
    assert len(sizes) > 10
    assert max(sizes) < 4_000


def test_batches_of_few_rows_share_a_block_and_a_column_that_is_never_null_says_so() -> None:
    schema = pa.schema([pa.field("n", pa.int64(), nullable=False)])
    stream = io.BytesIO()
    writer = AvroSerializer(AvroOptions(record_name="shop.order")).document_writer(stream, schema)
    for i in range(100):
        writer.write(pa.record_batch([pa.array([i])], schema=schema))
    writer.close()
    reader = fastavro.block_reader(io.BytesIO(stream.getvalue()))
    assert [block.num_records for block in reader] == [100]
    assert json.loads(reader.metadata["avro.schema"]) == {
        "type": "record",
        "name": "shop.order",
        "fields": [{"name": "n", "type": "long"}],
    }
    assert not stream.closed


@pytest.mark.parametrize(
    ("column", "reason", "message"),
    [
        (("a b", pa.array([1])), "avro_name", "column 'a b' cannot be written as Avro: names are letters, digits and _, and do not begin with a digit\nRename the column."),
        (("a", pa.array([{"ü": 1}])), "avro_name", "column 'a.ü' cannot be written as Avro: names are letters, digits and _, and do not begin with a digit\nRename the column."),
        (("a", pa.array([1], pa.duration("s"))), "avro_type", "column 'a' is of type duration[s], which Avro has no type for\nCast it first."),
        (("a", pa.array([[(1, 2)]], pa.map_(pa.int32(), pa.int32()))), "avro_type", "column 'a' is a map with keys of type int32; Avro has only text"),
        (("a", pa.nulls(1, pa.decimal128(5, -2))), "avro_type", "column 'a' is of type decimal128(5, -2), whose scale Avro does not allow"),
        (("a", pa.array([1], pa.time64("ns"))), "avro_type", "column 'a' cannot be written as Avro without loss: Casting from time64[ns] to time64[us] would lose data: 1"),
        (("a", pa.array([pa.MonthDayNano([1, 1, 1])])), "avro_type", "column 'a': an Avro duration has months, days and milliseconds, none negative; this is MonthDayNano(months=1, days=1, nanoseconds=1)"),
        (("a", pa.array([[("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int32()))), "avro_type", None),
    ],
)  # fmt: skip
def test_what_avro_has_no_place_for_is_refused(column: tuple[str, pa.Array], reason: str, message: str | None) -> None:
    batch = pa.record_batch([column[1]], [column[0]])
    with pytest.raises(DataError) as caught:
        _written(batch)
    assert caught.value.reason == reason
    assert message is None or str(caught.value) == message


def test_two_structs_whose_paths_read_alike_get_different_names() -> None:
    batch = pa.record_batch({"a_b": [{"x": 1}], "a": [{"b": {"x": 2}}], "record": [{"y": 1}]})
    assert _read(_written(batch)) == pa.Table.from_batches([batch])


@pytest.mark.parametrize("rows_before", [0, 1, 700])
def test_of_a_batch_that_cannot_be_written_nothing_is_in_the_document(rows_before: int) -> None:
    maps = pa.map_(pa.string(), pa.int64())
    good = pa.record_batch({"m": pa.array([[("a", 1)]] * max(1, rows_before), maps)})
    bad = pa.record_batch({"m": pa.array([[("a", 1)]] * 3000 + [[("a", 1), ("a", 2)]], maps)})
    stream = io.BytesIO()
    serializer = AvroSerializer(AvroOptions(block_bytes=1024))
    writer = serializer.document_writer(stream, good.schema)
    if rows_before:
        writer.write(good)
    with pytest.raises(DataError) as caught:
        writer.write(bad)
    assert str(caught.value) == "a map has the key 'a' twice, which Avro does not allow"
    writer.write(good)
    writer.close()
    stream.seek(0)
    assert len(list(fastavro.reader(stream))) == rows_before + good.num_rows
