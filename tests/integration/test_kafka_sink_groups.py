"""The sink `kafka` whose source is on the same cluster: its positions are the group's offsets, inside its transactions."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from ddpm_core import Batch, BuildContext, FencedError, Position, RetryableError, Sink
from ddpm_core.testing.sink_target import installed_format, some_rows
from ddpm_kafka.connection import OFFSETS_KEPT, SharedKafka
from ddpm_kafka.connection_options import ConnectionOptions
from ddpm_kafka.sink import KafkaSink, build
from ddpm_kafka.sink_options import KafkaSinkOptions
from tests.kafka import SECONDS, KafkaBroker
from tests.kafka_groups import GroupView, committed_values

Make = Callable[..., Sink]


class Group:
    """A consumer group on a topic of two partitions, and sinks of a pipeline that reads it."""

    def __init__(self, broker: KafkaBroker) -> None:
        self.broker = broker
        self.name = f"group-{uuid.uuid4().hex[:12]}"
        self.source = broker.create_topic(f"source-{uuid.uuid4().hex[:12]}", partitions=2)
        self.target = broker.create_topic(f"target-{uuid.uuid4().hex[:12]}")
        self.first, self.second = f"kafka:{self.source}/0", f"kafka:{self.source}/1"
        self._made: list[Any] = []

    def member(self) -> Consumer:
        """A member that has been given partitions."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.broker.bootstrap,
                "group.id": self.name,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": 45_000,  # A machine that stands still for some seconds costs no member its place.
            }
        )
        self._made.append(consumer)
        consumer.subscribe([self.source])
        until = time.monotonic() + SECONDS
        while not consumer.assignment():
            assert time.monotonic() < until, "the group gives the member no partition"
            for other in self._made:
                if isinstance(other, Consumer):
                    other.poll(0.05)
        return consumer

    def sink(
        self, member: Consumer | None, *, brokers: tuple[str, ...] = (), shared: dict[str, Any] | None = None, **options: Any
    ) -> KafkaSink:
        """A sink of the process that this member is in; None: of a bounded run."""
        connection = ConnectionOptions(brokers=brokers or (self.broker.bootstrap,))
        metadata = member.consumer_group_metadata if member is not None else lambda: None
        shared = {} if shared is None else shared
        shared["kafka"] = SharedKafka(connection, self.name, metadata, lambda: "")
        context = BuildContext(pipeline=self.name, output=installed_format, shared=shared)
        if member is not None:
            context = BuildContext(pipeline=self.name, output=installed_format, shared=shared, bounds=None)
        sink = build(KafkaSinkOptions(topic=self.target, **options), context)
        self._made.append(sink)
        sink.open()
        return sink

    def offsets(self) -> dict[int, tuple[int, str | None]]:
        with GroupView(self.broker, self.name, self.source) as group:
            return group.offsets()

    def ids(self) -> list[int]:
        return [json.loads(value)["id"] for value in committed_values(self.broker, self.target)]

    def close(self) -> None:
        for one in self._made:
            one.close()


@pytest.fixture
def group(kafka_broker: KafkaBroker) -> Iterator[Group]:
    made = Group(kafka_broker)
    yield made
    made.close()


def rows(start: int, stop: int) -> Batch:
    return Batch(some_rows(start, stop))


def test_positions_are_the_group_s_offsets_with_their_details(group: Group) -> None:
    shared: dict[str, Any] = {}
    sink = group.sink(group.member(), shared=shared)
    assert shared[OFFSETS_KEPT] is True
    assert sink.claim([group.first, group.second]) == {}
    sink.write(rows(0, 5))
    sink.commit({group.first: Position(5, {"cluster": "Ä", "rows": 5})}, [])
    sink.write(rows(5, 9))
    sink.rollback()
    assert group.offsets() == {0: (5, '{"cluster":"\\u00c4","rows":5}')}
    sink.close()
    sink.open()
    assert sink.claim([group.first, group.second]) == {group.first: Position(5, {"cluster": "Ä", "rows": 5})}
    assert group.ids() == [0, 1, 2, 3, 4]


def test_a_member_that_the_group_went_on_without_commits_nothing(group: Group) -> None:
    member = group.member()
    metadata = member.consumer_group_metadata()
    sink = group.sink(member)
    sink.claim([group.first])
    sink.write(rows(0, 5))
    object.__setattr__(sink._group._shared, "group_metadata", lambda: metadata)  # type: ignore[union-attr]
    group.member()
    member.poll(0.5)
    with pytest.raises(RetryableError, match=r"^the source's group takes no offsets from this member now: "):
        sink.commit({group.first: Position(5)}, [])
    sink.rollback()
    assert (group.offsets(), group.ids()) == ({}, [])


def test_what_a_frozen_member_had_begun_is_ended_when_its_partition_is_claimed(group: Group) -> None:
    member = group.member()
    frozen, successor = group.sink(member), group.sink(member)
    frozen.claim([group.first])
    frozen.write(rows(0, 5))
    frozen._outbox._producer.send_offsets_to_transaction(  # type: ignore[union-attr]
        [TopicPartition(group.source, 0, 5)], member.consumer_group_metadata(), 90
    )
    assert successor.claim([group.first]) == {}
    successor.write(rows(0, 5))
    successor.commit({group.first: Position(5)}, [])
    with pytest.raises(FencedError, match=f"^another ddpm process has taken over {group.first}$"):
        frozen.commit({group.first: Position(5)}, [])
    frozen.rollback()
    assert group.ids() == [0, 1, 2, 3, 4]


def test_a_bounded_run_takes_over_from_members_and_they_from_it(group: Group) -> None:
    member = group.member()
    live, bounded = group.sink(member), group.sink(None)
    live.claim([group.first, group.second])
    live.write(rows(0, 5))
    live.commit({group.first: Position(5)}, [])
    assert bounded.claim([group.first]) == {group.first: Position(5)}
    live.write(rows(5, 9))
    with pytest.raises(FencedError, match=f"^another ddpm process has taken over {group.first}$"):
        live.commit({group.first: Position(9), group.second: Position(1)}, [])
    live.rollback()
    live.write(rows(100, 101))
    live.commit({group.second: Position(1)}, [])
    bounded.write(rows(5, 9))
    bounded.commit({group.first: Position(9)}, [])
    assert live.claim([group.first]) == {group.first: Position(9)}
    bounded.write(rows(9, 10))
    with pytest.raises(FencedError):
        bounded.commit({group.first: Position(10)}, [])
    bounded.rollback()
    assert sorted(group.ids()) == [*range(9), 100]


def test_a_second_sink_keeps_its_positions_in_the_topic(group: Group) -> None:
    shared: dict[str, Any] = {}
    member = group.member()
    first, second = group.sink(member, shared=shared), group.sink(member, shared=shared)
    for sink in (first, second):
        sink.claim([group.first])
        sink.write(rows(0, 2))
    first.commit({group.first: Position(2)}, [])
    second.commit({group.first: Position(1)}, [])
    again = group.sink(member, shared={OFFSETS_KEPT: True, "kafka_sinks": [group.target]})
    assert again.claim([group.first]) == {group.first: Position(1)}
    assert group.offsets()[0][0] == 2


class Lossy:
    """A producer whose next COMMIT gets lost: on its way to the brokers, or on the way back."""

    def __init__(self, producer: Any, *, reply: bool) -> None:
        self._producer, self._reply = producer, reply

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def commit_transaction(self, seconds: float) -> None:
        if self._reply:
            self._producer.commit_transaction(90)
        raise KafkaException(KafkaError(KafkaError._TRANSPORT, "the connection broke off"))


@pytest.mark.parametrize("bounded", [True, False], ids=["bounded", "member"])
@pytest.mark.parametrize("reply", [True, False], ids=["reply lost", "commit lost"])
def test_a_commit_whose_outcome_is_unknown_is_found_out(group: Group, reply: bool, bounded: bool) -> None:
    """The engine rolls back, closes, opens and claims: that tells, whatever had become of the commit."""
    sink = group.sink(None if bounded else group.member())
    sink.claim([group.first])
    for start in range(0, 15, 3):
        sink.write(rows(start, start + 3))
        sink._outbox._producer = Lossy(sink._outbox._producer, reply=reply)  # type: ignore[assignment]
        with pytest.raises(RetryableError, match=r"^cannot commit to Kafka at .*: the connection broke off$"):
            sink.commit({group.first: Position(start + 3)}, [])
        sink.rollback()
        sink.close()
        sink.open()
        known = sink.claim([group.first])
        assert (known[group.first].offset if known else 0) == (start + 3 if reply else start)
        if not reply:
            sink.write(rows(start, start + 3))
            sink.commit({group.first: Position(start + 3)}, [])
    assert group.ids() == list(range(15))
