"""Positions that are the offsets of a consumer group: what a sink keeps whose source is on the same cluster.

An offset is sent inside the sink's transaction. What else a position holds goes into the offset's metadata as JSON, of which brokers
take 4,096 bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from confluent_kafka import Consumer, TopicPartition

from ddpm_core import FatalError, Position, Positions, RetryableError
from ddpm_kafka.client_config import client_config
from ddpm_kafka.connection import Cluster, SharedKafka, Watch, make
from ddpm_kafka.group_offsets import read_group

METADATA_BYTES = 4096
"""What a broker takes by default (`offset.metadata.max.bytes`)."""


def topic_partition(name: str) -> tuple[str, int] | None:
    """Topic and number of a partition of the Kafka source, or None for one of another source."""
    scheme, _, rest = name.partition(":")
    topic, _, number = rest.rpartition("/")
    return (topic, int(number)) if scheme == "kafka" and topic and number.isdecimal() and number.isascii() else None


def offsets_of(positions: Positions) -> list[TopicPartition]:
    """These positions as a transaction takes them. All are of the Kafka source.

    Raises:
        FatalError: What a position holds is too much for a broker.
    """
    found = []
    for name, at in positions.items():
        topic, _, number = name.removeprefix("kafka:").rpartition("/")
        detail = json.dumps(dict(at.detail), separators=(",", ":"))
        if len(detail.encode()) > METADATA_BYTES:
            raise FatalError(
                f"the position of {name} has {len(detail.encode()):,} bytes of detail, and Kafka keeps {METADATA_BYTES:,} with an offset"
            )
        found.append(TopicPartition(topic, int(number), at.offset, detail))
    return found


class GroupOffsets:
    """The offsets of the source's group. Used from one thread.

    Args:
        cluster: The cluster that both are on.
        shared: The source's.
    """

    def __init__(self, cluster: Cluster, shared: SharedKafka) -> None:
        self._cluster = cluster
        self._shared = shared
        self._outside: Consumer | None = None

    def read(self, partitions: Sequence[str], within: float) -> Positions | None:
        """Where the group stands in these. None when a transaction that will move some of them is not decided within so many seconds.

        Raises:
            RetryableError, FatalError: The brokers do not say.
        """
        wanted = [place for name in partitions if (place := topic_partition(name))]
        found = read_group(self._cluster, self._shared.group, wanted, within)
        if found is None:
            return None
        return {f"kafka:{topic}/{n}": Position(offset, _detail(metadata)) for (topic, n), (offset, metadata) in found.items()}

    def metadata(self, *, member: bool) -> object:
        """In whose name offsets are sent.

        Args:
            member: As the member of the group that the source is. Else from outside it, which brokers take for a tool that sets offsets:
                they accept it whoever is a member.

        Raises:
            RetryableError: The source is no member now.
        """
        if member:
            found = self._shared.group_metadata()
            if found is None:
                raise RetryableError(f"the source is not a member of group {self._shared.group} now")
            return found
        if self._outside is None:
            config = {
                **client_config(self._shared.options, "consumer"),
                "group.id": self._shared.group,
                "enable.auto.commit": False,
            }
            self._outside = make(Consumer, config, Watch(self._cluster.where))
        return self._outside.consumer_group_metadata()

    def close(self) -> None:
        """Give everything back."""
        outside, self._outside = self._outside, None
        if outside is not None:
            outside.close()


def _detail(metadata: str) -> dict[str, object]:
    """What we wrote with an offset. Offsets that others wrote have anything or nothing there."""
    try:
        found = json.loads(metadata or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
