"""`ddpm run` as its users type it: how it ends, what its switches do, and what it leaves alone."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg2
import pytest

from tests.command import Command, Ended, ddpm
from tests.kafka import KafkaBroker
from tests.kafka_groups import committed_values
from tests.stream_events import EventProducer

pytestmark = pytest.mark.timeout(1200)
PIPELINE = """
name: {name}
source:
  kafka: {{brokers: "${{KAFKA_BROKERS}}", topics: ["{topic}"], group: "{topic}"}}
format: json
sink:
  postgres: {{url: "${{DATABASE_URL}}", table: "${{TABLE:events}}"}}
"""


@dataclass
class Place:
    """A topic, a database, and a folder with pipelines."""

    broker: KafkaBroker
    topic: str
    url: str
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def file(self, name: str = "events") -> str:
        path = self.folder / f"{name}.yaml"
        path.write_text(PIPELINE.format(name=name, topic=self.topic))
        return str(path)

    def run(self, *arguments: str, **more: str) -> Ended:
        return ddpm(*arguments, environment=self.environment | more, cwd=self.folder)

    def start(self, *arguments: str) -> Command:
        return Command(*arguments, environment=self.environment, cwd=self.folder)

    def produce(self, count: int, rate: float | None = None) -> EventProducer:
        return EventProducer(self.broker.bootstrap, self.topic, partitions=2, count=count, rate=rate)

    def ids(self, table: str = "events") -> list[str]:
        connection = psycopg2.connect(self.url, connect_timeout=60)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT event_id FROM {table} ORDER BY event_id")
                return [row[0] for row in cursor.fetchall()]
        except psycopg2.errors.UndefinedTable:
            return []
        finally:
            connection.close()


@pytest.fixture
def place(kafka_broker: KafkaBroker, postgres_database: str, tmp_path: Path) -> Iterator[Place]:
    topic = kafka_broker.create_topic(partitions=2)
    services = {"KAFKA_BROKERS": kafka_broker.bootstrap, "DATABASE_URL": postgres_database, "CONFIG_PATH": ""}
    yield Place(kafka_broker, topic, postgres_database, tmp_path, services)
    kafka_broker.delete_topic(topic)


def fill(place: Place, count: int) -> list[str]:
    with place.produce(count) as producer:
        producer.finish()
    return [event_id for n, event_id in enumerate(producer.ids) if n % 997 != 996]


def until(true: Callable[[], bool], *, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.05)


def runs(process: psutil.Process) -> bool:
    """Whether it has not ended; nobody may be there who asks how it did."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_until_end_reads_what_is_there_and_a_second_run_finds_nothing_new(place: Place) -> None:
    good = fill(place, 3_000)
    first = place.run("run", place.file(), "--until-end", "--timeout", "1h", "--json")
    second = place.run("run", place.file(), "--until-end", "--json")
    assert (first.code, json.loads(first.out)["rows"], json.loads(first.out)["rejects"]) == (3, len(good), {"json_invalid": 3})
    assert (second.code, json.loads(second.out)["records"]) == (0, 0)
    assert place.ids() == good


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_bounded_run_that_is_stopped_before_the_end_says_so(place: Place, number: signal.Signals, code: int) -> None:
    fill(place, 1_000)
    connection = psycopg2.connect(place.url)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE events (event_id text); LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        with place.start("run", place.file(), "--until-end", "--json") as running:
            running.until_it_says("assigned: ")
            running.signal(number)
            ended = running.end()
    connection.close()
    assert (ended.code, json.loads(ended.out)["status"]) == (code, "stopped")
    assert ended.seconds < 15


def test_config_path_names_the_pipeline_of_run_and_of_ingest(place: Place) -> None:
    good = fill(place, 500)
    run = place.run("ingest", CONFIG_PATH=place.file())
    assert (run.code, place.ids()) == (0, good)
    assert place.run("run", "--until-end", CONFIG_PATH=place.file()).code == 0
    missing = place.run("run")
    assert (missing.code, missing.err) == (
        2,
        "ddpm: error: no FILE is given, and CONFIG_PATH is not set\n  Name a pipeline's file: ddpm run pipeline.yaml\n",
    )


def test_a_dry_run_writes_nothing_and_moves_nothing(place: Place) -> None:
    good = fill(place, 2_000)
    shown = place.run("run", place.file(), "--dry-run", "--json")
    found = json.loads(shown.out)
    assert (shown.code, found["first_rows"][0].keys() >= {"event_id", "amount"}) == (3, True)
    assert found["records"] >= 1_000
    assert place.ids() == []
    assert place.run("run", place.file(), "--until-end").code == 3
    assert place.ids() == good


def test_looking_makes_no_topic(place: Place) -> None:
    path = Path(place.file())
    path.write_text(path.read_text().replace(f'topics: ["{place.topic}"]', 'topics: ["not-there-yet"], min_partitions: 2'))
    assert place.run("validate", "--live", str(path)).code == 0
    assert place.run("run", str(path), "--dry-run").code == 2
    assert "not-there-yet" not in place.broker.admin().list_topics(timeout=60).topics


def test_a_backfill_has_positions_of_its_own_and_refuses_the_live_table(place: Place) -> None:
    good = fill(place, 900)
    assert place.run("run", place.file(), "--until-end").code == 0
    part = place.run("run", place.file(), "--start", "100", "--end", "200", "--as", "again", TABLE="part")
    assert part.code == 0, part.err
    assert place.ids("part") == [event_id for event_id in good if 200 <= int(event_id[3:]) < 400]
    earlier = place.run("run", place.file(), "--start", "0", "--end", "200", "--as", "again", TABLE="part")
    assert earlier.code == 1
    assert "was read from 100 on under this name, and is asked for from 0 on" in earlier.err
    beside = place.run("run", place.file(), "--start", "0", "--as", "whole")
    assert beside.code == 2
    assert "pipeline events adds rows to table" in beside.err
    assert place.ids() == good


TO_TOPIC = """
name: copier
source:
  kafka: {{brokers: "${{KAFKA_BROKERS}}", topics: ["{topic}"], group: "{topic}"}}
format: raw
sink:
  kafka: {{topic: "{target}", format: raw}}
"""


def test_a_backfill_into_kafka_takes_nothing_from_the_live_run_whose_group_is_named(place: Place) -> None:
    fill(place, 900)
    path = place.folder / "copier.yaml"
    live, part, ahead = (f"{place.topic}-{name}" for name in ("live", "part", "ahead"))

    def into(target: str, *arguments: str) -> Ended:
        path.write_text(TO_TOPIC.format(topic=place.topic, target="${TARGET}"))
        return place.run("run", str(path), *arguments, "--json", TARGET=target)

    first = into(part, "--start", "100", "--end", "200", "--as", "before")
    assert (first.code, json.loads(first.out)["rows"]) == (0, 200), first.err
    assert json.loads(into(live, "--until-end").out)["rows"] == 900
    fill(place, 900)
    assert json.loads(into(ahead, "--start", "700", "--end", "800", "--as", "ahead").out)["rows"] == 200
    assert json.loads(into(live, "--until-end").out)["rows"] == 900
    assert [len(committed_values(place.broker, topic)) for topic in (part, live, ahead)] == [200, 1_800, 200]
    path.write_text(TO_TOPIC.format(topic=place.topic, target=live))
    refused = place.run("run", str(path), "--start", "0", "--as", "again")
    said = f"ddpm: error: {path}:7: sink.kafka.topic: with --as again messages would be added to the topic that copier adds the same ones to "
    assert (refused.code, refused.err) == (2, f"{said}(name the topic by a variable such as ${{TOPIC:logins}})\n")


def test_workers_share_the_partitions_and_end_with_who_supervises_them(place: Place) -> None:
    good = fill(place, 4_000)
    with place.start("run", place.file(), "--workers", "2") as running:
        running.until_it_says("assigned: ", times=2, seconds=240)
        until(lambda: len(place.ids()) >= len(good))
        workers = psutil.Process(running.process.pid).children(recursive=True)
        assert len(workers) == 2
        running.signal(signal.SIGKILL)
        until(lambda: not any(runs(worker) for worker in workers))
    assert place.ids() == good


def test_a_run_stops_by_itself_after_its_timeout(place: Place) -> None:
    good = fill(place, 200)
    began = time.monotonic()
    ended = place.run("run", place.file(), "--timeout", "4s", "--json")
    assert time.monotonic() - began >= 4
    # How much of it lands within four seconds is the machine's matter; what landed is told, and the rest is still to come.
    assert (ended.code, json.loads(ended.out)["rows"]) == (0, len(place.ids())), ended.err
    assert place.run("run", place.file(), "--until-end").code == 0
    assert place.ids() == good
