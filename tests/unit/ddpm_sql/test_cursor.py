"""A cursor's values come back from a position exactly as they were, and what cannot is refused."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import ConfigError, FatalError
from ddpm_sql.cursor import Mark, check_finite, check_same_kinds, continues, kind_of
from tests.examples import examples

EARLY, LATE = datetime.fromisoformat("0002-01-01"), datetime.fromisoformat("9998-01-01")
VALUES = st.one_of(
    st.integers(),
    st.text(),
    st.binary(),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]), min_value=EARLY, max_value=LATE),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.uuids(),
)  # fmt: skip


@given(st.lists(VALUES, min_size=1, max_size=3))
@settings(max_examples=examples(200), deadline=None)
def test_a_mark_comes_back_through_json_as_it_was(values: list[Any]) -> None:
    mark = Mark(tuple(f"c{n}" for n in range(len(values))), tuple(values))
    back = Mark.of_detail(json.loads(json.dumps(mark.detail())))
    assert (back, back.kinds) == (mark, mark.kinds)
    assert list(map(str, back.values)) == [
        str(v.astimezone(UTC) if isinstance(v, datetime) and v.tzinfo else v) for v in mark.values
    ]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (None, "a null"),
        (1.5, "the float 1.5"),
        (True, "a value of type bool"),
        (Decimal("NaN"), "a value of type Decimal"),
        ([1], "a value of type list"),
    ],
)
def test_a_value_that_cannot_keep_a_position_is_refused(value: Any, what: str) -> None:
    with pytest.raises(FatalError) as caught:
        kind_of("at", value)
    assert str(caught.value) == (
        f"cursor column 'at' holds {what}, by which no position can be kept\n"
        "Name another column with source.cursor: an integer, text, date, timestamp, decimal or uuid."
    )


@pytest.mark.parametrize("text", ["infinity", "-infinity", "NaN", "Infinity"])
def test_what_has_nothing_behind_it_is_refused(text: str) -> None:
    with pytest.raises(FatalError) as caught:
        check_finite("at", text)
    assert str(caught.value) == (
        f"cursor column 'at' holds {text}, behind which no later row would ever be read\n"
        "Leave such rows out with source.query: … where at < 'infinity'. What was committed before stays."
    )
    check_finite("at", "2024-01-01 00:00:00+00")


def test_kinds_may_not_change() -> None:
    check_same_kinds(Mark(("at",), (1,)), Mark(("at", "id"), (2, "x")))
    with pytest.raises(FatalError) as caught:
        check_same_kinds(Mark(("at",), (1,)), Mark(("at",), ("1",)))
    assert str(caught.value) == (
        "cursor column 'at' holds a text after a int; a position can be kept by values of one kind only\n"
        "Correct these rows, or cast the column in source.query."
    )


def test_a_position_goes_on_with_the_same_cursor_or_a_longer_one() -> None:
    known = Mark(("at",), (1,))
    continues(known, ("at",), "orders")
    continues(known, ("at", "id"), "orders")
    with pytest.raises(ConfigError) as caught:
        continues(known, ("id",), "orders")
    assert str(caught.value) == (
        "orders has been read by the cursor at, and now source.cursor is id\n"
        "Use the same cursor, or columns behind it; or another source.name, which begins anew."
    )


@pytest.mark.parametrize(
    "detail", [{}, {"columns": ["a"], "values": [["star", "1"]]}, {"columns": ["a"], "values": [["int", "x"]]}]
)
def test_a_position_that_is_not_understood_says_so(detail: dict[str, Any]) -> None:
    with pytest.raises(FatalError, match="the position kept of this query is not understood"):
        Mark.of_detail(detail)


def test_a_mark_is_shown_to_people() -> None:
    mark = Mark(("at", "id", "key"), (datetime.fromisoformat("2024-01-01T10:00"), UUID(int=1), b"\x00\xff"))
    assert str(mark) == "at = 2024-01-01 10:00:00, id = 00000000-0000-0000-0000-000000000001, key = 00ff"
    assert str(Mark(("d",), (date(2024, 1, 1),))) == "d = 2024-01-01"
    assert str(Mark(("d",), ("x" * 100,))) == f"d = {'x' * 57}…"
