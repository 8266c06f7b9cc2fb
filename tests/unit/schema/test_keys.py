"""Rows chosen by their key."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core.errors import ConfigError
from ddpm_core.records import Reject
from ddpm_core.schema.keys import last_of_each_key
from tests.examples import examples


def test_of_rows_with_one_key_the_last_stays_and_keys_are_sorted() -> None:
    data = pa.record_batch({"k": ["b", "a", "b"], "v": [1, 2, 3]})
    chosen = last_of_each_key(data, ["k"])
    assert chosen.data.to_pylist() == [{"k": "a", "v": 2}, {"k": "b", "v": 3}]
    assert [chosen.row(0), chosen.row(1)] == [1, 2]
    assert chosen.rejects == []


def test_a_row_without_its_key_is_refused_once() -> None:
    data = pa.record_batch({"k": pa.array([None, 1, None], pa.int64()), "j": pa.array([None, 2, 3], pa.int64())})
    chosen = last_of_each_key(data, ["k", "j"])
    assert chosen.data.to_pylist() == [{"k": 1, "j": 2}]
    assert chosen.rejects == [
        Reject(0, "null_key", "column 'k' is part of the key and must not be null"),
        Reject(2, "null_key", "column 'k' is part of the key and must not be null"),
    ]


@pytest.mark.parametrize(
    ("low", "high", "data_type"),
    [
        (1, 2, pa.int32()),
        (False, True, pa.bool_()),
        ("a", "b", pa.string()),
        ("a", "b", pa.large_string()),
        (b"a", b"b", pa.binary()),
        (1.5, 2.5, pa.float16()),
        (Decimal("1.10"), Decimal("2.20"), pa.decimal128(10, 2)),
        (datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC), pa.timestamp("us", "UTC")),
        (UUID(int=1), UUID(int=2), pa.uuid()),
    ],
)
def test_every_comparable_type_is_a_key(low: Any, high: Any, data_type: pa.DataType) -> None:
    data = pa.record_batch({"k": pa.array([high, low, high, low, None], data_type), "v": [1, 2, 3, 4, 5]})
    chosen = last_of_each_key(data, ["k"])
    assert chosen.data["v"].to_pylist() == [4, 3]
    assert chosen.data.schema == data.schema
    assert [reject.index for reject in chosen.rejects] == [4]


def test_minus_zero_and_zero_are_one_key_and_so_are_nans() -> None:
    data = pa.record_batch({"k": [0.0, -0.0, float("nan"), float("nan")], "v": [1, 2, 3, 4]})
    assert last_of_each_key(data, ["k"]).data["v"].to_pylist() == [2, 4]


def test_no_row_stays_when_every_key_is_null() -> None:
    data = pa.record_batch({"k": pa.array([None, None], pa.string())})
    chosen = last_of_each_key(data, ["k"])
    assert chosen.data.num_rows == 0
    assert [reject.index for reject in chosen.rejects] == [0, 1]


def test_rows_without_the_key_column_are_refused() -> None:
    chosen = last_of_each_key(pa.record_batch({"a": [1]}), ["a", "k"])
    assert chosen.data.num_rows == 0
    assert chosen.rejects == [Reject(0, "null_key", "column 'k' is part of the key, and the row has none")]


def test_a_type_without_an_order_is_no_key() -> None:
    with pytest.raises(ConfigError) as caught:
        last_of_each_key(pa.record_batch({"k": [[1]]}), ["k"])
    assert str(caught.value) == "column 'k' is of type bigint[], which cannot be a key"


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(st.none() | st.sampled_from("abc"), st.none() | st.integers(0, 2))))
def test_the_result_is_what_a_dict_would_keep(rows: list[tuple[str | None, int | None]]) -> None:
    data = pa.record_batch(
        {
            "a": pa.array([a for a, _ in rows], pa.string()),
            "b": pa.array([b for _, b in rows], pa.int64()),
            "n": pa.arange(0, len(rows)),
        }
    )
    expected = {(a, b): n for n, (a, b) in enumerate(rows) if a is not None and b is not None}
    chosen = last_of_each_key(data, ["a", "b"])
    assert [((row["a"], row["b"]), row["n"]) for row in chosen.data.to_pylist()] == sorted(expected.items())
    assert [reject.index for reject in chosen.rejects] == [n for n, row in enumerate(rows) if None in row]
    assert [chosen.row(i) for i in range(chosen.data.num_rows)] == chosen.data["n"].to_pylist()
