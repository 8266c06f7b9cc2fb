"""Python values as JSON text."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core.schema.spell import UnspeakableError, json_text
from tests.examples import examples

JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=examples(150), deadline=None)
@given(JSON_VALUES)
def test_what_is_written_reads_back_the_same(value: Any) -> None:
    assert json.loads(json_text(value)) == value


def test_no_digit_is_lost() -> None:
    value = {"big": 2**80, "decimal": Decimal("1.50"), "both": [Decimal("1E+3"), -(2**64)]}
    assert json_text(value) == '{"big":1208925819614629174706176,"decimal":1.50,"both":[1E+3,-18446744073709551616]}'


def test_what_json_has_no_word_for_is_spelled_in_iso_or_base64() -> None:
    plain = [datetime(2020, 1, 2, 3, tzinfo=UTC), date(2020, 1, 2), time(3), timedelta(seconds=-0.5), UUID(int=1), b"\x00", (1,)]
    spelled = [
        "2020-01-02T03:00:00+00:00", "2020-01-02", "03:00:00", "PT-0.5S", "00000000-0000-0000-0000-000000000001", "AA==", [1],
    ]  # fmt: skip
    assert json.loads(json_text(plain)) == spelled
    assert json.loads(json_text([2**80, *plain])) == [2**80, *spelled]


def test_keys_become_text() -> None:
    assert json_text({1: {None: 2}}) == '{"1":{"None":2}}'


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([float("nan"), None], "number_range"),
        ({"a": float("-inf")}, "number_range"),
        ([Decimal("NaN")], "number_range"),
        (["\ud800"], "surrogate"),
        ({"\udfff": 1}, "surrogate"),
        ([object()], "type_mismatch"),
        ([10**5000], "int_range"),
    ],
)
def test_what_has_no_json_text_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(UnspeakableError) as caught:
        json_text(value)
    assert caught.value.reason == reason


def test_a_value_nested_too_deep_is_refused() -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(UnspeakableError) as caught:
        json_text(value)
    assert caught.value.reason == "json_depth"


def test_null_beside_the_letters_of_nan_is_no_nan() -> None:
    assert json_text(["nan", None, "inf"]) == '["nan",null,"inf"]'
