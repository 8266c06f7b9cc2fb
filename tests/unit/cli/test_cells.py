"""What `ddpm query` prints of values that Python, or JSON, has no plain word for."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from ddpm_core.cli.cells import dump, duration_text, json_rows, text_columns


def interval(months: int, days: int, nanoseconds: int) -> pa.MonthDayNano:
    return pa.MonthDayNano([months, days, nanoseconds])


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ((0, 0, "0"), "PT0S"),
        ((0, 0, "5"), "PT5S"),
        ((0, 0, "-0.5"), "PT-0.5S"),
        ((1, 2, "10800"), "P1M2DT10800S"),
        ((-14, 0, "0"), "P-14M"),
        ((0, 0, "0.000000001"), "PT0.000000001S"),
    ],
)
def test_a_duration_has_the_parts_that_are_not_zero(parts: tuple[int, int, str], text: str) -> None:
    assert duration_text(parts[0], parts[1], Decimal(parts[2])) == text


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([interval(0, 0, 5 * 10**9), interval(1, 2, 0), None]), ["PT5S", "P1M2D", None]),
        (pa.array([timedelta(hours=1, minutes=2, seconds=3), timedelta(days=-1), None]), ["PT3723S", "PT-86400S", None]),
        (pa.array([1, -1_500_000_001, None], pa.duration("ns")), ["PT0.000000001S", "PT-1.500000001S", None]),
        (pa.array([90, None], pa.duration("s")), ["PT90S", None]),
        (pa.array([math.nan, math.inf, -math.inf, None]), ["NaN", "Infinity", "-Infinity", None]),
        (pa.array([math.nan, math.inf], pa.float32()), ["NaN", "Infinity"]),
        (pa.array([math.nan, math.inf], pa.float16()), ["NaN", "Infinity"]),
    ],
)
def test_intervals_and_endless_numbers_are_text_in_tables_and_json(column: pa.Array, texts: list[str | None]) -> None:
    batch = pa.record_batch({"x": column})
    assert text_columns(batch) == [[text or "NULL" for text in texts]]
    assert [row["x"] for row in json_rows(batch)] == texts


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        ([math.inf, 1.5], None, '["Infinity",1.5]'),
        ({"a": [-math.inf]}, None, '{"a":["-Infinity"]}'),
        ([("k", math.nan)], pa.map_(pa.string(), pa.float64()), '[["k","NaN"]]'),
        ([interval(1, 0, 0)], pa.list_(pa.month_day_nano_interval()), '["P1M"]'),
        ([timedelta(seconds=5)], None, '["PT5S"]'),
    ],
)
def test_they_are_so_inside_of_nested_values(value: object, kind: pa.DataType | None, text: str) -> None:
    batch = pa.record_batch({"x": pa.array([value, None], kind)})
    assert text_columns(batch) == [[text, "NULL"]]
    assert dump(json_rows(batch)) == f'[{{"x":{text}}},{{"x":null}}]'


def test_a_row_that_orjson_refuses_has_the_same_texts() -> None:
    batch = pa.record_batch(
        {"span": [[interval(1, 0, 0)]], "share": [math.nan], "big": pa.array([Decimal(2**70)], pa.decimal128(38, 0)), "text": ["a"]}
    )
    (row,) = json_rows(batch)
    row["big"] = int(row["big"])
    assert dump([row]) == '[{"span": ["P1M"], "share": "NaN", "big": 1180591620717411303424, "text": "a"}]'


def test_finite_numbers_stay_numbers() -> None:
    batch = pa.record_batch({"x": [1.5, None, -0.0]})
    assert dump(json_rows(batch)) == '[{"x":1.5},{"x":null},{"x":-0.0}]'
    assert text_columns(batch) == [["1.5", "NULL", "-0.0"]]
