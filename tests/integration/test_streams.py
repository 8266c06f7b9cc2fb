"""Killed, rebalanced, cut off in the middle of COMMIT: what a topic holds lands in Postgres once, in order, judged from outside the engine.

`DDPM_STREAM_KILLS=200` and `DDPM_CUT_COMMITS=1000` for the full forms; `DDPM_KILLS_SEED` for the moments of an earlier run.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import pytest

from tests.command import Command
from tests.seeds import seed_of
from tests.stream_events import EventProducer, judge_stream

KILLS = int(os.environ.get("DDPM_STREAM_KILLS", "20"))
CUTS = int(os.environ.get("DDPM_CUT_COMMITS", "100"))
EVENTS = 300_000
PARTITIONS = 4
pytestmark = pytest.mark.timeout(3600)

PIPELINE = """
name: {name}
source:
  kafka: {{brokers: "{brokers}", topics: ["{topic}"], group: "{topic}"{more}}}
format: json
sink:
  postgres: {{url: "${{DATABASE_URL}}", table: events}}
"""


@dataclass
class Streams:
    """A topic, a database, and pipelines between the two, each a process of its own."""

    brokers: str
    topic: str
    url: str
    folder: Path
    seed: int
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _files: int = 0

    def file(self, more: str = "", *, name: str = "stream") -> Path:
        self._files += 1
        path = self.folder / f"pipeline-{self._files}.yaml"
        path.write_text(PIPELINE.format(name=name, brokers=self.brokers, topic=self.topic, more=more))
        return path

    def start(self, path: Path, *more: str, url: str = "") -> Command:
        command = Command("run", str(path), *more, environment={"DATABASE_URL": url or self.url})
        return self._stack.enter_context(command)

    def produce(self, count: int, rate: float | None = None, halts: Sequence[int] = ()) -> EventProducer:
        producer = EventProducer(
            self.brokers, self.topic, partitions=PARTITIONS, count=count, rate=rate, seed=self.seed, halts=halts
        )
        return self._stack.enter_context(producer)

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        connection = psycopg2.connect(self.url, connect_timeout=60)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall()
        except psycopg2.errors.UndefinedTable:
            return []
        finally:
            connection.close()

    def reached(self) -> int:
        """The sum of all positions: how many messages are dealt with."""
        return int(str((self.ask("SELECT coalesce(sum(next_offset), 0) FROM _ddpm_positions") or [(0,)])[0][0]))

    def until(self, true: Callable[[], bool], *, seconds: float = 400, running: Command | None = None) -> None:
        until = time.monotonic() + seconds
        while not true():
            assert running is None or running.process.poll() is None, running and running.end().err
            assert time.monotonic() < until, f"it did not become true; {self.reached():,} messages are dealt with"
            time.sleep(0.02)

    def judge(self, ids: list[str]) -> None:
        rows = [str(row[0]) for row in self.ask("SELECT event_id FROM events ORDER BY arrival")]
        letters = [bytes(row[0]) for row in self.ask("SELECT payload FROM _ddpm_dead_letters")]  # type: ignore[arg-type]
        judge_stream(ids, rows, letters, partitions=PARTITIONS)


TABLE = """
CREATE TABLE events (
    event_id text, user_id bigint, event_type text, "timestamp" text, session_duration float8, device text, app_version text, locale text,
    ip text, amount float8, arrival bigserial
)
"""


@pytest.fixture
def streams(kafka_broker, postgres_database: str, tmp_path: Path) -> Iterator[Streams]:
    seed = seed_of("DDPM_KILLS_SEED")
    topic = kafka_broker.create_topic(partitions=PARTITIONS)
    found = Streams(kafka_broker.bootstrap, topic, postgres_database, tmp_path, seed)
    with psycopg2.connect(postgres_database) as connection, connection.cursor() as cursor:
        cursor.execute(TABLE)
    connection.close()
    with found._stack:
        yield found
    kafka_broker.delete_topic(topic)


def test_killed_at_random_moments_nothing_is_lost_or_doubled_and_order_holds(streams: Streams) -> None:
    rng = random.Random(streams.seed)
    path = streams.file(", instance: only")
    producer = streams.produce(EVENTS, rate=8_000)
    for _ in range(KILLS):
        before = streams.reached()
        running = streams.start(path)
        streams.until(lambda before=before: streams.reached() > before or producer.over, running=running)
        time.sleep(rng.uniform(0, 0.3))  # The moment is the point of the test, nothing is waited for.
        running.signal(signal.SIGKILL)
        assert running.end().code == -signal.SIGKILL
    last = streams.start(path)
    producer.finish()
    streams.until(lambda: streams.reached() == EVENTS, running=last)
    last.signal(signal.SIGTERM)
    ended = last.end()
    assert (ended.code, ended.seconds < 10) == (0, True), ended.err
    streams.judge(producer.ids)


def test_members_that_come_and_go_lose_and_double_nothing(streams: Streams) -> None:
    rng = random.Random(streams.seed)
    path = streams.file()
    count = 200_000
    members = [streams.start(path) for _ in range(3)]
    producer = streams.produce(count, rate=4_000)
    for change in range(10):
        before = streams.reached()
        streams.until(lambda before=before: streams.reached() > before + 1_000 or producer.over)
        gone = members.pop(rng.randrange(len(members)))
        gone.until_it_says("assigned: ", seconds=400)
        number = signal.SIGKILL if change % 3 == 2 else signal.SIGTERM
        gone.signal(number)
        members.append(streams.start(path))  # It comes while the other one goes.
        ended = gone.end()
        assert ended.code == (0 if number is signal.SIGTERM else -signal.SIGKILL), ended.err
        assert ended.seconds < 10, ended.err
    producer.finish()
    streams.until(lambda: streams.reached() == count)
    for member in members:
        member.until_it_says("assigned: ", seconds=400)
        member.signal(signal.SIGTERM)
    assert [member.end().code for member in members] == [0, 0, 0]
    streams.judge(producer.ids)


def test_cut_replies_to_commit_lose_and_double_nothing_whatever_had_become_of_it(streams: Streams, postgres_proxy) -> None:
    database = streams.url.rpartition("/")[2].partition("?")[0]
    through = streams.url.replace(streams.url.rpartition("@")[2], f"127.0.0.1:{postgres_proxy.port}/{database}?sslmode=disable")
    running = streams.start(streams.file(), url=through)
    count = CUTS * 600
    producer = streams.produce(count, rate=3_000)
    running.until_it_says("assigned: ", seconds=400)
    for cut in range(CUTS):
        postgres_proxy.happened.clear()
        postgres_proxy.fault = "commit_reply_lost" if cut % 2 else "commit_lost"
        streams.until(lambda: postgres_proxy.happened.is_set() or producer.over, running=running)
    postgres_proxy.fault = None
    producer.finish()
    streams.until(lambda: streams.reached() == count, running=running)
    running.signal(signal.SIGTERM)
    assert running.end().code == 0
    streams.judge(producer.ids)


def test_a_stop_while_postgres_is_down_ends_well_within_15_seconds(streams: Streams, postgres_server) -> None:
    path = streams.file()
    producer = streams.produce(30_000, rate=5_000, halts=[15_000])
    running = streams.start(path)
    streams.until(lambda: streams.reached() > 0, running=running)
    postgres_server.stop("immediate")
    try:
        producer.go_on()  # There is something to deliver while it is down, however fast what came before was delivered.
        running.until_it_says("waiting for postgres")
        running.signal(signal.SIGTERM)
        ended = running.end()
    finally:
        postgres_server.start()
    assert (ended.code, ended.seconds < 15) == (0, True), ended.err
    producer.finish()
    again = streams.start(path)
    streams.until(lambda: streams.reached() == 30_000, running=again)
    again.signal(signal.SIGTERM)
    assert again.end().code == 0
    streams.judge(producer.ids)


def test_a_postgres_that_restarts_is_waited_for_and_nothing_becomes_a_dead_letter(streams: Streams, postgres_server) -> None:
    running = streams.start(streams.file())
    producer = streams.produce(60_000, rate=10_000, halts=[20_000, 40_000])
    streams.until(lambda: streams.reached() > 0, running=running)
    for mode in ("immediate", "fast"):
        waits, returns = (running.said(text) for text in ("waiting for postgres", "postgres is back"))
        postgres_server.stop(mode)
        producer.go_on()  # There is something to deliver while it is down, however fast what came before was delivered.
        running.until_it_says("waiting for postgres", times=waits + 1)
        postgres_server.start()
        running.until_it_says("postgres is back", times=returns + 1)
    producer.finish()
    streams.until(lambda: streams.reached() == 60_000, running=running)
    running.signal(signal.SIGTERM)
    assert running.end().code == 0
    streams.judge(producer.ids)


def test_a_frozen_process_that_wakes_up_writes_nothing_late(streams: Streams) -> None:
    path = streams.file()
    producer = streams.produce(80_000, rate=5_000, halts=[40_000])
    frozen = streams.start(path)
    streams.until(lambda: streams.reached() > 0, running=frozen)
    frozen.process.send_signal(signal.SIGSTOP)
    other = streams.start(path)
    before = streams.reached()
    producer.go_on()  # There is something left for the other one, however much the first had delivered before it was frozen.
    streams.until(lambda: streams.reached() > before + 20_000, running=other)
    frozen.process.send_signal(signal.SIGCONT)
    producer.finish()
    streams.until(lambda: streams.reached() == 80_000)
    for process in (frozen, other):
        process.signal(signal.SIGTERM)
    assert (frozen.end().code, other.end().code) == (0, 0)
    streams.judge(producer.ids)
