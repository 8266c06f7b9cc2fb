"""What every other Kafka test builds on, asked of the broker itself: a stand-in that keeps nothing on disk, or does not fence, fails here."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import OffsetSpec

from tests.kafka import SECONDS, KafkaBroker
from tests.kafka_groups import GroupView, committed_values


@pytest.fixture
def group(kafka_topic: str) -> str:
    """A group of this test's own."""
    return f"group-of-{kafka_topic}"


def consumer(broker: KafkaBroker, group: str, **settings: Any) -> Consumer:
    """A consumer that leaves everything to the test."""
    return Consumer(
        {
            "bootstrap.servers": broker.bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "session.timeout.ms": 45_000,
            "heartbeat.interval.ms": 500,
        }
        | settings
    )


def producer(broker: KafkaBroker, transactional_id: str) -> Producer:
    """A transactional producer that has begun; an older one of the same id is fenced by that."""
    made = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": transactional_id, "transaction.timeout.ms": 60_000})
    made.init_transactions(SECONDS)
    return made


def produce(broker: KafkaBroker, topic: str, *values: bytes) -> None:
    """Records that the broker has acknowledged."""
    plain = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all"})
    for value in values:
        plain.produce(topic, value)
    assert plain.flush(SECONDS) == 0


def test_an_aborted_transaction_is_invisible(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    writer = producer(kafka_broker, f"tx-{kafka_topic}")
    for value, end in (
        (b"first", writer.commit_transaction),
        (b"aborted", writer.abort_transaction),
        (b"last", writer.commit_transaction),
    ):
        writer.begin_transaction()
        writer.produce(kafka_topic, value)
        assert writer.flush(SECONDS) == 0  # It is in the log by now, so only its fate can hide it.
        end(SECONDS)
    assert committed_values(kafka_broker, kafka_topic) == [b"first", b"last"]


def test_a_fenced_producer_cannot_commit(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    zombie = producer(kafka_broker, f"tx-{kafka_topic}")
    zombie.begin_transaction()
    zombie.produce(kafka_topic, b"of the zombie")
    assert zombie.flush(SECONDS) == 0
    heir = producer(kafka_broker, f"tx-{kafka_topic}")
    with pytest.raises(KafkaException) as refused:
        zombie.commit_transaction(SECONDS)
    error = refused.value.args[0]
    assert (error.code(), error.fatal()) == (KafkaError._FENCED, True)
    heir.begin_transaction()
    heir.produce(kafka_topic, b"of the heir")
    heir.commit_transaction(SECONDS)
    assert committed_values(kafka_broker, kafka_topic) == [b"of the heir"]


def test_a_commit_with_an_old_generation_is_refused(kafka_broker: KafkaBroker, kafka_topic: str, group: str) -> None:
    """The offsets go through a transaction: it carries the generation that the consumer had, however long ago."""
    produce(kafka_broker, kafka_topic, b"0", b"1")
    with closing(consumer(kafka_broker, group)) as member, closing(consumer(kafka_broker, group)) as second:
        member.subscribe([kafka_topic])
        joined(member)
        old = member.consumer_group_metadata()
        heard: list[list[TopicPartition]] = []  # Perhaps of no partition, but of the next generation.
        second.subscribe([kafka_topic], on_assign=lambda _, partitions: heard.append(partitions))
        until = time.monotonic() + SECONDS
        while not heard:
            assert time.monotonic() < until, "the second member does not join"
            member.poll(0.1)
            second.poll(0.1)
        writer = producer(kafka_broker, f"tx-{kafka_topic}")
        writer.begin_transaction()
        with pytest.raises(KafkaException) as refused:
            writer.send_offsets_to_transaction([TopicPartition(kafka_topic, 0, 2)], old, SECONDS)
        assert refused.value.args[0].code() == KafkaError.ILLEGAL_GENERATION
        writer.abort_transaction(SECONDS)
    assert committed(kafka_broker, kafka_topic, group) is None


def test_offsets_and_log_survive_sigkill(kafka_broker: KafkaBroker, kafka_topic: str, group: str) -> None:
    if not kafka_broker.managed:
        pytest.skip("the broker is not ours to kill")
    writer = producer(kafka_broker, f"tx-{kafka_topic}")
    writer.begin_transaction()
    for value in (b"0", b"1", b"2"):
        writer.produce(kafka_topic, value)
    with closing(consumer(kafka_broker, group)) as member:
        member.subscribe([kafka_topic])
        joined(member)
        writer.send_offsets_to_transaction([TopicPartition(kafka_topic, 0, 2)], member.consumer_group_metadata(), SECONDS)
        writer.commit_transaction(SECONDS)
        kafka_broker.kill()
        kafka_broker.start()
    # A commit is final before its markers are in each log: until the broker that came back has written them, readers wait.
    assert committed_values(kafka_broker, kafka_topic) == [b"0", b"1", b"2"]
    assert committed(kafka_broker, kafka_topic, group) == 2


def test_deleted_records_are_out_of_range(kafka_broker: KafkaBroker, kafka_topic: str, group: str) -> None:
    produce(kafka_broker, kafka_topic, b"0", b"1", b"2")
    admin = kafka_broker.admin()
    kept_from = TopicPartition(kafka_topic, 0, 2)
    admin.delete_records([kept_from])[TopicPartition(kafka_topic, 0)].result(SECONDS)
    low = admin.list_offsets({TopicPartition(kafka_topic, 0): OffsetSpec.earliest()})[TopicPartition(kafka_topic, 0)].result(
        SECONDS
    )
    assert low.offset == 2
    with closing(consumer(kafka_broker, group, **{"auto.offset.reset": "error"})) as reader:
        reader.assign([TopicPartition(kafka_topic, 0, 0)])
        message = reader.poll(SECONDS)
        assert message is not None
        error = message.error()
        assert error is not None
        assert error.code() == KafkaError._AUTO_OFFSET_RESET
        assert "out of range" in error.str().casefold()


def joined(member: Consumer) -> None:
    """Wait until it has its partitions."""
    until = time.monotonic() + SECONDS
    while not member.assignment():
        assert time.monotonic() < until, "the group gives the member no partition"
        member.poll(0.1)


def committed(broker: KafkaBroker, topic: str, group: str) -> int | None:
    """The group's offset as the broker has it; None where it has none."""
    with GroupView(broker, group, topic) as view:
        return view.offsets().get(0, (None, None))[0]
