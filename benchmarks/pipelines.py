"""Pipelines from Kafka into Postgres as benchmarks run them: each `ddpm run` is a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2.extensions
from confluent_kafka.admin import AdminClient

from benchmarks.kafka_data import PARTITIONS, Feed, create_table
from tests.kafka import KafkaBroker
from tests.services import PostgresServer

DDPM = (sys.executable, "-m", "ddpm_core.cli.start")
WITHOUT_POSITIONS = (sys.executable, "-m", "benchmarks.without_positions")
TABLE = "events"
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Figure:
    """Something measured, and what it must reach.

    Attributes:
        unit: What is printed behind the numbers.
        at_most: The goal is a limit from above.
    """

    work: str
    measured: float
    goal: float
    unit: str
    at_most: bool
    note: str = ""

    @property
    def met(self) -> bool:
        return self.measured <= self.goal if self.at_most else self.measured >= self.goal

    def __str__(self) -> str:
        limit = "at most" if self.at_most else "at least"
        return f"  {self.work:58} {self.measured:8.2f}{self.unit:5}, goal {limit} {self.goal:g}{self.unit}   {self.note}".rstrip()


@dataclass(frozen=True)
class Pipeline:
    """A pipeline's file, and what it fills.

    Attributes:
        folder: Where the file, the dead letters and the log are.
        name: Its name, and that of its group: its positions are kept under it.
    """

    folder: Path
    broker: KafkaBroker
    server: PostgresServer
    topic: str
    name: str

    def write(self, *, key: bool = False, linger: str = "", instance: str = "") -> Path:
        """The pipeline's file. JSON is YAML too."""
        source = {"brokers": self.broker.bootstrap, "topics": [self.topic], "group": self.name}
        sink: dict[str, Any] = {"url": self.server.url, "table": TABLE}
        document: dict[str, Any] = {
            "name": self.name,
            "source": {"kafka": source | ({"instance": instance} if instance else {})},
            "format": "json",
            "sinks": [{"postgres": sink | ({"mode": "upsert", "key": ["event_id"]} if key else {})}],
            **({"linger": linger} if linger else {}),
        }
        path = self.folder / f"{self.name}.yaml"
        path.write_text(json.dumps(document))
        return path

    def to_the_end(self, path: Path, program: Sequence[str] = DDPM) -> None:
        """Run it until it has read what is there.

        Raises:
            RuntimeError: It did not end well.
        """
        run_process([*program, "run", str(path), "--until-end", "--quiet"], self.folder)

    @contextlib.contextmanager
    def endless(self, path: Path) -> Iterator[subprocess.Popen[bytes]]:
        """It runs until the block is left."""
        process = self.start(path)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, path: Path) -> subprocess.Popen[bytes]:
        """Start it without an end. What it says goes into a file, which `log` reads."""
        with (self.folder / f"{self.name}.log").open("ab") as log:
            command = [*DDPM, "run", str(path)]
            return subprocess.Popen(command, cwd=self.folder, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def log(self) -> str:
        """The end of what it said."""
        return (self.folder / f"{self.name}.log").read_text(errors="replace")[-2000:]


def environment() -> dict[str, str]:
    """For processes of both sides: they keep their compiled modules, as an installation does."""
    found = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return found | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), found.get("PYTHONPATH", "")]))}


def run_process(command: Sequence[str], folder: Path) -> None:
    """Run a contender to its end.

    Raises:
        RuntimeError: It did not end well.
    """
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])}: exit code {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")


def filled_topic(broker: KafkaBroker, count: int) -> str:
    """A topic with so many events."""
    topic = broker.create_topic(partitions=PARTITIONS)
    feed = Feed(broker.bootstrap, topic)
    feed.send(count)
    feed.flush()
    return topic


def forget_group(broker: KafkaBroker, name: str) -> None:
    """Delete a consumer group, which may not be there."""
    admin: Any = AdminClient({"bootstrap.servers": broker.bootstrap})
    with contextlib.suppress(Exception):
        admin.delete_consumer_groups([name])[name].result(10)


def fresh_tables(server: PostgresServer, *, key: bool = False) -> None:
    """An empty table, and nothing known of any pipeline."""
    server.psql(f"DROP TABLE IF EXISTS {TABLE}, _ddpm_positions, _ddpm_dead_letters")
    server.psql(create_table(TABLE, key=key))
    server.psql("CHECKPOINT")


@contextlib.contextmanager
def announced_commits(server: PostgresServer) -> Iterator[psycopg2.extensions.connection]:
    """A connection that is notified of each COMMIT of rows into the table, the moment they are visible."""
    server.psql(
        "CREATE OR REPLACE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('rows', ''); RETURN NULL; END $$"
    )
    server.psql(f"CREATE TRIGGER tell AFTER INSERT ON {TABLE} FOR EACH STATEMENT EXECUTE FUNCTION tell()")
    connection = psycopg2.connect(server.url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("LISTEN rows")
        yield connection
    finally:
        connection.close()
