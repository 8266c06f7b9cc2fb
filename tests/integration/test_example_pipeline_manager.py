"""Example A, as its README tells it: settings and a template in, a running pipeline with three outputs out."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.command import Command, ddpm
from tests.kafka import KafkaBroker
from tests.kafka_groups import committed_values
from tests.services import ROOT, PostgresServer

pytestmark = pytest.mark.timeout(1200)
EXAMPLE = ROOT / "examples" / "pipeline-manager"
MESSAGES = [json.loads(line) for line in (EXAMPLE / "messages.ndjson").read_text().splitlines()]
BAD = b"this is no JSON"


class Example:
    """A copy of the example whose topics no other test uses, and the environment that `ddpm services up` would have set."""

    def __init__(self, folder: Path, broker: KafkaBroker, database: str, topic: str) -> None:
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("generated", "services"))
        self.folder, self.broker, self.database, self.topic = folder, broker, database, topic
        self.failed = f"failed-{topic}"
        self.environment = {
            "CONFIG_PATH": "config/app.yaml",
            "KAFKA_BROKERS": broker.bootstrap,
            "DATABASE_URL": database,
        }
        self.replace("config/app.yaml", "pipeline-topic", topic)
        self.replace("config/app.yaml", "pipeline-group", f"group-{topic}")
        self.replace("config/pipeline.template.yaml", "failed-messages", self.failed)

    def replace(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def run(self, *arguments: str, **environment: str) -> Command:
        return Command("run", *arguments, cwd=self.folder, environment={**self.environment, **environment})

    def produce(self) -> None:
        done = ddpm("ingest", "messages.ndjson", "--to", f"kafka://{self.broker.bootstrap}/{self.topic}", cwd=self.folder)
        assert done.code == 0, done.err

    def failed_messages(self) -> list[tuple[bytes, dict[str, str]]]:
        """The messages of the second output, as committed readers see them: the raw value, and what is in it."""
        return [(value, json.loads(value)) for value in committed_values(self.broker, self.failed)]


@pytest.fixture
def example(tmp_path: Path, kafka_broker: KafkaBroker, postgres_database: str, kafka_topic: str) -> Iterator[Example]:
    made = Example(tmp_path / "pipeline-manager", kafka_broker, postgres_database, kafka_topic)
    yield made
    with_topics = kafka_broker.admin().list_topics(timeout=60).topics
    if made.failed in with_topics:
        kafka_broker.delete_topic(made.failed)


def _database(url: str) -> str:
    return urlsplit(url).path.strip("/")


def _until_landed(server: PostgresServer, url: str, rows: int) -> list[tuple[object, ...]]:
    """The rows of `processed_data`, once there are so many."""
    deadline = time.monotonic() + 240
    while True:
        there = server.psql("SELECT to_regclass('processed_data') IS NOT NULL", database=_database(url))[0][0]
        found = (
            server.psql('SELECT id, "timestamp", data FROM processed_data ORDER BY data', database=_database(url)) if there else []
        )
        if len(found) >= rows or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def test_messages_reach_all_three_outputs_and_ctrl_c_ends_it_well(example: Example, postgres_server: PostgresServer) -> None:
    example.produce()
    with example.run() as run:
        rows = _until_landed(postgres_server, example.database, len(MESSAGES))
        run.signal(signal.SIGINT)
        ended = run.end()
    assert ended.code == 0, ended.err
    landed = [json.loads(str(data).lower()) for _, _, data in rows]
    assert sorted(landed, key=lambda message: message["id"]) == [
        {key: value.lower() if isinstance(value, str) else value for key, value in message.items()} for message in MESSAGES
    ]
    assert all(str(data) == str(data).upper() or "ẞ" in str(data) for _, _, data in rows)
    assert len({identity for identity, _, _ in rows}) == len(MESSAGES)
    types = postgres_server.psql(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'processed_data' ORDER BY 1",
        database=_database(example.database),
    )
    assert dict(types) == {"data": "text", "id": "uuid", "timestamp": "timestamp with time zone"}
    printed = [json.loads(line) for line in ended.out.splitlines() if line.startswith("{")]
    second = example.failed_messages()
    ids = {str(identity) for identity, _, _ in rows}
    assert {row["id"] for row in printed} == {row["id"] for _, row in second} == ids
    assert {row["data"] for row in printed} == {row["data"] for _, row in second} == {data for _, _, data in rows}


def test_the_generated_pipeline_is_one_of_its_own_and_holds_no_password(example: Example) -> None:
    with example.run(INTEGRATION_TEST_MODE="true", INTEGRATION_TEST_TIMEOUT="2s") as run:
        ended = run.end()
    assert ended.code == 0, ended.err
    generated = example.folder / "generated" / "pipeline.yaml"
    text = generated.read_text()
    assert "${DATABASE_URL:" in text
    assert (urlsplit(example.database).password or "no password") not in text
    checked = ddpm("validate", str(generated), environment=example.environment)
    assert checked.code == 0, checked.err


def test_integration_test_mode_stops_by_itself(example: Example) -> None:
    began = time.monotonic()
    with example.run(INTEGRATION_TEST_MODE="true", INTEGRATION_TEST_TIMEOUT="3s") as run:
        ended = run.end()
    assert ended.code == 0, ended.err
    assert time.monotonic() - began >= 3


def test_what_is_no_json_is_set_aside_and_the_others_go_on(example: Example, postgres_server: PostgresServer) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": example.broker.bootstrap})
    for value in (b'{"n": 1}', BAD, b'{"n": 2}'):
        producer.produce(example.topic, value)
    assert producer.flush(120) == 0
    with example.run("--until-end") as run:
        ended = run.end()
    assert ended.code == 3, ended.err
    rows = postgres_server.psql("SELECT data FROM processed_data ORDER BY 1", database=_database(example.database))
    assert rows == [('{"N": 1}',), ('{"N": 2}',)]
    letters = postgres_server.psql("SELECT payload FROM _ddpm_dead_letters", database=_database(example.database))
    assert [bytes(payload) for (payload,) in letters] == [BAD]


def test_a_parser_of_ones_own_takes_the_place_of_the_format(example: Example, postgres_server: PostgresServer) -> None:
    from confluent_kafka import Producer

    example.replace("config/app.yaml", "    parser: json ", "    #")
    example.replace("config/app.yaml", "    # plugin_path", "    plugin_path")
    example.replace("config/pipeline.template.yaml", "data: upper(_value)", "data: upper(word) || '!'")
    producer = Producer({"bootstrap.servers": example.broker.bootstrap})
    producer.produce(example.topic, b"hello: world")
    assert producer.flush(120) == 0
    with example.run("--until-end") as run:
        ended = run.end()
    assert ended.code == 0, ended.err
    assert postgres_server.psql("SELECT data FROM processed_data", database=_database(example.database)) == [("HELLO!",)]


FAKE = """#!/bin/sh
echo "$1 $2" >>asked
case "$1" in
  services) [ "$2" = down ] || echo "export KAFKA_BROKERS=127.0.0.1:1" ;;
  run) trap 'echo ended >>asked; exit 0' TERM; echo started >>asked; while :; do sleep 0.05; done ;;
esac
"""


def end_with_children(session: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)


def test_reset_ends_the_pipeline_before_the_services_and_nothing_else(tmp_path: Path) -> None:
    shutil.copy(EXAMPLE / "Makefile", tmp_path)
    # A make that runs these tests must not be taken for the parent of this one.
    apart = {name: value for name, value in os.environ.items() if name not in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS")}
    fake = tmp_path / "ddpm"
    fake.write_text(FAKE)
    fake.chmod(0o755)
    asked, pids = tmp_path / "asked", tmp_path / "run.pids"
    with contextlib.ExitStack() as stack:

        def start(*command: str) -> subprocess.Popen[bytes]:
            process = stack.enter_context(subprocess.Popen(command, cwd=tmp_path, env=apart, start_new_session=True))
            stack.callback(end_with_children, process.pid)  # Whatever comes, nobody waits ten minutes for it.
            return process

        other, run = start("sleep", "600"), start("make", "run", "DDPM=./ddpm")
        deadline = time.monotonic() + 120
        while not (asked.exists() and "started" in asked.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        look = f"cut -d ' ' -f 22 /proc/{other.pid}/stat 2>/dev/null || ps -o lstart= -p {other.pid}"
        began = subprocess.check_output(["sh", "-c", look], text=True, timeout=60).strip()
        pids.write_text(f"{other.pid} {began}\n{run.pid} 1\n999999999 5\n{pids.read_text()}")  # No ddpm, another start, nobody.
        done = subprocess.run(
            ["make", "reset", "DDPM=./ddpm"], cwd=tmp_path, env=apart, capture_output=True, text=True, timeout=180
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("ending the pipeline of make run") == 1
        assert (run.wait(timeout=120), other.poll()) == (0, None)
    assert asked.read_text().splitlines() == ["services up", "run ", "started", "ended", "services down"]
    assert not pids.exists()
    again = subprocess.run(["make", "reset", "DDPM=./ddpm"], cwd=tmp_path, env=apart, capture_output=True, text=True, timeout=180)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_profiling_is_told_to_be_missing_before_anything_is_opened(example: Example) -> None:
    example.replace("config/app.yaml", "profiling: false", "profiling: true")
    with example.run() as run:
        ended = run.end()
    assert ended.code == 2
    assert ended.err == (
        "ddpm: error: config/app.yaml:4: app.profiling: is not available in this version of DDPM (set it to false, or leave it out)\n"
    )


def test_the_database_can_be_named_with_its_sslmode(example: Example) -> None:
    parts = urlsplit(example.database)
    example.environment["DATABASE_URL"] = urlunsplit(parts._replace(query="sslmode=disable"))
    example.produce()
    with example.run("--until-end") as run:
        ended = run.end()
    assert ended.code == 0, ended.err
