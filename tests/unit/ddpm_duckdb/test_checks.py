import contextlib
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import Batch, BuildContext, FatalError, Position
from ddpm_duckdb.options import DuckDbOptions
from ddpm_duckdb.sink import build
from tests.examples import examples


def _said(rejects: list[Any]) -> list[tuple[int, str, str]]:
    return [(reject.index, reject.reason, reject.message) for reject in rejects]


def test_refused_rows_cost_neither_their_neighbours_nor_the_round(target: Any, rows: Any) -> None:
    target.sql(
        "CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE TABLE parent (id INTEGER PRIMARY KEY); INSERT INTO parent VALUES (1);"
        "CREATE TABLE events (id INTEGER PRIMARY KEY, b INTEGER CHECK (b > 0), u VARCHAR UNIQUE, m mood, l INTEGER[2], "
        "p INTEGER REFERENCES parent (id), d INTEGER NOT NULL DEFAULT 3)"
    )
    sink = target.sink()
    sink.claim(["file:a"])
    sink.write(Batch(rows(id=[0], b=[9], u=["z"])))
    rejects = sink.write(
        Batch(
            rows(
                id=[1, 2, 1, 3, 4, 5, 6, 7, 0],
                b=[1, -1, 1, None, 1, 1, 1, 1, 1],
                u=["a", "b", "c", "a", "d", "e", "f", None, None],
                m=["ok", "ok", "ok", "ok", "mad", "sad", None, None, None],
                l=[[1, 2], None, None, None, None, [1], None, None, None],
                p=[1, 1, 1, 1, 1, 1, 2, None, 1],
            )
        )
    )
    assert _said(sorted(rejects, key=lambda r: r.index)) == [
        (1, "check_violation", "CHECK((b > 0)) does not hold with b = -1"),
        (2, "unique_violation", "an earlier row came with id = 1 too, and the table takes one only"),
        (3, "unique_violation", "an earlier row came with u = a too, and the table takes one only"),
        (4, "type_mismatch", "column 'm' is ENUM('ok', 'sad'), which 'mad' is not"),
        (5, "type_mismatch", "column 'l' is INTEGER[2], which '[1]' is not"),
        (6, "foreign_key_violation", 'table "main"."parent" has no row with id = 2'),
        (8, "unique_violation", "the table has a row with id = 0 already, and takes one only"),
    ]
    sink.commit({"file:a#1": Position(10)}, [])
    sink.close()
    assert target.sql("SELECT id, u, d FROM events ORDER BY id") == [(0, "z", 3), (1, "a", 3), (7, None, 3)]


def test_a_column_that_must_not_be_null_and_is_nowhere_refuses_every_row(target: Any, rows: Any) -> None:
    target.sql("CREATE TABLE events (id INTEGER, must INTEGER NOT NULL)")
    rejects = target.load(rows(id=[1, 2]))
    assert _said(rejects) == [(n, "null_value", "column 'must' must not be null") for n in (0, 1)]


def test_a_check_that_cannot_be_computed_does_not_hold(target: Any, rows: Any) -> None:
    target.sql("CREATE TABLE events (t VARCHAR CHECK (t::INTEGER > 1), n INTEGER)")
    rejects = target.load(rows(t=["5", "x", None, "1"], n=[1, 2, 3, 4]))
    assert _said(rejects) == [
        (1, "check_violation", "CHECK((CAST(t AS INTEGER) > 1)) does not hold with t = x"),
        (3, "check_violation", "CHECK((CAST(t AS INTEGER) > 1)) does not hold with t = 1"),
    ]
    assert target.sql("FROM events") == [("5", 1), (None, 3)]


def test_an_index_on_an_expression_and_a_quoted_column_count(target: Any, rows: Any) -> None:
    target.sql('CREATE TABLE events (mail VARCHAR, "a,b" INTEGER, "c""d" INTEGER)')
    target.sql('CREATE UNIQUE INDEX one ON events (lower(mail)); CREATE UNIQUE INDEX two ON events ("a,b", "c""d")')
    rejects = target.load(rows(mail=["A@x", "a@X", "b", None], **{"a,b": [1, 2, 1, 1], 'c"d': [1, 2, 1, None]}))
    assert _said(rejects) == [
        (1, "unique_violation", "an earlier row came with (lower(mail)) = a@x too, and the table takes one only"),
        (2, "unique_violation", 'an earlier row came with a,b = 1, "c""d" = 1 too, and the table takes one only'),
    ]


def test_a_refused_row_does_not_keep_another_one_out(target: Any, rows: Any) -> None:
    """Row 1 has row 0's id, so it is refused; row 2 has row 1's u, which is free then."""
    target.sql("CREATE TABLE events (u INTEGER UNIQUE, id INTEGER UNIQUE)")
    assert [r.index for r in target.load(rows(id=[1, 1, 2], u=[1, 2, 2]))] == [1]
    assert target.sql("SELECT id, u FROM events") == [(1, 1), (2, 2)]


def test_an_upsert_may_keep_its_own_unique_values_and_no_others(target: Any, rows: Any) -> None:
    target.sql(
        "CREATE TABLE events (id INTEGER PRIMARY KEY, u VARCHAR UNIQUE, n INTEGER); INSERT INTO events VALUES (1,'a',0),(2,'b',0)"
    )
    rejects = target.load(rows(id=[1, 2, 3, 4], u=["a", "a", "c", "c"], n=[5, 5, 5, 5]), mode="upsert", key=("id",))
    assert _said(rejects) == [
        (1, "unique_violation", "the table has a row with u = a already, and takes one only"),
        (3, "unique_violation", "an earlier row came with u = c too, and the table takes one only"),
    ]
    assert target.sql("FROM events ORDER BY id") == [(1, "a", 5), (2, "b", 0), (3, "c", 5)]


def test_the_rows_that_land_are_those_that_would_one_by_one(rows: Any) -> None:
    """Row-wise inserts, each on its own, are what the checks stand for."""
    ddl = "CREATE TABLE events (a INTEGER UNIQUE, b INTEGER CHECK (b >= 0), c INTEGER, UNIQUE (b, a))"
    sink = build(DuckDbOptions(path=":memory:", table="events"), BuildContext())
    sink.open()
    sink.fetch(ddl)
    sink.fetch("INSERT INTO events VALUES (3, 0, -1)")
    sink.claim(["file:a"])
    plain = duckdb.connect()
    plain.execute(ddl)

    def one_by_one(values: list[tuple[int | None, int | None]]) -> Iterator[int]:
        plain.execute("DELETE FROM events")
        plain.execute("INSERT INTO events VALUES (3, 0, -1)")
        for number, (a, b) in enumerate(values):
            with contextlib.suppress(duckdb.ConstraintException):
                plain.execute("INSERT INTO events VALUES (?, ?, ?)", [a, b, number])
                yield number

    @settings(max_examples=examples(40), deadline=None)
    @given(st.lists(st.tuples(st.none() | st.integers(0, 3), st.none() | st.integers(-1, 3)), min_size=1, max_size=12))
    def check(values: list[tuple[int | None, int | None]]) -> None:
        columns = [pa.array(column, pa.int32()) for column in ([a for a, _ in values], [b for _, b in values], range(len(values)))]
        rejects = sink.write(Batch(pa.record_batch(columns, names=["a", "b", "c"])))
        found = [row for (row,) in sink.fetch("SELECT c FROM events WHERE c >= 0 ORDER BY c")]
        sink.rollback()
        assert found == list(one_by_one(values))
        assert sorted([*found, *(reject.index for reject in rejects)]) == list(range(len(values)))

    check()
    plain.close()
    sink.close()


def test_what_nobody_could_foresee_stops_the_run_and_leaves_nothing_half(target: Any, rows: Any) -> None:
    target.sql(
        "CREATE TABLE events (id INTEGER PRIMARY KEY); CREATE TABLE child (id INTEGER REFERENCES events (id));"
        "INSERT INTO events VALUES (1); INSERT INTO child VALUES (1)"
    )
    sink = target.sink(mode="replace")
    sink.claim(["file:a"])
    with pytest.raises(FatalError) as caught:
        sink.write(Batch(rows(id=[2])))
    assert str(caught.value) == (
        f"DuckDB refused a statement in {target.path}: "
        'Violates foreign key constraint because key "id: 1" is still referenced by a foreign key in a different table. If this is an '
        "unexpected constraint violation, please refer to our foreign key limitations in the documentation"
    )
    sink.rollback()
    sink.close()
    assert target.sql("FROM events") == [(1,)]
