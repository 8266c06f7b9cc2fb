"""`ddpm run` from Kafka into Postgres against what people write by hand, and against the least that a fast consumer has to do.

Broker, Postgres and contenders share the machine. A contender is a process of its own, but starting and ending do not count: the time is
that from its first COMMIT to its last, by Postgres's own clock, for the rows that came after the first. Pairs run one after the other;
of their ratios the median counts.
"""

from __future__ import annotations

import itertools
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.pipelines import (
    DDPM,
    TABLE,
    WITHOUT_POSITIONS,
    Figure,
    Pipeline,
    filled_topic,
    forget_group,
    fresh_tables,
    run_process,
)
from tests.kafka import KafkaBroker
from tests.services import PostgresServer

_SPAN = f"""
WITH at AS (SELECT pg_xact_commit_timestamp(xmin) AS t FROM {TABLE}), ends AS (SELECT min(t) AS first, max(t) AS last FROM at)
SELECT count(*) FILTER (WHERE t > first), extract(epoch FROM max(last) - min(first))::float8 FROM at, ends
"""  # What comes within the first COMMIT says nothing of speed.


@dataclass
class Streams:
    """A broker and a server to measure on.

    Attributes:
        folder: For pipelines' files.
        rows: Events in the topic.
        pairs: How often each pair is run.
    """

    folder: Path
    broker: KafkaBroker
    server: PostgresServer
    rows: int
    pairs: int
    _numbers: Iterator[int] = field(default_factory=itertools.count, init=False)

    def run(self) -> Iterator[Figure]:
        """Every ratio of the table in the issue, and rows a second beside it."""
        note_commit_times(self.server)
        topic = filled_topic(self.broker, self.rows)
        ours, bare = partial(self._ours, topic), partial(self._reference, topic, "loop")
        keyed, copied = partial(self._upsert, topic), partial(self._reference, topic, "loop", key=True)
        yield self._compare("rows, exactly once : json.loads + execute_values", ours, partial(self._reference, topic, "script"), 8)
        yield self._compare("rows, exactly once : bare loop of two threads", ours, bare, 0.8)
        yield self._compare(
            "positions in the transaction : none", ours, partial(self._ours, topic, program=WITHOUT_POSITIONS), 0.95
        )
        yield self._compare("upsert, all keys new : COPY into a keyed table", keyed, copied, 0.65)
        yield self._compare("upsert, all keys there : COPY into a keyed table", partial(keyed, there=True), copied, 0.45)

    def _compare(self, work: str, ours: Callable[[], float], other: Callable[[], float], goal: float) -> Figure:
        found = []
        for pair in range(self.pairs):  # Whoever comes second finds a busier machine, or a warmer one: by turns.
            runs = (ours, other) if pair % 2 == 0 else (other, ours)
            first, second = (contender() for contender in runs)
            found.append((first, second) if pair % 2 == 0 else (second, first))
        mine, theirs = (statistics.median(side) for side in zip(*found, strict=True))
        ratio = statistics.median(one / another for one, another in found)
        return Figure(work, ratio, goal, "x", at_most=False, note=f"{mine:,.0f} : {theirs:,.0f} rows/s")

    def _pipeline(self, topic: str) -> Pipeline:
        return Pipeline(self.folder, self.broker, self.server, topic, f"bench-{next(self._numbers)}")

    def _ours(self, topic: str, *, program: tuple[str, ...] = DDPM) -> float:
        fresh_tables(self.server)
        pipeline = self._pipeline(topic)
        pipeline.to_the_end(pipeline.write(), program)
        return self._rate()

    def _upsert(self, topic: str, *, there: bool = False) -> float:
        fresh_tables(self.server, key=True)
        if there:
            self._copy(topic, "loop")
            self.server.psql("CHECKPOINT")
        pipeline = self._pipeline(topic)
        pipeline.to_the_end(pipeline.write(key=True))
        return self._rate()

    def _reference(self, topic: str, way: str, *, key: bool = False) -> float:
        fresh_tables(self.server, key=key)
        self._copy(topic, way)
        return self._rate()

    def _copy(self, topic: str, way: str) -> None:
        command = [sys.executable, "-m", "benchmarks.kafka_reference", way, self.broker.bootstrap, topic, str(self.rows)]
        run_process([*command, self.server.url, TABLE], self.folder)
        forget_group(self.broker, f"script-{TABLE}")

    def _rate(self) -> float:
        """Rows a second after the first COMMIT.

        Raises:
            RuntimeError: Rows are missing, or there twice.
        """
        [(rows, different)] = self.server.psql(f"SELECT count(*), count(DISTINCT event_id) FROM {TABLE}")
        if (rows, different) != (self.rows, self.rows):
            raise RuntimeError(f"of {self.rows} events {different} are in the table, in {rows} rows")
        [(counted, seconds)] = self.server.psql(_SPAN)
        if not counted:
            raise RuntimeError("everything came in one transaction, which says nothing of speed: take more events")
        return float(counted / seconds)


def note_commit_times(server: PostgresServer) -> None:
    """Have the server keep when each transaction was committed.

    Raises:
        RuntimeError: It does not, and is not ours to restart.
    """
    if server.psql("SHOW track_commit_timestamp") == [("on",)]:
        return
    if not server.managed:
        raise RuntimeError("the server must run with track_commit_timestamp = on")
    server.psql("ALTER SYSTEM SET track_commit_timestamp = on")
    server.restart()
