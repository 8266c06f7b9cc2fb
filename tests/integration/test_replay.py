"""Records that were set aside by a real run get through by `ddpm dlq replay`: once each, whenever it is killed.

`DDPM_KILLS=50` for the full form; `DDPM_KILLS_SEED` for the moments of an earlier run.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest

from tests.seeds import seeded

pytestmark = pytest.mark.timeout(1200)
KILLS = int(os.environ.get("DDPM_KILLS", "10"))
LETTERS = 5_000 if KILLS > 10 else 3_000
HOPELESS = LETTERS // 50

FIX = """
import re
def fix(payload):
    number = int(re.match(rb'\\{"id": (\\d+)', payload)[1])
    if number % 50 == 0:
        raise ValueError("there is no hope for it")
    return {"id": number, "amount": -1.0}
"""
LENIENT = ("--max-reject-share", "100%", "--max-rejects-in-a-row", "1000000")


def ddpm(*arguments: object, folder: Path, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(_command(*arguments), cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done


def _command(*arguments: object) -> list[str]:
    return [str(Path(sys.executable).with_name("ddpm")), *map(str, arguments)]


class DuckDb:
    """A file, looked at from outside."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "shop.duckdb")

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(self.address) as connection:
            return connection.execute(sql).fetchall()


class Postgres:
    """A database, looked at from outside."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.connection = psycopg2.connect(address)
        self.connection.autocommit = True

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(params=["duckdb", "postgres"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DuckDb | Postgres]:
    if request.param == "duckdb":
        yield DuckDb(tmp_path)
        return
    found = Postgres(request.getfixturevalue("postgres_database"))
    yield found
    found.connection.close()


def bad_events(folder: Path, *, good: int, bad: int) -> Path:
    """So many records of each kind: the bad ones first, with the lowest ids."""
    path = folder / "events.ndjson"
    lines = [f'{{"id": {number}, "amount": }}\n' for number in range(bad)]
    lines += [f'{{"id": {number}, "amount": {number}.5}}\n' for number in range(bad, bad + good)]
    path.write_text("".join(lines))
    (folder / "fix.py").write_text(FIX)
    return path


def test_bad_records_get_through_once_they_can_be_read(base: DuckDb | Postgres, tmp_path: Path) -> None:
    db = ("--db", base.address)
    ddpm("ingest", bad_events(tmp_path, good=500, bad=10), "--to", base.address, *LENIENT, folder=tmp_path, code=3)
    assert json.loads(ddpm("dlq", "stats", *db, "--json", folder=tmp_path).stdout)["total"] == 10

    again = ddpm("dlq", "replay", *db, folder=tmp_path, code=3)
    assert again.stdout == "10 dead letters: 0 landed, 10 failed again.\n  10 json_invalid\n"
    how = ("--format", "custom", "-o", "format.function=fix.py:fix")
    dry = ddpm("dlq", "replay", *db, *how, "--dry-run", folder=tmp_path, code=3)
    assert dry.stdout.splitlines()[0] == "10 dead letters: 9 would be sent to the target, 1 would fail again. Nothing was changed."
    assert base.ask("select count(*) from events") == [(500,)]

    ddpm("dlq", "replay", *db, *how, folder=tmp_path, code=3)
    assert base.ask("select id from events where amount = -1 order by id") == [(number,) for number in range(1, 10)]
    assert base.ask("select attempts, count(*) from _ddpm_dead_letters where replayed_at is null group by 1") == [(3, 1)]
    letters = json.loads(ddpm("dlq", "list", *db, "--json", folder=tmp_path).stdout)
    assert [(one["payload"], one["attempts"], one["format"]) for one in letters] == [('{"id": 0, "amount": }', 3, "json")]
    assert len(json.loads(ddpm("dlq", "list", *db, "--json", "--replayed", folder=tmp_path).stdout)) == 9

    base.ask("update _ddpm_dead_letters set replayed_at = null")  # As if it had been killed before it could mark them.
    ddpm("dlq", "replay", *db, *how, "--max-attempts", 4, folder=tmp_path, code=3)
    ddpm("dlq", "replay", *db, *how, "--max-attempts", 4, folder=tmp_path, code=0)
    assert base.ask("select count(*), count(distinct id) from events") == [(509, 509)]
    assert base.ask("select count(*) from _ddpm_dead_letters where replayed_at is null") == [(1,)]

    ddpm("dlq", "purge", *db, "--replayed", "--yes", folder=tmp_path)
    assert base.ask("select count(*) from _ddpm_dead_letters") == [(1,)]
    assert base.ask("select count(*) from _ddpm_positions where partition like 'dead-letter:%#%'") == [(0,)]


def test_rows_that_a_table_refused_get_through_when_it_takes_them(base: DuckDb | Postgres, tmp_path: Path) -> None:
    base.ask("create table notes (id bigint, note varchar not null)")
    rows = [{"id": number, "note": None if number % 3 == 0 else "x"} for number in range(60)]
    (tmp_path / "notes.json").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    ddpm("ingest", "notes.json", "--to", base.address, *LENIENT, folder=tmp_path, code=3)
    assert base.ask("select count(*) from notes") == [(40,)]
    base.ask("alter table notes alter column note drop not null")
    done = ddpm("dlq", "replay", "--db", base.address, "--stage", "sink", folder=tmp_path)
    assert done.stdout == "20 dead letters: 20 landed, 0 failed again.\n"
    assert base.ask("select count(*), count(distinct id), min(id), max(id) from notes") == [(60, 60, 0, 59)]


@pytest.mark.parametrize("how", ["replaced", "dropped"])
def test_what_is_read_anew_and_refused_anew_is_open_again_and_lands_again(
    base: DuckDb | Postgres, tmp_path: Path, how: str
) -> None:
    ingest = ("ingest", bad_events(tmp_path, good=10, bad=4), "--to", base.address, *LENIENT)
    replay = ("dlq", "replay", "--db", base.address, "--format", "custom", "-o", "format.function=fix.py:fix")
    ddpm(*ingest, folder=tmp_path, code=3)
    ddpm(*replay, folder=tmp_path, code=3)
    if how == "dropped":
        base.ask("drop table events")
    ddpm(*ingest, *(("--mode", "replace") if how == "replaced" else ()), folder=tmp_path, code=3)
    open_ = "select record_offset from _ddpm_dead_letters where replayed_at is null order by 1"
    assert base.ask(open_) == [(0,), (1,), (2,), (3,)]
    ddpm(*replay, folder=tmp_path, code=3)
    assert base.ask("select id from events order by id") == [(number,) for number in range(1, 14)]
    assert base.ask(open_) == [(0,)]


def test_letters_of_a_file_go_into_a_database(base: DuckDb | Postgres, tmp_path: Path) -> None:
    ddpm("ingest", bad_events(tmp_path, good=10, bad=3), "--to", "out/", *LENIENT, folder=tmp_path, code=3)
    where = ("--db", "ddpm-dead-letters.ndjson")
    assert "Where shall the rows go?" in ddpm("dlq", "replay", *where, folder=tmp_path, code=2).stderr
    how = ("--to", base.address, "--into", "late", "--format", "custom", "-o", "format.function=fix.py:fix")
    ddpm("dlq", "replay", *where, *how, folder=tmp_path, code=3)
    assert base.ask("select id from late order by id") == [(1,), (2,)]
    assert len(json.loads(ddpm("dlq", "list", *where, "--json", folder=tmp_path).stdout)) == 1
    ddpm("dlq", "purge", *where, "--replayed", "--yes", folder=tmp_path)
    left = (tmp_path / "ddpm-dead-letters.ndjson").read_text().splitlines()
    assert {json.loads(line)["offset"] for line in left} == {0}


PIPELINE = """
name: shop
source: {files: {paths: [events.ndjson]}}
format: FORMAT
columns: {id: bigint, amount: double}
reject_limit: {share: 100%, in_a_row: 1000000}
sinks:
  - duckdb: {path: a.duckdb, table: events}
  - sql: {url: "sqlite:///b.sqlite", table: events}
    name: lite
"""


def test_letters_of_a_pipeline_go_through_it_again_into_the_sinks_that_lack_them(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "b.sqlite") as lite:
        lite.execute("create table events (id bigint, amount double not null)")
    lite.close()
    bad_events(tmp_path, good=20, bad=10)
    with (tmp_path / "events.ndjson").open("a") as file:
        file.writelines(f'{{"id": {number}, "amount": null}}\n' for number in range(30, 35))
    (tmp_path / "p.yaml").write_text(PIPELINE.replace("FORMAT", "json"))
    ddpm("run", "p.yaml", folder=tmp_path, code=3)
    where = ("--pipeline", "p.yaml")
    found = json.loads(ddpm("dlq", "list", *where, "--json", folder=tmp_path).stdout)
    assert sorted((one["stage"], one["sink"]) for one in found) == [("parse", "")] * 10 + [("sink", "lite")] * 5

    with sqlite3.connect(tmp_path / "b.sqlite") as lite:
        lite.executescript("alter table events rename to old; create table events (id bigint, amount double);")
        lite.execute("insert into events select * from old")
    lite.close()
    done = ddpm("dlq", "replay", *where, "--stage", "sink", folder=tmp_path)
    assert done.stdout == "5 dead letters: 5 landed, 0 failed again.\n"
    (tmp_path / "p.yaml").write_text(PIPELINE.replace("FORMAT", '{custom: {function: "fix.py:fix"}}'))
    ddpm("dlq", "replay", *where, folder=tmp_path, code=3)
    for address in ("a.duckdb", "sqlite:///b.sqlite"):
        rows = json.loads(ddpm("query", "--db", address, "select id from events order by id", "--json", folder=tmp_path).stdout)
        assert [row["id"] for row in rows] == [*range(1, 35)]
    assert [one["offset"] for one in json.loads(ddpm("dlq", "list", *where, "--json", folder=tmp_path).stdout)] == [0]


@pytest.mark.timeout(3600)
def test_a_replay_that_is_killed_at_random_moments_neither_loses_nor_doubles(postgres_database: str, tmp_path: Path) -> None:
    rng = seeded("DDPM_KILLS_SEED")
    base = Postgres(postgres_database)
    ddpm("ingest", bad_events(tmp_path, good=1, bad=LETTERS), "--to", base.address, *LENIENT, folder=tmp_path, code=3)
    command = _command(
        *("dlq", "replay", "--db", base.address, "--format", "custom", "-o", "format.function=fix.py:fix", "--quiet"),
        *("--max-attempts", 1_000_000),
    )
    whole = LETTERS - HOPELESS
    expected = [number for number in range(LETTERS) if number % 50]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def finish() -> float:
        began = time.monotonic()
        process = start()
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 3, errors.decode()
        return time.monotonic() - began

    def landed() -> int:
        return int(base.ask("select count(*) from events where amount = -1")[0][0])

    def judge() -> None:
        assert [number for (number,) in base.ask("select id from events where amount = -1 order by id")] == expected
        open_ = "select record_offset from _ddpm_dead_letters where replayed_at is null order by 1"
        assert [number for (number,) in base.ask(open_)] == [number for number in range(LETTERS) if number % 50 == 0]

    def clear() -> None:
        base.ask("delete from events where amount = -1")
        base.ask("delete from _ddpm_positions where partition like 'dead-letter:%'")
        base.ask("update _ddpm_dead_letters set replayed_at = null")

    def marked() -> int:
        return int(base.ask("select count(*) from _ddpm_dead_letters where replayed_at is not null")[0][0])

    def until_nobody_is_left() -> None:
        """The server may still be at the last statement of a process that is gone."""
        deadline = time.monotonic() + 120
        others = "select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        while base.ask(others):
            assert time.monotonic() < deadline
            time.sleep(0.002)

    def kill() -> int:
        """Kill one a random time after a random commit; how many had landed."""
        clear()
        process = start()
        wanted = rng.randrange(whole - 1_000)
        while process.poll() is None and landed() <= wanted:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, gap))  # The moment is the point of the test, nothing is waited for.
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        until_nobody_is_left()
        return landed()

    gap = finish() / 6
    judge()
    hits = misses = unmarked = 0
    while hits < KILLS:
        at = kill()
        if not 0 < at < whole:  # It was faster: it had written all that there was to write.
            misses += 1
            gap *= 0.8  # The one that was measured may have been slower than these are.
            assert misses <= 5 * KILLS, "it is always faster than the kill"
            continue
        hits += 1
        noted = marked()
        unmarked += noted < at
        finish()
        judge()
        print(f"kill {hits}: {at:,} of {whole:,} had landed, {noted:,} were marked; after the rerun each is there once")
    print(f"{hits} kills between no row and all rows, {unmarked} of them between rows and their marks; {misses} came too late")
    base.connection.close()
