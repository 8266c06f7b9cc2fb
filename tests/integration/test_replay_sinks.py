"""Replays into several sinks of which some refuse, replays that are killed between two of them, and two replays at once: all into Postgres."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.command import Command, Ended, ddpm

pytestmark = pytest.mark.timeout(1200)

PIPELINE = """
name: shop
source: {files: {paths: [events.ndjson]}}
format: FORMAT
columns: {id: bigint, note: text}
reject_limit: {share: 100%, in_a_row: 1000000}
sinks:
  - postgres: {url: "${DATABASE_URL}", table: a}
    name: a
  - postgres: {url: "${DATABASE_URL}", table: b}
    name: b
  - postgres: {url: "${DATABASE_URL}", table: c}
    name: c
"""
FIX = """
import json
def fix(payload):
    return json.loads(payload.replace(b"!", b"0"))
"""
MENDED = PIPELINE.replace("FORMAT", '{custom: {function: "fix.py:fix"}}')


@dataclass
class Shop:
    """A pipeline into three tables, and the database that they are in."""

    url: str
    folder: Path
    connection: Any

    def write(self, pipeline: str) -> None:
        (self.folder / "p.yaml").write_text(pipeline)

    def events(self, *notes: str | None, malformed: int = 0) -> None:
        lines = [json.dumps({"id": number, "note": note}) for number, note in enumerate(notes)]
        lines += [f'{{"id": {number}, "note": !}}' for number in range(len(notes), len(notes) + malformed)]
        (self.folder / "events.ndjson").write_text("".join(f"{line}\n" for line in lines))

    def ddpm(self, *arguments: str, code: int = 0) -> Ended:
        done = ddpm(*arguments, cwd=self.folder, environment={"DATABASE_URL": self.url})
        assert done.code == code, (done.out, done.err)
        return done

    def replay(self, code: int = 0) -> str:
        return self.ddpm("dlq", "replay", "--pipeline", "p.yaml", code=code).out

    def start(self, *arguments: str) -> Command:
        return Command("dlq", "replay", *arguments, cwd=self.folder, environment={"DATABASE_URL": self.url})

    def letters(self) -> list[tuple[str, str, int, int]]:
        """Stage, sink, offset and attempts of the open ones."""
        found = json.loads(self.ddpm("dlq", "list", "--pipeline", "p.yaml", "--limit", "1000", "--json").out)
        return sorted((one["stage"], one["sink"], one["offset"], one["attempts"]) for one in found)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def ids(self, table: str) -> list[int]:
        return [number for (number,) in self.ask(f"SELECT id FROM {table} ORDER BY id")]

    def until(self, sql: str, running: Command) -> None:
        """Wait until this query gives rows."""
        end = time.monotonic() + 120
        while not self.ask(sql):
            assert running.process.poll() is None, running.end().err
            assert time.monotonic() < end, f"it did not come to {sql}"
            time.sleep(0.01)


@pytest.fixture
def shop(postgres_database: str, tmp_path: Path) -> Iterator[Shop]:
    connection = psycopg2.connect(postgres_database)
    connection.autocommit = True
    made = Shop(postgres_database, tmp_path, connection)
    (tmp_path / "fix.py").write_text(FIX)
    made.write(PIPELINE.replace("FORMAT", "json"))
    for table in "abc":
        made.ask(f"CREATE TABLE {table} (id bigint, note text)")
    yield made
    connection.close()


def test_what_two_sinks_refuse_is_a_letter_for_each_and_goes_to_that_one_alone(shop: Shop) -> None:
    shop.ask("ALTER TABLE b ALTER note SET NOT NULL")
    shop.ask("ALTER TABLE c ALTER note SET NOT NULL")
    shop.events("x", None, "x")
    shop.ddpm("run", "p.yaml", code=3)
    assert shop.letters() == [("sink", "b", 1, 1), ("sink", "c", 1, 1)]
    assert shop.replay(code=3) == "2 dead letters: 0 landed, 2 failed again.\n  2 null_value\n"
    assert shop.letters() == [("sink", "b", 1, 2), ("sink", "c", 1, 2)]
    shop.ask("ALTER TABLE c ALTER note DROP NOT NULL")
    assert shop.replay(code=3) == "2 dead letters: 1 landed, 1 failed again.\n  1 null_value\n"
    assert (shop.ids("a"), shop.ids("b"), shop.ids("c")) == ([0, 1, 2], [0, 2], [0, 1, 2])
    shop.ask("ALTER TABLE b ALTER note DROP NOT NULL")
    assert shop.replay() == "1 dead letter: 1 landed, 0 failed again.\n"
    assert shop.replay() == "There is nothing to replay.\n"
    assert (shop.ids("a"), shop.ids("b"), shop.ids("c")) == ([0, 1, 2], [0, 1, 2], [0, 1, 2])


def test_a_letter_for_three_sinks_that_two_refuse_is_left_for_those_two(shop: Shop) -> None:
    shop.events("x", malformed=2)
    shop.ddpm("run", "p.yaml", code=3)
    assert shop.letters() == [("parse", "", 1, 1), ("parse", "", 2, 1)]
    shop.write(MENDED)
    shop.ask("ALTER TABLE a ADD CHECK (id <> 2)")
    shop.ask("ALTER TABLE c ADD CHECK (id <> 2)")
    assert shop.replay(code=3).startswith("2 dead letters: 1 landed, 1 failed again.\n")
    assert shop.letters() == [("sink", "a", 2, 2), ("sink", "c", 2, 2)]
    assert (shop.ids("a"), shop.ids("b"), shop.ids("c")) == ([0, 1], [0, 1, 2], [0, 1])
    shop.ask("ALTER TABLE a DROP CONSTRAINT a_id_check")
    assert shop.replay(code=3).startswith("2 dead letters: 1 landed, 1 failed again.\n")
    assert shop.letters() == [("sink", "c", 2, 3)]
    shop.ask("ALTER TABLE c DROP CONSTRAINT c_id_check")
    assert shop.replay() == "1 dead letter: 1 landed, 0 failed again.\n"
    assert (shop.ids("a"), shop.ids("b"), shop.ids("c")) == ([0, 1, 2], [0, 1, 2], [0, 1, 2])
    assert shop.letters() == []


@pytest.mark.parametrize("locked", ["b", "c"])
def test_a_replay_that_is_killed_between_two_sinks_gives_the_rest_to_those_that_lack_it(shop: Shop, locked: str) -> None:
    shop.events("x", malformed=5)
    shop.ddpm("run", "p.yaml", code=3)
    shop.write(MENDED)
    other = psycopg2.connect(shop.url)
    try:
        with other.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {locked} IN SHARE MODE")  # It can be read and not be written.
            with shop.start("--pipeline", "p.yaml") as running:
                for before in "abc".partition(locked)[0]:
                    shop.until(f"SELECT 1 FROM {before} WHERE id = 5", running)
                running.signal(signal.SIGKILL)
                assert running.end().code == -signal.SIGKILL
    finally:
        other.close()
    every = list(range(6))
    assert [shop.ids(table) for table in "abc"] == [every if table < locked else [0] for table in "abc"]
    assert [attempts for *_, attempts in shop.letters()] == [1] * 5
    assert shop.replay() == "5 dead letters: 5 landed, 0 failed again.\n"
    assert [shop.ids(table) for table in "abc"] == [every] * 3
    assert shop.letters() == []


def test_two_replays_of_the_same_letters_at_once_neither_lose_nor_double(shop: Shop) -> None:
    count = 2_000
    shop.events(malformed=count)
    lenient = ("--max-reject-share", "100%", "--max-rejects-in-a-row", "1000000")
    shop.ddpm("ingest", "events.ndjson", "--to", shop.url, "--table", "a", *lenient, code=3)
    how = ("--db", shop.url, "--format", "custom", "-o", "format.function=fix.py:fix", "--retry-for", "300s")
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    lock = psycopg2.connect(shop.url)
    for turn in ("both held", "at once", "one at work"):
        if turn == "both held":  # Both have the letters in hand, whichever comes first, and neither can write.
            lock.cursor().execute("LOCK TABLE a IN SHARE MODE")
        with shop.start(*how) as one:
            if turn == "one at work":
                shop.until("SELECT 1 FROM a LIMIT 1", one)
            with shop.start(*how) as two:
                if turn == "both held":
                    shop.until(f"{waiting} HAVING count(*) = 2", two)
                    lock.rollback()
                ended = [one.end(), two.end()]
        for end in ended:
            assert end.code == 0 or (end.code == 1 and "another ddpm process has taken" in end.err), (end.out, end.err)
        assert turn != "both held" or any(end.code for end in ended), "they never met"
        shop.ddpm("dlq", "replay", *how)
        assert shop.ids("a") == list(range(count))
        assert shop.ask("SELECT count(*) FROM _ddpm_dead_letters WHERE replayed_at IS NULL") == [(0,)]
        shop.ask("DELETE FROM a")
        shop.ask("DELETE FROM _ddpm_positions WHERE partition LIKE 'dead-letter:%'")
        shop.ask("UPDATE _ddpm_dead_letters SET replayed_at = NULL")
    lock.close()
