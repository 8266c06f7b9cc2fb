"""Results as Arrow."""

from __future__ import annotations

from collections import namedtuple
from decimal import Decimal

import pyarrow as pa
import pytest

from ddpm_core import ConfigError
from ddpm_postgres.result import batch, schema_of

Described = namedtuple("Described", ["name", "type_code", "precision", "scale"])


def _column(
    code: int, values: list[str | None], precision: int | None = None, scale: int | None = None, *, complete: bool = True
) -> pa.Array:
    schema = schema_of([Described("c", code, precision, scale)], [values], complete=complete)
    return batch(schema, [values]).column(0)


@pytest.mark.parametrize(
    ("code", "values", "kind", "expected"),
    [
        (16, ["t", "f", None], pa.bool_(), [True, False, None]),
        (17, [r"\xff00", r"\x", None], pa.binary(), [b"\xff\x00", b"", None]),
        (20, ["-9223372036854775808", None], pa.int64(), [-(2**63), None]),
        (701, ["1e+300", "Infinity", "-Infinity"], pa.float64(), [1e300, float("inf"), float("-inf")]),
        (999_999, ["anything"], pa.string(), ["anything"]),
    ],
)
def test_values_come_in_their_own_type(code: int, values: list[str | None], kind: pa.DataType, expected: list[object]) -> None:
    column = _column(code, values)
    assert (column.type, column.to_pylist()) == (kind, expected)


def test_a_sum_is_a_number_when_it_is_all_there_is() -> None:
    assert _column(1700, ["12.5", "-3", None]).to_pylist() == [Decimal("12.5"), Decimal("-3.0"), None]
    assert _column(1700, ["12.5"], complete=False).to_pylist() == ["12.5"]
    assert _column(1700, ["1" * 39]).to_pylist() == ["1" * 39]
    assert _column(1700, ["NaN"]).to_pylist() == ["NaN"]
    assert _column(1700, ["1.50"], 5, 2, complete=False).to_pylist() == [Decimal("1.50")]


def test_a_value_without_a_place_in_arrow_is_said_with_the_way_out() -> None:
    with pytest.raises(ConfigError) as caught:
        _column(1082, ["infinity"])
    assert str(caught.value).startswith("column 'c' holds a value that does not fit into date32[day]: ")
    assert caught.value.hint == 'Ask for its text: "c"::text.'
