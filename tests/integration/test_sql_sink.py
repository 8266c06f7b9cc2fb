"""The sink `sql` on a real MariaDB: what lands and how, what is refused, and what happens when the server or the process fails."""

from __future__ import annotations

import datetime as dt
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pymysql
import pytest

from ddpm_core import Batch, BuildContext, ConfigError, DdpmError, FatalError, FencedError, Position, Reject, RetryableError
from ddpm_core.testing import hostile_names
from ddpm_sql.database import open_database
from ddpm_sql.options import SqlOptions
from ddpm_sql.sink import SqlSink, build
from tests.command import CANARY
from tests.mariadb import MariaDbServer
from tests.services import PASSWORD, free_port

# MariaDB may have to be installed first, which counts for the first test.
pytestmark = pytest.mark.timeout(1800)


@dataclass
class Base:
    """A database, sinks on it, and a plain connection to look at it."""

    server: MariaDbServer
    name: str
    opened: list[SqlSink] = field(default_factory=list)

    @property
    def at(self) -> str:
        return f"MariaDB at 127.0.0.1:{self.server.port}/{self.name}"

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        return self.server.sql(statement, database=self.name)

    def column(self, statement: str) -> list[Any]:
        try:
            return [value for (value,) in self.sql(statement)]
        except pymysql.ProgrammingError as error:
            if error.args[0] != 1146:  # There is no such table.
                raise
            return []

    def sink(self, table: str = "events", *, open_: bool = True, url: str = "", **options: Any) -> SqlSink:
        sink = build(SqlOptions(url=url or self.server.url(self.name), table=table, **options), BuildContext())
        self.opened.append(sink)
        if open_:
            sink.open()
        return sink

    def load(self, data: pa.RecordBatch, table: str = "events", *, partition: str = "file:a", **options: Any) -> list[Reject]:
        """A whole run: open, claim, one round, close."""
        sink = self.sink(table, **options)
        sink.claim([partition])
        rejects = sink.write(Batch(data))
        sink.commit({f"{partition}#1": Position(1, {"rows": 1})}, [])
        sink.close()
        return rejects


@pytest.fixture
def base(mariadb_server: MariaDbServer, mariadb_database: str) -> Iterator[Base]:
    base = Base(mariadb_server, mariadb_database)
    yield base
    for sink in base.opened:
        sink.close()


def rows(**columns: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


# Values.


def test_a_new_table_has_mariadbs_types_and_compares_by_bytes(base: Base) -> None:
    data = pa.RecordBatch.from_pydict(
        {
            "id": pa.array(["a"]), "u": pa.array([2**64 - 1], pa.uint64()), "tiny": pa.array([-1], pa.int8()), "ok": pa.array([True]),
            "f": pa.array([1.5], pa.float32()), "d": pa.array([Decimal("1.10")], pa.decimal128(38, 2)), "b": pa.array([b"\x00'\\\xff"]),
            "day": pa.array([dt.date(1, 1, 1)]), "at": pa.array([dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)], pa.timestamp("us")),  # noqa: DTZ001
            "moment": pa.array([dt.datetime(2024, 1, 1, tzinfo=dt.UTC)], pa.timestamp("us", "+02:00")), "nested": pa.array([[1, None]]),
        }
    )  # fmt: skip
    assert base.load(data, mode="upsert", key=("id",)) == []
    types = base.sql(
        "SELECT column_type FROM information_schema.columns WHERE table_schema = database() AND table_name = 'events' ORDER BY ordinal_position"
    )
    assert [found for (found,) in types] == [
        "varchar(255)", "bigint(20) unsigned", "tinyint(4)", "tinyint(1)", "double", "decimal(38,2)", "longblob", "date", "datetime(6)",
        "datetime(6)", "longtext",
    ]  # fmt: skip
    assert base.sql("SELECT * FROM events") == [
        (
            "a", 2**64 - 1, -1, 1, 1.5, Decimal("1.10"), b"\x00'\\\xff", dt.date(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999_999),  # noqa: DTZ001
            dt.datetime(2024, 1, 1), "[1,null]",  # noqa: DTZ001
        )
    ]  # fmt: skip
    keys = rows(id=["a ", "A", "á", "a"])
    assert base.load(keys, partition="file:b", mode="upsert", key=("id",)) == []
    assert {name for (name,) in base.sql("SELECT id FROM events")} == {"a", "a ", "A", "á"}


def test_columns_of_a_table_of_the_user_take_what_they_are_for(base: Base) -> None:
    base.sql(
        "CREATE TABLE events (id INT AUTO_INCREMENT PRIMARY KEY, e ENUM('x', 'y'), moment TIMESTAMP(6) NULL, u SMALLINT UNSIGNED, f FLOAT, "
        "n DECIMAL(6, 2), big DECIMAL(65, 30), g INT AS (u + 1), d INT NOT NULL DEFAULT 7, uid UUID, bit1 BIT(1), y YEAR)"
    )
    data = pa.RecordBatch.from_pydict(
        {
            "e": pa.array(["x", "y"]), "moment": pa.array([dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC), None], pa.timestamp("us", "+02:00")),
            "u": pa.array([65535, 0]), "f": pa.array([0.5, None]), "n": pa.array([Decimal("1234.56"), None]),
            "big": pa.array(["0.000000000000000000000000000001", None]), "uid": pa.array(["00000000-0000-0000-0000-00000000000f", None]),
            "y": pa.array(["2024", None]),
        }
    )  # fmt: skip
    assert base.load(data) == []
    assert base.sql("SELECT id, e, moment, u, f, n, big, g, d, uid, y FROM events") == [
        (
            1, "x", dt.datetime(2024, 7, 1, 12), 65535, 0.5, Decimal("1234.56"), Decimal("0.000000000000000000000000000001"), 65536, 7,  # noqa: DTZ001
            "00000000-0000-0000-0000-00000000000f", 2024,
        ),
        (2, "y", None, 0, None, None, None, 1, 7, None, None),
    ]  # fmt: skip


def test_rows_that_mariadb_refuses_are_found_with_their_reasons_and_all_others_land(base: Base) -> None:
    base.sql(
        "CREATE TABLE other (id INT PRIMARY KEY)",
    )
    base.sql(
        "CREATE TABLE events (id INT PRIMARY KEY, t VARCHAR(3), e ENUM('x'), n INT CHECK (n < 10), u INT UNIQUE, m MEDIUMINT, "
        "o INT REFERENCES other (id), x DOUBLE)"
    )
    base.sql("INSERT INTO events (id, u) VALUES (100, 5)")
    size = 2_000
    columns: dict[str, list[Any]] = {name: [None] * size for name in ("t", "e", "n", "u", "m", "o", "x")}
    bad = [("t", "long", "too_long"), ("e", "z", "invalid_text"), ("n", 10, "check_violation"), ("u", 5, "unique_violation"),
           ("m", 2**23, "out_of_range"), ("o", 1, "foreign_key_violation"), ("x", float("nan"), "out_of_range"), ("x", float("inf"), "out_of_range")]  # fmt: skip
    for at, (name, value, _) in enumerate(bad):
        columns[name][at * 200 + 1] = value
    ids = [-n for n in range(size)]
    ids[1999] = 100
    data = rows(
        id=ids,
        **{
            name: pa.array(values, pa.string() if name in "te" else pa.float64() if name == "x" else pa.int64())
            for name, values in columns.items()
        },
    )
    rejects = sorted(base.load(data), key=lambda reject: reject.index)
    assert [(reject.index, reject.reason) for reject in rejects] == [
        *((at * 200 + 1, reason) for at, (_, _, reason) in enumerate(bad)),
        (1999, "unique_violation"),
    ]
    assert rejects[0].message == "Data too long for column 't' at row 1"
    assert base.sql("SELECT count(*) FROM events") == [(size - 9 + 1,)]


def test_a_row_longer_than_a_packet_is_refused_alone(base: Base) -> None:
    packet = base.sql("SELECT @@max_allowed_packet")[0][0]
    texts = ["a", "x" * (packet // 2 + 1), "'" * (packet // 2 + 1), "b"]
    assert [(r.index, r.reason) for r in base.load(rows(id=[0, 1, 2, 3], t=texts))] == [(2, "too_large")]
    assert base.sql("SELECT id, length(t) FROM events ORDER BY id") == [(0, 1), (1, packet // 2 + 1), (3, 1)]


def test_any_name_that_mariadb_can_hold_is_only_a_name(base: Base) -> None:
    impossible = {
        "über😀": "it holds a character beyond U+FFFF, and MariaDB has none in names",
        "trailing ": "it ends with a space, and no name in MariaDB does",
    }
    names = [name for name in hostile_names() if name not in impossible]
    for name in names[::5]:
        quoted = '"' + name.replace('"', '""') + '"'
        assert base.load(rows(**{column: [1] for column in names}), quoted) == []
        back = "`" + name.replace("`", "``") + "`"
        assert base.sql(f"SELECT count(*) FROM {back}") == [(1,)], name
    for name, problem in impossible.items():
        with pytest.raises(ConfigError) as refused:
            base.sink(name, open_=False)
        assert str(refused.value) == f"{name!r} cannot be a name in MariaDB: {problem}"
    (reject,) = base.load(rows(a=[1], **{"über😀": [2]}), "plain")
    assert reject.message.endswith(f"; a column of that name cannot be made: {impossible['über😀']}")


# Upsert and replace.


def test_upsert_goes_by_the_key_and_no_other(base: Base) -> None:
    """ON DUPLICATE KEY UPDATE would take the row with the same mail for the same row."""
    base.sql("CREATE TABLE events (id INT PRIMARY KEY, mail VARCHAR(20) UNIQUE, kept INT)")
    base.sql("INSERT INTO events VALUES (1, 'a', 11), (2, 'b', 22)")
    rejects = base.load(rows(id=[1, 2, 3], mail=["c", "d", "b"]), mode="upsert", key=("id",))
    assert rejects == []
    assert base.sql("SELECT * FROM events ORDER BY id") == [(1, "c", 11), (2, "d", 22), (3, "b", None)]
    (reject,) = base.load(rows(id=[4], mail=["d"]), partition="file:b", mode="upsert", key=("id",))
    assert (reject.reason, reject.message) == ("unique_violation", "Duplicate entry 'd' for key 'mail'")


def test_upsert_takes_the_last_row_of_each_key(base: Base) -> None:
    sink = base.sink(mode="upsert", key=("id",))
    sink.claim(["file:a"])
    for at, data in enumerate((rows(id=[1, 2, 1], v=["a", "b", "c"]), rows(id=[2, 3], v=["d", None])), 1):
        assert sink.write(Batch(data)) == []
        sink.commit({"file:a#1": Position(at, {"rows": at})}, [])
    assert base.sql("SELECT * FROM events ORDER BY id") == [(1, "c"), (2, "d"), (3, None)]


def test_readers_see_the_old_rows_until_a_replacing_run_commits_and_writers_wait(base: Base) -> None:
    base.load(rows(a=[1, 2]))
    sink = base.sink(mode="replace")
    sink.claim(["file:a"])
    assert sink.write(Batch(rows(a=[3]))) == []
    assert base.sql("SELECT a FROM events ORDER BY a") == [(1,), (2,)]
    with (
        closing(base.server.connect(base.name, init_command="SET innodb_lock_wait_timeout = 1")) as other,
        other.cursor() as cursor,
        pytest.raises(pymysql.OperationalError, match="Lock wait timeout exceeded"),
    ):
        cursor.execute("INSERT INTO events VALUES (9)")
    sink.commit({"file:a#1": Position(1)}, [])
    assert base.sql("SELECT a FROM events") == [(3,)]


def test_a_replacing_run_makes_columns_before_it_empties_the_table_and_none_after(base: Base) -> None:
    base.load(rows(a=[1, 2]))
    sink = base.sink(mode="replace")
    sink.claim(["file:a"])
    assert sink.write(Batch(rows(a=[3], b=["new"]))) == []
    assert base.sql("SELECT a FROM events ORDER BY a") == [(1,), (2,)]
    with pytest.raises(FatalError) as stopped:
        sink.write(Batch(rows(a=[4], c=["late"])))
    assert str(stopped.value) == (
        f"{base.name}.events would have to change in the middle of a run that is one transaction, and MariaDB commits when a table changes; "
        "nothing was kept\nDeclare all columns with --columns, or change the table before: ddpm schema plan shows how."
    )
    sink.rollback()
    assert base.sql("SELECT * FROM events ORDER BY a") == [(1, None), (2, None)]


def test_a_column_is_widened_without_losing_what_it_was(base: Base) -> None:
    base.load(
        pa.RecordBatch.from_pydict({"id": pa.array([1], pa.int32()), "n": pa.array([7], pa.int16())}), mode="upsert", key=("id",)
    )
    assert base.load(rows(id=[2**40], n=[2**31]), partition="file:b", mode="upsert", key=("id",)) == []
    assert base.sql("SELECT * FROM events ORDER BY id") == [(1, 7), (2**40, 2**31)]
    assert base.sql(
        "SELECT column_key, is_nullable FROM information_schema.columns WHERE table_schema = database() AND table_name = 'events' AND column_name = 'id'"
    ) == [("PRI", "NO")]


# Faults.


def failed(act: Callable[[], Any]) -> DdpmError:
    with pytest.raises(DdpmError) as caught:
        act()
    assert PASSWORD not in str(caught.value)
    assert CANARY not in str(caught.value)
    return caught.value


def test_what_keeps_from_connecting_is_said_without_the_password(base: Base) -> None:
    url = base.server.url(base.name)
    wrong = failed(lambda: base.sink(url=url.replace(PASSWORD, CANARY)))
    assert (type(wrong), str(wrong)) == (
        FatalError,
        f"{base.at}: Access denied for user 'ddpm'@'127.0.0.1' (using password: YES)\nCheck the user and the password in the address.",
    )
    unknown = failed(lambda: base.sink(url=base.server.url("nowhere")))
    assert (type(unknown), str(unknown)) == (
        FatalError,
        f"MariaDB at 127.0.0.1:{base.server.port}/nowhere: Unknown database 'nowhere'\nCreate the database, or correct its name in the address.",
    )
    closed = free_port()
    nobody = failed(lambda: base.sink(url=base.server.url(base.name, port=closed)))
    assert (type(nobody), str(nobody)) == (
        RetryableError,
        f"MariaDB at 127.0.0.1:{closed}/{base.name}: Can't connect to MySQL server on '127.0.0.1' ([Errno 111] Connection refused)\nStart the server, or correct host and port in the address.",
    )


def test_a_server_that_says_nothing_is_given_up_after_the_connect_timeout(base: Base) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = base.server.url(base.name, port=silent.getsockname()[1])
        assert isinstance(failed(lambda: base.sink(url=url, connect_timeout=1)), RetryableError)


def test_a_sql_server_that_says_nothing_is_given_up_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        sink = build(SqlOptions(url=f"mssql://sa:{CANARY}@127.0.0.1:{port}/shop", table="t", connect_timeout=1), BuildContext())
        told = failed(sink.open)
    assert isinstance(told, RetryableError)
    assert told.message == f"SQL Server at 127.0.0.1:{port}/shop: TDS server connection timed out (127.0.0.1)"


def test_a_lock_of_another_session_is_waited_for_and_then_told(base: Base) -> None:
    base.load(rows(id=[1], v=[1]), mode="upsert", key=("id",))
    sink = base.sink(mode="upsert", key=("id",), lock_timeout=1)
    sink.claim(["file:b"])
    with closing(base.server.connect(base.name, autocommit=False)) as other, other.cursor() as cursor:
        cursor.execute("SELECT * FROM events FOR UPDATE")
        told = failed(lambda: sink.write(Batch(rows(id=[1], v=[2]))))
    assert (type(told), str(told)) == (
        RetryableError,
        f"{base.at}: Lock wait timeout exceeded; try restarting transaction\nAnother session holds a lock; see what it does.",
    )
    sink.rollback()
    assert sink.write(Batch(rows(id=[1], v=[2]))) == []
    sink.commit({"file:b#1": Position(1)}, [])
    assert base.sql("SELECT v FROM events") == [(2,)]


def test_who_loses_a_deadlock_writes_its_round_again(base: Base) -> None:
    base.load(rows(id=[1, 2], v=[0, 0]), mode="upsert", key=("id",))
    sink = base.sink(mode="upsert", key=("id",))
    sink.claim(["file:b"])
    with closing(base.server.connect(base.name, autocommit=False)) as other, other.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE work (n INT) ENGINE InnoDB")
        cursor.execute("INSERT INTO work SELECT seq FROM seq_1_to_5000")  # The server gives up the one that has done less.
        cursor.execute("UPDATE events SET v = 9 WHERE id = 2")
        assert sink.write(Batch(rows(id=[1], v=[1]))) == []
        waiting = threading.Thread(target=cursor.execute, args=("UPDATE events SET v = 9 WHERE id = 1",))
        waiting.start()
        deadline = time.monotonic() + 120
        while not base.sql("SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"):
            assert waiting.is_alive()
            assert time.monotonic() < deadline
        told = failed(lambda: sink.write(Batch(rows(id=[2], v=[2]))))
        assert isinstance(told, RetryableError)
        assert told.message == f"{base.at}: Deadlock found when trying to get lock; try restarting transaction"
        sink.rollback()
        waiting.join(60)
        assert not waiting.is_alive()
        other.commit()
    assert sink.write(Batch(rows(id=[1, 2], v=[1, 2]))) == []
    sink.commit({"file:b#1": Position(1)}, [])
    assert base.sql("SELECT * FROM events ORDER BY id") == [(1, 1), (2, 2)]


def test_a_session_that_the_server_ended_is_an_outage(base: Base) -> None:
    sink = base.sink()
    sink.claim(["file:a"])
    sink.write(Batch(rows(a=[1])))
    ((number,),) = sink.fetch("SELECT connection_id()")
    base.sql(f"KILL {number}")
    assert isinstance(failed(lambda: sink.commit({"file:a#1": Position(1)}, [])), RetryableError)
    sink.rollback()
    sink.close()
    sink.open()
    assert sink.claim(["file:a"]) == {}
    assert base.column("SELECT * FROM events") == []


def test_cancel_ends_a_statement_that_waits(base: Base) -> None:
    sink = base.sink()
    sink.begin()
    threading.Timer(0.1, sink.cancel).start()
    assert isinstance(failed(lambda: sink.fetch("SELECT SLEEP(30)")), RetryableError)


def test_of_two_first_commits_at_once_one_lands(base: Base) -> None:
    base.load(rows(a=[0]))
    first, second = base.sink(), base.sink()
    for sink in (first, second):
        sink.claim(["file:b"])
        sink.write(Batch(rows(a=[1])))
    ends: list[str] = []

    def commit(sink: SqlSink) -> None:
        try:
            sink.commit({"file:b#1": Position(1)}, [])
            ends.append("landed")
        except (FencedError, RetryableError):
            sink.rollback()
            ends.append("gave up")

    threads = [threading.Thread(target=commit, args=(sink,)) for sink in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(ends) == ["gave up", "landed"]
    assert base.sql("SELECT a FROM events ORDER BY a") == [(0,), (1,)]


def test_a_partition_whose_name_no_index_holds_is_refused_and_never_cut(base: Base) -> None:
    sink = base.sink()
    longest = "file:/" + "ü" * 950
    sink.claim([longest])
    sink.commit({f"{longest}#1": Position(1)}, [])
    assert sink.claim([longest])[f"{longest}#1"] == Position(1)
    told = failed(lambda: sink.claim(["f" * 1921]))
    assert isinstance(told, ConfigError)
    assert told.message == f"partition '{'f' * 1921}' is 1921 bytes long, and MariaDB takes 1920 there"


def test_questions_cannot_change_anything(base: Base) -> None:
    base.load(rows(a=[1]))
    with closing(open_database(base.server.url(base.name))) as database:
        for statement in ("DELETE FROM events", "DROP TABLE events", "CREATE TABLE x (a INT)", "UPDATE events SET a = 2"):
            told = failed(lambda statement=statement: database.query(statement).read_all())
            assert str(told) == "the statement would change the database\nStatements that change something need --write."
        assert database.query("SELECT a, 1.5 AS d, NULL AS n FROM events").read_all().to_pylist() == [
            {"a": 1, "d": Decimal("1.5"), "n": None}
        ]
        assert database.query("UPDATE events SET a = 2", write=True).read_all().num_columns == 0
    assert base.sql("SELECT a FROM events") == [(2,)]
