"""How long an endless `ddpm run` lets people wait, and what it costs while little happens."""

from __future__ import annotations

import os
import random
import select
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2.extensions

from benchmarks.kafka_data import PARTITIONS, Feed
from benchmarks.pipelines import TABLE, Figure, Pipeline, announced_commits, fresh_tables
from tests.kafka import KafkaBroker
from tests.services import PostgresServer

PATIENCE = 300.0
"""Seconds that anything may take before the benchmark gives up."""

_RATE = 5_000
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Waits:
    """A broker and a server to measure on.

    Attributes:
        messages: How many single messages are sent to the quiet pipeline.
        seconds: How long the steady load lasts.
        kills: How often the pipeline is killed.
    """

    folder: Path
    broker: KafkaBroker
    server: PostgresServer
    messages: int
    seconds: float
    kills: int

    def run(self) -> Iterator[Figure]:
        """Latency of single messages, CPU under a light load, and the way back after SIGKILL."""
        yield from self._quiet()
        yield self._light_load()
        yield self._killed()

    def _fresh(self, name: str) -> tuple[Pipeline, Feed]:
        fresh_tables(self.server)
        topic = self.broker.create_topic(partitions=PARTITIONS)
        return Pipeline(self.folder, self.broker, self.server, topic, name), Feed(self.broker.bootstrap, topic, linger_ms=0)

    def _quiet(self) -> Iterator[Figure]:
        """From before a message is handed to the producer until its row is visible."""
        pipeline, feed = self._fresh("bench-quiet")
        gaps = random.Random(1)
        waits = []
        with announced_commits(self.server) as commits, pipeline.endless(pipeline.write()):
            for number in range(-5, self.messages):  # The first few find client and table still being set up.
                time.sleep(gaps.uniform(0.02, 0.12))
                began = time.perf_counter()
                feed.send(1)
                feed.flush()
                _next_commit(commits, pipeline)
                if number >= 0:
                    waits.append((time.perf_counter() - began) * 1000)
        waits.sort()
        yield Figure("one message: produced to visible, median", statistics.median(waits), 15, "ms", at_most=True)
        yield Figure("one message: produced to visible, p99", waits[int(len(waits) * 0.99) - 1], 50, "ms", at_most=True)

    def _light_load(self) -> Figure:
        pipeline, feed = self._fresh("bench-load")
        with announced_commits(self.server) as commits, pipeline.endless(pipeline.write(linger="10ms")) as process:
            feed.send(1)
            feed.flush()
            _next_commit(commits, pipeline)
            feed.steadily(_RATE, min(2.0, self.seconds))
            before, began, sent = _cpu_seconds(process.pid), time.monotonic(), feed.sent
            feed.steadily(_RATE, self.seconds)
            passed, cpu = time.monotonic() - began, _cpu_seconds(process.pid) - before
            rate = (feed.sent - sent) / passed
            self._wait_for(feed.sent, pipeline)
        return Figure(
            "CPU seconds a second at 5,000 messages/s, linger 10 ms", cpu / passed, 0.5, "s", at_most=True, note=f"{rate:,.0f}/s"
        )

    def _killed(self) -> Figure:
        """From SIGKILL, with the restart right behind it, to the first COMMIT of the new process, while messages keep coming."""
        pipeline, feed = self._fresh("bench-killed")
        path = pipeline.write(instance="bench")
        over = threading.Event()
        feeding = threading.Thread(target=_keep_feeding, args=(feed, over), daemon=True)
        waits = []
        with announced_commits(self.server) as commits:
            process = pipeline.start(path)
            feeding.start()
            try:
                backend = _next_commit(commits, pipeline)
                for _ in range(self.kills):
                    time.sleep(1.0)
                    began = time.perf_counter()
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    process = pipeline.start(path)
                    backend = _next_commit(commits, pipeline, not_of=backend)
                    waits.append(time.perf_counter() - began)
                over.set()
                feeding.join()
                self._wait_for(feed.sent, pipeline)
            finally:
                over.set()
                process.kill()
                process.wait()
        worst = f"the longest of {len(waits)}: {max(waits):.2f} s"
        return Figure("SIGKILL to the first new COMMIT", statistics.median(waits), 5, "s", at_most=True, note=worst)

    def _wait_for(self, sent: int, pipeline: Pipeline) -> None:
        """Until everything sent is in the table, once."""
        until = time.monotonic() + PATIENCE
        while (found := self.server.psql(f"SELECT count(*), count(DISTINCT event_id) FROM {TABLE}")[0]) != (sent, sent):
            if time.monotonic() > until or found[0] > sent:
                raise RuntimeError(f"of {sent} events {found[1]} are in the table, in {found[0]} rows: {pipeline.log()}")
            time.sleep(0.2)


def _next_commit(commits: psycopg2.extensions.connection, pipeline: Pipeline, *, not_of: int = 0) -> int:
    """Wait for rows to become visible, and forget what came before. Returns the server process that committed them.

    Args:
        not_of: A server process whose commits do not count.
    """
    until = time.monotonic() + PATIENCE
    while (left := until - time.monotonic()) > 0:
        if not commits.notifies:
            select.select([commits], [], [], left)
            commits.poll()
        told = [notice.pid for notice in commits.notifies if notice.pid != not_of]
        commits.notifies.clear()
        if told:
            return int(told[-1])
    raise RuntimeError(f"nothing was committed within {PATIENCE:.0f} s: {pipeline.log()}")


def _keep_feeding(feed: Feed, over: threading.Event) -> None:
    while not over.is_set():
        feed.steadily(500, 0.1)


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
