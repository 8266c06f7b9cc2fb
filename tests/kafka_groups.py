"""Where a consumer group stands, and what a topic holds, asked from outside. Not by the library's `list_consumer_group_offsets`: see `ddpm_kafka/group_offsets.py`."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from tests.kafka import KafkaBroker


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
        partitions = self._consumer.list_topics(self._topic, timeout=20).topics[self._topic].partitions
        found = self._committed([TopicPartition(self._topic, number) for number in partitions])
        assert all(one.error is None for one in found), found
        return {one.partition: (one.offset, one.metadata) for one in found if one.offset >= 0}

    def _committed(self, points: list[TopicPartition]) -> list[TopicPartition]:
        until = time.monotonic() + 30
        while True:
            try:
                return self._consumer.committed(points, timeout=30)
            except KafkaException:  # A broker that has just come up.
                if time.monotonic() > until:
                    raise

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()


def committed_values(broker: KafkaBroker, topic: str) -> list[bytes]:
    """The values of all messages that a reader of committed ones sees now, in no order over partitions."""
    settings = {"group.id": f"reader-of-{topic}", "enable.auto.commit": False, "isolation.level": "read_committed"}
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "enable.partition.eof": True, **settings})
    try:
        left = set(consumer.list_topics(topic, timeout=20).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, number, 0) for number in left])
        values: list[bytes] = []
        until = time.monotonic() + 60
        while left:
            assert time.monotonic() < until, f"{topic} was not read to its end"
            for message in consumer.consume(10_000, 1.0):
                if (error := message.error()) is None:
                    values.append(message.value() or b"")
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    left.discard(message.partition())
        return values
    finally:
        consumer.close()
