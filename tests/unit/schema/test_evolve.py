"""A table changes only so that every value that was in it stays the same."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core.schema.cast import cast_column
from ddpm_core.schema.evolve import NewColumn, NewTable, WiderColumn, after, most_general, new_columns, widened, wider_columns
from tests.examples import examples

TYPES = [
    pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float32(), pa.float64(),
    pa.decimal128(4, 2), pa.decimal128(18, 0), pa.decimal128(38, 10), pa.string(), pa.bool_(), pa.date32(), pa.timestamp("us"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "wider"),
    [
        (pa.int32(), pa.int64(), pa.int64()),
        (pa.int16(), pa.uint16(), pa.int32()),
        (pa.uint8(), pa.uint32(), pa.uint32()),
        (pa.int64(), pa.uint64(), pa.decimal128(20, 0)),
        (pa.int64(), pa.decimal128(38, 0), pa.decimal128(38, 0)),
        (pa.int32(), pa.decimal128(6, 2), pa.decimal128(12, 2)),
        (pa.decimal128(6, 2), pa.decimal128(9, 3), pa.decimal128(9, 3)),
        (pa.decimal128(6, 2), pa.int64(), pa.decimal128(21, 2)),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.dictionary(pa.int8(), pa.int32()), pa.int64(), pa.int64()),
    ],
)
def test_the_widenings_that_are_safe(old: pa.DataType, new: pa.DataType, wider: pa.DataType) -> None:
    assert widened(old, new) == wider


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (pa.int64(), pa.int32()),
        (pa.int64(), pa.float64()),
        (pa.float64(), pa.int64()),
        (pa.int64(), pa.string()),
        (pa.float64(), pa.float32()),
        (pa.decimal128(38, 0), pa.decimal128(38, 10)),
        (pa.bool_(), pa.int64()),
        (pa.date32(), pa.timestamp("us")),
        (pa.string(), pa.large_string()),
    ],
)
def test_what_is_no_safe_widening_is_none(old: pa.DataType, new: pa.DataType) -> None:
    assert widened(old, new) is None


@settings(max_examples=examples(150), deadline=None)
@given(st.sampled_from(TYPES), st.sampled_from(TYPES), st.integers(-(2**70), 2**70), st.integers(0, 20))
def test_every_value_of_both_types_is_exact_in_the_wider_one(old: pa.DataType, new: pa.DataType, number: int, scale: int) -> None:
    wider = widened(old, new)
    if wider is None:
        return
    for narrow in (old, new):
        for value in (number, Decimal(number).scaleb(-scale), float(number) / 3):
            try:
                array = pa.array([value], narrow)
            except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, TypeError):
                continue
            made = cast_column(array, wider)
            assert made.bad == {}
            assert made.data.to_pylist() == array.to_pylist()


def test_a_column_is_widened_only_for_a_value_that_needs_it() -> None:
    target = pa.schema([("a", pa.int32()), ("b", pa.int32()), ("c", pa.float32())])
    data = pa.record_batch({"a": [1, 3_000_000_000], "b": [1, 2], "c": [1.1, 2.2]})
    assert wider_columns(data, target) == [WiderColumn("a", pa.int32(), pa.int64(), "3000000000")]


def test_a_change_says_why_with_both_types_and_the_value() -> None:
    wider = WiderColumn("a", pa.int32(), pa.int64(), "3000000000")
    assert wider.why == "column 'a' is integer, and 3000000000 needs bigint"
    [new] = new_columns(pa.record_batch({"z": [1.5]}), pa.schema([("a", pa.int32())]))
    assert new.why == "the data has values of type double in 'z', and the table has no such column"
    assert NewTable(()).why == "the table does not exist"


def test_a_plan_goes_on_from_the_changes_before() -> None:
    columns = after(
        pa.schema([("a", pa.int32())]), [NewColumn(pa.field("b", pa.string())), WiderColumn("a", pa.int32(), pa.int64(), "")]
    )
    assert columns == pa.schema([("a", pa.int64()), ("b", pa.string())])
    assert after(columns, [NewTable((pa.field("x", pa.date32()),))]) == pa.schema([("x", pa.date32())])


def test_parsers_are_told_to_read_what_a_wider_column_would_hold() -> None:
    expected = pa.schema(
        [("i", pa.int16()), ("u", pa.uint16()), ("f", pa.float32()), ("d", pa.decimal128(6, 2)), ("t", pa.string())]
    )
    assert most_general(expected).types == [pa.int64(), pa.uint16(), pa.float64(), pa.decimal128(38, 2), pa.string()]
