"""What people are told, and that nothing is written or revealed."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ddpm_core import BuildContext, ConfigError, DdpmError, Parsed, RetryableError, Rows
from ddpm_sql.connect import address
from ddpm_sql.source import SqlSource, build
from ddpm_sql.source_options import SqlSourceOptions
from ddpm_sql.source_place import document_name, partition_name
from ddpm_sql.source_steps import Patience, Portions


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "shop.db"
    connection = sqlite3.connect(found, isolation_level=None)
    connection.execute("CREATE TABLE orders (id INTEGER, total REAL, note TEXT)")
    connection.execute("INSERT INTO orders VALUES (1, 1.5, 'a'), (2, 2.5, NULL)")
    connection.close()
    return found


def source(path: Path, *, retry_for: float | None = 0, **options: Any) -> SqlSource:
    return build(SqlSourceOptions(url=f"sqlite:///{path}", **options), BuildContext(retry_for=retry_for))


def rows(made: SqlSource) -> list[dict[str, Any]]:
    made.open()
    try:
        made.read(0)
        made.seek({})
        item = made.read(0)
        assert isinstance(item, Rows)
        return [row for step in item.steps() for row in (step.data.to_pylist() if step.data is not None else [])]
    finally:
        made.close()


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        source(path, **options).open()
    return str(caught.value).replace(str(path), "PATH")


def test_a_table_that_is_not_there_is_named_with_the_nearest(path: Path) -> None:
    assert refused(path, table="order") == "SQLite file PATH has no table 'order'\nDid you mean 'orders'?"


def test_a_wrong_query_is_the_databases_own_word(path: Path) -> None:
    expected = "SQLite file PATH: no such column: totl\nCorrect source.query, source.table or source.cursor."
    assert refused(path, query="SELECT totl FROM orders") == expected
    assert refused(path, query="SELECT totl FROM orders", cursor="totl") == expected


@pytest.mark.parametrize("cursor", ["", "id"])
def test_a_query_that_writes_is_refused_and_writes_nothing(path: Path, cursor: str) -> None:
    before = path.read_bytes()
    told = refused(path, query="DELETE FROM orders", cursor=cursor)
    assert "the query would change the database" in told or "syntax error" in told
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "source sql: what is to be read?\nGive -o source.table=NAME, or -o source.query='SELECT …'."),
        ({"query": " ; "}, "source sql: what is to be read?\nGive -o source.table=NAME, or -o source.query='SELECT …'."),
        ({"table": "orders", "columns": "id,ttal"}, "table orders of SQLite file PATH has no column 'ttal'\nDid you mean 'total'?"),
        ({"table": "orders", "cursor": "ids"}, "SQLite file PATH: there is no cursor column 'ids'\nDid you mean 'id'?"),
        (
            {"table": "orders", "cursor": "total"},
            (
                "SQLite file PATH: cursor column 'total' is a float, by which no position can be kept\n"
                "Name another column with source.cursor: an integer, text, date, timestamp, decimal or uuid."
            ),
        ),
        (
            {"table": "orders", "cursor": "note"},
            (
                "SQLite file PATH: note is null in 1 row, which a cursor never reaches\n"
                "Give them a value (coalesce in source.query), or leave them out: -o source.cursor_nulls=skip"
            ),
        ),
        ({"table": "orders", "cursor": "id", "start": "one"}, "source.start is 'one', and 'id' holds values such as 1"),
        (
            {"query": "SELECT note FROM orders WHERE note > ''", "cursor": "note", "lag": 5},
            "source.lag needs integers or times in the first cursor column, and 'note' holds 'a'",
        ),
        ({"table": "orders", "statement_timeout": 5}, "source.statement_timeout is for Postgres, MySQL and MariaDB; this database is another"),
        ({"query": "SELECT 1 AS a, 2 AS a"}, "SQLite file PATH: the query has two columns named 'a'\nGive each a name of its own: SELECT … AS name."),
    ],
)  # fmt: skip
def test_what_does_not_fit_says_what_to_do(path: Path, options: dict[str, Any], told: str) -> None:
    assert refused(path, **options) == told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"table": "a", "query": "b"}, "give either source.table or source.query, not both"),
        ({"query": "a", "columns": "b"}, "source.columns is for source.table; a query names its columns itself"),
        ({"table": "a", "start": "1"}, "source.start needs source.cursor"),
        ({"table": "a", "lag": 1}, "source.lag needs source.cursor"),
        ({"table": "a", "isolation": "autocommit"}, "String should match pattern"),
        ({"table": "a", "cursor": "a,a"}, "names a column twice"),
        ({"table": "a", "cursor": "a,,b"}, "has an empty name in it; write column names separated by commas"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        SqlSourceOptions(url="sqlite:///x", **options)


def test_rows_with_a_null_cursor_are_left_out_and_counted(path: Path) -> None:
    made = source(path, table="orders", cursor="note", cursor_nulls="skip")
    made.open()
    made.read(0)
    made.seek({})
    item = made.read(0)
    assert isinstance(item, Rows)
    assert item.note == "new; 1 row with a null cursor left out"
    assert [row for step in item.steps() if step.data is not None for row in step.data["id"].to_pylist()] == [1]
    made.close()


def test_columns_are_those_asked_for(path: Path) -> None:
    assert rows(source(path, table="orders", columns="note,id")) == [{"note": "a", "id": 1}, {"note": None, "id": 2}]


def test_text_that_is_no_text_costs_its_row(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE orders SET note = CAST(X'FF41' AS TEXT) WHERE id = 1")
    connection.close()
    assert rows(source(path, table="orders")) == [{"id": 2, "total": 2.5, "note": None}]


def test_what_is_written_meanwhile_does_not_shift_rows(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.executemany("INSERT INTO orders VALUES (?, 0, '')", [(n,) for n in range(3, 100)])
    made = source(path, table="orders", cursor="id", fetch_rows=10)
    made.open()
    made.read(0)
    made.seek({})
    item = made.read(0)
    assert isinstance(item, Rows)
    seen: list[int] = []
    for step in item.steps():
        seen += step.data["id"].to_pylist() if step.data is not None else []
        connection.execute("DELETE FROM orders WHERE id % 2 = 0")
        connection.commit()
    made.close()
    connection.close()
    assert seen == list(range(1, 100))


def test_names_and_positions_hold_no_secret_and_outlive_its_change() -> None:
    def of(url: str, **options: Any) -> tuple[str, str]:
        made = SqlSourceOptions(url=url, **options)
        return document_name(made, address(url)), partition_name(made, address(url))

    first = of("postgresql://me:hunter2@Host:5432/shop?sslmode=disable", table="public.orders")
    assert first == ("public.orders at Postgres at Host:5432/shop", "sql:postgresql://host:5432/shop table public.orders")
    assert (
        of("postgres+psycopg2://you:other@host:5432/shop".replace("postgres+", "postgresql+"), table="public.orders")[1] == first[1]
    )
    query = of("mysql://u:hunter2@h/d", query="  select 1\n;")
    assert query[0] == "query at MySQL at h/d"
    assert re.fullmatch("sql:mysql://h/d query [0-9a-f]{16}", query[1])
    assert of("mysql://u:hunter2@h/d", query="select 1")[1] == query[1]
    assert of("mysql://u:hunter2@h/d", query="select  1")[1] != query[1], "space may be part of a literal"
    assert of("mysql://u:hunter2@h/d", query="select 1", name="ones") == ("ones at MySQL at h/d", "sql:ones")
    assert "hunter2" not in repr(SqlSourceOptions(url="mysql://u:hunter2@h/d", table="t"))


def test_a_lost_connection_is_made_again_and_goes_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(path) as connection:
        connection.executemany("INSERT INTO orders VALUES (?, 0, '')", [(n,) for n in range(3, 30)])
    connection.close()
    monkeypatch.setattr("ddpm_sql.source_steps.time.sleep", lambda _: None)
    made = source(path, table="orders", cursor="id", fetch_rows=4, retry_for=60)
    fetch, calls = made._session.fetch, 0

    def failing(count: int) -> Any:
        nonlocal calls
        calls += 1
        if calls % 3 == 0:
            raise RetryableError("the connection was lost")
        return fetch(count)

    monkeypatch.setattr(made._session, "fetch", failing)
    assert [row["id"] for row in rows(made)] == list(range(1, 30))
    assert calls > 10


def test_without_a_cursor_a_lost_connection_is_not_made_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = source(path, table="orders", retry_for=60)

    def lost(_: int) -> Any:
        raise RetryableError("the connection was lost")

    monkeypatch.setattr(made._session, "fetch", lost)
    with pytest.raises(RetryableError, match="the connection was lost"):
        rows(made)


def test_waiting_ends_after_retry_for_with_the_errors_own_words() -> None:
    slept: list[float] = []
    patience = Patience(0, sleep=slept.append)
    with pytest.raises(DdpmError, match="gone"):
        patience.wait(RetryableError("gone"))
    patience = Patience(None, sleep=slept.append)
    assert all(patience.wait(RetryableError("gone")) for _ in range(20))
    assert max(slept) <= Patience.LONGEST


def test_portions_shrink_to_what_memory_allows() -> None:
    portions = Portions(4096, 1 << 20)
    assert portions.next() == 16
    portions.came([("x" * 100_000,)] * 16)
    assert portions.next() == 10
    portions.came([(1,)] * 10)
    assert portions.next() == 40


def test_steps_are_no_larger_than_asked_for(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.executemany("INSERT INTO orders VALUES (?, 0, ?)", [(n, "x" * 10_000) for n in range(1000)])
    connection.close()
    made = build(SqlSourceOptions(url=f"sqlite:///{path}", table="orders"), BuildContext(batch_bytes=1 << 18))
    made.open()
    made.read(0)
    made.seek({})
    item = made.read(0)
    assert isinstance(item, Rows)
    sizes = [_size(step) for step in item.steps()]
    made.close()
    assert max(sizes[1:]) <= 1 << 19


def _size(step: Parsed) -> int:
    return 0 if step.data is None else int(step.data.nbytes)
