"""T-SQL: every statement that the sink issues, as pymssql would send it. No server: compared with a committed text, and parsed."""

from __future__ import annotations

import datetime as dt
import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pymssql
import pymssql._mssql
import pytest
import sqlglot
from sqlglot import exp

from ddpm_core import Batch, BuildContext, ConfigError, DeadLetterFilter, FencedError, Position, RetryableError
from ddpm_core.testing.sink import dead_letter
from ddpm_sql.catalog import Table
from ddpm_sql.database import open_database
from ddpm_sql.mssql import Mssql
from ddpm_sql.options import SqlOptions
from ddpm_sql.sink import SqlSink, build
from tests.services import free_port

STATEMENTS = Path(__file__).with_name("mssql_statements.sql")
URL = "mssql://sa:secret@127.0.0.1:1433/shop"


class PretendServer:
    """What pymssql connects to: it notes every statement as it would go over the wire, and finds one row for each change."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.table: Table | None = None
        self.finds = 1

    def connect(self, **_: Any) -> PretendConnection:
        return PretendConnection(self)

    def statements(self) -> list[str]:
        """Those of the sink: not SQLAlchemy's own questions."""
        own = re.compile(
            r"@@version|schema_name\(\)|sys\.|fn_list|INFORMATION_SCHEMA|^SELECT CAST\('test|SERVERPROPERTY|TRANSACTION ISOLATION",
            re.IGNORECASE,
        )
        return [statement for statement in self.said if not own.search(statement)]


class PretendConnection:
    def __init__(self, server: PretendServer) -> None:
        self.server = server

    def cursor(self) -> PretendCursor:
        return PretendCursor(self.server)

    def commit(self) -> None:
        self.server.said.append("COMMIT")

    def rollback(self) -> None:
        pass

    def close(self) -> None:
        pass

    def autocommit(self, _: bool) -> None:
        pass


class PretendCursor:
    def __init__(self, server: PretendServer) -> None:
        self.server = server
        self.rowcount = server.finds
        self.description: list[tuple[Any, ...]] | None = None
        self.rows: list[tuple[Any, ...]] = []

    def execute(self, sql: str, parameters: Any = ()) -> None:
        text = pymssql._mssql.substitute_params(sql, parameters).decode() if parameters else sql
        self.server.said.append(text)
        self.description, self.rows = None, []
        if text.lstrip().upper().startswith("SELECT"):
            self.description = [("one", 1, None, None, None, None, None)]
            if "@@version" in text:
                self.rows = [("Microsoft SQL Server 2022 - 16.0.1000.6",)]
            elif "schema_name()" in text.lower():
                self.rows = [("dbo",)]

    def executemany(self, sql: str, rows: Any) -> None:
        for parameters in rows:
            self.execute(sql, parameters)

    def fetchall(self) -> list[tuple[Any, ...]]:
        rows, self.rows = self.rows, []
        return rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return self.rows.pop(0) if self.rows else None

    def fetchmany(self, _: int = 1) -> list[tuple[Any, ...]]:
        return self.fetchall()

    def close(self) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> PretendServer:
    server = PretendServer()
    monkeypatch.setattr(pymssql, "connect", server.connect)
    monkeypatch.setattr(Mssql, "read_table", lambda *_, **__: server.table)
    return server


def make(server: PretendServer, **options: Any) -> SqlSink:
    return build(SqlOptions(url=URL, table=options.pop("table", "it's a [table]"), **options), BuildContext())


DATA = pa.RecordBatch.from_pydict(
    {
        "id": pa.array([1, 2]), "na]me": pa.array(["o'hara", None]), "ok": pa.array([True, False]), "x": pa.array([1e300, -0.5]),
        "d": pa.array([Decimal("1.10"), None], pa.decimal128(10, 2)), "b": pa.array([b"\x00'", b""]), "day": pa.array([dt.date(1, 1, 1), None]),
        "at": pa.array([dt.datetime(2024, 1, 2, 3, 4, 5, 6), None], pa.timestamp("us")),  # noqa: DTZ001
        "moment": pa.array([dt.datetime(2024, 1, 2, tzinfo=dt.UTC), None], pa.timestamp("us", "UTC")),
        "time": pa.array([dt.time(1, 2, 3, 4), None], pa.time64("us")), "u": pa.array([2**64 - 1, None], pa.uint64()),
    }
)  # fmt: skip


def run(server: PretendServer, heading: str, **options: Any) -> str:
    """One run: open, claim, a table that is made and gains a column, dead letters, positions; as text."""
    server.said.clear()
    server.table = None
    sink = make(server, **options)
    sink.open()
    sink.claim(["file:a"])
    made = pa.schema([pa.field(f.name, f.type if f.type != pa.uint64() else pa.decimal128(20, 0)) for f in DATA.schema])
    keys = (frozenset({"id"}),)

    def exists(*_: Any, **__: Any) -> Table:
        return Table(made, owned=True, keys=keys, plain=frozenset(made.names))

    sink._flavor.read_table = exists if options.get("mode") == "replace" else sink._flavor.read_table  # type: ignore[method-assign]
    run_ddl = sink.run_ddl

    def then_it_is_there(statements: Any) -> None:
        run_ddl(statements)
        sink._flavor.read_table = exists  # type: ignore[method-assign]

    sink.run_ddl = then_it_is_there  # type: ignore[method-assign]
    assert sink.write(Batch(DATA)) == []
    sink.commit({"file:a#1": Position(2, {"rows": 2})}, [dead_letter("first")])
    sink.commit({"file:a#1": Position(3, {"rows": 3})}, [])
    sink.close()
    return f"-- {heading}\n" + "".join(f"{statement.replace(chr(0), '<NUL>')}\n;\n" for statement in server.statements())


def test_every_statement_is_the_one_that_was_read_and_parsed(server: PretendServer) -> None:
    said = run(server, "append")
    said += run(server, "upsert", mode="upsert", key=("id",))
    said += run(server, "replace", mode="replace")
    server.said.clear()
    sink = make(server)
    sink.connect()
    sink._table = Table(DATA.schema, owned=True, keys=(), plain=frozenset(DATA.schema.names), required=frozenset({"id"}))
    sink._target = sink.describe() or None
    server.said.clear()
    said += "-- a wider column\n" + sink._flavor.widen(sink.qualified, "[id]", "DECIMAL(38,0)", nullable=False) + "\n;\n"
    database = open_database(URL)
    database._keeps_letters = lambda *_: True  # type: ignore[method-assign]
    database._schemas = lambda _: ["dbo"]  # type: ignore[method-assign]
    database.dead_letters(DeadLetterFilter(table="events", reason="json_invalid", source="a.ndjson", id="abc", limit=5))
    said += "-- dead letters\n" + "".join(f"{statement}\n;\n" for statement in server.statements())
    if os.environ.get("DDPM_WRITE_EXPECTED"):
        STATEMENTS.write_text(said)
    assert said == STATEMENTS.read_text()


def test_every_statement_is_t_sql_to_another_parser() -> None:
    statements = [part.strip() for part in re.split(r"^;$", STATEMENTS.read_text(), flags=re.MULTILINE) if part.strip()]
    assert len(statements) > 40
    opaque = set()
    for statement in statements:
        if statement.startswith("SAVE TRANSACTION"):
            continue  # sqlglot does not know it; it is SQLAlchemy's own.
        plain = statement.replace("PRIMARY KEY NONCLUSTERED", "PRIMARY KEY")  # Nor this.
        parsed = sqlglot.parse(plain, read="tsql", error_level=sqlglot.ErrorLevel.RAISE)
        assert len(parsed) == 1, statement
        if isinstance(parsed[0], exp.Command):
            opaque.add(statement.splitlines()[-1].split()[0])
    assert opaque <= {"EXECUTE", "SET", "SAVE", "ROLLBACK"}


def test_two_thousand_parameters_are_the_most_in_a_statement(server: PretendServer) -> None:
    sink = make(server, table="events")
    sink.connect()
    sink.begin()
    server.said.clear()
    sink._flavor.insert(sink._open_connection(), "[t]", pa.RecordBatch.from_pydict({"a": list(range(2500))}))
    wide = pa.RecordBatch.from_pydict({f"c{n}": [1] * 100 for n in range(100)})
    sink._flavor.insert(sink._open_connection(), "[t]", wide)
    assert [statement.count("(") - 1 for statement in server.statements()] == [1000, 1000, 500, 20, 20, 20, 20, 20]


def test_an_instance_whose_row_is_not_found_is_fenced(server: PretendServer) -> None:
    sink = make(server, table="events")
    sink.open()
    sink.claim(["file:a"])
    server.finds = 0
    with pytest.raises(FencedError, match=r"^another ddpm process has taken over file:a$"):
        sink.commit({"file:a#1": Position(2)}, [])


@pytest.mark.parametrize(
    ("partition", "problem"),
    [
        ("file:/a ", "partition 'file:/a ' ends with a space, and SQL Server finds it equal to the same without"),
        ("f" * 323, f"partition '{'f' * 323}' is 323 bytes long, and SQL Server takes 322 there"),
    ],
)
def test_a_partition_that_sql_server_would_confuse_or_cut_is_refused(server: PretendServer, partition: str, problem: str) -> None:
    sink = make(server, table="events")
    sink.open()
    with pytest.raises(ConfigError) as refused:
        sink.claim([partition])
    assert str(refused.value) == f"{problem}\nPositions are kept by this name; use a shorter or plainer one."


def test_a_percent_sign_in_a_name_is_refused_since_pymssql_takes_it_for_a_parameter() -> None:
    with pytest.raises(ConfigError) as refused:
        build(SqlOptions(url=URL, table="100%s"), BuildContext())
    assert (
        str(refused.value) == "'100%s' cannot be a name in SQL Server: it holds a percent sign, which pymssql takes for a parameter"
    )


def test_a_server_that_is_not_there_is_waited_for() -> None:
    port = free_port()
    sink = build(SqlOptions(url=f"mssql://sa:secret@127.0.0.1:{port}/shop", table="t", connect_timeout=2), BuildContext())
    with pytest.raises(RetryableError) as waited:
        sink.open()
    assert "secret" not in str(waited.value)
    assert str(waited.value).startswith(f"SQL Server at 127.0.0.1:{port}/shop: Unable to connect")
    assert str(waited.value).endswith("\nStart the server, or correct host and port in the address.")


@pytest.mark.skipif(not os.environ.get("DDPM_MSSQL_URL"), reason="DDPM_MSSQL_URL names no SQL Server")
def test_on_a_real_server_rows_land_once() -> None:
    """In a table of its own, which is dropped before and after."""
    import sqlalchemy

    from ddpm_sql.connect import address, open_engine

    url = os.environ["DDPM_MSSQL_URL"]
    engine = open_engine(address(url))

    def sql(statement: str) -> list[Any]:
        with engine.begin() as connection:
            result = connection.execute(sqlalchemy.text(statement))
            return list(result) if result.returns_rows else []

    sql("DROP TABLE IF EXISTS ddpm_try")
    try:
        for mode, key in (("append", ()), ("upsert", ("id",)), ("replace", ())):
            sql("DROP TABLE IF EXISTS ddpm_try")
            sink = build(SqlOptions(url=url, table="ddpm_try", mode=mode, key=key), BuildContext(pipeline=f"try-{mode}"))
            sink.open()
            known = sink.claim(["file:a"])
            sink.write(Batch(DATA))
            sink.commit({"file:a#1": Position(2, {"rows": 2})} if "file:a#1" not in known else {}, [])
            sink.close()
            assert sql("SELECT count(*), sum(id) FROM ddpm_try") == [(2, 3)]
    finally:
        sql("DROP TABLE IF EXISTS ddpm_try")
