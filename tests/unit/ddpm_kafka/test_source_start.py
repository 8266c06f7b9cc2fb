"""Where partitions begin, decided from what brokers answer: answers made by hand, no broker."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from ddpm_core import FatalError, Position
from ddpm_kafka import source_start
from ddpm_kafka.connection import Watch
from ddpm_kafka.source_notes import note
from ddpm_kafka.source_start import Beginning, Question, StartRules

NAME = "kafka:t/0"
DETAIL = {"cluster": "c1", "topic_id": "id1"}
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def answered(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future


@dataclass
class Thing:
    """What a broker answers."""

    offset: int = 0
    topic_id: str = "id1"
    partitions: list[int] = field(default_factory=lambda: [0])


class Brokers:
    """An admin client and its cluster in one: a log from 100 to 200 in each partition of topic `t`, of which 150 came at noon."""

    def __init__(self, group: dict[int, tuple[int, str]] | None = None, *, partitions: int = 1, topic_id: str = "id1") -> None:
        self.id, self.where = "c1", "Kafka at h:1"
        self.watch, self.admin = Watch(self.where), self
        self.group = group or {}
        self.topic: Any = Thing(topic_id=topic_id, partitions=list(range(partitions)))
        self.timed = 150
        self.silent = 0
        self.asked: list[str] = []

    def poll(self, _: float) -> None: ...

    def describe_topics(self, _: Any, request_timeout: float) -> dict[str, Future[Any]]:
        return {"t": answered(self.topic)}

    def list_offsets(self, points: dict[TopicPartition, Any], **_: Any) -> dict[TopicPartition, Future[Any]]:
        if self.silent:
            self.silent -= 1
            return {point: answered(KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))) for point in points}
        at = {-2: 100, -1: 200}
        return {point: answered(Thing(offset=at.get(spec._value, self.timed))) for point, spec in points.items()}


@pytest.fixture(autouse=True)
def _no_broker_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask_group(brokers: Brokers, group: str, places: list[tuple[str, int]]) -> Future[Any]:
        brokers.asked.append(group)
        return answered({place: brokers.group[place[1]] for place in places if place[1] in brokers.group})

    monkeypatch.setattr(source_start, "ask_group", ask_group)


def begin(brokers: Brokers, place: int = 0, positions: Any = None, **rules: Any) -> Beginning:
    known = StartRules(**{"start": "earliest", "group": "g", "resumes": False, "known": {"t": 1}, **rules})
    question = Question(brokers, known, [("t", place)], positions or {})  # type: ignore[arg-type]
    deadline = time.monotonic() + 60
    while (answer := question.answer()) is None:
        assert time.monotonic() < deadline
    return answer["t", place]


def said(brokers: Brokers, **how: Any) -> str:
    with pytest.raises(FatalError) as caught:
        begin(brokers, **how)
    return caught.value.message


def at(found: Beginning) -> tuple[int, bool]:
    return found.offset, found.noted


def test_a_position_of_the_sinks_wins_over_everything() -> None:
    brokers = Brokers({0: (170, note(1))})
    found = begin(brokers, positions={NAME: Position(120, DETAIL)}, start="latest", resumes=True)
    assert at(found) == (120, False)
    assert brokers.asked == [], "nobody needs the group's offsets"


@pytest.mark.parametrize("offset", [100, 200])
def test_both_ends_of_the_log_are_places_to_go_on_from(offset: int) -> None:
    assert begin(Brokers(), positions={NAME: Position(offset)}).offset == offset


@pytest.mark.parametrize(
    ("position", "message"),
    [
        (Position(99), f"{NAME} stands at offset 99, and its log now begins at 100: 1 message was deleted before it was read"),
        (
            Position(201),
            f"{NAME} stands at offset 201, and its log ends at 200: messages that had been read are not there any more",
        ),
        (Position(150, {"cluster": "c2"}), f"{NAME} stands at offset 150 of another cluster: c2, and Kafka at h:1 is c1"),
        (
            Position(150, {**DETAIL, "topic_id": "id0"}),
            f"{NAME} stands at offset 150 of a topic that was deleted; the one of that name now is another",
        ),
    ],
)
def test_a_position_that_is_gone_stops(position: Position, message: str) -> None:
    assert said(Brokers(), positions={NAME: position}) == message


def test_a_topic_that_is_gone_stops() -> None:
    brokers = Brokers()
    brokers.topic = KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
    assert said(brokers) == "topic t does not exist any more at Kafka at h:1"


def test_brokers_that_give_no_ids_are_believed() -> None:
    assert begin(Brokers(topic_id="AAAAAAAAAAAAAAAAAAAAAA=="), positions={NAME: Position(150, DETAIL)}).offset == 150


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("earliest", (100, False)),
        ("latest", (200, True)),
        (NOON, (150, True)),
        (170, (170, False)),
        (7, (100, False)),
        (999, (200, False)),
    ],
)
def test_what_no_sink_has_seen_begins_at_start(start: Any, expected: tuple[int, bool]) -> None:
    assert at(begin(Brokers(), start=start)) == expected


def test_a_time_after_the_last_message_is_the_end() -> None:
    brokers = Brokers()
    brokers.timed = -1
    assert at(begin(brokers, start=NOON)) == (200, True)


@pytest.mark.parametrize("start", ["latest", NOON])
def test_where_every_sink_was_is_where_a_pipeline_goes_on_that_has_a_sink_more(start: Any) -> None:
    assert at(begin(Brokers({0: (130, note(1))}), start=start)) == (130, False)
    assert at(begin(Brokers({0: (180, '{"partitions":1,"start":140}')}), start=start)) == (140, False)
    assert at(begin(Brokers({0: (180, "another's")}), start="latest")) == (200, True)
    assert said(Brokers({0: (90, note(1))}), start=start).startswith(f"{NAME} stands at offset 90, and its log now begins at 100")


def test_earliest_is_the_beginning_whatever_the_group_says() -> None:
    assert at(begin(Brokers({0: (130, note(1))}))) == (100, False)


def test_the_group_is_the_position_where_no_sink_keeps_one() -> None:
    for metadata in (note(1), "", '{"start":140}'):
        assert at(begin(Brokers({0: (130, metadata)}), resumes=True)) == (130, False)
    assert at(begin(Brokers(), resumes=True)) == (100, False)
    assert said(Brokers({0: (99, "")}), resumes=True).startswith(f"{NAME} stands at offset 99")


@pytest.mark.parametrize("start", ["latest", NOON])
def test_partitions_that_were_added_are_read_from_their_beginning(start: Any) -> None:
    assert at(begin(Brokers(partitions=2), 1, start=start)) == (100, True), "added while it runs"
    known = {"known": {"t": 2}}
    assert at(begin(Brokers({0: (130, note(1))}, partitions=2), 1, start=start, **known)) == (100, True), "added while it was away"
    kept = Brokers({0: (130, '{"partitions":1,"start":130}')}, partitions=2)
    assert at(begin(kept, 1, start=start, **known)) == (100, True), "the same where a sink keeps the offsets"
    assert at(begin(Brokers({0: (130, note(2))}, partitions=2), 1, start="latest", **known)) == (200, True), (
        "it was there, and quiet"
    )


def test_a_part_of_the_past_asks_no_group() -> None:
    brokers = Brokers({0: (130, note(1))})
    assert begin(brokers, start=110, group="").offset == 110
    assert brokers.asked == []


def test_brokers_without_an_answer_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_start, "AGAIN", 0.0)
    brokers = Brokers()
    brokers.silent = 4
    assert begin(brokers).offset == 100
    assert brokers.silent == 0
