"""Tables and queries of real servers: exact values, each row once whatever breaks, and nothing written."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest

from ddpm_core import BuildContext, ConfigError, FatalError, Position, Positions, RetryableError, Rows
from ddpm_sql.source import build
from ddpm_sql.source_options import SqlSourceOptions
from tests.command import Command, Ended, ddpm
from tests.mariadb import MariaDbServer
from tests.proxy import Proxy
from tests.self_kill import killed_at
from tests.services import PostgresServer, free_port

# MariaDB may have to be installed first, which counts for the first test.
pytestmark = pytest.mark.timeout(1800)

VALUES = """
SELECT n AS id, (n * 1.25)::numeric(12, 2) AS price, (n / 3.0)::numeric AS ratio, n::float8 / 7 AS share,
       timestamptz '2024-05-01 10:00:00.123456+02' + n * interval '1 second' AS moment, timestamp '2024-05-01' AS plain, date '2024-02-29' AS day,
       'näme ' || n AS name, jsonb_build_object('n', n) AS doc, ARRAY[n, NULL] AS list, decode('00ff', 'hex') AS bytes, n % 2 = 0 AS even,
       '00000000-0000-0000-0000-000000000001'::uuid AS key, interval '1 mon 2 days' AS span, NULL::text AS nothing
FROM generate_series(1, 5000) AS n
"""


def run(url: str, target: Path, *more: str, code: int = 0) -> Ended:
    ended = ddpm("ingest", url, *more, "--to", str(target))
    assert ended.code == code, ended.err
    return ended


def ask(target: Path, sql: str) -> list[Any]:
    with duckdb.connect(str(target), read_only=True) as database:
        return database.execute(sql).fetchall()


def execute(url: str, *statements: str) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


class Reader:
    """Reads as the engine does, and keeps positions as sinks do."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.known: Positions = {}
        self.rows: list[dict[str, Any]] = []

    def steps(self) -> Iterator[int]:
        """One run; after each step, which is committed, how many rows there are."""
        source = build(SqlSourceOptions(**self.options), BuildContext(retry_for=120))
        source.open()
        try:
            source.read(0)
            source.seek(self.known)
            rows = source.read(0)
            assert isinstance(rows, Rows)
            offset = rows.start.offset
            for step in rows.steps():
                offset += step.records
                self.rows += step.data.to_pylist() if step.data is not None else []
                self.known = {rows.partition: Position(offset, json.loads(json.dumps({"resume": step.resume})))}
                yield len(self.rows)
        finally:
            source.close()

    def run(self) -> list[dict[str, Any]]:
        list(self.steps())
        return self.rows


# Postgres.


def test_values_of_postgres_arrive_exactly(postgres_database: str, tmp_path: Path) -> None:
    execute(postgres_database, f"CREATE TABLE things AS {VALUES}")
    target = tmp_path / "lake.duckdb"
    run(postgres_database, target, "-o", "source.table=things", "-o", "source.cursor=id", "--columns", "ratio=decimal(38,20)")
    types = dict(ask(target, "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'things'"))
    assert types | {"ratio": ""} == {
        "id": "INTEGER", "price": "DECIMAL(12,2)", "ratio": "", "share": "DOUBLE", "moment": "TIMESTAMP WITH TIME ZONE", "plain": "TIMESTAMP",
        "day": "DATE", "name": "VARCHAR", "doc": "JSON", "list": "INTEGER[]", "bytes": "BLOB", "even": "BOOLEAN", "key": "UUID",
        "span": "VARCHAR", "nothing": "VARCHAR",
    }  # fmt: skip
    sums = "count(*), sum(id), sum(price), sum(ratio), sum(extract(microseconds FROM moment)), max(extract(year FROM moment)), min(day), max(name), count(nothing)"
    there, here = execute(postgres_database, f"SELECT {sums} FROM things"), ask(target, f"SELECT {sums} FROM things")
    assert [list(map(_number, row)) for row in here] == [list(map(_number, row)) for row in there]
    assert ask(target, "SELECT price, plain, day, name, doc, list, bytes, even, key::text, span FROM things WHERE id = 2") == [
        (
            Decimal("2.50"), datetime.fromisoformat("2024-05-01"), date(2024, 2, 29), "näme 2", '{"n": 2}', [2, None], b"\x00\xff", True,
            "00000000-0000-0000-0000-000000000001", "P1M2D",
        )
    ]  # fmt: skip


def _number(value: Any) -> Any:
    return round(Decimal(value), 6) if isinstance(value, (int, float, Decimal)) else value


def test_infinite_times_cost_their_row_alone(postgres_database: str) -> None:
    reader = Reader(
        url=postgres_database, query="SELECT 1 AS id, timestamptz 'infinity' AS at UNION ALL SELECT 2, '2024-01-01 00:00+00'"
    )
    assert reader.run() == [{"id": 2, "at": datetime(2024, 1, 1, tzinfo=UTC)}]
    with pytest.raises(FatalError, match="cursor column 'at' holds infinity, behind which no later row would ever be read"):
        Reader(**reader.options, cursor="at").run()


def test_each_run_takes_what_is_new(postgres_database: str, tmp_path: Path) -> None:
    execute(
        postgres_database,
        "CREATE TABLE orders AS SELECT n AS id, now() + n * interval '1 ms' AS at FROM generate_series(1, 9999) n",
    )
    target, options = tmp_path / "lake.duckdb", ("-o", "source.table=public.orders", "-o", "source.cursor=at")
    run(postgres_database, target, *options)
    run(postgres_database, target, *options)
    assert ask(target, "SELECT count(*), count(DISTINCT id) FROM orders") == [(9999, 9999)]
    execute(
        postgres_database,
        "UPDATE orders SET at = now() + interval '1 day' WHERE id <= 3",
        "INSERT INTO orders VALUES (0, now() + interval '2 days')",
    )
    run(postgres_database, target, *options)
    assert ask(target, "SELECT count(*), count(DISTINCT id) FROM orders") == [(10_003, 10_000)]
    execute(postgres_database, "INSERT INTO orders VALUES (-1, NULL)")
    ended = run(postgres_database, target, *options, code=2)
    assert "at is null in 1 row, which a cursor never reaches" in ended.err
    run(postgres_database, target, *options, "-o", "source.cursor_nulls=skip")


def test_all_rows_replace_all_rows(postgres_database: str, tmp_path: Path) -> None:
    execute(postgres_database, "CREATE TABLE t AS SELECT n FROM generate_series(1, 100) n")
    more = ("-o", "source.query=SELECT * FROM t WHERE n > 10", "--mode", "replace", "--table", "t")
    for _ in range(2):
        run(postgres_database, tmp_path / "lake.duckdb", *more)
        assert ask(tmp_path / "lake.duckdb", "SELECT count(*), min(n) FROM t") == [(90, 11)]


def test_killed_five_times_each_row_lands_once(postgres_database: str, tmp_path: Path) -> None:
    execute(postgres_database, "CREATE TABLE t AS SELECT n AS id, (n / 7)::text AS word FROM generate_series(1, 150000) n")
    target = tmp_path / "lake.duckdb"
    arguments = (
        "ingest",
        postgres_database,
        "-o",
        "source.table=t",
        "-o",
        "source.cursor=word",
        "-o",
        "sink.transaction_seconds=0",
        "--to",
        str(target),
    )
    for kill in range(5):
        killer = killed_at(tmp_path / "killer", "ChunkCommitted" if kill % 2 else "ChunkRead", 1 + kill)
        with Command(*arguments, environment=killer) as command:
            assert command.end().code == -signal.SIGKILL
    ended = run(postgres_database, target, *arguments[2:-2])
    assert "behind word = " in ended.out + ended.err
    assert ask(target, "SELECT count(*), count(DISTINCT id) FROM t") == [(150_000, 150_000)]


def test_a_cut_connection_is_made_again_and_goes_on(
    postgres_database: str, postgres_server: PostgresServer, postgres_proxy: Proxy
) -> None:
    execute(postgres_database, "CREATE TABLE t AS SELECT n AS id, n / 10 AS tied FROM generate_series(1, 20000) n")
    url = postgres_server.database_url(postgres_database.rpartition("/")[2].partition("?")[0], port=postgres_proxy.port)
    reader = Reader(url=url, table="t", cursor="tied", fetch_rows=2000)
    cuts = 0
    for number, _ in enumerate(reader.steps()):
        if number in (0, 3, 7):
            postgres_proxy.cut()
            cuts += 1
    assert cuts == 3
    assert sorted(row["id"] for row in reader.rows) == list(range(1, 20_001))
    whole = Reader(url=url, table="t", fetch_rows=2000)
    steps = whole.steps()
    next(steps)
    postgres_proxy.cut()
    with pytest.raises(RetryableError, match=r"the connection to Postgres at 127\.0\.0\.1"):
        list(steps)


def test_rows_do_not_move_while_they_are_read(postgres_database: str) -> None:
    execute(postgres_database, "CREATE TABLE t AS SELECT n AS id FROM generate_series(1, 5000) n")
    reader = Reader(url=postgres_database, table="t", cursor="id", fetch_rows=500)
    for number, _ in enumerate(reader.steps()):
        if number == 0:
            execute(postgres_database, "UPDATE t SET id = id + 10000 WHERE id % 2 = 0", "DELETE FROM t WHERE id = 4999")
    assert [row["id"] for row in reader.rows] == list(range(1, 5001))


@pytest.mark.parametrize("query", ["DELETE FROM t", "SELECT nextval('s')", "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d"])
def test_postgres_is_never_written(postgres_database: str, query: str) -> None:
    execute(postgres_database, "CREATE TABLE t AS SELECT 1 AS id", "CREATE SEQUENCE s")
    for cursor in ("", "id"):
        with pytest.raises(ConfigError):
            Reader(url=postgres_database, query=query, cursor=cursor).run()
    assert execute(postgres_database, "SELECT count(*), (SELECT is_called FROM s) FROM t") == [(1, False)]


def test_a_nondeterministic_collation_is_not_cut_apart(postgres_database: str) -> None:
    try:
        execute(postgres_database, "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    except psycopg2.Error:
        pytest.skip("this server was built without ICU")
    execute(
        postgres_database,
        "CREATE TABLE t (id int, word text COLLATE ci)",
        "INSERT INTO t SELECT n, CASE WHEN n % 2 = 0 THEN 'a' ELSE 'A' END FROM generate_series(1, 1000) n",
    )
    reader = Reader(url=postgres_database, table="t", cursor="word", fetch_rows=100)
    assert [len(reader.rows) for _ in reader.steps()] == [1000]


def test_what_goes_wrong_is_told_without_the_password(postgres_database: str, tmp_path: Path) -> None:
    target = tmp_path / "lake.duckdb"
    ended = run(postgres_database, target, "-o", "source.query=SELECT nothing FROM nowhere", "--table", "t", code=2)
    assert 'relation "nowhere" does not exist' in ended.err
    wrong = postgres_database.replace("ddpm-test", "c4nary-passw0rd")
    ended = run(wrong, target, "-o", "source.table=t", "--retry-for", "0", code=1)
    assert "password authentication failed" in ended.err


# MariaDB.


def test_values_of_mariadb_arrive_exactly(mariadb_server: MariaDbServer, mariadb_database: str) -> None:
    mariadb_server.sql(
        "CREATE TABLE t (id bigint unsigned, small tinyint, price decimal(12,3), at datetime(6), moment timestamp(3), span time(6), "
        "word varchar(20), bytes varbinary(4), flag bit(9), day date)",
        database=mariadb_database,
    )
    mariadb_server.sql(
        "INSERT INTO t VALUES (18446744073709551615, -1, 1.5, '2024-01-01 10:00:00.123456', '2024-01-01 10:00:00.5', '-100:00:00.5', "
        "'wörd', x'00ff', b'101', '2024-02-29')",
        database=mariadb_database,
    )
    query = "SELECT small, span FROM t"
    assert Reader(url=mariadb_server.url(mariadb_database), query=query).run() == []  # -100 hours are no time of day.
    mariadb_server.sql("UPDATE t SET span = '12:30:00.5'", database=mariadb_database)
    [asked] = Reader(url=mariadb_server.url(mariadb_database), query=query).run()
    [row] = Reader(url=mariadb_server.url(mariadb_database), table="t", cursor="at").run()
    assert asked["span"] == time(12, 30, 0, 500_000)
    assert (row["id"], row["small"], row["price"], row["word"]) == (2**64 - 1, -1, Decimal("1.500"), "wörd")
    assert (row["at"], row["moment"]) == (
        datetime.fromisoformat("2024-01-01T10:00:00.123456"),
        datetime(2024, 1, 1, 10, 0, 0, 500_000, tzinfo=UTC),
    )
    assert (row["span"], row["bytes"], row["flag"], row["day"]) == (
        time(12, 30, 0, 500_000),
        b"\x00\xff",
        b"\x00\x05",
        date(2024, 2, 29),
    )


def test_mariadb_goes_on_behind_the_last_value_and_holds_ties_together(
    mariadb_server: MariaDbServer, mariadb_database: str
) -> None:
    mariadb_server.sql("CREATE TABLE t (id int, word varchar(20), at datetime(6))", database=mariadb_database)
    mariadb_server.sql(
        "INSERT INTO t SELECT seq, if(seq % 2, 'a', 'A '), '2024-01-01' + INTERVAL seq DIV 7 MICROSECOND FROM seq_1_to_20000",
        database=mariadb_database,
    )
    for cursor, steps in (("word", 1), ("at", None), ("at,word", None)):
        reader = Reader(url=mariadb_server.url(mariadb_database), table="t", cursor=cursor, fetch_rows=999)
        for _ in range(3):  # Left in the middle, which does not wait for the rest of the result.
            next(reader.steps(), None)
        found = [len(reader.rows), *reader.steps()]
        assert sorted(row["id"] for row in reader.rows) == list(range(1, 20_001))
        assert steps is None or found == [20_000]


def test_mariadb_is_never_written(mariadb_server: MariaDbServer, mariadb_database: str) -> None:
    mariadb_server.sql("CREATE TABLE t (id int) ENGINE = InnoDB", database=mariadb_database)
    mariadb_server.sql("INSERT INTO t VALUES (1)", database=mariadb_database)
    with pytest.raises(ConfigError):
        Reader(url=mariadb_server.url(mariadb_database), query="DELETE FROM t").run()
    assert list(mariadb_server.sql("SELECT count(*) FROM t", database=mariadb_database)) == [(1,)]


def test_a_statement_that_takes_too_long_says_so(
    mariadb_server: MariaDbServer, mariadb_database: str, postgres_database: str
) -> None:
    for url, query in (
        (mariadb_server.url(mariadb_database), "SELECT sleep(20) AS x"),
        (postgres_database, "SELECT pg_sleep(20) AS x"),
    ):
        with pytest.raises(FatalError, match=r"took longer than allowed: see source\.statement_timeout"):
            Reader(url=url, query=query, statement_timeout=0.2).run()


# SQL Server: no server is to be had here; what it is sent is tested in the unit tests.


def test_a_sql_server_that_is_not_there_is_worth_waiting_for() -> None:
    source = build(
        SqlSourceOptions(url=f"mssql://sa:c4nary-passw0rd@127.0.0.1:{free_port()}/shop", table="t", connect_timeout=1),
        BuildContext(),
    )
    with pytest.raises(RetryableError, match=r"SQL Server at 127\.0\.0\.1:\d+/shop") as caught:
        source.open()
    source.close()
    assert "c4nary" not in str(caught.value)
