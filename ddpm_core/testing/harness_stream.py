"""A topic, a database, and pipelines between the two, each run by `ddpm run` as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from ddpm_core.plugin.ledger import POSITIONS
from ddpm_core.plugin.letter_table import DEAD_LETTERS
from ddpm_core.testing.golden import GoldenMessage, GoldenMessages
from ddpm_core.testing.harness_problems import Letter, Sent, ends_of
from ddpm_core.testing.harness_services import HarnessServices

PARTITIONS = 3
PATIENCE = 120
"""Seconds for whatever is waited for: a busy machine may take long for what takes a moment."""
TABLE = "golden"
_LETTER = "partition, record_offset, stage, reason, message, plugin, payload, message_key, attempts"


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a command: its exit code and what it printed."""

    code: int
    out: str
    err: str


@dataclass
class GoldenStream:
    """What the harness works with. `golden_stream` makes one and clears it away.

    Attributes:
        name: The format's name.
        golden: Its golden messages.
        kafka, topic: The broker's address and the topic, which is empty in the beginning.
        database: The URL of a database, which is empty in the beginning.
        folder: For files.
        environment: More variables for `ddpm`.
        sent: Every message that lies in the topic.
    """

    name: str
    golden: GoldenMessages
    kafka: str
    topic: str
    database: str
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)

    def file(self, **more: str) -> Path:
        """The pipeline's file, with more options of the source. JSON is YAML too, so only a `$` in the format's options needs care."""
        options = json.loads(json.dumps(self.golden.options).replace("${", "$${"))
        pipeline = {
            "name": f"golden-{self.name}",
            "source": {"kafka": {"brokers": self.kafka, "topics": [self.topic], "group": self.topic, **more}},
            "format": {self.name: options},
            "sink": {"postgres": {"url": "${GOLDEN_DATABASE_URL}", "table": TABLE}, "schema": "evolve"},
            "reject_limit": {"share": "100%", "in_a_row": 1_000_000_000},
        }
        path = self.folder / "golden.yaml"
        path.write_text(json.dumps(pipeline, indent=2))
        return path

    def send(self, messages: Sequence[GoldenMessage], times: int = 1) -> None:
        """Put messages into the topic, over all partitions in turn, so often; return when they are there."""
        labels = {
            id(message): f"{kind}[{number}]"
            for kind in ("good", "evolving", "bad")
            for number, message in enumerate(getattr(self.golden, kind))
        }
        failures: list[KafkaError] = []
        producer = Producer({"bootstrap.servers": self.kafka, "linger.ms": 5, "log_level": 3, "message.max.bytes": 64 << 20})

        def sent(message: GoldenMessage) -> Any:
            def delivered(error: KafkaError | None, report: Any) -> None:
                if error is not None:
                    failures.append(error)
                    return
                partition = f"kafka:{self.topic}/{report.partition()}"
                self.sent.append(Sent(labels[id(message)], message, partition, report.offset()))

            return delivered

        for number, message in enumerate([*messages] * times):
            while True:
                with contextlib.suppress(BufferError):
                    producer.produce(self.topic, message.payload, message.key, number % PARTITIONS, on_delivery=sent(message))
                    break
                producer.poll(0.1)
        left = producer.flush(PATIENCE)
        if failures or left:
            raise RuntimeError(f"the topic did not take {len(failures) + left} messages: {failures[:1]}")

    def ddpm(self, *arguments: str) -> Ended:
        """Run `ddpm` to its end. What runs longer than `PATIENCE` is killed, and `TimeoutExpired` is raised."""
        done = subprocess.run(  # noqa: S603
            self._command(*arguments), env=self._environment, cwd=self.folder, capture_output=True, timeout=PATIENCE, check=False
        )
        return Ended(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))

    def run_until_end(self) -> Ended:
        """Run the pipeline to the end of the topic."""
        return self.ddpm("run", str(self.file()), "--until-end")

    def run_until_killed(self) -> Ended:
        """Run the pipeline without an end, and kill it by SIGKILL as soon as something has landed."""
        return self._run_until(lambda: sum(self.positions().values()) > 0, signal.SIGKILL)

    def run_until_stopped(self) -> Ended:
        """Run the pipeline without an end, and stop it by SIGTERM when every message is dealt with."""
        ends = ends_of(self.sent)
        return self._run_until(lambda: self.positions().items() >= ends.items(), signal.SIGTERM)

    def _run_until(self, true: Callable[[], bool], number: signal.Signals) -> Ended:
        """Run the pipeline until something is so, or `PATIENCE` is over, then send it a signal.

        As a member of the group that has a name: so the next run is not another member, which would wait until this one is given up.
        """
        with tempfile.TemporaryFile() as printed:
            process = subprocess.Popen(  # noqa: S603
                self._command("run", str(self.file(instance="golden"))),
                env=self._environment,
                cwd=self.folder,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
            try:
                until = time.monotonic() + PATIENCE
                while process.poll() is None and not true() and time.monotonic() < until:
                    time.sleep(0.01)
                process.send_signal(number)
                process.wait(PATIENCE)
            finally:
                process.kill()
                process.wait(PATIENCE)
            printed.seek(0)
            return Ended(process.returncode, "", printed.read().decode("utf-8", "replace"))

    def rows(self) -> list[dict[str, Any]]:
        """Every row of the table."""
        names, rows = self._ask(f"SELECT * FROM {TABLE}")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def letters(self) -> list[Letter]:
        """Every dead letter."""
        found = self._ask(f"SELECT {_LETTER} FROM {DEAD_LETTERS}")[1]
        return [Letter(*map(_plain, row)) for row in found]

    def positions(self) -> dict[str, int]:
        """Partition -> the next offset wanted, by the sink."""
        _, rows = self._ask(f"SELECT partition, next_offset FROM {POSITIONS} WHERE partition LIKE 'kafka:%'")
        return {str(partition): int(offset) for partition, offset in rows}

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment, "GOLDEN_DATABASE_URL": self.database}

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "ddpm_core.cli.start", *arguments]

    def _ask(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names and rows; none where the table is not there yet."""
        with contextlib.closing(psycopg2.connect(self.database, connect_timeout=60)) as connection, connection.cursor() as cursor:
            try:
                cursor.execute(sql)
            except psycopg2.errors.UndefinedTable:
                return [], []
            return [column.name for column in cursor.description or ()], cursor.fetchall()


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


@contextlib.contextmanager
def golden_stream(
    name: str, golden: GoldenMessages, services: HarnessServices, folder: Path, environment: Mapping[str, str]
) -> Iterator[GoldenStream]:
    """A topic and a database of their own, deleted at the end."""
    unique = f"golden_{name}_{uuid.uuid4().hex[:8]}"
    with _topic(services.kafka, unique), _database(services.postgres, unique) as url:
        yield GoldenStream(name, golden, services.kafka, unique, url, folder, environment)


@contextlib.contextmanager
def _topic(brokers: str, name: str) -> Iterator[None]:
    admin = AdminClient({"bootstrap.servers": brokers})
    config = {"max.message.bytes": str(64 << 20)}
    made = admin.create_topics([NewTopic(name, PARTITIONS, 1, config=config)], operation_timeout=60, request_timeout=60)
    made[name].result(PATIENCE)
    until = time.monotonic() + PATIENCE
    # The answer comes when the controller knows the topic; clients ask the broker, which learns of it a moment later.
    while len(admin.list_topics(name, timeout=60).topics[name].partitions) < PARTITIONS and time.monotonic() < until:
        pass
    try:
        yield
    finally:
        admin.delete_topics([name], operation_timeout=60, request_timeout=60)[name].result(PATIENCE)


@contextlib.contextmanager
def _database(server: str, name: str) -> Iterator[str]:
    with contextlib.closing(psycopg2.connect(server, connect_timeout=60)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
            try:
                yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
            finally:
                until = time.monotonic() + PATIENCE
                # It answers before the session is gone, and a database in which there is one is not dropped.
                cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
                while cursor.rowcount and time.monotonic() < until:
                    time.sleep(0.01)
                    cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
                cursor.execute(f'DROP DATABASE "{name}"')
