"""Whatever the values, the size of fetches and the moment of death: with a cursor each row is handed out once."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddpm_core import BuildContext, FatalError, Parsed, Position, Positions, Rows
from ddpm_sql import source_steps
from ddpm_sql.source import build
from ddpm_sql.source_options import SqlSourceOptions
from tests.examples import examples


class Reader:
    """Reads as the engine does, and keeps positions as sinks do."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.known: Positions = {}
        self.rows: list[dict[str, Any]] = []
        self.notes: list[str] = []

    def run(self, *, die_after: int | None = None) -> Reader:
        """One run; it dies after so many steps, the last of which is not committed."""
        source = build(SqlSourceOptions(**self.options), BuildContext(retry_for=0))
        source.open()
        try:
            source.read(0)
            source.seek(self.known)
            rows = source.read(0)
            assert isinstance(rows, Rows)
            self.notes.append(rows.note)
            offset = rows.start.offset
            for number, step in enumerate(rows.steps()):
                if number == die_after:
                    return self
                offset += step.records
                self._commit(rows, step, offset)
        finally:
            source.close()
        return self

    def _commit(self, rows: Rows, step: Parsed, offset: int) -> None:
        self.rows += step.data.to_pylist() if step.data is not None else []
        self.known = {**self.known, rows.partition: Position(offset, json.loads(json.dumps({"resume": step.resume})))}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b TEXT COLLATE NOCASE, n INTEGER)")
    yield connection
    connection.close()


def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'x.db'}"


@given(
    values=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "A", "b", "B", "ä"]), st.integers(0, 2)), max_size=30),
    cursor=st.sampled_from(["n", "b", "a", "n,b", "b,a", "a,n,b", "n,id"]),
    deaths=st.lists(st.integers(0, 4), max_size=4),
    fetch=st.integers(1, 7),
)
@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_row_comes_once_however_runs_end(
    database: sqlite3.Connection, tmp_path: Path, values: list[tuple[int, str, int]], cursor: str, deaths: list[int], fetch: int
) -> None:
    database.execute("DELETE FROM t")
    database.executemany("INSERT INTO t (a, b, n) VALUES (?, ?, ?)", values)
    reader = Reader(url=url(tmp_path), table="t", cursor=cursor, fetch_rows=fetch)
    for steps in deaths:
        reader.run(die_after=steps)
    reader.run()
    assert sorted(row["id"] for row in reader.rows) == [number for (number,) in database.execute("SELECT id FROM t ORDER BY id")]
    before = len(reader.rows)
    assert len(reader.run().rows) == before


def test_values_that_only_the_database_holds_to_be_equal_are_not_cut_apart(database: sqlite3.Connection, tmp_path: Path) -> None:
    database.executemany("INSERT INTO t (b) VALUES (?)", [("a",), ("A",), ("a",), ("A",), ("b",)])
    reader = Reader(url=url(tmp_path), table="t", cursor="b", fetch_rows=1)
    assert len(reader.run(die_after=1).rows) == 4
    assert len(reader.run().rows) == 5


def test_what_comes_later_is_read_behind_the_last_value(database: sqlite3.Connection, tmp_path: Path) -> None:
    reader = Reader(url=url(tmp_path), table="t", cursor="n")
    database.execute("INSERT INTO t (n) VALUES (1), (2)")
    reader.run()
    database.execute("INSERT INTO t (n) VALUES (2), (3)")
    assert [row["n"] for row in reader.run().rows] == [1, 2, 3], "a late tie is missed, as the README says"
    assert reader.notes == ["new", "continued behind n = 2"]


def test_lag_leaves_the_latest_values_for_a_later_run(database: sqlite3.Connection, tmp_path: Path) -> None:
    reader = Reader(url=url(tmp_path), table="t", cursor="n", lag=1)
    database.execute("INSERT INTO t (n) VALUES (1), (2), (3)")
    assert [row["n"] for row in reader.run().rows] == [1, 2]
    database.execute("INSERT INTO t (n) VALUES (3), (4)")
    assert [row["n"] for row in reader.run().rows] == [1, 2, 3, 3]


def test_the_first_run_begins_at_start(database: sqlite3.Connection, tmp_path: Path) -> None:
    database.execute("INSERT INTO t (n) VALUES (1), (2), (3), (2)")
    reader = Reader(url=url(tmp_path), table="t", cursor="n", start="2")
    assert [row["n"] for row in reader.run().rows] == [2, 2, 3]
    assert len(reader.run().rows) == 3


def test_again_takes_everything_again(database: sqlite3.Connection, tmp_path: Path) -> None:
    database.execute("INSERT INTO t (n) VALUES (1), (2)")
    reader = Reader(url=url(tmp_path), table="t", cursor="n")
    reader.run()
    reader.options["again"] = True
    assert [row["n"] for row in reader.run().rows] == [1, 2, 1, 2]
    assert list(reader.known) == [f"sql:sqlite:{tmp_path.resolve() / 'x.db'} table t#{n}" for n in (1, 2)]


def test_more_ties_than_memory_allows_are_refused_and_a_further_column_goes_on(
    database: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_steps, "MAX_TIED_BYTES", 1_000)
    database.executemany("INSERT INTO t (n) VALUES (?)", [(0,), (1,), *[(2,)] * 100, (3,)])
    reader = Reader(url=url(tmp_path), table="t", cursor="n", fetch_rows=2)
    with pytest.raises(FatalError) as caught:
        reader.run()
    assert re.sub(r"\d+ rows", "N rows", str(caught.value)) == (
        "more than N rows have the cursor value n = 2; they can only be committed together, and take more than 0 MB\n"
        "Name a further column that tells them apart: -o source.cursor=n,id. It goes on where it stopped."
    )
    assert [row["n"] for row in reader.rows] == [0, 1]
    reader.options["cursor"] = "n,id"
    assert [row["id"] for row in reader.run().rows] == list(range(1, 104))


def test_kinds_that_change_in_a_loosely_typed_column_are_refused(database: sqlite3.Connection, tmp_path: Path) -> None:
    database.execute("INSERT INTO t (a) VALUES (1), ('x')")
    with pytest.raises(FatalError, match="cursor column 'a' holds a text after a int"):
        Reader(url=url(tmp_path), table="t", cursor="a").run()
    database.execute("UPDATE t SET a = 1.5")
    with pytest.raises(FatalError, match=r"cursor column 'a' holds the float 1\.5, by which no position can be kept"):
        Reader(url=url(tmp_path), table="t", cursor="a").run()


def test_text_that_is_no_time_is_never_a_position_among_times(database: sqlite3.Connection, tmp_path: Path) -> None:
    database.execute("ALTER TABLE t ADD COLUMN at DATETIME")
    database.execute("INSERT INTO t (at) VALUES ('2024-01-01 10:00:00'), (''), ('soon'), ('2024-01-02T10:00:00')")
    reader = Reader(url=url(tmp_path), table="t", cursor="at", fetch_rows=1)
    with pytest.raises(FatalError) as caught:
        reader.run()
    assert str(caught.value).startswith(
        "cursor column 'at' holds '', which is no timestamp[us]; behind it no later row would ever be read\n"
    )
    database.execute("DELETE FROM t WHERE at = ''")
    with pytest.raises(FatalError, match=r"cursor column 'at' holds 'soon', which is no timestamp\[us\]"):
        reader.run()
    assert [row["id"] for row in reader.rows] == [1, 4]
    database.execute("DELETE FROM t WHERE at = 'soon'")
    database.execute("INSERT INTO t (id, at) VALUES (9, '2024-01-03')")
    assert [row["id"] for row in reader.run().rows] == [1, 4, 9]
