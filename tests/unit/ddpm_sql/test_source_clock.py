"""A TIME of MySQL or MariaDB is a time of day; one that is none costs its row and says why."""

from __future__ import annotations

from datetime import time, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_sql.source_batches import Batches
from ddpm_sql.source_clock import spelled
from ddpm_sql.source_columns import ResultColumn
from tests.examples import examples

DAY = timedelta(days=1)
SMALLEST = timedelta(microseconds=1)


def batches(wanted: pa.DataType) -> Batches:
    return Batches([ResultColumn("id", pa.int64()), ResultColumn("t", wanted)])


def test_times_of_a_day_arrive_as_times() -> None:
    values = [timedelta(0), timedelta(seconds=45_000), None, DAY - SMALLEST]
    step = batches(pa.time64("us")).parsed(list(enumerate(values)))
    assert step.rejects == []
    assert step.data is not None
    assert step.data.schema.field("t").type == pa.time64("us")
    assert step.data.column("t").to_pylist() == [time(0), time(12, 30), None, time(23, 59, 59, 999_999)]


def test_a_column_without_any_time_has_the_type_all_the_same() -> None:
    step = batches(pa.time64("us")).parsed([(1, None)])
    assert step.data is not None
    assert step.data.column("t").equals(pa.nulls(1, pa.time64("us")))


def test_values_outside_of_a_day_cost_their_row_alone() -> None:
    step = batches(pa.time64("us")).parsed(
        [(0, timedelta(hours=-100, microseconds=-500_000)), (1, timedelta(seconds=1)), ("x", timedelta(0)), (3, DAY), (4, None)]
    )
    assert step.data is not None
    assert step.data.to_pylist() == [{"id": 1, "t": time(0, 0, 1)}, {"id": 4, "t": None}]
    assert step.origin is not None
    assert step.origin.to_pylist() == [1, 4]
    assert [(r.index, r.reason, r.message) for r in step.rejects] == [
        (
            0,
            "time_range",
            "column 't' is time, the value -100:00:00.5 is not between 00:00:00 and 24:00:00 (--columns t=interval takes it)",
        ),
        (2, "type_mismatch", "column 'id' is bigint, the value 'x' is text"),
        (
            3,
            "time_range",
            "column 't' is time, the value 24:00:00 is not between 00:00:00 and 24:00:00 (--columns t=interval takes it)",
        ),
    ]
    kept = [pa.ipc.open_stream(r.row).read_all().to_pylist() for r in step.rejects]
    assert kept[2] == [{"id": 3, "t": DAY}]


def test_rows_that_are_all_outside_leave_no_batch() -> None:
    step = batches(pa.time64("us")).parsed([(0, -SMALLEST)])
    assert (step.data, step.records, [r.reason for r in step.rejects]) == (None, 1, ["time_range"])


def test_a_column_declared_as_interval_takes_them_all() -> None:
    step = batches(pa.duration("us")).parsed([(0, -DAY), (1, timedelta(hours=838))])
    assert step.rejects == []
    assert step.data is not None
    assert step.data.column("t").to_pylist() == [-DAY, timedelta(hours=838)]


@given(st.lists(st.none() | st.timedeltas(-2 * DAY, 2 * DAY), min_size=1, max_size=4))
@settings(max_examples=examples(100), deadline=None)
def test_whole_columns_and_single_values_agree(values: list[timedelta | None]) -> None:
    alone = [batches(pa.time64("us")).parsed([(n, value)]) for n, value in enumerate(values)]
    together = batches(pa.time64("us")).parsed(list(enumerate(values)))
    wanted = [row for step in alone if step.data is not None for row in step.data.to_pylist()]
    assert (together.data.to_pylist() if together.data is not None else []) == wanted
    assert [r.message for r in together.rejects] == [r.message for step in alone for r in step.rejects]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(hours=838, minutes=59, seconds=59), "838:59:59"),
        (-SMALLEST, "-00:00:00.000001"),
        (DAY, "24:00:00"),
    ],
)
def test_a_value_is_spelled_as_the_database_does(value: timedelta, text: str) -> None:
    assert spelled(value) == text
