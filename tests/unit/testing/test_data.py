"""The data of the kit is as nasty as it says, and the same in each run."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from ddpm_core.testing import TYPE_FAMILIES, all_types, hostile_names, hostile_texts, nasty_json_lines
from ddpm_core.testing.compare import difference, in_any_order, plain_rows


def test_every_family_has_columns_with_values_and_nulls() -> None:
    data = all_types()
    for column, name in zip(data.columns, data.schema.names, strict=True):
        assert column.null_count < len(column), f"{name} has no value"
        assert name == "id" or column.null_count > 0, f"{name} has no null"
    for family in TYPE_FAMILIES:
        assert all_types(families=(family,)).num_columns > 1


def test_the_same_seed_gives_the_same_batch() -> None:
    assert plain_rows(all_types(seed=3).to_pylist()) == plain_rows(all_types(seed=3).to_pylist())
    assert plain_rows(all_types(seed=3).to_pylist()) != plain_rows(all_types(seed=4).to_pylist())


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_integers_reach_both_ends_of_their_range(bits: int) -> None:
    data = all_types()
    signed, unsigned = data[f"int{bits}"].to_pylist(), data[f"uint{bits}"].to_pylist()
    assert {-(2 ** (bits - 1)), 2 ** (bits - 1) - 1} <= set(signed)
    assert {0, 2**bits - 1} <= set(unsigned)


def test_hostile_names_fit_every_database_and_do_not_collide() -> None:
    names = hostile_names()
    assert len({name.casefold() for name in names}) == len(names)
    assert all(0 < len(name.encode()) <= 63 and "\x00" not in name for name in names)
    assert max(len(name) for name in names) == 63


def test_hostile_texts_have_no_nul() -> None:
    assert not [text for text in hostile_texts() if "\x00" in text]
    assert pa.array(hostile_texts()).validate(full=True) is None


def test_lines_called_good_are_good_json() -> None:
    for line, wrong in nasty_json_lines():
        if not wrong:
            assert isinstance(json.loads(line), dict)


def test_rows_compare_as_a_person_would() -> None:
    nan = float("nan")
    assert plain_rows([{"a": nan, "b": None, "c": {"d": None, "e": [nan]}}]) == plain_rows([{"c": {"e": (nan,)}, "a": nan}])
    assert plain_rows([{"a": ""}]) != plain_rows([{"a": None}])
    assert in_any_order([{"b": 1, "a": 2}, {"a": 1}]) == in_any_order([{"a": 1}, {"a": 2, "b": 1}])


def test_a_difference_is_named_by_row_and_column() -> None:
    assert difference([{"a": 1, "b": 2}], [{"a": 1, "b": 3}]) == "row 0 differs in 1 columns: 'b': 2, and 3 is wanted"
    assert difference([], [{"a": 1}]) == "0 rows, and 1 are wanted; the first: [], and [{'a': 1}]"
    assert difference([{"a": 1}], [{"a": 1}]) == ""
