"""What the sink `sql` promises on SQLite beyond what every sink does."""

import datetime as dt
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from ddpm_core import Batch, BuildContext, ConfigError, DeadLetter, FatalError, FencedError, Position, RetryableError
from ddpm_core.testing import hostile_names
from ddpm_sql.options import SqlOptions
from ddpm_sql.sink import build


@pytest.mark.parametrize("mode", ["append", "replace", "upsert"])
def test_any_name_is_only_a_name(sqlite_target: Any, rows: Any, mode: str) -> None:
    for name in hostile_names()[::4]:
        quoted = '"' + name.replace('"', '""') + '"'
        options = {"mode": mode, "key": (name,)} if mode == "upsert" else {"mode": mode}
        assert sqlite_target.load(rows(**{name: [1, 2]}), quoted, **options) == []
        sink = sqlite_target.sink(quoted, **options)
        sink.claim(["file:b"])
        assert sqlite_target.land(sink, rows(**{name: [3], name + "2": ["late"]}), partition="file:b#1") == []
        sink.close()
        kept = [] if mode == "replace" else [(1, None), (2, None)]
        assert sqlite_target.sql(f"SELECT * FROM {quoted} ORDER BY 1") == [*kept, (3, "late")], name


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("a\x00b", "'a\\x00b' cannot be a name in SQLite: it contains a NUL character"),
        ("a\ud800", "'a\\ud800' cannot be a name in SQLite: it holds half a surrogate pair"),
        ("SQLite_x", "'SQLite_x' cannot be a name in SQLite: names that begin with sqlite_ are SQLite's own"),
        ("_ddpm_positions", "'_ddpm_positions' cannot be the table: names that begin with _ddpm_ are DDPM's own"),
        ("", "table '' has an empty name in it, and a table is named by `table` or `schema.table`"),
    ],
)
def test_a_name_that_cannot_be_is_refused(table: str, message: str) -> None:
    options = SqlOptions.model_construct(**{**SqlOptions(url="sqlite:///x.db", table="t").__dict__, "table": table})
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        build(options, BuildContext())


def test_a_schema_is_refused(sqlite_target: Any) -> None:
    with pytest.raises(ConfigError, match=r"^SQLite has no schema 'shop'\nName the table alone, as --table name$"):
        sqlite_target.sink("shop.events")


def test_values_are_stored_as_sqlite_and_its_users_expect_them(sqlite_target: Any) -> None:
    moment = dt.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
    data = pa.RecordBatch.from_pydict(
        {
            "b": pa.array([True]), "i": pa.array([2**63 - 1]), "u": pa.array([2**64 - 1], pa.uint64()), "f": pa.array([float("-inf")]),
            "d": pa.array([Decimal("12345678901234567890.10")], pa.decimal128(38, 2)), "day": pa.array([dt.date(1, 1, 1)]),
            "at": pa.array([moment.replace(tzinfo=None)], pa.timestamp("us")), "when": pa.array([moment], pa.timestamp("us", "UTC")),
            "bytes": pa.array([b"\x00\xff"]), "nested": pa.array([{"a": [1, None]}]), "time": pa.array([dt.time(23, 59)], pa.time64("us")),
        }
    )  # fmt: skip
    assert sqlite_target.load(data) == []
    assert sqlite_target.sql("SELECT * FROM events") == [
        (
            1, 2**63 - 1, str(2**64 - 1), float("-inf"), "12345678901234567890.10", "0001-01-01", "2024-01-02 03:04:05.000006",
            "2024-01-02 03:04:05.000006+00:00", b"\x00\xff", '{"a":[1,null]}', "23:59:00.000000",
        )
    ]  # fmt: skip
    sink = sqlite_target.sink()
    text = pa.string()
    assert sink.expected_schema().types == [
        pa.bool_(), pa.int64(), text, pa.float64(), text, pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.binary(), text,
        pa.time64("us"),
    ]  # fmt: skip


def test_values_that_sqlite_would_change_are_refused_and_cost_no_neighbour(sqlite_target: Any) -> None:
    sqlite_target.sql("CREATE TABLE events (id INTEGER, f REAL, n NUMERIC(30, 4), day DATE, t TEXT)")
    data = pa.RecordBatch.from_pydict(
        {
            "id": pa.array(range(5)),
            "f": pa.array([1.5, float("nan"), None, None, None]),
            "n": pa.array([Decimal("1.25"), None, Decimal("123456789012.3456"), None, None], pa.decimal128(30, 4)),
            "day": pa.array([0, None, None, 2932897, None], pa.date32()),
            "t": pa.array(["a", "b", "c", "d", "e\x00"]),
        }
    )
    assert [(r.index, r.reason, r.message) for r in sqlite_target.load(data)] == [
        (4, "nul_char", "column 't': 'e\\x00' holds a NUL character (U+0000), which the target cannot keep"),
        (1, "out_of_range", "column 'f': SQLite would turn NaN into null"),
        (2, "out_of_range", "column 'n': SQLite keeps 15 digits of a number; declare the column TEXT"),
        (3, "out_of_range", "column 'day': the year is not between 1 and 9999"),
    ]
    assert sqlite_target.sql("SELECT * FROM events") == [(0, 1.5, 1.25, "1970-01-01", "a")]


def test_rows_keep_their_order(sqlite_target: Any, rows: Any) -> None:
    sqlite_target.load(rows(n=list(range(5000, 0, -1))))
    assert sqlite_target.sql("SELECT n FROM events") == [(n,) for n in range(5000, 0, -1)]


def test_names_that_differ_in_case_are_one_table_with_one_set_of_positions(sqlite_target: Any, rows: Any) -> None:
    sqlite_target.load(rows(a=[1]), "Events")
    sink = sqlite_target.sink("eVENTS")
    assert sink.target_name == "main.Events"
    assert sink.claim(["file:a"])["file:a#1"] == Position(1, {"rows": 1})


def test_columns_that_come_late_are_added_between_two_batches_of_a_round(sqlite_target: Any, rows: Any) -> None:
    sink = sqlite_target.sink()
    sink.claim(["file:a"])
    assert sqlite_target.land(sink, rows(a=[1]), rows(a=[2], b=["x"]), rows(c=[3.5]), upto=3) == []
    assert sqlite_target.sql("SELECT * FROM events") == [(1, None, None), (2, "x", None), (None, None, 3.5)]


def test_upsert_takes_the_last_row_of_each_key_in_all_batches_of_a_round(sqlite_target: Any, rows: Any) -> None:
    sink = sqlite_target.sink(mode="upsert", key=("id",))
    sink.claim(["file:a"])
    first = rows(id=[1, 2, 1], tags=[["a"], ["b"], ["c"]])
    second = rows(id=[2, 3], tags=[["d"], None], late=["x", "y"])
    assert sqlite_target.land(sink, first, second, upto=5) == []
    assert sqlite_target.land(sink, rows(id=[1, 3], late=["z", None]), upto=7) == []
    assert sqlite_target.sql("SELECT * FROM events ORDER BY id") == [(1, '["c"]', "z"), (2, '["d"]', "x"), (3, None, None)]


def test_upsert_on_a_table_of_keys_alone(sqlite_target: Any, rows: Any) -> None:
    assert sqlite_target.load(rows(id=["a", "b"]), mode="upsert", key=("id",)) == []
    sink = sqlite_target.sink(mode="upsert", key=("id",))
    sink.claim(["file:b"])
    assert sqlite_target.land(sink, rows(id=["b", "c"]), partition="file:b#1") == []
    assert sqlite_target.sql("SELECT * FROM events ORDER BY id") == [("a",), ("b",), ("c",)]


def test_upsert_needs_a_unique_key(sqlite_target: Any) -> None:
    sqlite_target.sql("CREATE TABLE events (id INTEGER, n INTEGER)")
    sqlite_target.sql("CREATE UNIQUE INDEX partial ON events (id) WHERE n > 1")
    sqlite_target.sql("CREATE UNIQUE INDEX computed ON events (id + 1)")
    with pytest.raises(ConfigError) as caught:
        sqlite_target.sink(mode="upsert", key=("id",))
    assert str(caught.value) == (
        "table main.events has no primary key or unique index on (id), which upsert needs\n"
        'Make one: CREATE UNIQUE INDEX "events_key" ON "main"."events" ("id")'
    )
    sqlite_target.sql('CREATE UNIQUE INDEX "my key" ON events (id)')
    sqlite_target.sink(mode="upsert", key=("id",)).close()


def test_replace_puts_new_rows_in_the_place_of_old_ones_or_leaves_them(sqlite_target: Any, rows: Any) -> None:
    sqlite_target.load(rows(a=[1, 2]))
    sink = sqlite_target.sink(mode="replace")
    sink.claim(["file:a"])
    sink.write(Batch(rows(a=[3], b=["new"])))
    sink.rollback()
    sink.close()
    assert sqlite_target.sql("SELECT * FROM events") == [(1,), (2,)]
    sqlite_target.load(rows(a=[3], b=["new"]), mode="replace")
    assert sqlite_target.sql("SELECT * FROM events") == [(3, "new")]


def test_a_run_that_replaces_by_nothing_leaves_nothing(sqlite_target: Any, rows: Any) -> None:
    sqlite_target.load(rows(a=[1, 2]))
    sink = sqlite_target.sink(mode="replace")
    sink.claim(["file:a"])
    sink.commit({"file:a#1": Position(0)}, [])
    assert sqlite_target.sql("SELECT * FROM events") == []


def test_a_round_that_is_rolled_back_leaves_nothing(sqlite_target: Any, rows: Any) -> None:
    sink = sqlite_target.sink()
    sink.claim(["file:a"])
    sink.write(Batch(rows(a=[1])))
    sink.rollback()
    sink.rollback()
    assert sqlite_target.land(sink, rows(b=["x"])) == []
    assert sqlite_target.sql("SELECT * FROM events") == [("x",)]


def test_an_instance_that_was_taken_over_cannot_commit(sqlite_target: Any, rows: Any) -> None:
    sqlite_target.load(rows(a=[1]))
    first, second = sqlite_target.sink(), sqlite_target.sink()
    first.claim(["file:a"])
    second.claim(["file:a"])
    first.write(Batch(rows(a=[2])))
    with pytest.raises(FencedError, match=r"^another ddpm process has taken over file:a$"):
        first.commit({"file:a#1": Position(2)}, [])
    first.rollback()
    sqlite_target.land(second, rows(a=[3]), upto=2)
    assert sqlite_target.sql("SELECT * FROM events") == [(1,), (3,)]


def test_dead_letters_are_kept_with_the_rows(sqlite_target: Any, rows: Any) -> None:
    letter = DeadLetter(
        "id1", "ingest", "a.ndjson", "file:a#1", 7, 99, "parse", "json_invalid", "bad \x00 \ud800", "json", "1", "", b"\x00\xff", "bytes",
        None, 1, dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    )  # fmt: skip
    sink = sqlite_target.sink()
    sink.claim(["file:a"])
    sink.write(Batch(rows(a=[1])))
    sink.commit({"file:a#1": Position(1)}, [letter, letter])
    assert sqlite_target.sql(
        "SELECT id, target, record_offset, byte_offset, message, payload, view, attempts, created_at FROM _ddpm_dead_letters"
    ) == [("id1", "main.events", 7, 99, "bad \\x00 \\ud800", b"\x00\xff", None, 1, "2024-01-01 00:00:00.000000+00:00")]


def test_a_view_is_no_target(sqlite_target: Any) -> None:
    sqlite_target.sql("CREATE VIEW events AS SELECT 1 AS a")
    with pytest.raises(ConfigError, match=r"^main\.events is a view, and rows go into tables\nName another table with --table$"):
        sqlite_target.sink()


def test_the_table_of_the_user_is_a_contract(sqlite_target: Any) -> None:
    sqlite_target.sql(
        "CREATE TABLE events (id INTEGER PRIMARY KEY, j JSON NOT NULL, g INTEGER GENERATED ALWAYS AS (id + 1), d INTEGER NOT NULL DEFAULT 7, "
        "big DECIMAL(10, 2), any NUMERIC, moment TIMESTAMP WITH TIME ZONE, v VARCHAR(3))"
    )
    sink = sqlite_target.sink()
    assert sink.expected_schema() == pa.schema(
        [
            pa.field("id", pa.int64()), pa.field("j", pa.json_(), nullable=False), pa.field("d", pa.int64()),
            pa.field("big", pa.decimal128(10, 2)), pa.field("moment", pa.timestamp("us", "UTC")), pa.field("v", pa.string()),
        ]
    )  # fmt: skip
    sink.claim(["file:a"])
    data = pa.RecordBatch.from_pydict({"id": [1, None, 3, 4], "j": ['{"a":1}', "2", "nope", None], "x": [None, None, None, None]})
    rejects = sqlite_target.land(sink, data)
    assert [(r.index, r.reason) for r in rejects] == [(2, "json_invalid"), (3, "null_value")]
    assert sqlite_target.sql("SELECT id, j, g, d FROM events") == [(1, '{"a":1}', 2, 7), (2, 2, 3, 7)]


def test_rows_that_the_table_refuses_are_found_and_all_others_land(sqlite_target: Any) -> None:
    sqlite_target.sql(
        "CREATE TABLE events (id INTEGER PRIMARY KEY, n INTEGER CHECK (n < 900), u TEXT UNIQUE, s REAL NOT NULL DEFAULT 1)"
    )
    sqlite_target.sql("INSERT INTO events VALUES (7, 0, 'taken', 1)")
    numbers = list(range(1000))
    data = pa.RecordBatch.from_pydict({"id": numbers, "n": numbers, "u": ["taken" if n == 500 else f"u{n}" for n in numbers]})
    rejects = sqlite_target.load(data)
    assert [(r.index, r.reason, r.message) for r in rejects if r.index < 900] == [
        (7, "unique_violation", "UNIQUE constraint failed: events.id"),
        (500, "unique_violation", "UNIQUE constraint failed: events.u"),
    ]
    assert [(r.index, r.reason, r.message) for r in rejects if r.index >= 900] == [
        (n, "check_violation", "CHECK constraint failed: n < 900") for n in range(900, 1000)
    ]
    assert sqlite_target.sql("SELECT count(*), sum(id) FROM events") == [(899, sum(range(900)) - 500)]


def test_a_table_that_the_user_made_in_the_place_of_ddpms_gains_no_columns(sqlite_target: Any, rows: Any) -> None:
    sqlite_target.load(rows(a=[1]))
    sqlite_target.sql("DROP TABLE events")
    sqlite_target.sql("CREATE TABLE events (a INTEGER)")
    (reject,) = sqlite_target.load(rows(a=[1], b=[2]))
    assert reject.reason == "unknown_column"


def test_who_waits_for_another_process_is_told_and_loses_nothing(sqlite_target: Any, rows: Any) -> None:
    sqlite_target.load(rows(a=[1]))
    sink = sqlite_target.sink(lock_timeout=0.01)
    sink.claim(["file:a"])
    with closing(sqlite3.connect(sqlite_target.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RetryableError) as waited:
            sink.write(Batch(rows(a=[2])))
        other.execute("ROLLBACK")
    assert str(waited.value) == (
        f"SQLite file {sqlite_target.path}: database is locked\nAnother process writes this file; see which one."
    )
    sink.rollback()
    assert sqlite_target.land(sink, rows(a=[2]), upto=2) == []
    assert sqlite_target.sql("SELECT * FROM events") == [(1,), (2,)]


def test_a_sink_can_be_closed_and_opened_again_at_any_time(sqlite_target: Any, rows: Any) -> None:
    sink = sqlite_target.sink(open_=False)
    sink.close()
    sink.rollback()
    sink.cancel()
    with pytest.raises(RetryableError, match=rf"^there is no connection to SQLite file {re.escape(str(sqlite_target.path))}$"):
        sink.claim(["file:a"])
    for _ in range(2):
        sink.open()
        sink.claim(["file:a"])
        sink.write(Batch(rows(a=[1])))
    sink.close()
    sink.close()
    assert sqlite_target.sql("SELECT count(*) FROM sqlite_schema WHERE name = 'events'") == [(0,)]


def test_looking_at_a_file_that_is_not_there_does_not_make_it(sqlite_target: Any) -> None:
    sqlite_target.sink(open_=False).inspect()
    assert not sqlite_target.path.exists()


def test_a_statement_that_runs_can_be_cancelled(sqlite_target: Any) -> None:
    sink = sqlite_target.sink()
    sink.begin()
    began = threading.Event()
    sink._driver.create_function("began", 0, began.set)
    canceller = threading.Thread(target=lambda: began.wait(60) and sink.cancel())
    canceller.start()
    try:
        with pytest.raises(RetryableError, match=rf"^SQLite file {re.escape(str(sqlite_target.path))}: interrupted$"):
            sink.fetch("WITH RECURSIVE n(i) AS (SELECT began() UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
    finally:
        canceller.join(60)


def test_a_file_that_may_not_be_written_is_a_clear_end(sqlite_target: Any, rows: Any) -> None:
    sqlite_target.load(rows(a=[1]))
    sink = sqlite_target.sink()
    sink.fetch("PRAGMA query_only = ON")
    with pytest.raises(FatalError, match=r"attempt to write a readonly database\nCheck who owns the file and its folder"):
        sink.claim(["file:a"])


def test_what_was_committed_before_a_kill_is_there_after_it(sqlite_target: Any, rows: Any) -> None:
    script = f"""
import os, signal, pyarrow as pa
from ddpm_core import Batch, BuildContext, Position
from ddpm_sql.options import SqlOptions
from ddpm_sql.sink import build
sink = build(SqlOptions(url={sqlite_target.url!r}, table="events"), BuildContext())
sink.open()
sink.claim(["file:a"])
sink.write(Batch(pa.RecordBatch.from_pydict({{"a": [1, 2]}})))
sink.commit({{"file:a#1": Position(2, {{"rows": 2}})}}, [])
sink.fetch("PRAGMA cache_size = 1")
sink.write(Batch(pa.RecordBatch.from_pydict({{"a": list(range(9_000))}})))
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert sqlite_target.path.with_name("t.db-journal").exists()
    sink = sqlite_target.sink()
    assert sink.claim(["file:a"])["file:a#1"] == Position(2, {"rows": 2})
    assert sqlite_target.land(sink, rows(a=[3]), upto=3) == []
    assert sqlite_target.sql("SELECT * FROM events") == [(1,), (2,), (3,)]
