"""Dead letters of a running pipeline, from Kafka into Postgres and a topic: kept beside the data, in a topic, in a file; sent again, once each."""

from __future__ import annotations

import base64
import json
import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from confluent_kafka import Producer

from tests.command import Command, Ended, ddpm
from tests.kafka import KafkaBroker
from tests.kafka_groups import committed_values

pytestmark = pytest.mark.timeout(1200)
PIPELINE = """
name: shop
source:
  kafka: {{brokers: "{brokers}", topics: ["{topic}"], group: "{topic}", instance: only}}
format: {format}
columns: {{id: bigint, price: text, kind: text, note: text}}
processors:
  - map: {{amount: "{amount}", part: "_partition", place: "_offset"}}
reject_limit: {{share: 100%, in_a_row: 1000000}}
sinks:
  - postgres: {{url: "${{DATABASE_URL}}", table: events}}
  - kafka: {{topic: "{topic}-out"}}
    name: out
    when: "{when}"
{dead_letter}
"""
FIX = """
import json, re
def fix(payload):
    return json.loads(re.sub(rb"!+", b"0", payload))
"""
STRICT = {"format": "json", "amount": "CAST(price AS DOUBLE)", "when": "CAST(kind AS INTEGER) > 0"}
MENDED = {
    "format": '{custom: {function: "fix.py:fix"}}',
    "amount": "coalesce(TRY_CAST(price AS DOUBLE), -1)",
    "when": "coalesce(TRY_CAST(kind AS INTEGER), 7) > 0",
}
GOOD, MALFORMED, UNMAPPED, REFUSED, UNROUTED = range(20), range(20, 25), range(30, 34), range(40, 43), range(50, 52)


def event(number: int) -> bytes:
    row = {
        "id": number,
        "price": "free" if number in UNMAPPED else f"{number}.5",
        "kind": "odd" if number in UNROUTED else "1",
        "note": None if number in REFUSED else "x",
    }
    text = json.dumps(row)
    return text.replace(f'"{number}.5"', "!!").encode() if number in MALFORMED else text.encode()


@dataclass
class Shop:
    """A topic with good and bad events in two partitions, and a pipeline out of it."""

    broker: KafkaBroker
    topic: str
    url: str
    folder: Path
    dead_letter: str
    db: str

    def produce(self, *numbers: int) -> None:
        producer = Producer({"bootstrap.servers": self.broker.bootstrap, "enable.idempotence": True})
        for number in numbers:
            headers = [("trace", b"\xff%d" % number), ("trace", b"")]
            producer.produce(self.topic, event(number), key=f"k{number}", partition=number % 2, headers=headers)
        assert producer.flush(120) == 0

    def start(self, *arguments: str) -> Command:
        return Command(*arguments, cwd=self.folder, environment={"DATABASE_URL": self.url})

    def until(self, sql: str, running: Command) -> None:
        """Wait until this query gives rows."""
        end = time.monotonic() + 120
        while not self.ask(sql):
            assert running.process.poll() is None, running.end().err
            assert time.monotonic() < end, running._text("err")
            time.sleep(0.01)

    def write(self, **how: str) -> None:
        values = {**STRICT, **how, "brokers": self.broker.bootstrap, "topic": self.topic, "dead_letter": self.dead_letter}
        (self.folder / "p.yaml").write_text(PIPELINE.format(**values))

    def ddpm(self, *arguments: str, code: int = 0) -> Ended:
        done = ddpm(*arguments, seconds=240, cwd=self.folder, environment={"DATABASE_URL": self.url})
        assert done.code == code, (done.out, done.err)
        return done

    def dlq(self, command: str, *more: str, code: int = 0) -> Ended:
        return self.ddpm("dlq", command, "--pipeline", "p.yaml", *more, code=code)

    def letters(self, *more: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.dlq("list", "--limit", "1000", "--json", *more).out)
        return found

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(self.url)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def sent_on(self) -> list[int]:
        """The ids in the second sink's topic that were committed."""
        return sorted(json.loads(value)["id"] for value in committed_values(self.broker, f"{self.topic}-out"))


PLACES = {
    "beside": "",
    "topic": 'dead_letter: {{kafka: {{topic: "{topic}-dead", min_partitions: 2}}}}',
    "file": "dead_letter: {{file: {{path: dead.ndjson}}}}",
}


@pytest.fixture(params=list(PLACES))
def shop(request: pytest.FixtureRequest, kafka_broker: KafkaBroker, postgres_database: str, tmp_path: Path) -> Iterator[Shop]:
    topic = f"shop-{uuid.uuid4().hex[:12]}"
    kafka_broker.create_topic(topic, partitions=2)
    db = {
        "beside": postgres_database,
        "topic": f"kafka://{kafka_broker.bootstrap}/{topic}-dead",
        "file": "dead.ndjson",
    }[request.param]
    made = Shop(kafka_broker, topic, postgres_database, tmp_path, PLACES[request.param].format(topic=topic), db)
    (tmp_path / "fix.py").write_text(FIX)
    made.write()
    made.ask("CREATE TABLE events (id bigint, price text, kind text, note text NOT NULL, amount float8, part bigint, place bigint)")
    made.produce(*GOOD, *MALFORMED, *UNMAPPED, *REFUSED, *UNROUTED)
    yield made
    for name in (topic, f"{topic}-out", f"{topic}-dead"):
        kafka_broker.delete_topic(name)


BAD = [*MALFORMED, *UNMAPPED, *REFUSED, *UNROUTED]


def summed(letters: list[dict[str, Any]]) -> dict[tuple[str, str, str], int]:
    found: dict[tuple[str, str, str], int] = {}
    for one in letters:
        kind = (one["stage"], one["sink"], one["reason"])
        found[kind] = found.get(kind, 0) + 1
    return found


def test_letters_of_a_pipeline_keep_all_that_came_and_get_through_once_the_rule_is_mended(shop: Shop) -> None:
    shop.ddpm("run", "p.yaml", "--until-end", code=3)
    assert sorted(shop.ask("SELECT id FROM events")) == [(number,) for number in (*GOOD, *UNROUTED)]
    assert shop.sent_on() == [*GOOD, *REFUSED]

    letters = shop.letters()
    assert summed(letters) == {
        ("parse", "", "json_invalid"): len(MALFORMED),
        ("process", "", "map_failed"): len(UNMAPPED),
        ("sink", "postgres", "null_value"): len(REFUSED),
        ("process", "out", "when_failed"): len(UNROUTED),
    }
    by_key = {base64.b64decode(one["key"]).decode(): one for one in letters}
    assert sorted(by_key) == sorted(f"k{number}" for number in BAD)
    for number in BAD:
        one = by_key[f"k{number}"]
        assert (one["payload"], one["payload_encoding"], one["payload_kind"]) == (event(number).decode(), "utf-8", "bytes")
        assert one["headers"] == [["trace", base64.b64encode(b"\xff%d" % number).decode()], ["trace", ""]]
        assert (one["source"], one["partition"]) == (f"kafka:{shop.topic}/{number % 2}",) * 2
        assert (one["pipeline"], one["format"], one["attempts"], one["replayed_at"]) == ("shop", "json", 1, None)
    assert len({(one["partition"], one["offset"]) for one in letters}) == len(BAD)
    raw = shop.dlq("show", by_key["k20"]["id"][:14], "--raw").out
    assert raw == event(20).decode()
    assert f"trace: \\xff{20}" in shop.dlq("show", by_key["k20"]["id"]).out
    stats = json.loads(shop.dlq("stats", "--json").out)
    assert stats["total"] == len(BAD)
    assert json.loads(shop.ddpm("dlq", "stats", "--db", shop.db, "--json").out)["total"] <= len(BAD)

    again = shop.dlq("replay", code=3)
    assert again.out.splitlines()[0] == f"{len(BAD)} dead letters: 0 landed, {len(BAD)} failed again."
    assert {one["id"]: one["attempts"] for one in shop.letters()} == {one["id"]: 2 for one in letters}
    assert sorted(shop.ask("SELECT id FROM events")) == [(number,) for number in (*GOOD, *UNROUTED)]

    shop.write(**MENDED)
    shop.ask("ALTER TABLE events ALTER note DROP NOT NULL")
    dry = shop.dlq("replay", "--dry-run")
    assert dry.out == f"{len(BAD)} dead letters: {len(BAD)} would be sent to the target, 0 would fail again. Nothing was changed.\n"
    done = shop.dlq("replay")
    assert done.out == f"{len(BAD)} dead letters: {len(BAD)} landed, 0 failed again.\n"
    every = sorted([*GOOD, *BAD])
    assert [number for (number,) in shop.ask("SELECT id FROM events ORDER BY id")] == every
    assert shop.sent_on() == every
    places = {(number, f"kafka:{shop.topic}/{part}", at) for number, part, at in shop.ask("SELECT id, part, place FROM events")}
    assert {(number, by_key[f"k{number}"]["partition"], by_key[f"k{number}"]["offset"]) for number in BAD} <= places

    assert shop.dlq("replay").out == "There is nothing to replay.\n"
    assert shop.letters() == []
    assert {one["id"] for one in shop.letters("--replayed")} == {one["id"] for one in letters}
    assert shop.dlq("purge", "--replayed", "--yes").out == f"Removed {len(BAD)} dead letters.\n"
    assert shop.letters("--replayed") == []
    shop.ddpm("run", "p.yaml", "--until-end")
    assert [number for (number,) in shop.ask("SELECT id FROM events ORDER BY id")] == every
    assert shop.sent_on() == every


@pytest.mark.parametrize("shop", ["topic"], indirect=True)
def test_a_replay_beside_the_live_run_leaves_it_in_peace(shop: Shop) -> None:
    shop.ddpm("run", "p.yaml", "--until-end", code=3)
    shop.write(**MENDED)
    shop.ask("ALTER TABLE events ALTER note DROP NOT NULL")
    with shop.start("run", "p.yaml") as live:
        shop.produce(60)
        shop.until("SELECT 1 FROM events WHERE id = 60", live)
        assert shop.dlq("replay").out == f"{len(BAD)} dead letters: {len(BAD)} landed, 0 failed again.\n"
        shop.produce(61)
        shop.until("SELECT 1 FROM events WHERE id = 61", live)
        live.signal(signal.SIGTERM)
        ended = live.end()
    assert ended.code == 0, ended.err
    assert ended.said == ended.err, "it had to wait, or begin anew"
    every = sorted([*GOOD, *BAD, 60, 61])
    assert [number for (number,) in shop.ask("SELECT id FROM events ORDER BY id")] == every
    assert shop.sent_on() == every


@pytest.mark.parametrize("shop", ["topic"], indirect=True)
def test_a_replay_that_is_killed_before_the_second_sink_has_its_rows_sends_them_once(shop: Shop) -> None:
    shop.ddpm("run", "p.yaml", "--until-end", code=3)
    shop.write(**MENDED)
    shop.ask("ALTER TABLE events ALTER note DROP NOT NULL")
    for landed in (MALFORMED[0], UNMAPPED[0], REFUSED[0]):  # Each piece of the replay is committed for itself.
        with shop.start("dlq", "replay", "--pipeline", "p.yaml") as running:
            shop.until(f"SELECT 1 FROM events WHERE id = {landed}", running)
            running.signal(signal.SIGKILL)
            running.end()
    shop.dlq("replay")
    every = sorted([*GOOD, *BAD])
    assert [number for (number,) in shop.ask("SELECT id FROM events ORDER BY id")] == every
    assert shop.sent_on() == every
    assert shop.letters() == []
