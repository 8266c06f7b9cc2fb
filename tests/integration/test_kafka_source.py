"""The source `kafka` against a real broker: every message once, from wherever the sinks stand, and a named error where that is gone."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import NewPartitions

from ddpm_core import (
    Assigned,
    BuildContext,
    ConfigError,
    EndOfSource,
    FatalError,
    Item,
    Messages,
    Position,
    Positions,
    ReadBounds,
    RetryableError,
)
from ddpm_core.collector import few_passes
from ddpm_core.services.java import find_java
from ddpm_core.services.kafka_broker import KafkaBroker as OwnBroker
from ddpm_core.services.kafka_jars import find_jars
from ddpm_core.services.ports import free_port
from ddpm_core.testing import SourceConformance
from ddpm_core.testing.source_bench import Content, SourceCapabilities
from ddpm_kafka import connection, source_leaving, source_offsets
from ddpm_kafka.connection import OFFSETS_KEPT
from ddpm_kafka.source import KafkaSource
from ddpm_kafka.source_options import KafkaSourceOptions
from tests.kafka import KafkaBroker, freeze
from tests.kafka_groups import GroupView, until_decided
from tests.services import ServiceUnavailableError

ENDLESS: Mapping[str, Any] = {"bounds": None}


class Reader:
    """What the engine does with a source, in the caller's thread: it answers `Assigned` with what is known, and keeps what comes."""

    def __init__(
        self,
        broker: KafkaBroker,
        topic: str,
        known: Positions | None = None,
        *,
        context: Mapping[str, Any] = ENDLESS,
        **options: Any,
    ):
        self.known: Positions = {} if known is None else known
        self.got: list[tuple[str, int, bytes | None]] = []
        self.pieces: list[Messages] = []
        self.ended = False
        self.assigned: list[str] = []
        made = KafkaSourceOptions.model_validate({"brokers": broker.bootstrap, "topics": topic, **options})
        self.source = KafkaSource(made, BuildContext(**{"pipeline": f"of-{topic}", **context}))

    def __enter__(self) -> Reader:
        self.source.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()

    def take(self, item: Item | None) -> None:
        match item:
            case Assigned(partitions):
                self.assigned += partitions
                # Not by going through `known`, which another member may add to at this moment.
                self.source.seek({name: self.known[name] for name in partitions if name in self.known})
            case Messages():
                self.pieces.append(item)
                self.got += zip(item.partitions, item.offsets, item.values, strict=True)
                self.known.update(item.next)
            case EndOfSource():
                self.ended = True

    @property
    def live(self) -> list[str]:
        """The partitions whose messages are handed out. From any thread."""
        return sorted(part.name for part in list(self.source._parts.by_name.values()) if part.live)

    def until(self, enough: Callable[[], bool], seconds: float = 120.0) -> Reader:
        """Read until this is so."""
        end = time.monotonic() + seconds
        while not enough():
            assert time.monotonic() < end, f"still not so after {seconds:.0f} s; {len(self.got)} messages came"
            assert not self.ended, f"the source ended after {len(self.got)} messages"
            self.take(self.source.read(0.1))
        return self

    def messages(self, count: int) -> Reader:
        return self.until(lambda: len(self.got) >= count)

    def end(self) -> Reader:
        """Of a bounded run."""
        return self.until(lambda: self.ended)

    @property
    def values(self) -> list[bytes | None]:
        return [value for _, _, value in self.got]


def produce(broker: KafkaBroker, topic: str, values: Sequence[bytes | None], **more: Any) -> None:
    """Put these into the topic, as one batch if they are few."""
    failures: list[KafkaError] = []
    client = Producer(
        {
            "bootstrap.servers": broker.bootstrap,
            "queue.buffering.max.messages": 2_000_000,
            "linger.ms": 60_000,  # `flush` sends at once what is there.
            "delivery.report.only.error": True,
            "on_delivery": lambda error, _: failures.append(error),
        }
    )
    for value in values:
        client.produce(topic, value, **more)
    left = client.flush(120)
    assert (left, failures) == (0, [])


def numbered(count: int, start: int = 0) -> list[bytes | None]:
    return [b"%d" % number for number in range(start, start + count)]


def group_offsets(broker: KafkaBroker, topic: str) -> dict[int, int]:
    """Of the group of a pipeline that reads this topic."""
    with GroupView(broker, f"of-{topic}", topic) as group:
        return {partition: offset for partition, (offset, _) in group.offsets().items()}


def add_partitions(broker: KafkaBroker, topic: str, count: int) -> None:
    admin = broker.admin()
    admin.create_partitions([NewPartitions(topic, count)])[topic].result(90)
    broker.wait_for(topic, count)


def delete_below(broker: KafkaBroker, topic: str, offset: int) -> None:
    admin, point = broker.admin(), TopicPartition(topic, 0, offset)
    admin.delete_records([point])[point].result(90)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing waits for as long as brokers need to take the last offsets and the good-bye. In a user's hands it gives up after seconds."""
    monkeypatch.setattr(source_offsets, "PATIENCE", 60.0)
    monkeypatch.setattr(source_leaving, "GIVING_UP", 60.0)
    monkeypatch.setattr(source_leaving, "CLOSING", 60.0)


class TestKafkaSourceKeepsTheContract(SourceConformance):
    plugin = "ddpm_kafka.plugin"
    name = "kafka"
    capabilities = SourceCapabilities(ends=True, resumes=True)
    options: ClassVar[Mapping[str, Any]] = {"brokers": "localhost:9092", "topics": "events"}

    @pytest.fixture
    def content(self, kafka_broker: KafkaBroker, kafka_topic: str) -> Content:
        self.broker, self.topic = kafka_broker, kafka_topic
        values = [b"one", None, b"", b"four"]
        produce(kafka_broker, kafka_topic, values)
        return Content({"brokers": kafka_broker.bootstrap, "topics": kafka_topic}, messages=[values])

    def add_to(self, content: Content) -> Content:
        produce(self.broker, self.topic, [b"five"])
        return Content(content.options, messages=[[*content.messages[0], b"five"]])


def test_a_topic_that_is_not_there_is_a_config_error(kafka_broker: KafkaBroker) -> None:
    with pytest.raises(ConfigError) as raised:
        Reader(kafka_broker, "no-such-topic").source.open()
    assert str(raised.value) == (
        f"topic no-such-topic: Kafka at {kafka_broker.bootstrap} has no such topic\n"
        "Create it, correct its name, or set min_partitions so that it is created."
    )


@pytest.mark.parametrize("context", [ENDLESS, {}], ids=["endless", "bounded"])
def test_a_pattern_that_matches_no_topic_is_said(
    kafka_broker: KafkaBroker, context: Mapping[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with Reader(kafka_broker, "^nothing-like-it", context={"pipeline": "of-nothing", **context}) as reader:
        if context == {}:
            reader.end()
    said = [record.getMessage() for record in caplog.records if record.name == "ddpm.kafka.source"]
    assert said == [f"no topic of Kafka at {kafka_broker.bootstrap} matches ^nothing-like-it yet"]


def test_looking_makes_and_joins_nothing(kafka_broker: KafkaBroker, kafka_topic: str, caplog: pytest.LogCaptureFixture) -> None:
    missing = f"missing-{kafka_topic}"
    for topics, options in ((kafka_topic, {}), (f"{missing},{kafka_topic}", {"min_partitions": 3}), ("^nothing-like-it", {})):
        source = Reader(kafka_broker, topics, **options).source
        source.inspect()
        source.close()
    # What the client's library says of its connections depends on the moment.
    assert [record.getMessage() for record in caplog.records if record.name == "ddpm.kafka.topics"] == [
        f"topic {missing} does not exist at Kafka at {kafka_broker.bootstrap} yet: a run creates it, with 3 partitions",
        f"topic {kafka_topic} has too few partitions, 1: a run adds some, up to 3",
        f"no topic of Kafka at {kafka_broker.bootstrap} matches ^nothing-like-it yet",
    ]
    with pytest.raises(ConfigError, match=f"^topic {missing}: Kafka at {kafka_broker.bootstrap} has no such topic"):
        Reader(kafka_broker, missing).source.inspect()
    admin = kafka_broker.admin()  # It has to live until its answer is there.
    known = admin.list_topics(timeout=60).topics
    assert missing not in known
    assert len(known[kafka_topic].partitions) == 1
    groups = admin.list_consumer_groups().result(90).valid
    assert f"of-{kafka_topic}" not in {group.group_id for group in groups}


def test_topics_are_created_and_grown_to_min_partitions(kafka_broker: KafkaBroker) -> None:
    topic = f"made-{time.time_ns()}"
    for count in (2, 5, 3):
        with Reader(kafka_broker, topic, min_partitions=count, replication=1):
            pass
        assert len(kafka_broker.admin().list_topics(topic, timeout=60).topics[topic].partitions) == max(2, 5 if count != 2 else 2)
    kafka_broker.delete_topic(topic)


def test_keys_headers_times_and_tombstones_come_as_they_are(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    headers = [("h", b"1"), ("h", None), ("\u017c", b"\xff")]
    produce(kafka_broker, kafka_topic, [None], key=b"k", headers=headers, timestamp=1_700_000_000_123)
    produce(kafka_broker, kafka_topic, [b""])
    with Reader(kafka_broker, kafka_topic, metadata="key,headers,timestamp", context={}) as reader:
        reader.end()
    assert reader.got == [(f"kafka:{kafka_topic}/0", 0, None), (f"kafka:{kafka_topic}/0", 1, b"")]
    assert [key for piece in reader.pieces for key in piece.keys or ()] == [b"k", None]
    assert [found for piece in reader.pieces for found in piece.headers or ()] == [headers, None]
    assert next(when for piece in reader.pieces for when in piece.timestamps or ()) == 1_700_000_000_123
    with Reader(kafka_broker, kafka_topic, metadata="", context={}) as bare:
        bare.end()
    assert (bare.pieces[0].keys, bare.pieces[0].headers, bare.pieces[0].timestamps) == (None, None, None)


def test_an_empty_topic_is_waited_at_or_ends(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    with Reader(kafka_broker, kafka_topic, context={}) as bounded:
        assert bounded.end().got == []
    with Reader(kafka_broker, kafka_topic) as endless:
        endless.until(lambda: bool(endless.live))
        produce(kafka_broker, kafka_topic, [b"late"])
        assert endless.messages(1).values == [b"late"]


def test_a_bounded_run_ends_behind_markers_of_transactions_and_what_was_taken_back(
    kafka_broker: KafkaBroker, kafka_topic: str
) -> None:
    client = Producer({"bootstrap.servers": kafka_broker.bootstrap, "transactional.id": f"of-{kafka_topic}"})
    client.init_transactions(90)
    for values, fine in (([b"a", b"b"], True), ([b"x", b"y"], False)):
        client.begin_transaction()
        for value in values:
            client.produce(kafka_topic, value)
        assert client.flush(90) == 0
        client.commit_transaction(90) if fine else client.abort_transaction(90)
    until_decided(kafka_broker, kafka_topic)
    name = f"kafka:{kafka_topic}/0"
    with Reader(kafka_broker, kafka_topic, context={}) as reader:
        assert reader.end().values == [b"a", b"b"]
    assert reader.known[name].offset == 6  # Two messages, a marker, two that were taken back, a marker.
    client.begin_transaction()
    client.produce(kafka_topic, b"open")
    assert client.flush(90) == 0
    with Reader(kafka_broker, kafka_topic, reader.known, context={}) as again:
        assert again.end().values == []  # What is not decided yet is for a later run.
    client.commit_transaction(90)
    until_decided(kafka_broker, kafka_topic)
    with Reader(kafka_broker, kafka_topic, reader.known, context={}) as later:
        assert later.end().values == [b"open"]


def test_bounds_are_offsets_or_times(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    for number in range(6):
        produce(kafka_broker, kafka_topic, [b"%d" % number], timestamp=1_700_000_000_000 + number * 1000)
    moment = [datetime.fromtimestamp(1_700_000_000 + number, UTC) for number in range(6)]

    def read(start: int | datetime | None, end: int | datetime | None) -> bytes:
        with Reader(kafka_broker, kafka_topic, context={"bounds": ReadBounds(start, end)}) as reader:
            return b"".join(value or b"" for value in reader.end().values)

    assert [read(None, 2), read(2, 4), read(4, None), read(4, 99), read(99, None)] == [b"01", b"23", b"45", b"45", b""]
    assert [read(moment[1], moment[3]), read(None, moment[0]), read(moment[5], None)] == [b"12", b"", b"5"]
    assert group_offsets(kafka_broker, kafka_topic) == {}, "a part of the past is no place to go on from"


def test_workers_of_a_bounded_run_share_the_partitions(kafka_broker: KafkaBroker) -> None:
    topic = kafka_broker.create_topic(partitions=5)
    for partition in range(5):
        produce(kafka_broker, topic, numbered(10, partition * 10), partition=partition)
    seen: list[bytes | None] = []
    for worker in range(2):
        with Reader(kafka_broker, topic, context={"worker": worker, "workers": 2}) as reader:
            seen += reader.end().values
            assert len(reader.assigned) == 3 - worker
    assert sorted(seen, key=lambda value: int(value or b"")) == numbered(50)


def test_a_bounded_run_refuses_beside_the_live_pipeline(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    with Reader(kafka_broker, kafka_topic) as live:
        live.until(lambda: bool(live.assigned))
        with pytest.raises(FatalError) as raised:
            Reader(kafka_broker, kafka_topic, context={}).source.open()
        assert str(raised.value) == (
            f"group of-{kafka_topic} has 1 active member: pipeline of-{kafka_topic} runs now, and both would take the same messages\n"
            "Stop it first, or run this one beside it under a name of its own: --as NAME."
        )
        with Reader(kafka_broker, kafka_topic, group=f"of-{kafka_topic}", context={"pipeline": "beside"}) as beside:
            beside.end()


@pytest.mark.usefixtures("patient")
def test_without_positions_at_a_sink_the_group_is_where_the_next_run_goes_on(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    context = {"positions_kept": False}
    for round_, endless in enumerate((True, False, True)):
        produce(kafka_broker, kafka_topic, numbered(100, round_ * 100))
        with Reader(kafka_broker, kafka_topic, context={**context, **(ENDLESS if endless else {})}) as reader:
            reader.messages(100)
            assert reader.values == numbered(100, round_ * 100)
            reader.source.commit(dict(reader.known))
    assert group_offsets(kafka_broker, kafka_topic) == {0: 300}


@pytest.mark.usefixtures("patient")
def test_the_gauge_never_moves_a_source_whose_sink_keeps_positions(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    produce(kafka_broker, kafka_topic, numbered(10))
    with Reader(kafka_broker, kafka_topic) as reader:
        reader.messages(10).source.commit(dict(reader.known))
    assert group_offsets(kafka_broker, kafka_topic) == {0: 10}
    with Reader(kafka_broker, kafka_topic, {f"kafka:{kafka_topic}/0": Position(4)}) as again:
        assert again.messages(6).values == numbered(6, 4)
    with Reader(kafka_broker, kafka_topic) as anew:
        assert anew.messages(10).values == numbered(10)


def test_a_sink_learns_who_we_are_in_the_group_though_the_source_does_nothing_but_wait(
    kafka_broker: KafkaBroker, kafka_topic: str
) -> None:
    """The library lets one thread at a time use a consumer, and a thread that polls again and again keeps all others out."""
    shared: dict[str, Any] = {OFFSETS_KEPT: True}
    with Reader(kafka_broker, kafka_topic, context={**ENDLESS, "shared": shared}) as reader:
        assert shared["kafka"].group_metadata() is None
        reader.until(lambda: bool(reader.live))
        found: list[object] = []
        sink = threading.Thread(target=lambda: found.extend(shared["kafka"].group_metadata() for _ in range(100)), daemon=True)
        sink.start()
        for _ in range(30):  # Who is kept out by each of them has had 30 answers by then.
            reader.source.read(0.3)
            if not sink.is_alive():
                break
        assert len(found) == 100
        assert None not in found
    assert shared["kafka"].group_metadata() is None


def test_offsets_that_a_sink_keeps_are_left_alone(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    shared: dict[str, Any] = {}
    produce(kafka_broker, kafka_topic, numbered(10))
    with Reader(kafka_broker, kafka_topic, context={**ENDLESS, "shared": shared}) as reader:
        reader.messages(10)
        reader.source.commit(dict(reader.known))
        shared[OFFSETS_KEPT] = True  # What is due by now is not committed either.
        reader.source.commit(dict(reader.known))
        produce(kafka_broker, kafka_topic, numbered(1, 10))
        detail = reader.messages(11).known[f"kafka:{kafka_topic}/0"].detail
    assert group_offsets(kafka_broker, kafka_topic) == {}
    assert detail["start"] == 10, "every sink has what is before"


@pytest.mark.usefixtures("patient")
def test_where_a_pipeline_began_at_the_end_is_for_the_sink_to_remember_that_keeps_the_offsets(kafka_broker: KafkaBroker) -> None:
    """Nothing came: a position all the same. One of two sinks knows none: it gets all that came since."""
    topic = kafka_broker.create_topic(partitions=2)
    context = {**ENDLESS, "shared": {OFFSETS_KEPT: True}}
    produce(kafka_broker, topic, numbered(10), partition=0)
    with Reader(kafka_broker, topic, start="latest", context=context) as first:
        first.until(lambda: len(first.known) == 2)
        assert first.got == []
    assert {name: at.offset for name, at in first.known.items()} == {f"kafka:{topic}/0": 10, f"kafka:{topic}/1": 0}
    admin = kafka_broker.admin()
    kept = [TopicPartition(topic, n, at, json.dumps(dict(first.known[f"kafka:{topic}/{n}"].detail))) for n, at in ((0, 12), (1, 0))]
    group = f"of-{topic}"
    taken = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, kept)])[group].result(90)
    assert [point.error for point in taken.topic_partitions] == [None, None]
    produce(kafka_broker, topic, numbered(5, 10), partition=0)
    add_partitions(kafka_broker, topic, 3)
    with Reader(kafka_broker, topic, start="latest", context=context) as ready:
        ready.until(lambda: len(ready.assigned) == 3)
        produce(kafka_broker, topic, [b"added"], partition=2)
        found = ready.messages(6).values
    assert sorted(value or b"" for value in found) == sorted([*(b"%d" % n for n in range(10, 15)), b"added"])
    kafka_broker.delete_topic(topic)


@pytest.mark.usefixtures("patient")
def test_a_sink_that_is_added_does_not_make_a_pipeline_skip_what_is_on_its_way(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    with Reader(kafka_broker, kafka_topic, start="latest") as reader:
        reader.until(lambda: bool(reader.live))
        produce(kafka_broker, kafka_topic, numbered(10))
        reader.messages(10).source.commit(dict(reader.known))
    produce(kafka_broker, kafka_topic, numbered(5, 10))
    with Reader(kafka_broker, kafka_topic, start="latest") as with_one_more:
        assert with_one_more.messages(5).values == numbered(5, 10)


def test_a_paused_partition_goes_on_at_once_where_it_stood(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    produce(kafka_broker, kafka_topic, numbered(200_000))
    waits = []
    with Reader(kafka_broker, kafka_topic) as reader:
        reader.messages(100)
        for _ in range(15):
            count = len(reader.got)
            reader.source.pause(reader.assigned)
            for _ in range(5):
                assert reader.source.read(0.02) is None
            reader.source.resume(reader.assigned)
            began = time.monotonic()
            reader.messages(count + 1)
            waits.append(time.monotonic() - began)
        assert reader.messages(200_000).values == numbered(200_000)
    # The client's own resume takes a second in most rounds, ours in none; a machine that stands still in some does not count.
    assert sum(wait > 0.7 for wait in waits) <= 3, waits


def test_partitions_handed_out_again_begin_where_the_answer_says(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    produce(kafka_broker, kafka_topic, numbered(10))
    name = f"kafka:{kafka_topic}/0"
    with Reader(kafka_broker, kafka_topic) as reader:
        reader.messages(10)
        reader.known[name] = Position(7)
        reader.source.reassign([name])
        reader.messages(13)
    assert reader.assigned == [name, name]
    assert reader.values == numbered(10) + numbered(3, 7)


@pytest.mark.usefixtures("patient")
def test_latest_is_remembered_though_nothing_came(kafka_broker: KafkaBroker) -> None:
    """A pipeline that began at the end and was stopped before a message came gets what came while it was away."""
    topic = kafka_broker.create_topic(partitions=2)
    produce(kafka_broker, topic, numbered(10), partition=0)
    with Reader(kafka_broker, topic, start="latest") as first:
        first.until(lambda: len(first.live) == 2)
        assert first.got == []
    produce(kafka_broker, topic, [b"while away"], partition=1)
    add_partitions(kafka_broker, topic, 3)
    with Reader(kafka_broker, topic, start="latest") as ready:
        ready.until(lambda: len(ready.assigned) == 3)
        produce(kafka_broker, topic, [b"added"], partition=2)
        assert sorted(value or b"" for value in ready.messages(2).values) == [b"added", b"while away"]


def test_partitions_added_while_running_are_read_from_their_beginning(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    produce(kafka_broker, kafka_topic, [b"old"])
    with Reader(kafka_broker, kafka_topic, start="latest", client={"topic.metadata.refresh.interval.ms": 500}) as reader:
        reader.until(lambda: bool(reader.live))
        add_partitions(kafka_broker, kafka_topic, 2)
        produce(kafka_broker, kafka_topic, [b"before it was seen"], partition=1)
        assert reader.messages(1).values == [b"before it was seen"]


def test_topics_that_match_later_are_read_too(kafka_broker: KafkaBroker) -> None:
    stem = f"many-{time.time_ns()}"
    first = kafka_broker.create_topic(f"{stem}-a")
    produce(kafka_broker, first, [b"a"])
    with Reader(kafka_broker, f"^{stem}-.*", client={"topic.metadata.refresh.interval.ms": 500}) as reader:
        reader.messages(1)
        second = kafka_broker.create_topic(f"{stem}-b", partitions=2)
        produce(kafka_broker, second, [b"b"], partition=1)
        assert reader.messages(2).values == [b"a", b"b"]
    assert [partition for partition, _, _ in reader.got] == [f"kafka:{first}/0", f"kafka:{second}/1"]


# Positions that are gone.


def stopped(reader: Reader) -> str:
    with reader, pytest.raises(FatalError) as raised:
        reader.until(lambda: False)
    assert reader.got == []
    return str(raised.value).splitlines()[0]


def test_retention_that_overtook_us_is_a_named_error(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    produce(kafka_broker, kafka_topic, numbered(100))
    delete_below(kafka_broker, kafka_topic, 60)
    name = f"kafka:{kafka_topic}/0"
    assert stopped(Reader(kafka_broker, kafka_topic, {name: Position(40)})) == (
        f"{name} stands at offset 40, and its log now begins at 60: 20 messages were deleted before they were read"
    )
    with Reader(kafka_broker, kafka_topic, {name: Position(60)}, context={}) as fine:
        assert fine.end().values == numbered(40, 60)


def test_retention_that_overtakes_us_while_reading_is_a_named_error(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    produce(kafka_broker, kafka_topic, numbered(20_000))
    name = f"kafka:{kafka_topic}/0"
    with Reader(kafka_broker, kafka_topic) as reader:
        reader.messages(16)
        reader.source.pause([name])
        delete_below(kafka_broker, kafka_topic, 15_000)
        reader.source.resume([name])
        with pytest.raises(FatalError, match=rf"^{name} stands at offset \d[\d,]*, which its log does not hold any more: "):
            reader.until(lambda: False)
    assert reader.values == numbered(len(reader.got))


def test_a_position_beyond_the_end_is_a_named_error(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    name = f"kafka:{kafka_topic}/0"
    assert stopped(Reader(kafka_broker, kafka_topic, {name: Position(5)})) == (
        f"{name} stands at offset 5, and its log ends at 0: messages that had been read are not there any more"
    )


def test_another_cluster_is_a_named_error(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    produce(kafka_broker, kafka_topic, numbered(9))
    name = f"kafka:{kafka_topic}/0"
    said = stopped(Reader(kafka_broker, kafka_topic, {name: Position(5, {"cluster": "other"})}))
    assert said.startswith(f"{name} stands at offset 5 of another cluster: other, and Kafka at {kafka_broker.bootstrap} is ")


def test_a_topic_that_was_created_again_is_a_named_error_at_the_start_and_while_reading(
    kafka_broker: KafkaBroker, kafka_topic: str
) -> None:
    produce(kafka_broker, kafka_topic, numbered(10))
    with Reader(kafka_broker, kafka_topic) as reader:
        reader.messages(10)
        kafka_broker.delete_topic(kafka_topic)
        kafka_broker.create_topic(kafka_topic)
        with pytest.raises(FatalError) as raised:
            reader.until(lambda: False)
    expected = f"kafka:{kafka_topic}/0 stands at offset 10 of a topic that was deleted; the one of that name now is another"
    assert str(raised.value).splitlines()[0] == expected
    produce(kafka_broker, kafka_topic, numbered(20))
    assert stopped(Reader(kafka_broker, kafka_topic, reader.known)) == expected


def test_a_damaged_batch_is_a_named_error_and_nothing_behind_it_is_read(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    if not kafka_broker.managed or kafka_broker._own is None:
        pytest.skip("the broker's disk is not ours")
    ends = []
    for batch in range(3):
        produce(kafka_broker, kafka_topic, numbered(10, batch * 10))
        (log,) = Path(kafka_broker._own.folder).rglob(f"{kafka_topic}-0/00000000000000000000.log")
        ends.append(log.stat().st_size)
    with log.open("r+b") as file:
        file.seek(ends[1] - 5)
        byte = file.read(1)
        file.seek(ends[1] - 5)
        file.write(bytes([byte[0] ^ 0xFF]))
    name = f"kafka:{kafka_topic}/0"
    reader = Reader(kafka_broker, kafka_topic)
    with reader, pytest.raises(FatalError) as raised:
        reader.until(lambda: False)
    assert re.match(
        rf"{name} holds messages that are damaged, at offset (0|10) or shortly after: .* failed CRC32C check", str(raised.value)
    ), raised.value
    assert str(raised.value).endswith("\nRestore the partition from a replica. Nothing of it was skipped.")
    assert reader.values in ([], numbered(10))
    with Reader(kafka_broker, kafka_topic, {name: Position(20)}, context={}) as behind:
        assert behind.end().values == numbered(10, 20)


# The group.

SURE = {"session.timeout.ms": 45_000}
"""A machine that stands still for some seconds costs no member its place."""


class Member(threading.Thread):
    """One process of a pipeline: all members share what the sink holds. A batch lands only if this member still has the partition."""

    def __init__(self, broker: KafkaBroker, topic: str, sink: Positions, landed: list[tuple[str, int]], **options: Any) -> None:
        super().__init__(daemon=True)
        self.reader = Reader(broker, topic, sink, **options)
        self.landed, self.stopping = landed, threading.Event()
        self.error: BaseException | None = None
        self.mine: set[str] = set()
        self.drained: list[str] = []
        self.reader.source.drain = self._drain
        self.reader.source.lost = self._drain

    def _drain(self, partitions: Sequence[str]) -> None:
        self.drained += partitions
        self.reader.source.commit({name: self.reader.known[name] for name in partitions if name in self.reader.known})
        self.mine -= set(partitions)

    def run(self) -> None:
        try:
            with self.reader:
                while not self.stopping.is_set():
                    item = self.reader.source.read(0.05)
                    if isinstance(item, Assigned):
                        self.mine |= set(item.partitions)
                    if isinstance(item, Messages):
                        assert set(item.partitions) <= self.mine, "messages of a partition that is another's"
                        self.landed += zip(item.partitions, item.offsets, strict=True)
                        self.reader.source.commit(item.next)
                    self.reader.take(item)
        except Exception as error:  # noqa: BLE001 - told by `stop`, in the test's own thread
            self.error = error

    def stop(self) -> None:
        self.stopping.set()
        self.join(120)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error


@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_members_come_and_go_and_every_message_lands_once_in_order(kafka_broker: KafkaBroker, protocol: str) -> None:
    topic = kafka_broker.create_topic(partitions=6)
    sink: Positions = {}
    landed: list[tuple[str, int]] = []
    client = Producer({"bootstrap.servers": kafka_broker.bootstrap})
    sent, done = itertools.count(), threading.Event()

    def keep_producing() -> None:
        while not done.is_set():
            for _ in range(200):
                client.produce(topic, b"x", partition=next(sent) % 6)
            client.flush(60)
            done.wait(0.01)

    producing = threading.Thread(target=keep_producing, daemon=True)
    producing.start()
    members: list[Member] = []

    def settled() -> bool:
        """All partitions have an owner, and each member has its share."""
        return sorted(len(m.reader.live) for m in members) == sorted(len(range(6)[n :: len(members)]) for n in range(len(members)))

    def wait_until(fine: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + 120
        while not fine():
            assert all(member.error is None for member in members), [member.error for member in members]
            assert time.monotonic() < end, what
            time.sleep(0.02)

    try:
        for step in ("join", "join", "join", "leave", "join", "leave", "leave"):
            if step == "join":
                members.append(Member(kafka_broker, topic, sink, landed, protocol=protocol, client=SURE))
                members[-1].start()
            else:
                members.pop(0).stop()
            wait_until(settled, f"after {step} the group does not settle: {[m.mine for m in members]}")
            before = len(landed)
            wait_until(lambda before=before: len(landed) > before + 1000, "nothing lands any more")  # type: ignore[misc]
    finally:
        done.set()
        producing.join(120)
    assert not producing.is_alive()
    total = next(sent)
    wait_until(lambda: len(landed) >= total, "messages are missing")
    for member in members:
        member.stop()
    assert len(landed) == total
    by_partition: dict[str, list[int]] = {}
    for name, offset in landed:
        by_partition.setdefault(name, []).append(offset)
    assert all(offsets == list(range(len(offsets))) for offsets in by_partition.values())
    assert {f"kafka:{topic}/{number}": at for number, at in group_offsets(kafka_broker, topic).items()} == {
        name: position.offset for name, position in sink.items()
    }
    kafka_broker.delete_topic(topic)


@pytest.mark.usefixtures("patient")
def test_a_named_instance_comes_back_without_moving_a_partition(kafka_broker: KafkaBroker) -> None:
    topic = kafka_broker.create_topic(partitions=4)
    sink: Positions = {}
    other = Member(kafka_broker, topic, sink, [], instance="other", client=SURE)
    other.start()
    with Reader(kafka_broker, topic, sink, instance="me", client=SURE) as first:
        first.until(lambda: len(first.live) == 2 and len(other.mine) == 2)
        held = first.live  # Who came first had all of them for a while.
    moves = len(other.drained), len(other.reader.assigned)
    began = time.monotonic()
    with Reader(kafka_broker, topic, sink, instance="me", client=SURE) as again:
        again.until(lambda: len(again.live) == 2)
        assert time.monotonic() - began < 30, "it waited until the group had given up the first one"
        assert (again.live, sorted(again.assigned)) == (held, held)
    assert (len(other.drained), len(other.reader.assigned)) == moves
    other.stop()
    kafka_broker.delete_topic(topic)


def test_a_second_process_of_the_same_instance_is_a_named_error(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    with Reader(kafka_broker, kafka_topic, instance="one") as first:
        first.until(lambda: bool(first.assigned))
        with Reader(kafka_broker, kafka_topic, instance="one") as second:
            second.until(lambda: bool(second.assigned))
            with pytest.raises(FatalError, match="Give each one a name of its own"):
                first.until(lambda: False)


# Brokers that are away, or that will not have us.


def test_a_broker_that_was_killed_costs_a_wait_and_nothing_else(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    if not kafka_broker.managed:
        pytest.skip("the broker is not ours to kill")
    produce(kafka_broker, kafka_topic, numbered(100))
    with Reader(kafka_broker, kafka_topic) as reader:
        reader.messages(100)
        kafka_broker.kill()
        try:
            for _ in range(10):
                assert reader.source.read(0.1) is None
            reader.source.commit(dict(reader.known))
        finally:
            kafka_broker.start()
        produce(kafka_broker, kafka_topic, numbered(100, 100))
        assert reader.messages(200).values == numbered(200)


def test_closing_takes_seconds_though_the_broker_does_not_answer(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    pid = kafka_broker.pid
    if pid is None:
        pytest.skip("the broker is not ours to stop")
    produce(kafka_broker, kafka_topic, numbered(10))
    reader = Reader(kafka_broker, kafka_topic)
    reader.source.open()
    reader.messages(10).source.commit(dict(reader.known))
    freeze(pid)
    try:
        began = time.monotonic()
        reader.source.close()
        assert time.monotonic() - began < 15, "the library's own close takes a minute; ours 6 seconds"
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def slow_to_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits out the whole time that a call may take is told by the clock from who does not."""
    monkeypatch.setattr(connection, "reach", partial(connection.reach, patience=90.0))


@pytest.mark.usefixtures("slow_to_give_up")
def test_brokers_that_are_not_there_are_worth_waiting_for() -> None:
    options = KafkaSourceOptions(brokers=("127.0.0.1:1",), topics=("t",))
    began = time.monotonic()
    with pytest.raises(RetryableError) as raised:
        KafkaSource(options, BuildContext()).open()
    assert str(raised.value) == (
        "cannot reach Kafka at 127.0.0.1:1: Connect to ipv4#127.0.0.1:1 failed: Connection refused\n"
        "Start the brokers, or correct `brokers`; with TLS or a login, see `security`."
    )
    assert time.monotonic() - began < 45


@pytest.fixture(scope="module")
def broker_with_login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A broker that asks for a password at a second address: that one, and the one that does not ask."""
    try:
        java, jars = find_java(), find_jars()
    except ServiceUnavailableError as error:
        pytest.skip(str(error))
    for attempt in range(3):
        folder = tmp_path_factory.mktemp("login")
        plain = free_port()
        login = free_port(but=(plain,))
        control = free_port(but=(plain, login))
        jaas = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="a" password="a" user_reader="right";'
        settings = {
            "listeners": f"PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{control},LOGIN://127.0.0.1:{login}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{plain},LOGIN://127.0.0.1:{login}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.login.plain.sasl.jaas.config": jaas,
        }
        broker = OwnBroker(folder, plain, control, java, jars, heap="256m", settings=settings)
        try:
            broker.start()
            break
        except ServiceUnavailableError:
            if attempt == 2:  # Another process may take a port between its choice and its use, but not three times.
                raise
    yield f"127.0.0.1:{login}", f"127.0.0.1:{plain}"
    broker.kill()


@pytest.mark.usefixtures("slow_to_give_up")
def test_a_wrong_password_is_said_at_once_and_never_printed(
    broker_with_login: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    login, plain = broker_with_login
    KafkaBroker(plain, "the same one").create_topic("events")
    caplog.set_level("DEBUG")
    for password, fine in (("right", True), ("CANARY-%", False)):
        options = KafkaSourceOptions.model_validate(
            {
                "url": f"kafka://reader:{quote(password)}@{login}/events",
                "security": {"mechanism": "PLAIN", "insecure": True},
                "client": {"debug": "security,conf"},
            }
        )
        source = KafkaSource(options, BuildContext())
        began = time.monotonic()
        if fine:
            source.open()
        else:
            with pytest.raises(FatalError) as raised:
                source.open()
            assert time.monotonic() - began < 45, "it waited until the time was up"
            assert str(raised.value) == (
                f"cannot connect to Kafka at {login}: SASL authentication error: Authentication failed: Invalid username or "
                "password\nCheck security.mechanism, security.username and security.password."
            )
        source.close()
    assert "CANARY" not in caplog.text + repr(options) + str(raised.value)


# Speed.


def test_reading_keeps_up_with_the_client_itself(kafka_broker: KafkaBroker, record_property: Callable[[str, object], None]) -> None:
    """Columns cost less than half of what handing out bare messages does. The least of interleaved turns, which others disturb least."""
    topic = kafka_broker.create_topic(partitions=4)
    total = 300_000
    for partition in range(4):
        produce(kafka_broker, topic, [b"x" * 240] * (total // 4), partition=partition)

    def raw() -> float:
        client = Consumer({"bootstrap.servers": kafka_broker.bootstrap, "group.id": "raw", "fetch.queue.backoff.ms": 10,
                           "queued.min.messages": 200_000, "check.crcs": True, "fetch.wait.max.ms": 50})  # fmt: skip
        client.assign([TopicPartition(topic, number, 0) for number in range(4)])
        count, began = 0, 0.0
        until = time.monotonic() + 120
        while count < total:
            assert time.monotonic() < until, f"{count:,} messages came"
            first = client.poll(1)
            began = began or time.process_time()
            if first is not None:
                found: list[Message] = [first, *client.consume(9_999, 0)]
                count += len(list(map(Message.value, found)))
        spent = time.process_time() - began
        client.close()
        return spent

    def ours() -> float:
        with Reader(kafka_broker, topic, context={}, metadata="") as reader:
            count, began = 0, 0.0
            until = time.monotonic() + 120
            while count < total:
                assert time.monotonic() < until, f"{count:,} messages came"
                item = reader.source.read(1)
                if isinstance(item, Messages):
                    began = began or time.process_time()
                    count += len(item)
                elif isinstance(item, Assigned):
                    reader.take(item)
            return time.process_time() - began

    with few_passes():
        turns = [(raw(), ours()) for _ in range(5)]
    ratio = min(bare for bare, _ in turns) / min(own for _, own in turns)
    record_property("of the bare client's speed", ratio)
    print(f"the source reads at {ratio:.0%} of the bare client's speed")
    assert ratio > 0.5
    kafka_broker.delete_topic(topic)
