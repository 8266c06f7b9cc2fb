"""`ddpm query` and `ddpm dlq` on a SQLite file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ddpm_core import ConfigError, DeadLetterFilter, Position
from ddpm_core.testing.sink import dead_letter
from ddpm_sql.database import SqlDatabase, open_database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "q.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (i INTEGER, f REAL, s TEXT, b BLOB, n INTEGER)")
        connection.execute("INSERT INTO t VALUES (1, 1.5, 'it''s 100%: ok', x'00ff', NULL), (2, NULL, NULL, NULL, NULL)")
        connection.commit()
    return path


def ask(path: Path, sql: str, **more: Any) -> pa.Table:
    with closing(open_database(f"sqlite:///{path}")) as database:
        return database.query(sql, **more).read_all()


def test_values_come_with_their_types(path: Path) -> None:
    found = ask(path, "SELECT *, s LIKE '%100%' AS like, ':name' AS colon FROM t -- 100%s :x ?")
    text = pa.string()
    assert found.schema.types == [pa.int64(), pa.float64(), text, pa.binary(), text, pa.int64(), text]
    assert found.to_pylist()[0] == {
        "i": 1,
        "f": 1.5,
        "s": "it's 100%: ok",
        "b": b"\x00\xff",
        "n": None,
        "like": 1,
        "colon": ":name",
    }


def test_a_long_result_comes_in_pieces_and_a_value_of_another_type_is_said(path: Path) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000) SELECT {} AS v FROM n"
    with closing(open_database(f"sqlite:///{path}")) as database:
        reader = database.query(numbers.format("i"))
        assert [batch.num_rows for batch in reader] == [5000, 5000, 2000]
        reader = database.query(numbers.format("CASE WHEN i < 6000 THEN i ELSE 'text' END"))
        with pytest.raises(ConfigError, match=r"^column 'v' holds a value that does not fit into int64: "):
            reader.read_all()


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM t", "DROP TABLE t", "CREATE TABLE x (a)", "INSERT INTO t DEFAULT VALUES", "PRAGMA journal_mode = wal",
        "PRAGMA query_only = OFF", "ATTACH 'other.db' AS o", "CREATE TEMP TABLE x (a)",
    ],
)  # fmt: skip
def test_questions_change_nothing(path: Path, sql: str) -> None:
    before = path.read_bytes()
    with pytest.raises(ConfigError) as refused:
        ask(path, sql)
    assert str(refused.value) == "the statement would change the database\nStatements that change something need --write."
    assert path.read_bytes() == before
    assert sorted(file.name for file in path.parent.iterdir()) == ["q.db"]


def test_pragmas_that_tell_something_are_answered(path: Path) -> None:
    assert ask(path, "PRAGMA table_info(t)").num_rows == 5
    assert ask(path, "PRAGMA journal_mode").num_rows == 1


def test_with_write_a_statement_changes_what_it_says(path: Path) -> None:
    assert ask(path, "UPDATE t SET n = 7", write=True).num_columns == 0
    assert ask(path, "INSERT INTO t (n) VALUES (8) RETURNING n", write=True).to_pylist() == [{"n": 8}]
    assert ask(path, "SELECT sum(n) AS s FROM t").to_pylist() == [{"s": 22}]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT nowhere FROM t", "no such column: nowhere"),
        ("VACUUM INTO 'copy.db'", "cannot VACUUM from within a transaction"),
        ("SELEC 1", 'near "SELEC": syntax error'),
        ("SELECT 1; SELECT 2", "You can only execute one statement at a time."),
        (" ", "the statement is empty"),
        ("SELECT '\ud800'", "the statement holds half a surrogate pair, which no text can"),
    ],
)
def test_a_wrong_statement_is_said_in_the_databases_words(path: Path, sql: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        ask(path, sql)
    assert str(refused.value) == message


def test_dead_letters_are_found_by_what_is_asked(sqlite_target: Any, rows: Any) -> None:
    with closing(SqlDatabase(sqlite_target.url)) as database, pytest.raises(ConfigError, match=r"^there is no database at "):
        database.dead_letters(DeadLetterFilter())
    sink = sqlite_target.sink("Events")
    sink.claim(["file:a"])
    letters = [
        dead_letter("ab1"),
        replace(dead_letter("ab2"), reason="other", source="x%y"),
        replace(dead_letter("c"), payload=b""),
    ]
    sink.commit({"file:a#1": Position(1)}, letters)
    with closing(open_database(sqlite_target.url)) as database:

        def ids(**wanted: Any) -> set[str]:
            return {letter.id for letter in database.dead_letters(DeadLetterFilter(**wanted))}

        assert ids() == {"ab1", "ab2", "c"}
        assert ids(id="ab") == {"ab1", "ab2"}
        assert ids(reason="other") == {"ab2"}
        assert ids(source="%") == {"ab2"}
        assert ids(table="events") == ids(table="main.EVENTS") == {"ab1", "ab2", "c"}
        assert ids(table="other") == set()
        assert len(ids(limit=2)) == 2
        (first,) = database.dead_letters(DeadLetterFilter(id="ab1"))
        assert first == replace(dead_letter("ab1"), message="bad \\x00 text\nÄ漢😀 \\")


def test_a_database_without_dead_letters_has_none(path: Path) -> None:
    with closing(open_database(f"sqlite:///{path}")) as database:
        assert database.dead_letters(DeadLetterFilter()) == []
