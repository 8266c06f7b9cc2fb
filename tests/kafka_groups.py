"""Where a consumer group stands, and what a topic holds, asked from outside. Not by the library's `list_consumer_group_offsets`: see `ddpm_kafka/group_offsets.py`."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from tests.kafka import SECONDS, KafkaBroker


class GroupView:
    """A group's offsets in a topic. Use as a context manager, or `close` it.

    Args:
        broker: Where it is.
        group: Its name.
        topic: The topic.
        decided: Wait for transactions that will move them.
    """

    def __init__(self, broker: KafkaBroker, group: str, topic: str, *, decided: bool = True) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": broker.bootstrap,
                "group.id": group,
                "enable.auto.commit": False,
                "isolation.level": "read_committed" if decided else "read_uncommitted",
                "enable.sparse.connections": False,
                "retry.backoff.max.ms": 100,
            }
        )
        self._topic = topic

    def __enter__(self) -> GroupView:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def offsets(self) -> dict[int, tuple[int, str | None]]:
        """Partition -> offset and metadata, for those that have one."""
        partitions = self._consumer.list_topics(self._topic, timeout=60).topics[self._topic].partitions
        found = self._committed([TopicPartition(self._topic, number) for number in partitions])
        assert all(one.error is None for one in found), found
        return {one.partition: (one.offset, one.metadata) for one in found if one.offset >= 0}

    def _committed(self, points: list[TopicPartition]) -> list[TopicPartition]:
        until = time.monotonic() + SECONDS
        while True:
            try:
                return self._consumer.committed(points, timeout=30)
            except KafkaException:  # A broker that has just come up.
                if time.monotonic() > until:
                    raise

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()


def until_decided(broker: KafkaBroker, topic: str) -> None:
    """Wait until no transaction in this topic is open. A commit is answered before readers see it: its markers are written a moment later."""
    admin, until = broker.admin(), time.monotonic() + SECONDS
    places = [TopicPartition(topic, number) for number in admin.list_topics(topic, timeout=60).topics[topic].partitions]

    def ends(isolation: IsolationLevel) -> list[int]:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = admin.list_offsets(dict.fromkeys(places, latest), isolation_level=isolation, request_timeout=60)
        return [asked[place].result(90).offset for place in places]

    while True:
        try:
            written, decided = ends(IsolationLevel.READ_UNCOMMITTED), ends(IsolationLevel.READ_COMMITTED)
            if all(0 <= end <= seen for end, seen in zip(written, decided, strict=True)):
                return
            state = f"decided up to {decided}, written up to {written}"
        except KafkaException as error:  # A partition that was made just now, or whose broker has just come up, has no leader.
            state = str(error)
        assert time.monotonic() < until, f"{topic} is not decided: {state}"
        time.sleep(0.01)  # Another process works; only its answers tell how far it is.


def messages_of(broker: KafkaBroker, topic: str, *, decided: bool = True) -> list[Message]:
    """All messages that a reader of committed ones sees, each partition's in their order. None where there is no such topic.

    Args:
        broker: Where it is.
        topic: Its name.
        decided: Wait until every transaction in it is decided. Else it is what a reader sees now, whatever is being written.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap,
            "group.id": f"reader-of-{topic}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,
        }
    )
    try:
        about = consumer.list_topics(topic, timeout=60).topics[topic]
        if about.error is not None and about.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return []
        if decided:
            until_decided(broker, topic)
        left = set(about.partitions)
        consumer.assign([TopicPartition(topic, number, 0) for number in left])
        found: list[Message] = []
        until = time.monotonic() + SECONDS
        while left:
            assert time.monotonic() < until, f"{topic} was not read to its end"
            first = consumer.poll(1.0)
            for message in [] if first is None else [first, *consumer.consume(10_000, 0)]:
                if (error := message.error()) is None:
                    found.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition() or 0)
                elif not error.retriable():
                    raise KafkaException(error)
        return found
    finally:
        consumer.close()


def committed_values(broker: KafkaBroker, topic: str) -> list[bytes]:
    """The values of all messages that a reader of committed ones sees once everything there is decided, in no order over partitions."""
    return [message.value() or b"" for message in messages_of(broker, topic)]
