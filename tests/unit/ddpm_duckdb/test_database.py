import datetime as dt
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ddpm_core import Batch, ConfigError, DeadLetter, DeadLetterFilter, Position
from ddpm_duckdb.database import open_database

REFUSED = "the statement would change the database\nStatements that change something need --write."


def _letter(number: int, **fields: Any) -> DeadLetter:
    given = {
        "id": f"id{number}", "pipeline": "ingest", "source": "a.ndjson", "partition": "file:a#1", "offset": number, "byte_offset": None,
        "stage": "parse", "reason": "json_invalid", "message": "m", "plugin": "json", "plugin_version": "1", "sink": "",
        "payload": b"\x00{", "payload_kind": "bytes", "view": None, "attempts": 1,
        "created_at": dt.datetime(2024, 1, 1, 0, 0, number, 5, tzinfo=dt.UTC),
    }  # fmt: skip
    return DeadLetter(**{**given, **fields})


def _keep(target: Any, table: str, *letters: DeadLetter) -> None:
    sink = target.sink(table)
    sink.claim(["file:a"])
    sink.write(Batch(pa.RecordBatch.from_pydict({"a": [1]})))
    sink.commit({"file:a#1": Position(1)}, list(letters))
    sink.close()


def test_a_question_gets_arrow_with_times_and_all(target: Any) -> None:
    target.sql("CREATE TABLE t AS SELECT TIMESTAMPTZ '2024-01-01 00:00:00+00' AS moment, range AS n FROM range(30000)")
    database = open_database(f"duckdb:{target.path}")
    found = database.query("SELECT moment, n FROM t")
    assert found.schema == pa.schema([("moment", pa.timestamp("us", "UTC")), ("n", pa.int64())])
    assert found.read_all().num_rows == 30000
    assert database.query("SELECT 1; SELECT 2 AS b").read_all().to_pylist() == [{"b": 2}]
    database.close()
    database.close()


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("selct 1", 'syntax error at or near "selct"'),
        ("FROM evnts", 'Table with name evnts does not exist!\nDid you mean "events"?'),
        ("SELECT nope FROM events", 'Referenced column "nope" not found in FROM clause!\nCandidate bindings: "a"'),
        ("SELECT 'x'::INTEGER", "Could not convert string 'x' to INT32"),
        ("SELECT '\ud800'", "the statement holds half a surrogate pair, which no text can"),
        ("FROM sql", 'Table with name sql does not exist!\nDid you mean "sqlite_master"?'),
        ("DELETE FROM events", REFUSED),
        ("CREATE TABLE x (a INTEGER)", REFUSED),
    ],
)
def test_a_wrong_question_gets_duckdb_s_own_words(target: Any, sql: str, message: str) -> None:
    target.sql("CREATE TABLE events (a INTEGER)")
    database = open_database(str(target.path))
    with pytest.raises(ConfigError) as caught:
        database.query(sql)
    database.close()
    assert str(caught.value) == message


def test_a_question_that_fails_in_the_middle_says_so_too(target: Any) -> None:
    target.sql("CREATE TABLE t AS SELECT CASE WHEN range = 150000 THEN 'x' ELSE '1' END AS s FROM range(200000)")
    database = open_database(str(target.path))
    with pytest.raises(ConfigError, match=r"Could not convert string 'x' to INT32"):
        database.query("SELECT s::INTEGER FROM t").read_all()
    database.close()


def test_writing_needs_to_be_asked_for(target: Any) -> None:
    target.sql("CREATE TABLE events (a INTEGER)")
    database = open_database(str(target.path))
    assert database.query("INSERT INTO events VALUES (1), (2)", write=True).read_all().to_pylist() == [{"Count": 2}]
    assert database.query("CREATE TABLE x (a INTEGER)", write=True).read_all().num_rows == 0
    assert database.query("SELECT count(*) AS n FROM events").read_all().to_pylist() == [{"n": 2}]
    database.close()


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    database = open_database(str(tmp_path / "x.db"))
    message = f"there is no database at {tmp_path / 'x.db'}\nRun ddpm ingest first, or name another one with --db"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        database.query("SELECT 1")
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        database.dead_letters(DeadLetterFilter())
    with pytest.raises(ConfigError, match=r"^'duckdb:' is no address of a DuckDB file: it names no file$"):
        open_database("duckdb:")


def test_dead_letters_come_from_every_schema_newest_first(target: Any) -> None:
    _keep(target, "events", _letter(1), _letter(2, reason="encoding", payload_kind="arrow", view='{"a": 1}'))
    _keep(target, 'odd."na.me"', _letter(3, source="b.ndjson", byte_offset=12))
    database = open_database(str(target.path))

    def ids(**wanted: Any) -> list[str]:
        return [letter.id for letter in database.dead_letters(DeadLetterFilter(**wanted))]

    assert ids() == ["id3", "id2", "id1"]
    assert ids(limit=2) == ["id3", "id2"]
    assert ids(table="events") == ["id2", "id1"]
    assert ids(table="main.Events") == ["id2", "id1"]
    assert ids(table='odd."na.me"') == ["id3"]
    assert ids(table="other") == []
    assert ids(reason="encoding") == ["id2"]
    assert ids(source="b.nd") == ["id3"]
    assert ids(source="%") == []
    assert ids(id="id1") == ["id1"]
    assert database.dead_letters(DeadLetterFilter(id="id2")) == [
        _letter(2, reason="encoding", payload_kind="arrow", view='{"a": 1}')
    ]
    assert [letter.target for letter in database.dead_letters(DeadLetterFilter())] == ["odd.na.me", "main.events", "main.events"]
    assert database.dead_letters(DeadLetterFilter(id="id3")) == [_letter(3, source="b.ndjson", byte_offset=12)]
    database.close()


def test_without_dead_letters_there_are_none(target: Any) -> None:
    target.sql("CREATE TABLE events (a INTEGER)")
    database = open_database(str(target.path))
    assert database.dead_letters(DeadLetterFilter()) == []
    database.close()


def test_a_statement_without_a_result_is_run_and_returns_nothing(target: Any) -> None:
    target.sql("CREATE TABLE events (a INTEGER)")
    database = open_database(str(target.path))
    assert database.query("DROP TABLE events", write=True).schema.names == []
    assert database.query("SELECT count(*) AS n FROM duckdb_tables()").read_all().to_pylist() == [{"n": 0}]
    database.close()
