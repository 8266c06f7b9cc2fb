"""From one topic into another by `ddpm run`, killed and rebalanced: a reader of what is committed sees each event once and in order.

`DDPM_KILLS=50` for the full form; `DDPM_KILLS_SEED` for the moments of an earlier run.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import pytest

from ddpm_core import DeadLetterFilter
from ddpm_kafka.letters import letters_at
from tests.command import Command, ddpm
from tests.kafka import KafkaBroker, freeze
from tests.kafka_groups import GroupView, messages_of
from tests.oracle import judge
from tests.seeds import seed_of
from tests.stream_events import EventProducer

KILLS = int(os.environ.get("DDPM_KILLS", "5"))
EVENTS = 100_000
PARTITIONS = 4

PIPELINE = """
name: relay
source:
  kafka: {{brokers: "{brokers}", topics: ["{topic}"], group: "{topic}"{source}}}
format: {format}
sinks:
  - kafka: {{topic: "{topic}-out", key: event_id, min_partitions: 3}}
{sinks}
dead_letter: {{kafka: {{topic: "{topic}-dead"}}}}
"""
POSTGRES = """
  - postgres: {{url: "${{DATABASE_URL}}", table: events}}
    when: CAST(user_id AS BIGINT) % 2 = 0
"""
FIX = """
import re
def fix(payload):
    event_id, user_id = re.match(rb'.*"event_id": "([^"]+)", "user_id": ([0-9]+)', payload).groups()
    return {"event_id": event_id.decode(), "user_id": int(user_id)}
"""


@dataclass
class Relay:
    """A topic, pipelines out of it, each a process of its own, and the topic behind them as a reader of what is committed sees it."""

    broker: KafkaBroker
    topic: str
    folder: Path
    seed: int
    url: str = ""
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _files: int = 0

    def __post_init__(self) -> None:
        self._group = self._stack.enter_context(GroupView(self.broker, self.topic, self.topic, decided=False))

    def file(self, *, source: str = "", sinks: str = "", how: str = "json") -> Path:
        self._files += 1
        path = self.folder / f"relay-{self._files}.yaml"
        values = {
            "brokers": self.broker.bootstrap,
            "topic": self.topic,
            "source": source,
            "sinks": sinks.format(),
            "format": how,
        }
        path.write_text(PIPELINE.format(**values))
        return path

    def start(self, *arguments: str | Path) -> Command:
        environment = {"DATABASE_URL": self.url}
        return self._stack.enter_context(Command(*map(str, arguments), environment=environment, cwd=self.folder))

    def produce(self, rate: float | None) -> EventProducer:
        client = EventProducer(self.broker.bootstrap, self.topic, partitions=PARTITIONS, count=EVENTS, rate=rate, seed=self.seed)
        return self._stack.enter_context(client)

    def reached(self) -> int:
        """How many messages are dealt with: the sum of the group's offsets."""
        return sum(offset for offset, _ in self._group.offsets().values())

    def until(self, true: Callable[[], bool], *, seconds: float = 300, running: Command | None = None) -> None:
        until = time.monotonic() + seconds
        while not true():
            assert running is None or running.process.poll() is None, running and running.end().err
            said = running._text("err") if running is not None else ""
            assert time.monotonic() < until, f"it did not become true; {self.reached():,} messages are dealt with\n{said}"
            time.sleep(0.02)

    def rows(self) -> dict[int, list[str]]:
        """Partition of the target -> the ids in it, in their order."""
        found: dict[int, list[str]] = {}
        for message in messages_of(self.broker, f"{self.topic}-out"):
            found.setdefault(message.partition() or 0, []).append(json.loads(message.value() or b"")["event_id"])
        return found

    def letters(self) -> list[bytes]:
        """The payloads of the dead letters that are open."""
        store = letters_at(f"kafka://{self.broker.bootstrap}/{self.topic}-dead")
        store.open()
        try:
            return [one.payload for one in store.find(DeadLetterFilter(limit=0, replayed=False))]
        finally:
            store.close()

    def judge(self, ids: Sequence[str]) -> None:
        rows = self.rows()
        judge(ids, (event_id for some in rows.values() for event_id in some), self.letters())
        for some in rows.values():
            in_order(some)

    def killed(self, *arguments: str | Path, producer: EventProducer, kills: int, rng: random.Random) -> Command:
        """Start this and kill it so often, each time after it has got on; then start it once more."""
        for _ in range(kills):
            before = self.reached()
            running = self.start(*arguments)
            self.until(lambda before=before: self.reached() > before or not producer._thread.is_alive(), running=running)  # type: ignore[misc]
            time.sleep(rng.uniform(0, 0.3))  # The moment is the point of the test, nothing is waited for.
            running.signal(signal.SIGKILL)
            assert running.end().code == -signal.SIGKILL
        return self.start(*arguments)

    def finish(self, producer: EventProducer, *members: Command) -> None:
        """Wait until all is through, and stop them."""
        producer.finish()
        self.until(lambda: self.reached() == EVENTS, running=members[0])
        for member in members:
            member.until_it_says("assigned: ", seconds=120)
            member.signal(signal.SIGTERM)
        for member in members:
            ended = member.end()
            assert (ended.code, ended.seconds < 10) == (0, True), ended.err


def in_order(ids: Sequence[str]) -> None:
    """The events of each partition of the source are in their order."""
    last = [-1] * PARTITIONS
    for event_id in ids:
        number = int(event_id.removeprefix("ev-"))
        assert number > last[number % PARTITIONS], f"{event_id} landed after event {last[number % PARTITIONS]} of its partition"
        last[number % PARTITIONS] = number


@pytest.fixture
def relay(kafka_broker: KafkaBroker, tmp_path: Path) -> Iterator[Relay]:
    seed = seed_of("DDPM_KILLS_SEED")
    made = Relay(kafka_broker, kafka_broker.create_topic(partitions=PARTITIONS), tmp_path, seed)
    (tmp_path / "fix.py").write_text(FIX)
    with made._stack:
        yield made
    for name in (made.topic, f"{made.topic}-out", f"{made.topic}-dead"):
        kafka_broker.delete_topic(name)


@pytest.mark.timeout(1800)
def test_killed_at_random_moments_each_event_is_in_the_topic_once_and_in_order_dead_letters_and_replays_too(relay: Relay) -> None:
    rng = random.Random(relay.seed)
    producer = relay.produce(8_000)
    last = relay.killed("run", relay.file(source=", instance: only"), producer=producer, kills=KILLS, rng=rng)
    relay.finish(producer, last)
    relay.judge(producer.ids)
    mended = relay.file(how='{custom: {function: "fix.py:fix"}}')
    for _ in range(KILLS):
        before = len(relay.letters())
        replay = relay.start("dlq", "replay", "--pipeline", mended, "--quiet")
        relay.until(lambda before=before, replay=replay: replay.process.poll() is not None or len(relay.letters()) < before)  # type: ignore[misc]
        time.sleep(rng.uniform(0, 0.1))
        if replay.process.poll() is None:
            replay.signal(signal.SIGKILL)
        replay.end(seconds=300)
    done = ddpm("dlq", "replay", "--pipeline", str(mended), seconds=300, cwd=relay.folder)
    assert done.code == 0, done.err
    assert relay.letters() == []
    assert sorted(event_id for some in relay.rows().values() for event_id in some) == producer.ids


@pytest.mark.timeout(1800)
def test_members_that_come_and_go_leave_each_event_in_the_topic_once_and_in_order(relay: Relay) -> None:
    rng = random.Random(relay.seed)
    path = relay.file()
    members = [relay.start("run", path) for _ in range(3)]
    producer = relay.produce(4_000)
    for change in range(5):
        before = relay.reached()
        relay.until(lambda before=before: relay.reached() > before + 1_000 or not producer._thread.is_alive())  # type: ignore[misc]
        gone = members.pop(rng.randrange(len(members)))
        gone.until_it_says("assigned: ", seconds=120)
        number = signal.SIGKILL if change % 3 == 2 else signal.SIGTERM
        gone.signal(number)
        members.append(relay.start("run", path))
        ended = gone.end()
        assert ended.code == (0 if number is signal.SIGTERM else -signal.SIGKILL), ended.err
        assert ended.seconds < 10, ended.err
    relay.finish(producer, *members)
    relay.judge(producer.ids)


@pytest.mark.timeout(1800)
def test_killed_on_the_way_into_a_topic_and_a_table_both_have_each_event_once(relay: Relay, postgres_database: str) -> None:
    relay.url = postgres_database
    producer = relay.produce(8_000)
    path = relay.file(source=", instance: only", sinks=POSTGRES)
    last = relay.killed("run", path, producer=producer, kills=KILLS, rng=random.Random(relay.seed))
    relay.finish(producer, last)
    relay.judge(producer.ids)
    with psycopg2.connect(postgres_database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT event_id FROM events ORDER BY event_id")
        landed = [row[0] for row in cursor.fetchall()]
    connection.close()
    sent = {event_id for some in relay.rows().values() for event_id in some}
    assert landed == sorted(event_id for event_id in sent if int(event_id.removeprefix("ev-")) % 5003 % 2 == 0)


@pytest.mark.timeout(1200)
def test_a_stop_while_the_broker_is_frozen_ends_within_15_seconds_and_each_event_lands_once(
    relay: Relay, postgres_database: str
) -> None:
    pid = relay.broker.pid
    if pid is None:
        pytest.skip("the broker is not ours to freeze")
    relay.url = postgres_database
    producer = relay.produce(None)
    producer.finish()  # So that there is enough to do when the broker stops.
    # With a name of its own the next process ends what this one leaves open; readers would wait a minute for the brokers to do it.
    path = relay.file(source=", instance: only", sinks=POSTGRES)
    running = relay.start("run", path)
    relay.until(lambda: relay.reached() > 0, running=running)
    freeze(pid)
    try:
        time.sleep(1)  # Now it hangs in a call, whichever that is.
        running.signal(signal.SIGTERM)
        ended = running.end(seconds=90)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (ended.code, ended.seconds < 15) == (0, True), (ended.seconds, ended.err)
    assert "the transaction in progress did not end within" in ended.err
    relay.finish(producer, relay.start("run", path))
    relay.judge(producer.ids)
