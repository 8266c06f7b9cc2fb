"""Rows become batches whose columns never change, and what does not fit costs its row alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import RowBuilder
from ddpm_sql.source_batches import Batches, column_at_once
from ddpm_sql.source_columns import ResultColumn
from tests.examples import examples

VALUES = st.sampled_from(
    [
        None, 0, 1, -1, 300, 2**40, 2**53 + 1, 2**70, 1.0, 1.5, float("nan"), float("inf"), True, False, "", "a", "1", "1.5", "NaN", "ä\x00",
        "\udcff", b"", b"\xff", date(2024, 1, 1), datetime.fromisoformat("2024-01-01T01:00"), datetime(2024, 1, 1, 1, tzinfo=UTC), "2024-01-01",
        "2024-01-01 10:00:00", "2024-01-01 10:00:00.5+00:00", "infinity", time(1), "10:00:00.5", "24:00:00", timedelta(1), Decimal("1.5"),
        Decimal("1.234567"), Decimal("NaN"), Decimal(10**30), UUID(int=5), "00000000-0000-0000-0000-000000000005", [1], [1, None], [], [True], [2**40], [1.5], [[1]], ["a"], {"a": 1}, '{"a": 1}',
    ]
)  # fmt: skip
TYPES = st.sampled_from(
    [
        pa.int8(), pa.int64(), pa.float32(), pa.float64(), pa.string(), pa.binary(), pa.bool_(), pa.date32(), pa.timestamp("us"),
        pa.timestamp("us", "UTC"), pa.time64("us"), pa.duration("us"), pa.decimal128(5, 2), pa.uuid(),
        pa.list_(pa.int32()), pa.list_(pa.float64()), pa.list_(pa.string()),
    ]
)  # fmt: skip


@given(st.lists(VALUES, min_size=1, max_size=3), TYPES)
@settings(max_examples=examples(400), deadline=None)
def test_the_fast_way_gives_what_the_rules_give(values: list[Any], wanted: pa.DataType) -> None:
    fast = column_at_once(values, wanted)
    if fast is None:
        return
    rules = RowBuilder()
    rules.expect(pa.schema([("x", wanted)]))
    built = rules.build([{"x": value} for value in values])
    assert built.rejects == []
    assert built.data is not None
    assert repr(fast.to_pylist()) == repr(built.data.column(0).to_pylist())
    assert fast.type == built.data.column(0).type == wanted


def test_a_value_that_does_not_fit_costs_its_row_and_keeps_it() -> None:
    batches = Batches([ResultColumn("id", pa.int64()), ResultColumn("at", pa.timestamp("us")), ResultColumn("t", pa.string())])
    step = batches.parsed([(1, "2024-01-01 10:00:00", "a"), (2, "soon", "b"), ("x", None, "c\udcff"), (4, None, None)])
    assert step.records == 4
    assert step.data is not None
    assert step.data.to_pylist() == [
        {"id": 1, "at": datetime.fromisoformat("2024-01-01T10:00"), "t": "a"},
        {"id": 4, "at": None, "t": None},
    ]
    assert step.origin is not None
    assert step.origin.to_pylist() == [0, 3]
    assert [(r.index, r.reason, r.message) for r in step.rejects] == [
        (1, "type_mismatch", "column 'at' is timestamp, the value 'soon' is text"),
        (2, "type_mismatch", "column 'id' is bigint, the value 'x' is text"),
    ]
    kept = [pa.ipc.open_stream(r.row).read_all().to_pylist() for r in step.rejects]
    assert kept == [[{"id": 2, "at": "soon", "t": "b"}], [{"id": "x", "at": None, "t": "c\\xff"}]]


def test_a_column_without_a_type_learns_it_once_and_keeps_it() -> None:
    column = ResultColumn("x")
    batches = Batches([column])
    first = batches.parsed([(None,), (None,)])
    assert first.data is not None
    assert first.data.schema.field("x").type == pa.null()
    batches.parsed([(1,), (None,)])
    assert column.type == pa.int64()
    step = batches.parsed([(2,), ("x",), (2.5,)])
    assert step.data is not None
    assert step.data.to_pydict() == {"x": [2]}
    assert [r.reason for r in step.rejects] == ["type_mismatch", "type_mismatch"]


@pytest.mark.parametrize(
    ("value", "wanted", "is_"),
    [
        ("2024-01-01 10:00:00.123456+00", pa.timestamp("us", "UTC"), datetime(2024, 1, 1, 10, 0, 0, 123456, tzinfo=UTC)),
        ("0001-01-01", pa.date32(), date(1, 1, 1)),
        ("-12345.50", pa.decimal128(10, 2), Decimal("-12345.50")),
        (memoryview(b"\x00\xff"), pa.binary(), b"\x00\xff"),
        ('{"a": [1]}', pa.json_(), '{"a": [1]}'),
    ],
)
def test_what_postgres_sends_is_exact_beside_good_rows_and_bad_ones(value: Any, wanted: pa.DataType, is_: Any) -> None:
    for neighbours in ([], ["bad"]):
        batches = Batches([ResultColumn("n", pa.int64()), ResultColumn("x", wanted, endless=True)])
        step = batches.parsed([(1, value), *((neighbour, value) for neighbour in neighbours)])
        assert step.data is not None
        assert step.data.column("x").to_pylist() == [is_]
        assert len(step.rejects) == len(neighbours)


def test_columns_behind_the_result_are_left_out() -> None:
    step = Batches([ResultColumn("x", pa.int64())]).parsed([(1, 99), (2, 100)])
    assert step.data is not None
    assert step.data.to_pydict() == {"x": [1, 2]}
