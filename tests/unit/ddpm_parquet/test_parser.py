"""What comes out of a Parquet file, and what is said of one that is damaged."""

from __future__ import annotations

import base64
import io
import json
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as encryption
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddpm_core import BuildContext, Document, FatalError, Messages, Position
from ddpm_core.testing import all_types
from ddpm_parquet.options import ParquetOptions
from ddpm_parquet.parser import build
from tests.examples import examples

Write = Callable[..., bytes]
NUMBERS = pa.table({"n": list(range(1000)), "s": [f"row {n}" for n in range(1000)]})


def reference(data: bytes) -> pa.Table:
    """The slow way: each row group whole."""
    file = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True, coerce_int96_timestamp_unit="us")
    groups = [file.read_row_group(number) for number in range(file.num_row_groups)]
    return pa.concat_tables(groups) if groups else file.schema_arrow.empty_table()


def as_text(rows: list[dict[str, Any]]) -> list[str]:
    """Rows in a form in which not-a-number equals itself."""
    return [repr(row) for row in rows]


def test_steps_hold_at_most_batch_rows_and_count_every_row(reading: Any, written: Write) -> None:
    data = written(NUMBERS, row_group_size=300)
    got = reading(data, batch_rows=128)
    assert got.table == NUMBERS
    assert [step.records for step in got.steps] == [128, 128, 44, 128, 128, 44, 128, 128, 44, 100]
    assert [{name: step.resume[name] for name in ("row_group", "row")} for step in got.steps][:4] == [
        {"row_group": 0, "row": 128},
        {"row_group": 0, "row": 256},
        {"row_group": 1, "row": 0},
        {"row_group": 1, "row": 128},
    ]
    assert got.steps[-1].resume == {"row_group": 4, "row": 0, "unpacked": sum(batch.nbytes for batch in got.batches)}
    assert all(step.raw is None and step.origin is None and not step.rejects for step in got.steps)
    metadata = pq.ParquetFile(io.BytesIO(data)).metadata
    stored = sum(metadata.row_group(g).column(c).total_compressed_size for g in range(4) for c in range(2))
    assert sum(step.nbytes for step in got.steps) == stored


@settings(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(0, 30),
    group=st.integers(3, 40),
    batch_rows=st.integers(3, 40),
    seed=st.integers(0, 1000),
    codec=st.sampled_from(["zstd", "snappy", "gzip", "none"]),
    dictionaries=st.booleans(),
)
def test_the_fast_way_and_the_slow_way_agree_and_any_step_can_be_resumed(
    rows: int, group: int, batch_rows: int, seed: int, codec: str, dictionaries: bool, reading: Any, written: Write
) -> None:
    table = pa.Table.from_batches([all_types(rows, seed=seed)])
    data = written(table, row_group_size=group, compression=codec, use_dictionary=dictionaries)
    got = reading(data, batch_rows=batch_rows)
    wanted = as_text(reference(data).to_pylist())
    assert as_text(got.rows) == wanted
    done = 0
    for step in got.steps:
        done += step.records
        rest = reading(data, Position(done, {"resume": json.loads(json.dumps(step.resume))}), batch_rows=batch_rows)
        assert as_text(rest.rows) == wanted[done:]


def test_a_stream_that_cannot_seek_is_read_all_the_same(reading: Any, written: Write) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation("seek")

    pipe = Pipe(written(NUMBERS))
    assert reading(pipe).table == NUMBERS
    assert not pipe.closed


def test_the_copy_of_such_a_stream_is_closed(written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = io.BytesIO(written(NUMBERS))
    monkeypatch.setattr(Document, "seekable", lambda _: copy)
    steps = build(ParquetOptions(), BuildContext()).parse_document(Document("f", "p", io.BytesIO()))
    next(steps)
    assert not copy.closed
    list(steps)
    assert copy.closed


def test_the_callers_stream_stays_open_when_a_document_is_abandoned(written: Write) -> None:
    stream = io.BytesIO(written(NUMBERS, row_group_size=10))
    steps = build(ParquetOptions(), BuildContext()).parse_document(Document("f", "p", stream))
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert not stream.closed


def test_a_file_without_rows_has_no_steps(reading: Any, written: Write) -> None:
    got = reading(written(NUMBERS.slice(0, 0)))
    assert (got.steps, got.error) == ([], None)


def test_a_position_without_the_parsers_own_detail_is_found_by_its_offset(reading: Any, written: Write) -> None:
    data = written(NUMBERS, row_group_size=300)
    for offset in (0, 1, 299, 300, 750, 1000):
        assert [row["n"] for row in reading(data, Position(offset)).rows] == list(range(offset, 1000))


def test_earlier_row_groups_are_not_read_again(reading: Any, written: Write) -> None:
    data = bytearray(written(NUMBERS, row_group_size=300, use_dictionary=False))
    column = pq.ParquetFile(io.BytesIO(bytes(data))).metadata.row_group(0).column(0)
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 0xFF
    assert reading(bytes(data)).error.reason == "checksum"
    got = reading(bytes(data), Position(310, {"resume": {"row_group": 1, "row": 10}}))
    assert [row["n"] for row in got.rows] == list(range(310, 1000))
    assert got.error is None


# Types.


def test_types_come_as_they_are_written(reading: Any, written: Write) -> None:
    ids = [uuid.UUID(int=n) for n in range(2)]
    columns = {
        "uuid": pa.array([one.bytes for one in ids], pa.uuid()),
        "json": pa.array(['{"a": 1}', "[]"], pa.json_()),
        "half": pa.array([1.5, None], pa.float16()),
        "nothing": pa.nulls(2),
        "decimal128": pa.array([Decimal("1.25"), None], pa.decimal128(38, 2)),
        "decimal256": pa.array([Decimal("1.25"), None], pa.decimal256(76, 2)),
        "seconds": pa.array([1, None], pa.timestamp("ms")),
        "micros": pa.array([1, None], pa.timestamp("us", "UTC")),
        "nanos": pa.array([1000, None], pa.timestamp("ns", "Europe/Berlin")),
        "time_ms": pa.array([1, None], pa.time32("ms")),
        "time_us": pa.array([1, None], pa.time64("us")),
        "time_ns": pa.array([1000, None], pa.time64("ns")),
        "date": pa.array([1, None], pa.date32()),
        "fixed": pa.array([b"abc", None], pa.binary(3)),
        "list": pa.array([[[1], None, []], None], pa.list_(pa.list_(pa.int32()))),
        "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int32())),
        "struct": pa.array([{"x": [{"y": "z"}]}, None], pa.struct({"x": pa.list_(pa.struct({"y": pa.string()}))})),
        "words": pa.array(["a", None]).dictionary_encode(),
    }
    got = reading(written(pa.table(columns), store_schema=False)).table
    for name, column in columns.items():
        wanted = column.dictionary_decode() if name == "words" else column
        assert got.column(name).to_pylist() == wanted.to_pylist(), name
    for name in ("uuid", "json", "half", "decimal128", "decimal256", "seconds", "time_us", "time_ns", "date", "fixed"):
        assert got.schema.field(name).type == columns[name].type, name


def test_old_timestamps_of_distant_years_are_not_turned_into_others(reading: Any, written: Write) -> None:
    moments = pa.array([0, 253402214400 * 10**6, -62135596800 * 10**6], pa.timestamp("us"))
    got = reading(written(pa.table({"t": moments}), use_deprecated_int96_timestamps=True)).table
    assert got.column("t").cast(pa.int64()).to_pylist() == moments.cast(pa.int64()).to_pylist()
    assert got.schema.field("t").type == pa.timestamp("us")


# Rows that are not what their types say.


def text_of(values: list[bytes | None]) -> pa.Array:
    """A text column with these bytes, which need not be text."""
    return pa.Array.from_buffers(pa.string(), len(values), pa.array(values, pa.binary()).buffers())


BAD = text_of([b"good", b"\xff\xfe", None, b"caf\xe9", b"last"])
BAD_COLUMNS = {
    "text": BAD,
    "words": pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2, 0], pa.int32()), text_of([b"good", b"\xff\xfe", b"caf\xe9"])),
    "list": pa.ListArray.from_arrays([0, 1, 2, 2, 4, 4], text_of([b"a", b"\xff", b"b", b"\xff"])),
    "struct": pa.StructArray.from_arrays([BAD], ["x"]),
    "map": pa.MapArray.from_arrays([0, 1, 2, 2, 3, 3], pa.array(["k", "k", "k"]), text_of([b"a", b"\xff", b"\xff"])),
    "json": pa.ExtensionArray.from_storage(pa.json_(), BAD),
    "large": pa.Array.from_buffers(pa.large_string(), 5, BAD.cast(pa.large_binary()).buffers()),
}


@pytest.mark.parametrize("kind", BAD_COLUMNS)
@pytest.mark.parametrize("store_schema", [True, False])
def test_a_row_whose_text_is_no_text_does_not_cost_its_neighbours(
    kind: str, store_schema: bool, reading: Any, written: Write
) -> None:
    table = pa.table({"n": range(5), kind: BAD_COLUMNS[kind]})
    got = reading(written(table, store_schema=store_schema))
    (step,) = got.steps
    assert [row["n"] for row in got.rows] == [0, 2, 4]
    assert step.origin.to_pylist() == [0, 2, 4]
    assert step.records == 5
    assert [(reject.index, reject.reason, reject.message) for reject in step.rejects] == [
        (1, "encoding", f"column {kind!r} holds text that is not UTF-8"),
        (3, "encoding", f"column {kind!r} holds text that is not UTF-8"),
    ]
    assert step.data is not None
    step.data.validate(full=True)


def test_a_bad_row_is_kept_with_its_bytes(reading: Any, written: Write) -> None:
    (step,) = reading(written(pa.table({"n": range(5), "s": BAD}))).steps
    assert pa.ipc.open_stream(step.rejects[1].row).read_all().to_pylist() == [{"n": 3, "s": b"caf\xe9"}]


def test_a_step_may_consist_of_bad_rows_only(reading: Any, written: Write) -> None:
    (step,) = reading(written(pa.table({"s": text_of([b"\xff"] * 3000)}))).steps
    assert (step.data, step.records, len(step.rejects)) == (None, 3000, 3000)


# Files that are not whole.

AGAIN = "Fetch the file again from where it came from."


def test_a_truncated_file_says_so_at_every_length(reading: Any, written: Write) -> None:
    data = written(NUMBERS.slice(0, 3))
    for size in range(4, len(data)):
        got = reading(data[:size])
        assert got.error.reason == "parquet_truncated"
        assert got.steps == []
    assert str(reading(data[:100]).error) == (
        "f.parquet is not complete: its end, where Parquet keeps its footer, is missing (100 bytes are there)\n"
        f"{AGAIN} If something still writes it, wait until that has closed it."
    )


def test_an_empty_file_says_so(reading: Any) -> None:
    error = reading(b"").error
    assert error.reason == "parquet_truncated"
    assert str(error) == f"f.parquet is empty (0 bytes), which no Parquet file is\n{AGAIN}"


@pytest.mark.parametrize(
    ("beginning", "what", "hint"),
    [
        (b"Obj\x01\x04\x14avro.codec", "it looks like an Avro container", "Name its format: --format avro"),
        (b'\xef\xbb\xbf  {"a": 1}\n', "it looks like JSON", "Name its format: --format json"),
        (b"[1, 2]", "it looks like JSON", "Name its format: --format json"),
        (b"\x1f\x8b\x08\x00", "it looks like gzip", ""),
        (b"PK\x03\x04zip", "it looks like a zip archive", ""),
        (b"\0" * 8 + b"DUCK" + b"\0" * 50, "it looks like a DuckDB database", ""),
        ("id;näme;x\n1;2;3\n".encode(), "it looks like text, beginning 'id;näme;x\\n1;2;3\\n'", ""),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07\x08", "it begins with the bytes 00 01 02 03 04 05 06 07", ""),
    ],
)
def test_another_format_is_named(beginning: bytes, what: str, hint: str, reading: Any) -> None:
    error = reading(beginning).error
    assert error.reason == "wrong_format"
    hint = hint or "Convert it first, or name its format with --format."
    assert str(error) == f"f.parquet is not a Parquet file: {what}\n{hint}"


def test_row_groups_before_a_damaged_page_stay(reading: Any, written: Write) -> None:
    data = bytearray(written(NUMBERS, row_group_size=300, use_dictionary=False))
    column = pq.ParquetFile(io.BytesIO(bytes(data))).metadata.row_group(2).column(1)
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 0x01
    got = reading(bytes(data))
    assert [row["n"] for row in got.rows] == list(range(600))
    unpacked = sum(step.data.nbytes for step in got.steps)
    assert got.steps[-1].resume == {"row_group": 2, "row": 0, "unpacked": unpacked}
    assert got.error.reason == "checksum"
    assert str(got.error) == (f"f.parquet is damaged in row group 3, after record 600: a page does not match its checksum\n{AGAIN}")


def test_no_flipped_bit_in_a_page_becomes_another_row(reading: Any, written: Write) -> None:
    table = NUMBERS.slice(0, 40)
    data = written(table, row_group_size=10, use_dictionary=False, compression="none")
    metadata = pq.ParquetFile(io.BytesIO(data)).metadata
    end = max(
        metadata.row_group(3).column(c).data_page_offset + metadata.row_group(3).column(c).total_compressed_size for c in (0, 1)
    )
    seen = set()
    for at in range(4, end, 3):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        got = reading(bytes(damaged))
        assert got.rows == table.to_pylist()[: len(got.rows)]
        if got.error is not None:
            seen.add(got.error.reason)
        else:
            assert len(got.rows) == 40
    assert "checksum" in seen


def test_whatever_a_byte_becomes_there_is_only_a_data_error(reading: Any, written: Write) -> None:
    data = written(pa.Table.from_batches([all_types(20)]), row_group_size=7)
    for at in range(0, len(data), 151):
        damaged = bytearray(data)
        damaged[at] ^= 0x55
        got = reading(bytes(damaged))
        assert got.error is None or got.error.reason in {
            "parquet_invalid", "parquet_truncated", "wrong_format", "checksum", "encrypted", "decompressed_size", "depth",
            "duplicate_column",
        }  # fmt: skip


def test_no_damaged_footer_ends_the_process(reading: Any, written: Write) -> None:
    # pyarrow 26 ends the process for some of these when it is asked for their column facts, so this test may die, not fail.
    lists = pa.array([[1], None, [2, 3], []])
    data = written(pa.table({"n": [1, 2, 3, 4], "l": lists}), store_schema=False)
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for at in range(footer, len(data) - 8):
        for bits in (0x01, 0x55):
            damaged = bytearray(data)
            damaged[at] ^= bits
            reading(bytes(damaged), max_step_bytes=1024)


def test_an_encrypted_file_says_so(reading: Any, written: Write) -> None:
    data = written(NUMBERS)
    for encrypted in (b"PARE" + data[4:-4] + b"PARE", data[:-4] + b"PARE"):
        error = reading(encrypted).error
        assert error.reason == "encrypted"
        assert str(error) == "f.parquet is encrypted\nDecrypt it first: DDPM has no keys for Parquet files."


@pytest.mark.parametrize("plaintext_footer", [True, False])
def test_columns_encrypted_by_the_book_are_recognised(plaintext_footer: bool, reading: Any) -> None:
    class Keys(encryption.KmsClient):
        """Keeps keys in the open."""

        def __init__(self, _: Any) -> None:
            super().__init__()

        def wrap_key(self, key: bytes, name: str) -> bytes:
            return base64.b64encode(key)

        def unwrap_key(self, wrapped: bytes, name: str) -> bytes:
            return base64.b64decode(wrapped)

    config = encryption.EncryptionConfiguration(footer_key="f", column_keys={"c": ["s"]}, plaintext_footer=plaintext_footer)
    keys = encryption.CryptoFactory(Keys).file_encryption_properties(encryption.KmsConnectionConfig(), config)
    stream = io.BytesIO()
    with pq.ParquetWriter(stream, NUMBERS.schema, encryption_properties=keys) as writer:
        writer.write_table(NUMBERS)
    assert reading(stream.getvalue()).error.reason == "encrypted"


def test_columns_nested_too_deep_are_refused(reading: Any, written: Write) -> None:
    kind = pa.int32()
    for _ in range(150):
        kind = pa.struct({"a": kind})
    error = reading(written(pa.table({"a": pa.array([None], kind)}))).error
    assert error.reason == "depth"
    assert str(error) == (
        "f.parquet has columns nested more than 128 levels deep\n"
        "Flatten them where the file is made, or raise the option max_depth."
    )


def test_two_columns_of_one_name_are_refused(reading: Any, written: Write) -> None:
    one = pa.array([1])
    error = reading(written(pa.table([one, one], names=["a", "a"]))).error
    assert error.reason == "duplicate_column"
    assert str(error) == "f.parquet has more than one column 'a'\nGive each its own name where the file is made."
    within = pa.ListArray.from_arrays([0, 1], pa.StructArray.from_arrays([one, one], ["x", "x"]))
    error = reading(written(pa.table({"a": within}))).error
    assert str(error) == "f.parquet has more than one column 'x' within column 'a'\nGive each its own name where the file is made."


def test_a_disk_that_fails_is_not_bad_data(written: Write, reading: Any) -> None:
    class Disk(io.BytesIO):
        broken = False

        def read(self, size: int | None = -1) -> bytes:
            if self.broken:
                raise OSError(5, "Input/output error")
            return super().read(size)

    disk = Disk(written(NUMBERS, row_group_size=100))
    steps = build(ParquetOptions(), BuildContext()).parse_document(Document("f.parquet", "p", disk))
    next(steps)
    disk.broken = True
    with pytest.raises(FatalError) as caught:
        list(steps)
    assert str(caught.value) == "f.parquet cannot be read: input/output error"


def test_each_message_is_a_file(written: Write) -> None:
    good, other = written(NUMBERS.slice(0, 2)), written(NUMBERS.slice(2, 1))
    values = [good, b"no file", None, other]
    messages = Messages(values, ["t/0"] * 4, [5, 6, 7, 8], {"t/0": Position(5)}, {"t/0": Position(9)})
    parsed = build(ParquetOptions(), BuildContext()).parse_messages(messages)
    assert parsed.data.to_pylist() == NUMBERS.slice(0, 3).to_pylist()
    assert parsed.origin.to_pylist() == [0, 0, 3]
    assert [(reject.index, reject.reason, reject.raw) for reject in parsed.rejects] == [
        (1, "wrong_format", b"no file"),
        (2, "no_value", None),
    ]


def test_a_message_that_becomes_too_much_is_set_aside_whole(written: Write) -> None:
    small, large = written(NUMBERS.slice(0, 2)), written(NUMBERS, row_group_size=50)
    messages = Messages([small, large], ["t/0"] * 2, [0, 1], {"t/0": Position(0)}, {"t/0": Position(2)})
    parsed = build(ParquetOptions(max_message_bytes=1024), BuildContext(batch_rows=50)).parse_messages(messages)
    assert (parsed.data.to_pylist(), parsed.origin.to_pylist()) == (NUMBERS.slice(0, 2).to_pylist(), [0, 0])
    assert [(reject.index, reject.reason, reject.message, reject.raw) for reject in parsed.rejects] == [
        (1, "decompressed_size", "the message has more than 1,024 bytes of rows", large)
    ]


def test_resume_is_json(reading: Any, written: Write) -> None:
    for step in reading(written(NUMBERS, row_group_size=300), batch_rows=128).steps:
        assert json.loads(json.dumps(step.resume)) == step.resume
        assert "grows" not in step.resume
