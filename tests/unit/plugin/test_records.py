"""Batches keep the origin of their rows."""

from __future__ import annotations

import pyarrow as pa

from ddpm_core.records import Batch


def test_taking_rows_keeps_their_origins() -> None:
    batch = Batch(pa.record_batch({"n": [1, 2, 3]}))
    taken = batch.take(pa.array([2, 0], pa.int64()))
    assert (taken.data.column("n").to_pylist(), taken.record(0), taken.record(1)) == ([3, 1], 2, 0)
    assert taken.take(pa.array([1], pa.int64())).record(0) == 0


def test_taking_no_rows_works_without_a_type() -> None:
    taken = Batch(pa.record_batch({"n": [1, 2, 3]})).take(pa.array([]))
    assert (len(taken), taken.data.schema, len(taken.origin)) == (0, pa.schema({"n": pa.int64()}), 0)
