"""Files that are written come back as they were."""

from __future__ import annotations

import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddpm_core import BuildContext, DataError, FatalError, Messages, Position
from ddpm_core.testing import all_types, hostile_names
from ddpm_parquet.options import ParquetOptions
from ddpm_parquet.parser import build as build_parser
from ddpm_parquet.serializer import ParquetSerializer, build

Write = Callable[..., bytes]


def serializer(**options: Any) -> ParquetSerializer:
    return build(ParquetOptions(**options), BuildContext())


def document(batches: list[pa.RecordBatch], schema: pa.Schema, **options: Any) -> bytes:
    stream = io.BytesIO()
    writer = serializer(**options).document_writer(stream, schema)
    for batch in batches:
        writer.write(batch)
    writer.close()
    writer.close()
    assert not stream.closed
    return stream.getvalue()


VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.bool_(): st.booleans(),
    pa.int8(): st.integers(-128, 127),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float16(): st.sampled_from([0.0, 0.5, -2.0]),
    pa.float64(): st.floats(allow_nan=False),
    pa.decimal128(38, 4): st.integers(-(10**37), 10**37).map(lambda n: Decimal(n).scaleb(-4)),
    pa.decimal256(76, 0): st.integers(-(10**75), 10**75).map(Decimal),
    pa.string(): st.text(max_size=8),
    pa.large_string(): st.text(max_size=8),
    pa.string_view(): st.text(max_size=8),
    pa.binary(): st.binary(max_size=8),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.date32(): st.integers(-(2**31), 2**31 - 1),
    pa.timestamp("ms"): st.integers(-(2**60), 2**60),
    pa.timestamp("us", "UTC"): st.integers(-(2**60), 2**60),
    pa.timestamp("ns", "Europe/Berlin"): st.integers(-(2**60), 2**60),
    pa.time32("ms"): st.integers(0, 86_399_999),
    pa.time64("ns"): st.integers(0, 86_399_999_999_999),
    pa.duration("us"): st.integers(-(2**60), 2**60),
    pa.null(): st.none(),
    pa.list_(pa.list_(pa.int16())): st.lists(st.lists(st.none() | st.integers(-9, 9), max_size=3) | st.none(), max_size=3),
    pa.map_(pa.string(), pa.int32()): st.dictionaries(st.text(max_size=3), st.integers(-9, 9), max_size=3).map(
        lambda pairs: list(pairs.items())
    ),
    pa.struct({"a": pa.int32(), "b": pa.list_(pa.struct({"c": pa.string()}))}): st.fixed_dictionaries(
        {"a": st.none() | st.integers(-9, 9), "b": st.lists(st.fixed_dictionaries({"c": st.text(max_size=3)}), max_size=2)}
    ),
    pa.dictionary(pa.int32(), pa.string()): st.sampled_from(["red", "green", "blue"]),
    pa.uuid(): st.binary(min_size=16, max_size=16),
    pa.json_(): st.sampled_from(["{}", "[1]", "null"]),
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    codec=st.sampled_from(["zstd", "snappy", "gzip", "brotli", "lz4", "none"]),
    group=st.integers(1, 9),
    batch_rows=st.integers(1, 9),
)
def test_every_type_comes_back(data: st.DataObject, codec: str, group: int, batch_rows: int, reading: Any) -> None:
    rows = data.draw(st.integers(1, 12))
    columns = {}
    for kind in data.draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=6, unique_by=str)):
        values = data.draw(st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows))
        columns[f"{kind}"] = pa.array(values, kind)
    batch = pa.RecordBatch.from_pydict(columns)
    written = document([batch.slice(0, rows // 2), batch.slice(rows // 2)], batch.schema, compression=codec, row_group_rows=group)
    got = reading(written, batch_rows=batch_rows).table
    for name, column in columns.items():
        assert same_values(got.column(name), column), name


def same_values(got: pa.ChunkedArray, wanted: pa.Array) -> bool:
    if pa.types.is_dictionary(wanted.type):
        return bool(got.cast(pa.string()).to_pylist() == wanted.to_pylist())
    assert type(got.type) is type(wanted.type)
    return bool(got.combine_chunks().cast(wanted.type) == wanted)


def test_small_batches_become_row_groups_of_the_size_asked_for() -> None:
    batch = pa.RecordBatch.from_pydict({"n": list(range(7))})
    data = document([batch] * 10, batch.schema, row_group_rows=30)
    metadata = pq.ParquetFile(io.BytesIO(data)).metadata
    assert [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)] == [30, 30, 10]


def test_a_document_without_rows_keeps_its_columns() -> None:
    schema = pa.schema({"a": pa.int64()})
    file = pq.ParquetFile(io.BytesIO(document([], schema)))
    assert file.schema_arrow == schema
    assert file.metadata.num_rows == 0


def test_pages_are_written_with_checksums(reading: Any) -> None:
    batch = pa.RecordBatch.from_pydict({"s": [f"text {n}" for n in range(500)]})
    data = bytearray(document([batch], batch.schema))
    column = pq.ParquetFile(io.BytesIO(bytes(data))).metadata.row_group(0).column(0)
    data[column.data_page_offset + column.total_compressed_size // 4] ^= 1
    assert reading(bytes(data)).error.reason == "checksum"


def test_each_row_is_a_message_of_its_own() -> None:
    batch = all_types(12)
    payloads: list[bytes | None] = [*serializer().serialize_rows(batch)]
    assert len(payloads) == 12
    messages = Messages(payloads, ["t"] * 12, list(range(12)), {"t": Position(0)}, {"t": Position(12)})
    parsed = build_parser(ParquetOptions(), BuildContext()).parse_messages(messages)
    assert parsed.rejects == []
    assert parsed.data is not None
    assert repr(parsed.data.to_pylist()) == repr(batch.to_pylist())
    assert serializer().serialize_rows(batch.slice(0, 0)) == []


def test_hostile_column_names_come_back(reading: Any) -> None:
    names = hostile_names()
    batch = pa.RecordBatch.from_arrays([pa.array(["x" * 100] * 3)] * len(names), names=names)
    assert reading(document([batch], batch.schema), max_step_bytes=1024).table.schema.names == names


def test_what_cannot_be_written_is_refused_by_name() -> None:
    interval = pa.schema({"ok": pa.int64(), "i": pa.month_day_nano_interval()})
    with pytest.raises(DataError) as caught:
        serializer().document_writer(io.BytesIO(), interval)
    assert caught.value.reason == "type_unsupported"
    assert str(caught.value) == (
        "column 'i' of type month_day_nano_interval cannot be written as Parquet: "
        "Unhandled type for Arrow to Parquet schema conversion: month_day_nano_interval\nCast it to another type."
    )
    twice = pa.schema([("a", pa.int64()), ("a", pa.int64())])
    with pytest.raises(DataError) as caught:
        serializer().document_writer(io.BytesIO(), twice)
    assert (caught.value.reason, str(caught.value)) == (
        "duplicate_column",
        "there is more than one column 'a'\nRename one of them.",
    )


def test_a_value_that_does_not_fit_the_file_is_refused() -> None:
    batch = pa.RecordBatch.from_pydict({"t": pa.array([2**62], pa.timestamp("s"))})
    with pytest.raises(DataError) as caught:
        serializer().serialize_rows(batch)
    assert caught.value.reason == "value_unsupported"
    assert str(caught.value) == (
        "rows cannot be written as Parquet: Integer overflow when casting timestamp value 4611686018427387904 "
        "from timestamp[s] to timestamp[ms]"
    )


def test_a_full_disk_is_not_bad_data() -> None:
    class Full(io.BytesIO):
        full = False

        def write(self, data: Any) -> int:
            if self.full:
                raise OSError(28, "No space left on device")
            return super().write(data)

    stream = Full()
    batch = pa.RecordBatch.from_pydict({"n": [1]})
    writer = serializer(row_group_rows=1).document_writer(stream, batch.schema)
    stream.full = True
    with pytest.raises(FatalError) as caught:
        writer.write(batch)
    assert str(caught.value) == "the Parquet file cannot be written: no space left on device"
    stream.full = False
    writer.close()
