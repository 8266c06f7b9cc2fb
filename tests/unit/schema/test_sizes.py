"""Rows that are large in memory are found, whatever else is in their batch."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import large_rows
from tests.examples import examples


def test_a_large_row_is_told_with_its_size_and_the_limit() -> None:
    batch = pa.record_batch({"n": [1, 2, 3], "s": ["a", "x" * 5_000, "b"]})
    assert list(large_rows(batch, 1_000)) == [(1, "the row has 5,012 bytes in memory, more than the 1,000 allowed")]


def test_values_within_lists_and_structs_count() -> None:
    batch = pa.record_batch({"l": pa.array([[{"a": n} for n in range(count)] for count in (1, 1_000, 0)])})
    assert [row for row, _ in large_rows(batch, 4_000)] == [1]


def test_a_batch_without_rows_has_none() -> None:
    assert list(large_rows(pa.record_batch({"s": pa.array([], pa.string())}), 0)) == []


def test_views_do_not_count() -> None:
    views = pa.array(["x" * 500] * 100, pa.string_view())
    batch = pa.record_batch({"v": views, "j": pa.ExtensionArray.from_storage(pa.json_(pa.string_view()), views), "n": range(100)})
    assert views.slice(1, 1).nbytes > 50_000, "what pyarrow says; when it does not, views can count"
    assert list(large_rows(batch, 50)) == []


def test_unions_do_not_count() -> None:
    ids, places = pa.array([0] * 100, pa.int8()), pa.array([0] * 100, pa.int32())
    union = pa.UnionArray.from_dense(ids, places, [pa.array(["x" * 1_000])])
    batch = pa.record_batch({"u": union, "l": pa.ListArray.from_arrays(range(101), union), "s": ["y" * n for n in range(100)]})
    assert union.slice(1, 1).nbytes < 0, "what pyarrow says; when it does not, unions can count"
    assert [row for row, _ in large_rows(batch, 50)] == list(range(47, 100))


@settings(max_examples=examples(100))
@given(sizes=st.lists(st.integers(0, 300), max_size=70), limit=st.integers(16, 200))
def test_they_are_those_that_are_large_by_themselves(sizes: list[int], limit: int) -> None:
    batch = pa.record_batch({"s": pa.array(["x" * size for size in sizes], pa.string())})
    assert [row for row, _ in large_rows(batch, limit)] == [row for row in range(len(sizes)) if batch.slice(row, 1).nbytes > limit]
