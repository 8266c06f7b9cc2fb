"""What is written, others read."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pytest

from ddpm_arrow.options import ArrowOptions
from ddpm_arrow.serializer import ArrowSerializer, build
from ddpm_core import BuildContext, DataError, FatalError
from ddpm_core.testing import all_types


def serializer(**options: Any) -> ArrowSerializer:
    return build(ArrowOptions(**options), BuildContext())


def document(*batches: pa.RecordBatch, **options: Any) -> bytes:
    stream = io.BytesIO()
    writer = serializer(**options).document_writer(stream, batches[0].schema)
    for batch in batches:
        writer.write(batch)
    writer.close()
    return stream.getvalue()


@pytest.mark.parametrize("compression", ["zstd", "lz4", "none"])
def test_a_document_is_a_file_that_feather_reads(compression: str) -> None:
    data = all_types(40, families=("integers", "text", "timestamp_utc", "list"))
    written = document(data, compression=compression)
    assert written.startswith(b"ARROW1\0\0")
    assert feather.read_table(io.BytesIO(written)) == pa.Table.from_batches([data])


def test_small_batches_are_gathered_and_large_ones_cut() -> None:
    batches = [pa.record_batch({"n": [n]}) for n in range(25)]
    reader = pa.ipc.open_file(io.BytesIO(document(*batches, batch_rows=10)))
    assert [reader.get_batch(n).num_rows for n in range(reader.num_record_batches)] == [10, 10, 5]
    reader = pa.ipc.open_file(io.BytesIO(document(pa.record_batch({"n": range(25)}), batch_rows=10)))
    assert [reader.get_batch(n).num_rows for n in range(reader.num_record_batches)] == [10, 10, 5]


def test_encodings_are_unpacked_so_that_batches_with_other_dictionaries_follow() -> None:
    batches = [pa.record_batch({"w": pa.array([word]).dictionary_encode()}) for word in ("a", "b")]
    reader = pa.ipc.open_file(io.BytesIO(document(*batches, batch_rows=1)))
    assert reader.schema.field("w").type == pa.string()
    assert reader.read_all().column("w").to_pylist() == ["a", "b"]


def test_a_message_is_a_stream_of_one_row_without_its_neighbours() -> None:
    data = pa.record_batch({"n": range(1000), "s": ["x" * 1000] * 1000})
    payloads = serializer().serialize_rows(data.slice(10, 3))
    assert [pa.ipc.open_stream(payload).read_all().column("n").to_pylist() for payload in payloads] == [[10], [11], [12]]
    assert max(map(len, payloads)) < 2000


def test_a_document_without_rows_keeps_its_columns() -> None:
    stream = io.BytesIO()
    schema = pa.schema([("n", pa.int64()), ("u", pa.uuid())])
    serializer().document_writer(stream, schema).close()
    assert pa.ipc.open_file(io.BytesIO(stream.getvalue())).schema == schema


def test_two_columns_of_one_name_are_refused() -> None:
    data = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    for write in (serializer().serialize_rows, document):
        with pytest.raises(DataError) as caught:
            write(data)
        assert caught.value.reason == "duplicate_column"
        assert str(caught.value) == "there is more than one column 'a'\nRename one of them."


def test_a_disk_that_is_full_is_not_bad_data() -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            if len(bytes(data)) > 1000:
                raise OSError(28, "No space left on device")
            return super().write(data)

    writer = serializer(compression="none").document_writer(Full(), pa.schema([("n", pa.int64())]))
    writer.write(pa.record_batch({"n": range(1000)}))
    with pytest.raises(FatalError) as caught:
        writer.close()
    assert str(caught.value) == "the Arrow file cannot be written: no space left on device"
