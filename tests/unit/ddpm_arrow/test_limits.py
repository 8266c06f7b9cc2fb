"""Memory stays flat, whatever a file claims or hides."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ddpm_core import Position

Write = Callable[..., bytes]
MIB = 1 << 20
NOT_KEPT = "; it is not kept, read the document again with a larger max_record_bytes"
HINT = "It may be damaged, or made to exhaust memory; if it is neither, raise the option max_batch_bytes."

READ = """
import resource, sys
sys.path[:0] = {path!r}
from ddpm_core import BuildContext, DataError, Document
from ddpm_arrow.options import ArrowOptions
from ddpm_arrow.parser import build

def peak():  # Of this process alone; getrusage would begin with its parent's.
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (used * 1024 + {room}, used * 1024 + {room}))
before, rows = peak(), 0
try:
    with open(sys.argv[1], "rb") as stream:
        for step in build(ArrowOptions(), BuildContext()).parse_document(Document("f.arrow", "p", stream)):
            rows += step.records
except DataError as error:
    print(error.reason)
print(rows, peak() - before)
"""


def read_with(data: bytes, room: int, path: Path) -> list[str]:
    """What a process with so much room for memory says of a file: a reason, if it is refused; rows and kilobytes that it took."""
    file = path / "f.arrow"
    file.write_bytes(data)
    command = [sys.executable, "-c", READ.format(path=sys.path, room=room), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def with_body_claim(data: bytes, claim: int) -> bytes:
    """A stream whose first batch claims another length of its body."""
    at = data.index(struct.pack("<q", pa.ipc.read_message(data[second_message(data) :]).body.size), second_message(data))
    return data[:at] + struct.pack("<q", claim) + data[at + 8 :]


def second_message(data: bytes) -> int:
    return 8 + struct.unpack("<i", data[4:8])[0]


@pytest.mark.parametrize(("claim", "reason"), [(1 << 40, "decompressed_size"), (400 * MIB, "arrow_truncated")])
def test_a_claim_allocates_nothing(claim: int, reason: str, written: Write, tmp_path: Path) -> None:
    data = with_body_claim(written(pa.table({"n": range(1000)}), stream=True), claim)
    said, rows, grown = read_with(data, 200 * MIB, tmp_path)
    assert (said, rows) == (reason, "0")
    assert int(grown) < 60_000


def test_a_body_that_claims_too_much_says_how_much(reading: Any, written: Write) -> None:
    data = with_body_claim(written(pa.table({"n": range(1000)}), stream=True), 1 << 40)
    assert str(reading(data).error) == (
        f"f.arrow in message 2: it announces 1,099,511,627,776 bytes, and 536,870,912 are allowed at once\n{HINT}"
    )


@pytest.mark.parametrize("stream", [False, True])
def test_metadata_that_claims_too_much_is_refused(stream: bool, reading: Any, written: Write) -> None:
    data = bytearray(written(pa.table({"n": [1]}), stream=stream))
    at = 4 if stream else len(data) - 10
    data[at : at + 4] = struct.pack("<i", 2**31 - 1)
    what = "its metadata cannot have" if stream else "its footer cannot have"
    where = " in message 1" if stream else ""
    error = reading(bytes(data)).error
    assert error.message == f"f.arrow cannot be read as Arrow{where}: {what} 2,147,483,647 bytes"


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_buffers_that_unpack_to_too_much_are_refused_before_they_are(codec: str, reading: Any, written: Write) -> None:
    data = written(pa.table({"n": pa.repeat(pa.scalar(0, pa.int64()), 1_000_000)}), compression=codec)
    assert len(data) < 100_000
    error = reading(data, max_batch_bytes=MIB).error
    assert str(error) == (
        f"f.arrow in record batch 1: it has 8,000,000 bytes when decompressed, and 1,048,576 are allowed at once\n{HINT}"
    )
    assert reading(data, max_batch_bytes=8 * MIB).error is None


def test_a_batch_larger_than_allowed_is_refused(reading: Any, written: Write) -> None:
    error = reading(written(pa.table({"n": range(1000)})), max_batch_bytes=4000).error
    assert str(error) == f"f.arrow in record batch 1: it announces 8,000 bytes, and 4,000 are allowed at once\n{HINT}"


def test_dictionaries_are_counted_together(reading: Any, written: Write) -> None:
    words = pa.array([f"{n:0500}" for n in range(10)]).dictionary_encode()
    table = pa.table({"a": words, "b": words, "c": words})
    error = reading(written(table), max_batch_bytes=12_000).error
    assert error.message == ("f.arrow in dictionary 3: its dictionaries have 15,144 bytes together, and 12,000 are allowed")


def test_billions_of_rows_of_nothing_are_refused(reading: Any, written: Write) -> None:
    error = reading(written(pa.table({"n": pa.Array.from_buffers(pa.null(), 2_000_000_000, [None])}))).error
    assert str(error) == f"f.arrow in record batch 1: it claims 2,000,000,000 rows in 0 bytes\n{HINT}"
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2_000_000_000], pa.int32()), pa.array(["x"]))
    error = reading(written(pa.table({"n": runs}))).error
    assert error.reason == "decompressed_size"


def test_a_million_rows_of_nothing_are_only_many_steps(reading: Any, written: Write) -> None:
    got = reading(written(pa.table({"n": pa.nulls(1_000_000)})))
    assert sum(step.records for step in got.steps) == 1_000_000
    assert max(step.records for step in got.steps) == 65_536


def test_a_footer_that_names_a_batch_again_and_again_is_refused(reading: Any, written: Write) -> None:
    data = written(pa.table({"n": range(10)}), rows=5)
    footer = len(data) - 10 - struct.unpack("<i", data[-10:-6])[0]
    blocks = [
        at
        for at in range(footer, len(data) - 34, 4)
        if 0 < (first := struct.unpack_from("<q", data, at)[0]) < footer and data[first : first + 4] == b"\xff\xff\xff\xff"
    ]
    assert len(blocks) == 2
    twice = bytearray(data)
    twice[blocks[1] : blocks[1] + 24] = data[blocks[0] : blocks[0] + 24]
    at = struct.unpack_from("<q", data, blocks[0])[0]
    error = reading(bytes(twice)).error
    assert error.message == (
        f"f.arrow cannot be read as Arrow: its footer names a message at byte {at:,} that overlaps another, or lies outside"
    )


LONG = "x" * 100_000
REPEATED = {
    "dictionary": pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(1, pa.int32()), 2000), pa.array(["short", LONG])),
    "runs": pa.RunEndEncodedArray.from_arrays(pa.array([2000], pa.int32()), pa.array([LONG])),
    "list_view": pa.ListViewArray.from_arrays(
        pa.repeat(pa.scalar(0, pa.int32()), 2000), pa.repeat(pa.scalar(1, pa.int32()), 2000), pa.array([LONG])
    ),
    "union": pa.UnionArray.from_dense(
        pa.repeat(pa.scalar(0, pa.int8()), 2000), pa.repeat(pa.scalar(0, pa.int32()), 2000), [pa.array([LONG])]
    ),
}
_VIEW = pa.array([LONG], pa.string_view()).buffers()
REPEATED["view"] = pa.Array.from_buffers(
    pa.string_view(), 2000, [None, pa.py_buffer(_VIEW[1].to_pybytes()[:16] * 2000), *_VIEW[2:]]
)


@pytest.mark.parametrize("kind", REPEATED)
def test_a_long_text_that_every_row_repeats_is_unpacked_a_few_rows_at_a_time(kind: str, reading: Any, written: Write) -> None:
    data = written(pa.table({"n": range(2000), "s": REPEATED[kind]}))
    assert len(data) < 250_000
    got = reading(data, max_expansion=100_000)
    assert got.error is None
    assert sum(step.records for step in got.steps) == 2000
    assert max(step.records for step in got.steps) == 335
    assert reading(data, max_batch_bytes=99_000).error.reason == "decompressed_size"


@pytest.mark.parametrize("kind", [kind for kind in REPEATED if kind != "list_view"])
def test_a_batch_that_becomes_far_more_than_it_is_is_refused_before_a_row_of_it_lands(
    kind: str, reading: Any, written: Write
) -> None:
    got = reading(written(pa.table({"n": range(2000), "s": REPEATED[kind], "t": REPEATED[kind]})))
    assert got.steps == []
    said = re.fullmatch(
        r"f\.arrow in record batch 1: ([\d,]+) bytes of rows come of ([\d,]+) bytes, and 1,000 times as many are allowed\n"
        r"It may be damaged, or made to exhaust memory; if it is neither, raise the option max_expansion\.",
        str(got.error),
    )
    assert said is not None
    assert 400_000_000 <= int(said[1].replace(",", "")) < 401_000_000
    assert got.error.reason == "decompressed_size"


@pytest.mark.parametrize("measured_at_once", [2, 1 << 20])
def test_rows_that_would_be_too_large_are_set_aside_without_being_unpacked(
    measured_at_once: int, reading: Any, written: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddpm_arrow.pacing._MEASURED_AT_ONCE", measured_at_once)
    texts = pa.array(["short", LONG], pa.string())
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 1, None, 0, 1, 0], pa.int32()), texts)
    data = written(pa.table({"n": range(7), "s": column}))
    got = reading(data, max_record_bytes=50_000)
    assert got.error is None
    assert [(step.records, [reject.index for reject in step.rejects]) for step in got.steps] == [
        (1, []), (2, [0, 1]), (2, []), (1, [0]), (1, []),
    ]  # fmt: skip
    assert got.table.to_pylist() == [
        {"n": 0, "s": "short"}, {"n": 3, "s": None}, {"n": 4, "s": "short"}, {"n": 6, "s": "short"},
    ]  # fmt: skip
    (reject,) = got.steps[3].rejects
    assert (reject.reason, reject.row) == ("too_large", None)
    assert reject.message == f"the row would have more than 100,000 bytes in memory, and 50,000 are allowed{NOT_KEPT}"
    for step, rows in zip(got.steps, (6, 4, 2, 1), strict=False):
        after = reading(data, Position(7 - rows, {"resume": step.resume}), max_record_bytes=50_000)
        assert sum(step.records for step in after.steps) == rows


def test_nulls_within_a_list_count_though_no_bytes_stand_for_them(reading: Any, written: Write) -> None:
    lists = pa.ListArray.from_arrays([0, 2, 100_002], pa.nulls(100_002))
    got = reading(written(pa.table({"l": lists})), max_record_bytes=50_000)
    assert got.table.to_pylist() == [{"l": [None, None]}]
    assert [reject.reason for step in got.steps for reject in step.rejects] == ["too_large"]


def test_a_large_row_is_kept_with_its_reject_and_a_far_too_large_one_is_not(reading: Any, written: Write) -> None:
    data = written(pa.table({"n": [1, 2, 3], "s": ["x" * 3_000, "y", "x" * 5_000]}))
    got = reading(data, max_record_bytes=1_000)
    assert got.table.to_pylist() == [{"n": 2, "s": "y"}]
    (step,) = got.steps
    assert [(reject.index, reject.message) for reject in step.rejects] == [
        (0, "the row has 3,012 bytes in memory, more than the 1,000 allowed"),
        (2, f"the row has 5,012 bytes in memory, more than the 1,000 allowed{NOT_KEPT}"),
    ]
    assert pa.ipc.open_stream(step.rejects[0].row).read_all().to_pylist() == [{"n": 1, "s": b"x" * 3_000}]
    assert step.rejects[1].row is None


def test_a_batch_of_more_rows_than_free_bytes_needs_nothing_that_repeats(
    reading: Any, written: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddpm_arrow.pacing.FREE_BYTES", 100)
    assert reading(written(pa.table({"b": [True] * 1000}))).table.num_rows == 1000


def test_what_cannot_be_measured_beforehand_is_refused_when_it_has_become_too_much(reading: Any, written: Write) -> None:
    got = reading(written(pa.table({"n": range(2000), "s": REPEATED["list_view"], "t": REPEATED["list_view"]})))
    assert 1000 < sum(step.records for step in got.steps) < 2000
    assert re.match(
        r"f\.arrow in record batch 1: \d\d\d,\d\d\d,\d\d\d bytes of rows come of [\d,]+ bytes, and 1,000 times", str(got.error)
    )


def test_batches_that_become_far_more_together_are_refused(reading: Any, written: Write) -> None:
    both = pa.chunked_array([REPEATED["dictionary"]] * 2)
    got = reading(written(pa.table({"n": range(4000), "s": both}), rows=2000))
    assert 2000 < sum(step.records for step in got.steps) < 3000
    assert re.match(
        r"f\.arrow in record batch 2: [23]\d\d,\d\d\d,\d\d\d bytes of rows come of [\d,]+ bytes, and 1,000 times", str(got.error)
    )


def test_too_many_columns_are_refused(reading: Any, written: Write) -> None:
    table = pa.table([pa.array([1])] * 10_001, names=[f"c{number}" for number in range(10_001)])
    assert str(reading(written(table)).error) == "f.arrow has 10,001 columns, and 10,000 are allowed\nSplit it where it is made."


def test_a_value_that_unpacks_to_too_much_is_refused(reading: Any, written: Write) -> None:
    huge = pa.ListArray.from_arrays([0, 2**31 - 1], pa.Array.from_buffers(pa.null(), 2**31 - 1, [None]))
    error = reading(written(pa.table({"l": huge}))).error
    assert str(error) == (
        f"f.arrow in record batch 1: a value of column 'l' may unpack to 2,147,483,648 bytes, and 536,870,912 are allowed\n{HINT}"
    )


def test_a_dictionary_of_views_that_unpacks_to_too_much_is_refused(reading: Any, written: Write) -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), REPEATED["view"])
    error = reading(written(pa.table({"w": words})), max_batch_bytes=MIB).error
    assert error.message == (
        "f.arrow in record batch 1: the dictionary of column 'w' may unpack to 200,000,000 bytes, and 1,048,576 are allowed"
    )


def test_a_file_ten_times_larger_takes_no_more_memory(tmp_path: Path) -> None:
    grown = []
    for batches in (4, 40):
        sink = io.BytesIO()
        batch = pa.record_batch({f"c{n}": pc.random(20_000, initializer=n) for n in range(5)})
        with pa.ipc.new_file(sink, batch.schema) as writer:
            for _ in range(batches):
                writer.write_batch(batch)
        grown.append(int(read_with(sink.getvalue(), 1 << 32, tmp_path)[-1]))
    assert grown[1] <= grown[0] + 8_000, "the larger file has 29,000 kB more"
