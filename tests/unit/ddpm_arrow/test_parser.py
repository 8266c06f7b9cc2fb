"""What comes out of an Arrow file or stream, and what is said of one that is damaged."""

from __future__ import annotations

import io
import json
import struct
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddpm_arrow.options import ArrowOptions
from ddpm_arrow.parser import build
from ddpm_core import BuildContext, Document, FatalError, Messages, Position
from ddpm_core.testing import all_types
from tests.examples import every, examples

Write = Callable[..., bytes]
NUMBERS = pa.table({"n": list(range(1000)), "s": [f"row {n}" for n in range(1000)]})
AGAIN = "Fetch the file again from where it came from."


def as_text(rows: list[dict[str, Any]]) -> list[str]:
    """Rows in a form in which not-a-number equals itself."""
    return [repr(row) for row in rows]


def whole(data: bytes) -> list[dict[str, Any]]:
    """The rows as pyarrow's own reader of whole files has them."""
    reader = pa.ipc.open_file(io.BytesIO(data)) if data.startswith(b"ARROW1") else pa.ipc.open_stream(io.BytesIO(data))
    rows: list[dict[str, Any]] = reader.read_all().to_pylist()
    return rows


@pytest.mark.parametrize("stream", [False, True])
def test_steps_hold_at_most_batch_rows_and_count_every_row(stream: bool, reading: Any, written: Write) -> None:
    data = written(NUMBERS, stream=stream, rows=300)
    got = reading(data, batch_rows=128)
    assert got.table == NUMBERS
    assert [step.records for step in got.steps] == [128, 128, 44, 128, 128, 44, 128, 128, 44, 100]
    assert [step.resume for step in got.steps][:3] == [{"batch": 0, "row": 128}, {"batch": 0, "row": 256}, {"batch": 1, "row": 0}]
    assert got.steps[-1].resume == {"batch": 4, "row": 0}
    assert all(step.raw is None and step.origin is None and not step.rejects for step in got.steps)
    assert len(data) * 0.8 < sum(step.nbytes for step in got.steps) < len(data)


def test_a_step_takes_no_more_of_the_file_than_allowed(reading: Any, written: Write) -> None:
    got = reading(written(NUMBERS), batch_bytes=2000)
    assert got.table == NUMBERS
    assert max(step.nbytes for step in got.steps) <= 2100


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(0, 30),
    chunk=st.integers(3, 40),
    batch_rows=st.integers(3, 40),
    seed=st.integers(0, 1000),
    codec=st.sampled_from(["zstd", "lz4", None]),
    stream=st.booleans(),
    legacy=st.booleans(),
)
def test_rows_are_those_of_pyarrows_own_reader_and_any_step_can_be_resumed(
    rows: int,
    chunk: int,
    batch_rows: int,
    seed: int,
    codec: str | None,
    stream: bool,
    legacy: bool,
    reading: Any,
    written: Write,
) -> None:
    table = pa.Table.from_batches([all_types(rows, seed=seed)])
    data = written(table, stream=stream, rows=chunk, compression=codec, use_legacy_format=legacy)
    got = reading(data, batch_rows=batch_rows)
    assert got.error is None
    wanted = as_text(whole(data))
    assert as_text(got.rows) == wanted
    done = 0
    for step in got.steps:
        done += step.records
        rest = reading(data, Position(done, {"resume": json.loads(json.dumps(step.resume))}), batch_rows=batch_rows)
        assert as_text(rest.rows) == wanted[done:]
        assert as_text(reading(data, Position(done), batch_rows=batch_rows).rows) == wanted[done:]


class Pipe(io.BytesIO):
    """Cannot seek, and gives at most 1,000 bytes at a time."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation("seek")

    def read(self, size: int | None = -1) -> bytes:
        return super().read(1000 if size is None or size < 0 else min(size, 1000))


@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_seek_is_read_and_resumed_all_the_same(stream: bool, reading: Any, written: Write) -> None:
    data = written(NUMBERS, stream=stream, rows=300)
    pipe = Pipe(data)
    assert reading(pipe).table == NUMBERS
    assert not pipe.closed
    start = Position(650, {"resume": {"batch": 2, "row": 50}})
    assert [row["n"] for row in reading(Pipe(data), start).rows] == list(range(650, 1000))


def test_the_callers_stream_stays_open_when_a_document_is_abandoned(written: Write) -> None:
    stream = io.BytesIO(written(NUMBERS, rows=10))
    steps = build(ArrowOptions(), BuildContext()).parse_document(Document("f", "p", stream))
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert not stream.closed


@pytest.mark.parametrize("stream", [False, True])
def test_a_document_without_rows_has_no_steps(stream: bool, reading: Any, written: Write) -> None:
    got = reading(written(NUMBERS.slice(0, 0), stream=stream))
    assert (got.steps, got.error) == ([], None)


def test_only_the_wanted_batches_of_a_file_are_read(reading: Any, written: Write) -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1) -> bytes:
            got = super().read(size)
            self.taken += len(got)
            return got

    data = written(NUMBERS, rows=100)
    stream = Counting(data)
    assert len(reading(stream, Position(900, {"resume": {"batch": 9, "row": 0}})).rows) == 100
    assert stream.taken < len(data) / 2


def test_a_file_whose_messages_begin_elsewhere_is_read_by_its_footer(reading: Any, written: Write) -> None:
    # arrow-rs aligns to 64 bytes, so that its first message is not at byte 8; a reader of the stream inside would see an end there.
    data = written(NUMBERS, rows=500)
    footer = struct.unpack("<i", data[-10:-6])[0]
    begin = len(data) - 10 - footer
    moved = bytearray(data[:8] + bytes(56) + data[8:])
    reader = pa.ipc.open_file(io.BytesIO(data))
    assert reader.num_record_batches == 2
    places = [at for at in range(begin, len(data) - 10 - 24 + 1, 4) if 0 < struct.unpack_from("<q", data, at)[0] < begin]
    blocks = [at for at in places if data[struct.unpack_from("<q", data, at)[0] :][:4] == b"\xff\xff\xff\xff"]
    assert len(blocks) == 2
    for at in blocks:
        struct.pack_into("<q", moved, at + 56, struct.unpack_from("<q", data, at)[0] + 56)
    assert pa.ipc.open_file(io.BytesIO(bytes(moved))).read_all() == NUMBERS
    assert reading(bytes(moved)).table == NUMBERS


# Types.

COLUMNS = {
    "uuid": (pa.array([uuid.UUID(int=n).bytes for n in (1, 2)], pa.uuid()), pa.uuid()),
    "json": (pa.array(['{"a": 1}', None], pa.json_()), pa.json_()),
    "tensor": (
        pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.int32(), [2]), pa.array([[1, 2], None], pa.list_(pa.int32(), 2))),
        pa.list_(pa.int32(), 2),
    ),
    "words": (pa.array(["a", None]).dictionary_encode(), pa.string()),
    "word_views": (
        pa.DictionaryArray.from_arrays(pa.array([1, None], pa.uint32()), pa.array(["a", "b" * 50], pa.string_view())),
        pa.string(),
    ),
    "runs": (pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array(["a"])), pa.string()),
    "runs_of_lists": (pa.RunEndEncodedArray.from_arrays(pa.array([1, 2], pa.int16()), pa.array([[1], None])), pa.list_(pa.int64())),
    "views": (pa.array(["a", "b" * 50], pa.string_view()), pa.string()),
    "bytes": (pa.array([b"\xff", None], pa.binary_view()), pa.binary()),
    "list_view": (pa.array([[1, 2], None], pa.list_view(pa.int64())), pa.list_(pa.int64())),
    "large_list_view": (pa.array([None, ["x"]], pa.large_list_view(pa.string_view())), pa.large_list(pa.string())),
    "large": (pa.array([["x"], None], pa.large_list(pa.large_string())), pa.large_list(pa.large_string())),
    "nested": (
        pa.array([{"a": ["x", None]}, None], pa.struct({"a": pa.list_(pa.dictionary(pa.int8(), pa.string()))})),
        pa.struct({"a": pa.list_(pa.string())}),
    ),
    "map": (
        pa.array([[("k", "v")], None], pa.map_(pa.string(), pa.dictionary(pa.int8(), pa.string()))),
        pa.map_(pa.string(), pa.string()),
    ),
    "pair": (pa.array([["a", "b"], None], pa.list_(pa.string_view(), 2)), pa.list_(pa.string(), 2)),
    "nothing": (pa.nulls(2), pa.null()),
    "nothings": (pa.array([[None, None], None], pa.list_(pa.null())), pa.list_(pa.null())),
    "decimal256": (pa.array([Decimal("1.25"), None], pa.decimal256(76, 2)), pa.decimal256(76, 2)),
    "interval": (pa.array([(1, 2, 3), None], pa.month_day_nano_interval()), pa.month_day_nano_interval()),
    "json_views": (pa.array(['{"a": 1}', None], pa.json_(pa.string_view())), pa.json_()),
    "lists_of_nothing": (pa.array([[], None], pa.list_(pa.string_view(), 0)), pa.list_(pa.string(), 0)),
    "struct_of_a_union": (
        pa.StructArray.from_arrays(
            [
                pa.UnionArray.from_dense(
                    pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array([1]), pa.array(["x"])]
                ),
                pa.array(["a", "b"]).dictionary_encode(),
            ],
            names=["u", "w"],
            mask=pa.array([False, True]),
        ),
        pa.struct({"u": pa.dense_union([pa.field("0", pa.int64()), pa.field("1", pa.string())]), "w": pa.string()}),
    ),
    "half": (pa.array([1.5, None], pa.float16()), pa.float16()),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", COLUMNS)
def test_encodings_are_unpacked_and_values_stay(kind: str, stream: bool, reading: Any, written: Write) -> None:
    column, wanted = COLUMNS[kind]
    table = pa.table({"id": range(2), kind: column})
    for batch_rows in (1, 10):
        got = reading(written(table, stream=stream), batch_rows=batch_rows).table
        got.validate(full=True)
        assert got.schema.field(kind).type == wanted
        assert got.column(kind).to_pylist() == column.to_pylist()


@pytest.mark.parametrize("kind", COLUMNS)
def test_whatever_looks_suspicious_is_measured_and_read(
    kind: str, reading: Any, written: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddpm_arrow.pacing.FREE_BYTES", 0)
    column, _ = COLUMNS[kind]
    got = reading(written(pa.table({"id": range(2), kind: column})))
    assert got.table.column(kind).to_pylist() == column.to_pylist()


@pytest.mark.parametrize("mode", ["dense", "sparse"])
def test_unions_stay_unions(mode: str, reading: Any, written: Write) -> None:
    types = pa.array([0, 1, 0], pa.int8())
    union = (
        pa.UnionArray.from_dense(types, pa.array([0, 0, 1], pa.int32()), [pa.array([1, 2]), pa.array(["x"])])
        if mode == "dense"
        else pa.UnionArray.from_sparse(types, [pa.array([1, 0, 2]), pa.array(["", "x", ""])])
    )
    got = reading(written(pa.table({"u": union})), batch_rows=2)
    assert [row["u"] for row in got.rows] == [1, "x", 2]
    assert got.table.schema.field("u").type == union.type


def test_dictionaries_that_change_from_batch_to_batch_are_followed(reading: Any) -> None:
    for deltas in (False, True):
        sink = io.BytesIO()
        first = pa.record_batch({"w": pa.array(["a", "b"]).dictionary_encode()})
        options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=deltas)
        with pa.ipc.new_stream(sink, first.schema, options=options) as writer:
            writer.write_batch(first)
            more = pa.DictionaryArray.from_arrays(pa.array([2, 0], pa.int32()), pa.array(["a", "b", "c"]))
            writer.write_batch(pa.record_batch({"w": more}))
            other = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), pa.array(["z"]))
            writer.write_batch(pa.record_batch({"w": other}))
        got = reading(sink.getvalue())
        assert [row["w"] for row in got.rows] == ["a", "b", "c", "a", "z"]
        rest = reading(sink.getvalue(), Position(4, {"resume": {"batch": 2, "row": 0}}))
        assert [row["w"] for row in rest.rows] == ["z"]


def test_a_pickled_extension_type_is_never_loaded(reading: Any, written: Write) -> None:
    """CVE-2023-47248: the metadata of a column could run code."""
    bomb = b"\x80\x03cbuiltins\nexec\nq\x00X\x18\x00\x00\x00raise SystemExit('loaded')\x85q\x01Rq\x02."
    for extension in ("arrow.py_extension_type", "somebody.elses"):
        meta = {"ARROW:extension:name": extension, "ARROW:extension:metadata": bomb}
        schema = pa.schema([pa.field("n", pa.int64(), metadata=meta)])
        got = reading(written(pa.table({"n": [1]}, schema=schema)))
        assert got.rows == [{"n": 1}]
        assert got.table.schema.field("n").type == pa.int64()


# Rows that are not what their types say.


def text_of(values: list[bytes | None]) -> pa.Array:
    """A text column with these bytes, which need not be text."""
    return pa.Array.from_buffers(pa.string(), len(values), pa.array(values, pa.binary()).buffers())


BAD = text_of([b"good", b"\xff\xfe", None, b"caf\xe9", b"last"])
FIVE = pa.array([1] * 5, pa.int32())
BAD_COLUMNS = {
    "text": BAD,
    "words": pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2, 0], pa.int32()), text_of([b"good", b"\xff\xfe", b"caf\xe9"])),
    "runs": pa.RunEndEncodedArray.from_arrays(pa.array([1, 2, 3, 4, 5], pa.int32()), BAD.view(pa.binary())).view(
        pa.run_end_encoded(pa.int32(), pa.string())
    ),
    "view": BAD.view(pa.binary()).cast(pa.binary_view()).view(pa.string_view()),
    "list": pa.ListArray.from_arrays([0, 1, 2, 2, 4, 4], text_of([b"a", b"\xff", b"b", b"\xff"])),
    "list_view": pa.ListViewArray.from_arrays(pa.array([0, 1, 2, 3, 4], pa.int32()), FIVE, BAD),
    "struct": pa.StructArray.from_arrays([BAD], ["x"]),
    "map": pa.MapArray.from_arrays([0, 1, 2, 2, 3, 3], pa.array(["k", "k", "k"]), text_of([b"a", b"\xff", b"\xff"])),
    "json": pa.ExtensionArray.from_storage(pa.json_(), BAD),
    "large": BAD.view(pa.binary()).cast(pa.large_binary()).view(pa.large_string()),
}


@pytest.mark.parametrize("kind", BAD_COLUMNS)
def test_a_row_whose_text_is_no_text_does_not_cost_its_neighbours(kind: str, reading: Any, written: Write) -> None:
    got = reading(written(pa.table({"n": range(5), kind: BAD_COLUMNS[kind]})))
    assert got.error is None
    (step,) = got.steps
    assert [row["n"] for row in got.rows] == [0, 2, 4]
    assert step.origin.to_pylist() == [0, 2, 4]
    assert step.records == 5
    assert [(reject.index, reject.reason, reject.message) for reject in step.rejects] == [
        (1, "encoding", f"column {kind!r} holds text that is not UTF-8"),
        (3, "encoding", f"column {kind!r} holds text that is not UTF-8"),
    ]
    step.data.validate(full=True)


def test_a_bad_row_is_kept_with_its_bytes(reading: Any, written: Write) -> None:
    (step,) = reading(written(pa.table({"n": range(5), "s": BAD}))).steps
    assert pa.ipc.open_stream(step.rejects[1].row).read_all().to_pylist() == [{"n": 3, "s": b"caf\xe9"}]


def test_steps_beside_a_bad_one_stay_whole_and_a_step_may_be_all_bad(reading: Any, written: Write) -> None:
    texts = [b"ok"] * 40 + [b"\xff"] * 20
    got = reading(written(pa.table({"s": text_of(texts)})), batch_rows=20)
    assert [(step.records, len(step.rejects), step.data is None) for step in got.steps] == [
        (20, 0, False),
        (20, 0, False),
        (20, 20, True),
    ]


# Documents that are not whole.


def test_a_truncated_file_says_so_at_every_length(reading: Any, written: Write) -> None:
    data = written(NUMBERS.slice(0, 3))
    for size in range(1, len(data), 3):
        got = reading(data[:size])
        assert got.error.reason == "arrow_truncated"
        assert got.steps == []
    assert str(reading(data[:300]).error) == (
        "f.arrow is not complete: its end, where a file keeps its footer, is missing (300 bytes are there)\n"
        f"{AGAIN} If something still writes it, wait until that has closed it."
    )


def test_a_truncated_stream_gives_its_beginning_and_says_so(reading: Any, written: Write) -> None:
    data = written(NUMBERS, stream=True, rows=300)
    texts = set()
    for size in sorted({*range(1, 1000, 7), *range(1, len(data) - 8, 601), *range(7800, 8400, 9)}):
        got = reading(data[:size])
        assert got.rows == NUMBERS.to_pylist()[: len(got.rows)]
        assert len(got.rows) % 300 == 0
        if got.error is not None:
            assert got.error.reason == "arrow_truncated"
            texts.add(got.error.message.partition(": ")[2].split(" of ")[0])
    assert texts >= {"it ends within a message's length", "it ends within a message's metadata", "a body"}
    assert str(reading(data[:2000]).error) == (
        "f.arrow is not complete in message 2: a body of 5,656 bytes is announced and 1,616 are there\n"
        f"{AGAIN} If something still writes it, wait until that has closed it."
    )


def test_an_empty_document_says_so(reading: Any) -> None:
    error = reading(b"").error
    assert error.reason == "arrow_truncated"
    assert error.message == "f.arrow is not complete: it is empty (0 bytes)"


@pytest.mark.parametrize(
    ("beginning", "text"),
    [
        (
            b"FEA1\0\0\0\0",
            (
                "f.arrow is a Feather file of version 1, which Arrow has given up\n"
                "Write it again as version 2: pyarrow.feather.write_feather(pyarrow.feather.read_table(old), new)."
            ),
        ),
        (b"PAR1\x15\x04", "f.arrow is no Arrow file or stream: it looks like a Parquet file\nName its format: --format parquet"),
        (b'{"a": 1}', "f.arrow is no Arrow file or stream: it looks like JSON\nName its format: --format json"),
        (
            b"\x1f\x8b\x08",
            "f.arrow is no Arrow file or stream: it looks like gzip\nConvert it first, or name its format with --format.",
        ),
        (
            b"id,name\n1,x\n",
            (
                "f.arrow is no Arrow file or stream: it looks like text, beginning 'id,name\\n'\n"
                "Convert it first, or name its format with --format."
            ),
        ),
        (
            b"\x00\x01\x02\x03\x04",
            (
                "f.arrow is no Arrow file or stream: it begins with the bytes 00 01 02 03 04\n"
                "Convert it first, or name its format with --format."
            ),
        ),
    ],
)
def test_another_format_is_named(beginning: bytes, text: str, reading: Any) -> None:
    error = reading(beginning).error
    assert error.reason == "wrong_format"
    assert str(error) == text


def test_what_follows_the_end_of_a_stream_is_not_lost_silently(reading: Any, written: Write) -> None:
    data = written(NUMBERS, stream=True)
    got = reading(data + data)
    assert got.rows == NUMBERS.to_pylist()
    assert got.error.reason == "trailing_bytes"
    assert str(got.error) == (
        f"f.arrow goes on after the mark that ends a stream, at byte {len(data):,}\nMake each stream a file of its own."
    )


def test_batches_before_a_damaged_one_stay(reading: Any, written: Write) -> None:
    data = bytearray(written(NUMBERS, rows=300))
    third = [at for at in range(8, len(data) - 300, 8) if data[at : at + 4] == b"\xff\xff\xff\xff"][3]
    data[third + 8 : third + 40] = b"\xee" * 32
    got = reading(bytes(data))
    assert [row["n"] for row in got.rows] == list(range(600))
    assert got.steps[-1].resume == {"batch": 2, "row": 0}
    assert str(got.error) == f"f.arrow cannot be read as Arrow in record batch 3: it has an offset that leads out of it\n{AGAIN}"


def test_offsets_that_lead_nowhere_are_found_before_anything_is_read_through_them(reading: Any) -> None:
    offsets = pa.py_buffer(struct.pack("<4i", 0, 2_000_000, 3, 5))
    broken = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"hello")])
    sink = io.BytesIO()
    batch = pa.RecordBatch.from_arrays([pa.array([1, 2, 3]), broken], names=["n", "s"])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    error = reading(sink.getvalue()).error
    assert error.reason == "arrow_invalid"
    assert error.message.startswith("f.arrow cannot be read as Arrow in record batch 1: In column 1: ")


def test_whatever_a_byte_becomes_there_is_only_a_data_error(reading: Any, written: Write) -> None:
    known = {
        "arrow_invalid", "arrow_truncated", "wrong_format", "decompressed_size", "depth", "duplicate_column", "trailing_bytes",
    }  # fmt: skip
    for stream in (False, True):
        data = written(pa.Table.from_batches([all_types(20)]), stream=stream, rows=7, compression="lz4")
        for at in range(0, len(data), every(173)):
            for bits in (0x55, 0xFF):
                damaged = bytearray(data)
                damaged[at] ^= bits
                got = reading(bytes(damaged))
                assert got.error is None or got.error.reason in known
                for batch in got.batches:
                    batch.validate(full=True)


def test_columns_nested_too_deep_are_refused(reading: Any, written: Write) -> None:
    kind = pa.int32()
    for _ in range(100):
        kind = pa.struct({"a": kind})
    error = reading(pa.schema([("a", kind)]).serialize().to_pybytes()).error
    assert error.reason == "depth"
    assert str(error) == "f.arrow has columns nested more than 60 levels deep\nFlatten them where the file is made."


def test_two_columns_of_one_name_are_refused(reading: Any, written: Write) -> None:
    one = pa.array([1])
    error = reading(written(pa.table([one, one], names=["a", "a"]))).error
    assert error.reason == "duplicate_column"
    assert str(error) == "f.arrow has more than one column 'a'\nGive each its own name where the file is made."
    within = pa.ListArray.from_arrays([0, 1], pa.StructArray.from_arrays([one, one], ["x", "x"]))
    error = reading(written(pa.table({"a": within}))).error
    assert error.message == "f.arrow has more than one column 'x' within column 'a'"


def test_a_decimal_that_no_number_can_be_is_refused(reading: Any, written: Write) -> None:
    error = reading(written(pa.table({"d": pa.array([None], pa.decimal128(3, 5000))}))).error
    assert error.reason == "arrow_invalid"
    assert error.message == "f.arrow cannot be read as Arrow: column 'd' is a decimal with 5,000 digits after the point"


def test_a_disk_that_fails_is_not_bad_data(written: Write) -> None:
    class Disk(io.BytesIO):
        broken = False

        def read(self, size: int | None = -1) -> bytes:
            if self.broken:
                raise OSError(5, "Input/output error")
            return super().read(size)

    disk = Disk(written(NUMBERS, rows=100))
    steps = build(ArrowOptions(), BuildContext()).parse_document(Document("f.arrow", "p", disk))
    next(steps)
    disk.broken = True
    with pytest.raises(FatalError) as caught:
        list(steps)
    assert str(caught.value) == "f.arrow cannot be read: input/output error"


def test_each_message_is_a_document(written: Write) -> None:
    good, other = written(NUMBERS.slice(0, 2)), written(NUMBERS.slice(2, 1), stream=True)
    values = [good, b"no file", None, other]
    messages = Messages(values, ["t/0"] * 4, [5, 6, 7, 8], {"t/0": Position(5)}, {"t/0": Position(9)})
    parsed = build(ArrowOptions(), BuildContext()).parse_messages(messages)
    assert parsed.data.to_pylist() == NUMBERS.slice(0, 3).to_pylist()
    assert parsed.origin.to_pylist() == [0, 0, 3]
    assert [(reject.index, reject.reason) for reject in parsed.rejects] == [(1, "wrong_format"), (2, "no_value")]


def test_a_message_that_becomes_too_much_is_set_aside_whole(written: Write) -> None:
    small, large = written(NUMBERS.slice(0, 2)), written(NUMBERS, rows=50)
    messages = Messages([small, large], ["t/0"] * 2, [0, 1], {"t/0": Position(0)}, {"t/0": Position(2)})
    parsed = build(ArrowOptions(max_message_bytes=1024), BuildContext(batch_rows=50)).parse_messages(messages)
    assert (parsed.data.to_pylist(), parsed.origin.to_pylist()) == (NUMBERS.slice(0, 2).to_pylist(), [0, 0])
    assert [(reject.index, reject.reason, reject.message, reject.raw) for reject in parsed.rejects] == [
        (1, "decompressed_size", "the message has more than 1,024 bytes of rows", large)
    ]
