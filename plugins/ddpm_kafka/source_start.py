"""Where each partition begins: where the sinks stand if that is still there, else where `start` says.

A position that is gone is an error that stops: going on anywhere else would skip messages without a word. What counts as gone is
an offset that the log does not hold any more or not yet, another topic of the same name, another cluster. The client library notices
only the first of these by itself: after a topic was created again it went on in the new one where it stood in the old (measured, 2.16).

A partition that no sink has seen begins at `start`. With `latest` or a time that place is noted at once (`source_notes.py`), since
otherwise a quiet partition would begin at its end once more after a restart, and what came meanwhile would be lost. So would what
is still on its way to the other sinks, when one is added that has seen nothing: the partition begins where all sinks were, not at its end.
The note also says how many partitions the topic had, so that those added later are read from their beginning.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from ddpm_core import FatalError, Position, Positions, RetryableError
from ddpm_kafka.connection import PATIENCE, Cluster
from ddpm_kafka.errors import of_kafka
from ddpm_kafka.group_offsets import Committed, ask_group
from ddpm_kafka.source_notes import Note, read_note
from ddpm_kafka.topics import Topic, ask, described

log = logging.getLogger("ddpm.kafka.source")

Place = tuple[str, int]
"""Topic and partition."""

AGAIN = 0.2
"""Seconds until the brokers are asked again when they had no answer."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a partition begins.

    Attributes:
        offset: The first one wanted.
        topic: The topic as it is now.
        noted: The offset is to be noted, since nothing else remembers it.
    """

    offset: int
    topic: Topic
    noted: bool = False


@dataclass(frozen=True, slots=True)
class StartRules:
    """What is the same for all partitions of a run.

    Attributes:
        start: The option, or for a part of the past the first record wanted.
        group: Whose offsets are looked at; empty: nobody's.
        resumes: The group's offset is the position, since no sink keeps any.
        known: Topic -> partitions when the source was opened; those beyond are new.
        asked: From where on a part of the past was asked for, as text; empty where none was.
    """

    start: str | int | datetime
    group: str
    resumes: bool
    known: Mapping[str, int]
    asked: str = ""


ASKED = "asked"
"""The key of a position's detail that says from where on a part of the past was asked for."""


def partition_name(place: Place) -> str:
    """What the engine calls a partition."""
    return f"kafka:{place[0]}/{place[1]}"


class Question:
    """Asks the brokers about some partitions, without waiting, and then says where each of them begins.

    Args:
        cluster: An open one.
        rules: What is the same for all.
        places: The partitions.
        positions: Where the sinks stand.
    """

    def __init__(self, cluster: Cluster, rules: StartRules, places: Iterable[Place], positions: Positions) -> None:
        self.places = tuple(places)
        self._cluster = cluster
        self._rules = rules
        self._positions = positions
        self._not_before = 0.0
        self._told = False
        self._ask()

    def _ask(self) -> None:
        rules = self._rules
        points = [TopicPartition(*place) for place in self.places]
        topics = sorted({topic for topic, _ in self.places})
        self._topics = ask(self._cluster, topics)
        self._low = self._offsets(points, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        self._high = self._offsets(points, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        self._timed: dict[TopicPartition, Future[Any]] = {}
        if isinstance(rules.start, datetime):
            self._timed = self._offsets(points, OffsetSpec.for_timestamp(int(rules.start.timestamp() * 1000)))
        self._group: Future[Committed | None] | None = None
        if rules.group and any(partition_name(place) not in self._positions for place in self.places):
            noted = {(topic, number) for topic in topics for number in range(rules.known.get(topic, 0))}
            self._group = ask_group(self._cluster, rules.group, sorted(noted.union(self.places)))

    def _offsets(self, points: list[TopicPartition], spec: OffsetSpec) -> dict[TopicPartition, Future[Any]]:
        futures: dict[TopicPartition, Future[Any]] = self._cluster.admin.list_offsets(
            dict.fromkeys(points, spec), isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=PATIENCE
        )
        return futures

    def answer(self) -> dict[Place, Beginning] | None:
        """Where each partition begins, or None while the brokers have not answered. Never waits.

        Raises:
            FatalError: A position is gone, or the brokers refuse to tell.
        """
        if time.monotonic() < self._not_before:
            return None
        futures = [*self._topics.values(), *self._low.values(), *self._high.values(), *self._timed.values()]
        futures += [self._group] if self._group is not None else []
        self._cluster.admin.poll(0)
        self._cluster.watch.check()
        if not all(future.done() for future in futures):
            return None
        try:
            return self._decide()
        except RetryableError as error:
            if not self._told:
                log.warning("%s; it is asked again and again", error.message)
            self._told = True
            self._not_before = time.monotonic() + AGAIN
            self._ask()
            return None

    def _decide(self) -> dict[Place, Beginning]:
        topics = described(self._topics)
        low, high, timed = _numbers(self._low), _numbers(self._high), _numbers(self._timed)
        notes = self._notes()
        beginnings: dict[Place, Beginning] = {}
        for place in self.places:
            topic = topics.get(place[0])
            if topic is None:
                raise FatalError(f"topic {place[0]} does not exist any more at {self._cluster.where}", hint=_GONE)
            bounds = low[place], high[place]
            position = self._positions.get(partition_name(place))
            if position is not None:
                self._same(place, position, topic)
                beginnings[place] = Beginning(_within(place, position.offset, bounds), topic)
            else:
                beginnings[place] = self._start(place, topic, bounds, timed.get(place, -1), notes)
        return beginnings

    def _start(self, place: Place, topic: Topic, bounds: tuple[int, int], timed: int, notes: dict[Place, Note]) -> Beginning:
        low, high = bounds
        rules, noted = self._rules, notes.get(place)
        if rules.resumes and noted is not None:
            return Beginning(_within(place, noted.offset, bounds), topic)
        if rules.start == "earliest":
            return Beginning(low, topic)
        if isinstance(rules.start, int):
            return Beginning(min(max(rules.start, low), high), topic)
        if noted is not None and noted.start is not None:
            return Beginning(_within(place, noted.start, bounds), topic)
        seen = [one.known for (name, _), one in notes.items() if name == place[0]]
        if place[1] >= rules.known.get(place[0], 0) or 0 < max(seen, default=0) <= place[1]:
            return Beginning(low, topic, noted=True)  # It was added while this pipeline existed.
        return Beginning(timed if timed >= 0 else high, topic, noted=True)

    def _same(self, place: Place, position: Position, topic: Topic) -> None:
        """The position is of this cluster and of this topic, and not of another one under the same name."""
        cluster = position.detail.get("cluster")
        if cluster and self._cluster.id and cluster != self._cluster.id:
            raise FatalError(
                f"{partition_name(place)} stands at offset {position.offset:,} of another cluster: {cluster}, and {self._cluster.where} "
                f"is {self._cluster.id}",
                hint="Offsets mean nothing there. Correct `brokers`, or give the pipeline another name, so that it begins anew.",
            )
        before = position.detail.get(ASKED)
        if before is not None and self._rules.asked and before != self._rules.asked:
            raise FatalError(
                f"{partition_name(place)} was read from {before} on under this name, and is asked for from {self._rules.asked} on",
                hint="What was read would be left out. Use another name: --as NAME.",
            )
        known = position.detail.get("topic_id")
        if known and topic.id and known != topic.id:
            raise recreated(place, position.offset)

    def _notes(self) -> dict[Place, Note]:
        """The group's offsets."""
        if self._group is None:
            return {}
        found = self._group.result(timeout=0)
        if found is None:
            raise RetryableError(f"cannot read the offsets of group {self._rules.group}: {self._cluster.where} did not answer")
        return {place: read_note(offset, metadata) for place, (offset, metadata) in found.items()}


_GONE = "To read it from its beginning, give the pipeline another name (or `ddpm run --as NAME`)."


def recreated(place: Place, offset: int) -> FatalError:
    """The error of a topic that is not the one that was read."""
    return FatalError(
        f"{partition_name(place)} stands at offset {offset:,} of a topic that was deleted; the one of that name now is another",
        hint=_GONE,
    )


def gone(place: Place, offset: int, low: int, high: int) -> FatalError:
    """The error of an offset that the log does not hold."""
    if offset < low:
        lost = (
            "1 message was deleted before it was read"
            if low - offset == 1
            else f"{low - offset:,} messages were deleted before they were read"
        )
        return FatalError(
            f"{partition_name(place)} stands at offset {offset:,}, and its log now begins at {low:,}: {lost}",
            hint="The topic's retention is shorter than the pipeline was away. " + _GONE,
        )
    return FatalError(
        f"{partition_name(place)} stands at offset {offset:,}, and its log ends at {high:,}: messages that had been read are not there "
        "any more",
        hint="The topic was created again, or the brokers lost data. " + _GONE,
    )


def _within(place: Place, offset: int, bounds: tuple[int, int]) -> int:
    if not bounds[0] <= offset <= bounds[1]:
        raise gone(place, offset, *bounds)
    return offset


def _numbers(futures: Mapping[TopicPartition, Future[Any]]) -> dict[Place, int]:
    """What `list_offsets` answered; -1 where there is none (no message at or after a time).

    Raises:
        RetryableError: Some are not known now. Brokers that come back answer without an error and without an offset (measured, 2.16).
    """
    found: dict[Place, int] = {}
    for point, future in futures.items():
        try:
            offset = future.result(timeout=0).offset
            if offset < -1:
                raise RetryableError(f"the brokers do not know the offsets of {partition_name((point.topic, point.partition))} now")
            found[point.topic, point.partition] = offset
        except KafkaException as error:
            raise of_kafka(error, f"cannot ask for the offsets of {partition_name((point.topic, point.partition))}") from None
    return found
