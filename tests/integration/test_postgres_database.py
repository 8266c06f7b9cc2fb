"""Asking a real Postgres: `ddpm query` and `ddpm dlq`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal

import psycopg2
import pyarrow as pa
import pytest

from ddpm_core import BuildContext, ConfigError, DeadLetter, DeadLetterFilter, FatalError, Position
from ddpm_postgres.database import PostgresDatabase, open_database
from ddpm_postgres.options import PostgresOptions
from ddpm_postgres.sink import build

UTC = dt.UTC


@pytest.fixture
def database(postgres_database: str) -> Iterator[PostgresDatabase]:
    made = open_database(postgres_database)
    assert isinstance(made, PostgresDatabase)
    yield made
    made.close()
    made.close()


@pytest.fixture
def events(postgres_database: str) -> None:
    with psycopg2.connect(postgres_database) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE events (n int); INSERT INTO events VALUES (1), (2)")
    connection.close()


def _refused(database: PostgresDatabase, sql: str, *, write: bool = False) -> str:
    with pytest.raises(ConfigError) as caught:
        database.query(sql, write=write).read_all()
    return str(caught.value)


def test_values_arrive_in_arrow_types(database: PostgresDatabase) -> None:
    table = database.query(
        "SELECT 1::smallint AS s, 1 AS i, 1::bigint AS b, 0.5::real AS r, 'nan'::float8 AS f, 2.50::numeric(6,2) AS d, true AS t, "
        "'x' AS x, '\\xff'::bytea AS y, date '2024-02-29' AS dd, time '01:02:03.5' AS tt, timestamp '2024-01-01 01:02:03.000004' AS ts, "
        "timestamptz '2024-01-01 01:02:03+02' AS tz, null AS nothing, array[1,2] AS a, '{\"a\": 1}'::jsonb AS j, '1 day'::interval AS iv, "
        "gen_random_uuid() IS NOT NULL AS u"
    ).read_all()
    assert table.schema.types == [
        pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.decimal128(6, 2), pa.bool_(),
        pa.string(), pa.binary(), pa.date32(), pa.time64("us"), pa.timestamp("us"),
        pa.timestamp("us", "UTC"), pa.string(), pa.string(), pa.string(), pa.string(), pa.bool_(),
    ]  # fmt: skip
    (row,) = table.to_pylist()
    assert str(row.pop("f")) == "nan"
    assert list(row.values()) == [
        1, 1, 1, 0.5, Decimal("2.50"), True, "x", b"\xff", dt.date(2024, 2, 29), dt.time(1, 2, 3, 500000),
        dt.datetime(2024, 1, 1, 1, 2, 3, 4), dt.datetime(2023, 12, 31, 23, 2, 3, tzinfo=UTC), None, "{1,2}", '{"a": 1}', "1 day", True,  # noqa: DTZ001
    ]  # fmt: skip


def test_long_results_come_in_pieces_and_one_may_be_left_unread(database: PostgresDatabase) -> None:
    reader = database.query("SELECT generate_series(1, 12345) AS n")
    assert [batch.num_rows for batch in reader] == [5000, 5000, 2345]
    next(iter(database.query("SELECT generate_series(1, 12345)")))
    assert database.query("SELECT sum(n) FROM generate_series(1, 10) n").read_all().to_pylist() == [{"sum": 55}]
    assert database.query("SELECT 1 AS a WHERE false").read_all().schema == pa.schema([("a", pa.int32())])
    assert database.query("SHOW standard_conforming_strings").read_all().num_rows == 1


@pytest.mark.usefixtures("events")
@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM events", "DELETE FROM events RETURNING n", "SELECT 1; DELETE FROM events", "COMMIT; DELETE FROM events",
        "TRUNCATE events", "DROP TABLE events", "SELECT 1; COMMIT; BEGIN READ WRITE; DELETE FROM events", "SELECT n INTO other FROM events",
        "SET TRANSACTION READ WRITE; DELETE FROM events", "DO $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM events; END $$",
        "WITH gone AS (DELETE FROM events RETURNING 1) SELECT * FROM gone", "SELECT n FROM events FOR UPDATE",
        "SELECT set_config('transaction_read_only', 'off', true)", "'; DELETE FROM events; --", "$ddpm$; DELETE FROM events; --",
        "EXPLAIN ANALYZE DELETE FROM events",
    ],
)  # fmt: skip
def test_without_write_nothing_can_be_changed(database: PostgresDatabase, sql: str) -> None:
    _refused(database, sql)
    assert database.query("SELECT count(*) AS n FROM events").read_all().to_pylist() == [{"n": 2}]


@pytest.mark.usefixtures("events")
def test_with_write_statements_change_things(database: PostgresDatabase, postgres_database: str) -> None:
    assert database.query("INSERT INTO events VALUES (3) RETURNING n", write=True).read_all().to_pylist() == [{"n": 3}]
    assert database.query("DELETE FROM events WHERE n < 3; DELETE FROM events WHERE n > 9", write=True).read_all().num_columns == 0
    other = open_database(postgres_database)
    assert other.query("SELECT * FROM events").read_all().to_pylist() == [{"n": 3}]
    other.close()


@pytest.mark.usefixtures("events")
def test_a_wrong_statement_is_said_in_the_servers_words(database: PostgresDatabase) -> None:
    assert _refused(database, "SELEC 1") == 'syntax error at or near "SELEC"\nAt character 1: SELEC 1'
    assert _refused(database, "SELECT nn FROM events") == (
        'column "nn" does not exist\nPerhaps you meant to reference the column "events.n". At character 8: nn FROM events'
    )
    assert _refused(database, "SELECT 1/0") == "division by zero"
    assert _refused(database, "  ") == "the statement is empty"
    assert _refused(database, "SELECT 1; SELECT 2") == (
        "not one statement that returns rows: cannot open multi-query plan as cursor\n"
        "Ask one thing at a time; statements that change something need --write."
    )
    assert _refused(database, "DELETE FROM events RETURNING n") == (
        "cannot execute DELETE in a read-only transaction\nStatements that change something need --write."
    )
    assert _refused(database, "CREATE TABLE events (n int)", write=True) == 'relation "events" already exists'
    assert database.query("SELECT 'a%sb' AS \"100%\"").read_all().to_pylist() == [{"100%": "a%sb"}]


def test_an_error_in_the_middle_of_a_long_result_is_said_too(database: PostgresDatabase) -> None:
    reader = database.query("SELECT 1 / (7000 - n) AS x FROM generate_series(1, 10000) n")
    assert reader.read_next_batch().num_rows == 5000
    with pytest.raises(ConfigError, match=r"^division by zero$"):
        reader.read_next_batch()
    assert database.query("SELECT 1 AS a").read_all().num_rows == 1


def test_a_database_that_cannot_be_reached_is_said(postgres_database: str) -> None:
    with pytest.raises(FatalError, match="password authentication failed"):
        open_database(postgres_database.replace("ddpm-test", "wrong"))


def _letter(identity: str, reason: str, source: str, minute: int) -> DeadLetter:
    return DeadLetter(
        id=identity, pipeline="ingest", source=source, partition=f"file:{source}", offset=4, byte_offset=17, stage="sink", reason=reason,
        message="the words", plugin="postgres", plugin_version="1", sink="postgres", payload=b"\x00{\xff", payload_kind="bytes",
        view='{"a": "\\u0000"}', attempts=1, created_at=dt.datetime(2024, 1, 1, 0, minute, tzinfo=UTC),
    )  # fmt: skip


def test_dead_letters_come_back_as_they_were_kept(database: PostgresDatabase, postgres_database: str) -> None:
    assert database.dead_letters(DeadLetterFilter()) == []
    kept = [
        _letter("aa1", "too_long", "one.ndjson", 1), _letter("aa2", "unique_violation", "two.ndjson", 2), _letter("ab3", "too_long", "two.ndjson", 3),
    ]  # fmt: skip
    for table, letters in (("events", kept[:2]), ('"s%x"."we.ird"', kept[2:])):
        sink = build(PostgresOptions(url=postgres_database, table=table), BuildContext())
        sink.open()
        sink.claim(["file:x"])
        sink.commit({"file:x": Position(1)}, letters)
        sink.close()
    database.query("SELECT 1").read_all()
    assert database.dead_letters(DeadLetterFilter()) == kept[::-1]
    assert [letter.target for letter in database.dead_letters(DeadLetterFilter(table="events"))] == ["public.events"] * 2
    assert database.dead_letters(DeadLetterFilter(limit=1)) == kept[2:]
    assert database.dead_letters(DeadLetterFilter(reason="too_long")) == [kept[2], kept[0]]
    assert database.dead_letters(DeadLetterFilter(source="two")) == [kept[2], kept[1]]
    assert database.dead_letters(DeadLetterFilter(id="aa")) == [kept[1], kept[0]]
    assert database.dead_letters(DeadLetterFilter(id="a%")) == []
    assert database.dead_letters(DeadLetterFilter(table="events")) == [kept[1], kept[0]]
    assert database.dead_letters(DeadLetterFilter(table='"s%x"."we.ird"')) == kept[2:]
    assert database.dead_letters(DeadLetterFilter(table="public.nope")) == []
    assert database.query("SELECT payload FROM public._ddpm_dead_letters").read_all().num_rows == 2
