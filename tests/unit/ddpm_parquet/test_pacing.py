"""Memory stays flat, whatever a file hides."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

Write = Callable[..., bytes]
STEP = 1 << 20


def repeated(text: str, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array([text]))


def largest(got: Any) -> int:
    return max(step.data.nbytes for step in got.steps)


def test_a_long_text_that_every_row_repeats_is_unpacked_a_few_rows_at_a_time(reading: Any, written: Write) -> None:
    long = pa.DictionaryArray.from_arrays(
        pa.array([n // 2990 for n in range(3000)], pa.int32()), pa.array(["short", "x" * 100_000])
    )
    data = written(pa.table({"s": long}), store_schema=False, dictionary_pagesize_limit=1 << 24)
    assert len(data) < 10_000
    got = reading(data, max_step_bytes=STEP, max_expansion=10**6)
    assert got.error is None
    assert largest(got) <= STEP + 100_000
    assert sum(step.records for step in got.steps) == 3000
    assert [len(row["s"]) for row in got.rows[2988:2992]] == [5, 5, 100_000, 100_000]


@pytest.mark.parametrize("store_schema", [True, False])
@pytest.mark.parametrize("kind", ["json", "struct", "list", "map", "words", "bytes"])
def test_it_is_found_within_every_type(kind: str, store_schema: bool, reading: Any, written: Write) -> None:
    text = repeated("x" * 20_000, 400)
    plain = text.dictionary_decode()
    offsets = pa.array(range(401), pa.int32())
    column = {
        "json": lambda: pa.ExtensionArray.from_storage(pa.json_(), plain),
        "struct": lambda: pa.StructArray.from_arrays([plain, pa.array(range(400))], ["a", "b"]),
        "list": lambda: pa.ListArray.from_arrays(offsets, plain),
        "map": lambda: pa.MapArray.from_arrays(offsets, pa.array(["k"] * 400), plain),
        "words": lambda: text,
        "bytes": lambda: plain.cast(pa.binary()),
    }[kind]()
    got = reading(
        written(pa.table({"n": range(400), "c": column}), store_schema=store_schema), max_step_bytes=STEP, max_expansion=10**6
    )
    assert got.error is None
    assert sum(step.records for step in got.steps) == 400
    assert largest(got) <= 3 * STEP, "unpacked at once they would be 8 MB"


def test_many_rows_of_nothing_are_only_many_steps(reading: Any, written: Write) -> None:
    data = written(pa.table({"n": pa.repeat(pa.scalar(0, pa.int64()), 1_000_000)}))
    assert len(data) < 60_000
    got = reading(data)
    assert max(step.records for step in got.steps) == 65_536
    assert sum(step.records for step in got.steps) == 1_000_000


def test_wide_rows_are_read_in_smaller_steps_than_narrow_ones(reading: Any, written: Write) -> None:
    wide = pa.table({f"c{n}": pc.random(2000, initializer=n) for n in range(200)})
    got = reading(written(wide), max_step_bytes=STEP)
    assert largest(got) <= STEP
    assert len(got.steps) > 1


@pytest.mark.parametrize("where", [0, 20_000, 39_900])
def test_long_texts_that_stand_together_are_read_a_few_rows_at_a_time(where: int, reading: Any, written: Write) -> None:
    page = 64 << 10
    long = [f"{n:0100000}" for n in range(100)]
    texts = [f"{n:020}" for n in range(40_000)]
    table = pa.table({"s": texts[:where] + long + texts[where:], "n": range(40_100)})
    data = written(table, use_dictionary=False, data_page_size=page, compression="zstd", write_batch_size=1)
    got = reading(data, max_step_bytes=STEP)
    assert got.error is None
    assert got.table == table
    assert largest(got) <= STEP, "on average a row has 270 bytes: by that, all long ones would be in one step of 10 MB"
    assert len(got.steps) < 200


def test_texts_that_are_unpacked_by_their_beginnings_come_in_small_steps(reading: Any, written: Write) -> None:
    table = pa.table({"s": [f"{'x' * 500}{n}" for n in range(5000)]})
    data = written(table, use_dictionary=False, column_encoding={"s": "DELTA_BYTE_ARRAY"})
    got = reading(data)
    assert got.table == table
    assert largest(got) <= 2 << 20


def test_a_list_that_is_small_in_the_file_and_huge_in_memory_is_refused(reading: Any, written: Write) -> None:
    huge = pa.ListArray.from_arrays([0, 1_000_000], pa.repeat(pa.scalar(0, pa.int64()), 1_000_000))
    data = written(pa.table({"before": [1], "l": huge}))
    got = reading(data, max_step_bytes=STEP, max_expansion=100)
    assert got.steps == []
    assert got.error.reason == "decompressed_size"
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    before, stored = (group.column(n).total_compressed_size for n in range(2))
    assert str(got.error) == (
        f"f.parquet has {stored + before:,} bytes and becomes more than 8,000,008 in memory\n"
        "It looks made to exhaust memory; if it is not, raise the option max_expansion."
    )
    trusted = reading(data, max_step_bytes=STEP, max_expansion=1_000_000)
    assert str(trusted.error) == (
        "f.parquet: a single row of column 'l.list.element' in row group 1 may have 1,000,000 values\n"
        "A row must fit into memory; if there is enough of it, raise the option max_step_bytes."
    )
    assert reading(data, max_step_bytes=2 * STEP, max_expansion=1_000_000).error is None


def test_a_step_takes_no_more_of_the_file_than_allowed(written: Write) -> None:
    from ddpm_core import BuildContext, Document
    from ddpm_parquet.options import ParquetOptions
    from ddpm_parquet.parser import build

    data = written(pa.table({"n": pc.random(10_000, initializer=0)}))
    parser = build(ParquetOptions(), BuildContext(batch_bytes=8_000))
    sizes = [step.nbytes for step in parser.parse_document(Document("f", "p", io.BytesIO(data)))]
    assert max(sizes) <= 8_001
    assert len(sizes) >= 10


GROWTH = """
import sys
sys.path[:0] = {path!r}
from ddpm_core import BuildContext, Document
from ddpm_parquet.options import ParquetOptions
from ddpm_parquet.parser import build

def peak():  # Of this process alone; getrusage would begin with its parent's.
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

parser = build(ParquetOptions(), BuildContext())
before = peak()
with open(sys.argv[1], "rb") as stream:
    for step in parser.parse_document(Document("f", "p", stream)):
        pass
print(peak() - before)
"""


def growth(path: Path) -> int:
    """Kilobytes that reading a file adds to a process, which must end without a complaint."""
    command = [sys.executable, "-c", GROWTH.format(path=sys.path), str(path)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=240).stdout)


def test_a_row_group_ten_times_larger_takes_no_more_memory(tmp_path: Path) -> None:
    grown = []
    for rows in (200_000, 2_000_000):
        table = pa.table({f"c{n}": pc.random(rows, initializer=n) for n in range(3)})
        path = tmp_path / f"{rows}.parquet"
        pq.write_table(table, path, row_group_size=rows, compression="none", use_dictionary=False)
        grown.append(growth(path))
    assert grown[1] <= grown[0] + 8_000, "the larger row group has 43,000 kB more"


def test_reading_does_not_abort_when_the_process_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": range(100_000), "s": [f"row {n % 1000}" for n in range(100_000)]}), path)
    for _ in range(2):
        growth(path)
