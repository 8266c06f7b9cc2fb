"""A sink's condition: which rows go there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core.engine.routing import Route
from ddpm_core.errors import ConfigError
from ddpm_core.records import Batch, Messages

DATA = pa.record_batch({"kind": ["test", "live", None, "live"], "n": [1, 0, 5, 2]})


@contextmanager
def routed(condition: str, where: str = "when") -> Iterator[Route]:
    route = Route(condition, where=where)
    try:
        yield route
    finally:
        route.close()
        route.close()


def rows_of(batch: Batch) -> list[int | None]:
    return [batch.record(row) for row in range(len(batch))]


def test_rows_for_which_it_is_true_go_there_and_no_others() -> None:
    with routed("kind <> 'test'") as route:
        batch, rejects = route.split(Batch(DATA))
    assert (rows_of(batch), rejects) == ([1, 3], [])
    assert batch.data.to_pylist() == [{"kind": "live", "n": 0}, {"kind": "live", "n": 2}]


def test_a_batch_of_which_all_rows_go_there_is_not_copied() -> None:
    whole = Batch(DATA)
    with routed("n >= 0") as route:
        assert route.split(whole)[0] is whole


def test_a_row_for_which_it_cannot_be_told_is_a_reject() -> None:
    with routed("10 // n > 4") as route:
        batch, rejects = route.split(Batch(DATA, pa.array([4, 5, 6, 7], pa.int32())))
    assert rows_of(batch) == [4, 7]
    assert [(reject.index, reject.reason, reject.message) for reject in rejects] == [
        (1, "when_failed", "when = 10 // n > 4 failed: Division by zero in expression (10 // n).")
    ]


@pytest.mark.parametrize(("condition", "rows"), [("true", [0, 1, 2, 3]), ("false", []), ("null", []), ("n = 5 or null", [2])])
def test_constants_and_nulls(condition: str, rows: list[int]) -> None:
    with routed(condition) as route:
        batch, rejects = route.split(Batch(DATA))
    assert (rows_of(batch), rejects) == (rows, [])
    assert batch.data.schema.equals(DATA.schema)


def test_a_boolean_column_is_a_condition() -> None:
    with routed("good") as route:
        batch, _ = route.split(Batch(pa.record_batch({"good": [True, None, False, True]})))
    assert rows_of(batch) == [0, 3]


def test_no_rows_are_no_rows() -> None:
    with routed("n > 1") as route:
        batch, rejects = route.split(Batch(DATA.slice(0, 0)))
    assert (len(batch), rejects) == (0, [])


def test_conditions_see_metadata_and_say_which() -> None:
    source = Messages([b"a", b"b"], ["kafka:t/0", "kafka:t/1"], [0, 0], {}, {})
    with routed("_partition = 1") as route:
        assert route.metadata == {"_partition"}
        batch, _ = route.split(Batch(DATA.slice(0, 2), None, source))
    assert rows_of(batch) == [1]


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("n + 1", "sink {logins}, when: it gives BIGINT, and a condition is true or false"),
        ("n", "sink {logins}, when: it gives BIGINT, and a condition is true or false"),
        ("knd = 'a'", "sink {logins}, when: there is no column 'knd' (did you mean 'kind'?)"),
    ],
)
def test_what_is_no_condition_of_these_rows_is_told_at_the_first(condition: str, said: str) -> None:
    with routed(condition, "sink {logins}, when") as route, pytest.raises(ConfigError) as failed:
        route.split(Batch(DATA))
    assert str(failed.value) == said


def test_what_is_no_expression_is_told_before() -> None:
    with pytest.raises(ConfigError) as failed:
        Route("n > (select 1)")
    assert str(failed.value) == "when: it holds a subquery, and an expression sees one row only"


@pytest.fixture(scope="module")
def large() -> Iterator[Route]:
    with routed("10 // n > 4") as route:
        yield route


@settings(max_examples=20, deadline=None)
@given(numbers=st.lists(st.one_of(st.none(), st.integers(-2, 2)), max_size=20))
def test_every_row_is_there_or_not_or_rejected_as_python_would_have_it(large: Route, numbers: list[int | None]) -> None:
    data = pa.record_batch({"n": pa.array(numbers, pa.int64())})
    batch, rejects = large.split(Batch(data))
    assert rows_of(batch) == [row for row, n in enumerate(numbers) if n and n > 0]
    assert [reject.index for reject in rejects] == [row for row, n in enumerate(numbers) if n == 0]
