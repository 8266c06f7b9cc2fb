"""What page headers and levels say is found out, and lies of the footer are."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_parquet.chunks import chunks_of
from ddpm_parquet.lists import rows_beginning
from ddpm_parquet.pages import PageError, pages
from tests.examples import examples

LISTS = st.lists(st.lists(st.lists(st.integers(0, 3), max_size=9), max_size=9), min_size=1, max_size=60)


def found(table: pa.Table, **options: Any) -> list[Any]:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return [(chunk, out) for chunk in chunks_of("f.parquet", out, pq.ParquetFile(out).metadata, 0)]


@settings(max_examples=examples(40), deadline=None)
@given(
    rows=LISTS,
    codec=st.sampled_from(["none", "snappy", "gzip", "zstd", "brotli", "lz4"]),
    version=st.sampled_from(["1.0", "2.0"]),
    deep=st.booleans(),
)
def test_rows_that_begin_in_a_page_are_counted(rows: list[Any], codec: str, version: str, deep: bool) -> None:
    column = pa.array(rows if deep else [list(chain(*row)) for row in rows])
    if pa.types.is_null(column.type) or "null" in str(column.type):
        column = pa.array(
            rows if deep else [list(chain(*row)) for row in rows], pa.list_(pa.list_(pa.int64())) if deep else pa.list_(pa.int64())
        )
    options = {"compression": codec, "data_page_version": version, "data_page_size": 64, "write_batch_size": 8}
    ((chunk, stream),) = found(pa.table({"l": column}), **options)
    assert chunk.max_level == 1 + deep
    assert sum(rows_beginning(stream, page, chunk.codec, chunk.max_level, 1_000) for page in chunk.pages) == len(rows)
    assert sum(page.values for page in chunk.pages) == chunk.values


@pytest.mark.parametrize("statistics", [True, False])
def test_headers_with_long_statistics_are_read(statistics: bool) -> None:
    table = pa.table({"s": ["x" * 3_000, "y" * 3_000]})
    ((chunk, _),) = found(table, write_statistics=statistics, use_dictionary=False, data_page_version="2.0")
    assert [page.values for page in chunk.pages] == [2]
    assert chunk.largest_page >= 6_000


def test_a_dictionary_counts_twice() -> None:
    ((chunk, _),) = found(pa.table({"s": ["x" * 1_000] * 5}), compression="none")
    assert chunk.largest_page == 2 * 1_004


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (bytes(40), "a page header lacks its field 1"),
        (b"\xff" * 40, "a page header has a field of the unknown type 15"),
        (b"\x15\x00\x15\x01\x15\x02\x00", "a page has less than no bytes"),
        (b"\x15\x00\x15\x02\x15\x02\x2c\x15\x01\x00\x00", "a page has less than no values"),
        (b"\x15\x80", "a page header has no end"),
        (b"\x15" + b"\x80" * 12 + b"\x01", "a page header has a number that is too long"),
        (b"\x1c" * 40, "a page header is nested too deep"),
    ],
)
def test_headers_that_make_no_sense_are_refused(header: bytes, message: str) -> None:
    with pytest.raises(PageError) as caught:
        list(pages(io.BytesIO(header), 0, len(header), 1))
    assert str(caught.value) == message


@settings(max_examples=200, deadline=None)
@given(noise=st.binary(max_size=200))
def test_noise_is_no_crash(noise: bytes) -> None:
    with contextlib.suppress(PageError):
        list(pages(io.BytesIO(noise), 0, len(noise), 5))


def test_a_file_without_columns_has_no_rows(reading: Any, written: Callable[..., bytes]) -> None:
    got = reading(written(pa.table({})))
    assert (got.steps, got.error) == ([], None)


def test_a_row_that_is_too_large_is_set_aside(reading: Any, written: Callable[..., bytes]) -> None:
    got = reading(
        written(pa.table({"n": range(100), "s": ["x" * (5_000 if n == 70 else 5) for n in range(100)]})), max_record_bytes=1_000
    )
    (step,) = got.steps
    assert [row["n"] for row in got.rows] == [n for n in range(100) if n != 70]
    ((index, reason, message),) = [(reject.index, reject.reason, reject.message) for reject in step.rejects]
    assert (index, reason) == (70, "too_large")
    assert message == "the row has 5,013 bytes in memory, more than the 1,000 allowed"
    assert pa.ipc.open_stream(step.rejects[0].row).read_all()["n"].to_pylist() == [70]
