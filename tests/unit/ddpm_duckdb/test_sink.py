import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ddpm_core import Batch, BuildContext, ConfigError, DeadLetter, FatalError, FencedError, Position, RetryableError
from ddpm_duckdb.options import DuckDbOptions
from ddpm_duckdb.sink import build
from tests.peak_memory import peak_of

KEEPS = """
import dataclasses, sys
from ddpm_core import BuildContext, Position
from ddpm_core.testing.sink import dead_letter
from ddpm_duckdb.options import DuckDbOptions
from ddpm_duckdb.sink import build

sink = build(DuckDbOptions(path=sys.argv[1], table="events", memory_limit="500MB"), BuildContext())
sink.open()
sink.claim(["file:a"])
sink.commit({"file:a#1": Position(1)}, [dataclasses.replace(dead_letter("a"), payload=bytes(int(sys.argv[2])))])
[(found,)] = sink.fetch("SELECT octet_length(payload) FROM _ddpm_dead_letters")
sink.close()
assert found == int(sys.argv[2])
"""
"""Keeps a dead letter of so many bytes."""

HOSTILE = ['quo"te.dot', "'; DROP TABLE events; --", "select", "größe 🎉", "x" * 200, " new\nline\\ %s ? $1"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("mode", ["append", "replace", "upsert"])
def test_any_name_is_only_a_name(open_target: Any, rows: Any, name: str, mode: str) -> None:
    target = open_target
    quoted = '"' + name.replace('"', '""') + '"'
    options = {"mode": mode, "key": (name,)} if mode == "upsert" else {"mode": mode}
    assert target.load(rows(**{name: [1, 2]}), f"{quoted}.{quoted}", **options) == []
    sink = target.sink(f"{quoted}.{quoted}", **options)
    sink.claim(["file:b"])
    assert target.land(sink, rows(**{name: [3], name + "2": ["late"]}), partition="file:b#1") == []
    sink.close()
    kept = [] if mode == "replace" else [(1, None), (2, None)]
    assert target.sql(f"SELECT * FROM {quoted}.{quoted} ORDER BY 1") == [*kept, (3, "late")]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("a\x00b", "'a\\x00b' cannot be a name in DuckDB: it contains a NUL character"),
        ("a\ud800", "'a\\ud800' cannot be a name in DuckDB: it holds half a surrogate pair"),
        ("_ddpm_positions", "'_ddpm_positions' cannot be the table: names that begin with _ddpm_ are DDPM's own"),
        ("", "table '' has an empty name in it, and a table is named by `table` or `schema.table`"),
    ],
)
def test_a_name_that_cannot_be_is_refused(table: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        build(DuckDbOptions.model_construct(table=table, mode="append", key=(), path="x.db", memory_limit=None), BuildContext())


def test_rows_keep_their_order(target: Any, rows: Any) -> None:
    target.load(rows(n=list(range(5000, 0, -1))))
    assert target.sql("SELECT n FROM events") == [(n,) for n in range(5000, 0, -1)]


def test_rows_of_many_row_groups_keep_their_order(target: Any, rows: Any) -> None:
    batches = [rows(n=range(first, first + 50_000)) for first in range(0, 500_000, 50_000)]
    sink = target.sink()
    assert target.land(sink, *batches, upto=1) == []
    assert target.land(sink, *batches, upto=2) == []
    sink.close()
    assert target.sql("SELECT count(*), bool_and(n = rowid % 500000) FROM events") == [(1_000_000, True)]


def test_rounds_are_large_only_where_their_rows_fill_a_row_group(target: Any, rows: Any) -> None:
    sink = target.sink()
    large, small = 64 << 20, 24 << 20
    assert sink.transaction_bytes == small
    for text, expected in (("x" * 100, large), ("x" * 1_000, small), ("x", large)):
        sink.write(Batch(rows(text=[text] * 10)))
        assert sink.transaction_bytes == expected
    sink.rollback()
    sink.close()
    sink = target.sink(mode="upsert", key=("text",))
    sink.write(Batch(rows(text=["x"])))
    assert sink.transaction_bytes == small
    sink.rollback()
    sink.close()


def test_a_column_that_comes_late_finds_all_rows_before_it(target: Any, rows: Any) -> None:
    sink = target.sink()
    early, late = rows(n=range(300_000)), rows(n=range(300_000, 600_000), late=range(300_000))
    assert target.land(sink, early, late, early) == []
    sink.close()
    found = target.sql("SELECT count(*), count(late), sum(late), bool_and(n = rowid % 600000) FROM events")
    assert found == [(900_000, 300_000, 299_999 * 150_000, True)]


def test_rows_on_their_way_are_gone_after_a_rollback(target: Any, rows: Any) -> None:
    sink = target.sink()
    target.land(sink, rows(n=[1]))
    sink.write(Batch(rows(n=range(400_000))))
    sink.rollback()
    target.land(sink, rows(n=[2]), upto=2)
    sink.close()
    assert target.sql("SELECT n FROM events") == [(1,), (2,)]


def test_closing_forgets_rows_on_their_way(target: Any, rows: Any) -> None:
    sink = target.sink()
    target.land(sink, rows(n=[1]))
    sink.write(Batch(rows(n=range(400_000))))
    sink.close()
    assert target.sql("SELECT n FROM events") == [(1,)]


def test_the_commit_tells_what_becomes_of_rows_on_their_way(target: Any, rows: Any) -> None:
    sink = target.sink()
    sink.write(Batch(rows(n=[1])))
    sink._connection.execute("DROP TABLE main.events")
    with pytest.raises(FatalError, match=f"^DuckDB refused a statement in {re.escape(str(target.path))}: Table with name events"):
        sink.commit({"file:a#1": Position(1, {})}, [])
    sink.rollback()
    sink.close()
    assert target.sql("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'events'") == [(0,)]


def test_names_that_differ_in_case_are_one_table_with_one_set_of_positions(target: Any, rows: Any) -> None:
    target.load(rows(a=[1]), "Shop.Events")
    sink = target.sink("sHOP.eVENTS")
    assert sink.target_name == "Shop.Events"
    assert sink.claim(["file:a"])["file:a#1"] == Position(1, {"rows": 1})


def test_columns_that_come_late_are_added_between_two_batches_of_a_round(target: Any, rows: Any) -> None:
    sink = target.sink()
    sink.claim(["file:a"])
    assert target.land(sink, rows(a=[1]), rows(a=[2], b=["x"]), rows(c=[3.5]), upto=3) == []
    sink.close()
    assert target.sql("FROM events") == [(1, None, None), (2, "x", None), (None, None, 3.5)]


def test_a_column_that_was_declared_is_not_widened_by_a_later_run(target: Any, rows: Any) -> None:
    columns = pa.schema([("a", pa.int16()), ("b", pa.int16())])
    assert target.load(rows(a=[1], b=[1]), columns=columns) == []
    refused = target.load(rows(a=[2, 70_000], b=[70_000, 3]), columns=pa.schema([columns.field("a")]))
    assert [(reject.index, reject.reason) for reject in refused] == [(1, "int_range")]
    assert target.sql("FROM events") == [(1, 1), (2, 70_000)]


def test_upsert_takes_the_last_row_of_each_key_in_all_batches_of_a_round(target: Any, rows: Any) -> None:
    sink = target.sink(mode="upsert", key=("id",))
    sink.claim(["file:a"])
    first = rows(id=[1, 2, 1], tags=[["a"], ["b"], ["c"]])
    second = rows(id=[2, 3], tags=[["d"], None], late=["x", "y"])
    assert target.land(sink, first, second, upto=5) == []
    assert target.land(sink, rows(id=[1, 3], late=["z", None]), upto=7) == []
    sink.close()
    assert target.sql("FROM events ORDER BY id") == [(1, ["c"], "z"), (2, ["d"], "x"), (3, None, None)]


def test_upsert_on_a_table_of_keys_alone(target: Any, rows: Any) -> None:
    assert target.load(rows(id=[1, 2]), mode="upsert", key=("id",)) == []
    sink = target.sink(mode="upsert", key=("id",))
    sink.claim(["file:b"])
    assert target.land(sink, rows(id=[2, 3]), partition="file:b#1") == []
    sink.close()
    assert target.sql("FROM events ORDER BY id") == [(1,), (2,), (3,)]


def test_replace_puts_new_rows_in_the_place_of_old_ones_or_leaves_them(target: Any, rows: Any) -> None:
    target.load(rows(a=[1, 2]))
    sink = target.sink(mode="replace")
    sink.claim(["file:a"])
    sink.write(Batch(rows(a=[3], b=["new"])))
    sink.rollback()
    sink.close()
    assert target.sql("FROM events") == [(1,), (2,)]
    target.load(rows(a=[3], b=["new"]), mode="replace")
    assert target.sql("FROM events") == [(3, "new")]


def test_a_round_that_is_rolled_back_leaves_nothing(target: Any, rows: Any) -> None:
    sink = target.sink()
    sink.claim(["file:a"])
    sink.write(Batch(rows(a=[1])))
    sink.rollback()
    sink.rollback()
    assert target.land(sink, rows(b=["x"])) == []
    sink.close()
    assert target.sql("FROM events") == [("x",)]


def test_an_instance_that_was_taken_over_cannot_commit(target: Any, rows: Any) -> None:
    target.load(rows(a=[1]))
    first, second = target.sink(), target.sink()
    first.claim(["file:a"])
    second.claim(["file:a"])
    first.write(Batch(rows(a=[2])))
    with pytest.raises(FencedError, match=r"^another ddpm process has taken over file:a$"):
        first.commit({"file:a#1": Position(2)}, [])
    first.rollback()
    target.land(second, rows(a=[3]), upto=2)
    first.close()
    second.close()
    assert target.sql("FROM events") == [(1,), (3,)]


def test_dead_letters_are_kept_with_the_rows(target: Any, rows: Any) -> None:
    import datetime as dt

    letter = DeadLetter(
        "id1", "ingest", "a.ndjson", "file:a#1", 7, 99, "parse", "json_invalid", "bad \x00 \ud800", "json", "1", "", b"\x00\xff", "bytes",
        None, 1, dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    )  # fmt: skip
    sink = target.sink()
    sink.claim(["file:a"])
    sink.write(Batch(rows(a=[1])))
    sink.commit({"file:a#1": Position(1)}, [letter, letter])
    sink.close()
    assert target.sql(
        "SELECT id, target, record_offset, byte_offset, message, payload, view, attempts FROM _ddpm_dead_letters"
    ) == [("id1", "main.events", 7, 99, "bad \\x00 \\ud800", b"\x00\xff", None, 1)]


def test_a_large_dead_letter_is_not_in_memory_many_times(tmp_path: Path) -> None:
    peaks = [peak_of([sys.executable, "-c", KEEPS, str(tmp_path / f"{size}.db"), str(size)]) for size in (1, 16 << 20)]
    assert [peak.code for peak in peaks] == [0, 0]
    assert peaks[1].memory - peaks[0].memory < 10 * (16 << 20)


def test_a_view_is_no_target(target: Any) -> None:
    target.sql("CREATE VIEW events AS SELECT 1 AS a")
    sink = target.sink(open_=False)
    with pytest.raises(ConfigError, match=r"^main\.events is a view, and rows go into tables\nName another table with --table$"):
        sink.open()


def test_upsert_needs_a_unique_key(target: Any) -> None:
    target.sql("CREATE TABLE events (id INTEGER, n INTEGER)")
    with pytest.raises(ConfigError) as caught:
        target.sink(mode="upsert", key=("id",))
    assert str(caught.value) == (
        "table main.events has no primary key or unique index on (id), which upsert needs\n"
        'Make one: CREATE UNIQUE INDEX "events_key" ON "main"."events" ("id")'
    )
    target.sql('CREATE UNIQUE INDEX "my key" ON events (id)')
    target.sink(mode="upsert", key=("id",)).close()


def test_the_table_of_the_user_is_a_contract(target: Any) -> None:
    target.sql("CREATE TABLE events (id INTEGER NOT NULL, j JSON, g INTEGER GENERATED ALWAYS AS (id + 1), d INTEGER DEFAULT 7)")
    sink = target.sink()
    assert sink.expected_schema() == pa.schema(
        [pa.field("id", pa.int32(), nullable=False), pa.field("j", pa.json_()), pa.field("d", pa.int32())]
    )
    sink.claim(["file:a"])
    rejects = target.land(
        sink, pa.RecordBatch.from_pydict({"id": [1, None, 3], "j": ['{"a":1}', "2", "nope"], "x": [None, None, 5]})
    )
    assert [(r.index, r.reason) for r in rejects] == [(1, "null_value"), (2, "unknown_column")]
    sink.close()
    assert target.sql("FROM events") == [(1, '{"a":1}', 2, 7)]


def test_a_sink_can_be_closed_and_opened_again_at_any_time(target: Any, rows: Any) -> None:
    sink = target.sink(open_=False)
    sink.close()
    sink.rollback()
    sink.cancel()
    with pytest.raises(RetryableError, match=rf"^{re.escape(str(target.path))} is not open$"):
        sink.claim(["file:a"])
    for _ in range(2):
        sink.open()
        sink.claim(["file:a"])
        sink.write(Batch(rows(a=[1])))
    sink.close()
    sink.close()
    assert target.sql("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'events'") == [(0,)]


def test_what_was_committed_before_a_kill_is_there_after_it(target: Any, rows: Any) -> None:
    script = f"""
import os, signal, pyarrow as pa
from ddpm_core import Batch, BuildContext, Position
from ddpm_duckdb.options import DuckDbOptions
from ddpm_duckdb.sink import build
sink = build(DuckDbOptions(path={str(target.path)!r}, table="events"), BuildContext())
sink.open()
sink.claim(["file:a"])
sink.write(Batch(pa.RecordBatch.from_pydict({{"a": [1, 2]}})))
sink.commit({{"file:a#1": Position(2, {{"rows": 2}})}}, [])
sink.write(Batch(pa.RecordBatch.from_pydict({{"a": [3]}})))
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert target.path.with_name("t.duckdb.wal").exists()
    sink = target.sink()
    assert sink.claim(["file:a"])["file:a#1"] == Position(2, {"rows": 2})
    assert target.land(sink, rows(a=[3]), upto=3) == []
    sink.close()
    assert target.sql("FROM events") == [(1,), (2,), (3,)]


def test_the_limits_of_memory_hold_while_the_cache_is_emptied(target: Any) -> None:
    sink = target.sink(memory_limit="300MB")
    sink.claim(["file:a"])
    text = pa.array(["x" * 1000] * 20_000)
    for upto in (1, 2, 3):
        target.land(sink, pa.record_batch([text], names=["t"]), upto=upto)
    assert sink.fetch("SELECT current_setting('memory_limit')") == [("286.1 MiB",)]
    assert sink.fetch("SELECT current_setting('threads')") == [(1,)]


def test_rows_that_fill_row_groups_do_not_go_through_the_log(target: Any, rows: Any) -> None:
    sink = target.sink()
    sink.claim(["file:a"])
    log = target.path.with_name(f"{target.path.name}.wal")
    assert log.exists()
    target.land(sink, *(rows(n=list(range(at, at + 20_000))) for at in range(0, 140_000, 20_000)))
    assert not log.exists()
    sink.close()
    assert target.sql("SELECT count(DISTINCT n) FROM events") == [(140_000,)]


def test_the_place_of_replaced_rows_is_used_again(target: Any, rows: Any) -> None:
    sizes = []
    mixed = pa.array([number * 7_919 % 1_000_003 for number in range(130_000)])
    for run in range(6):
        target.load(rows(n=pc.add(mixed, run)), mode="replace")
        sizes.append(target.path.stat().st_size)
    assert max(sizes) <= 2.5 * sizes[0]
