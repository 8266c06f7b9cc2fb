"""The topics that a sink writes to: made where they are missing, and asked what they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError
from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]

from ddpm_core import FatalError
from ddpm_kafka.connection import PATIENCE, Cluster
from ddpm_kafka.topics import ensure_topics

LEADERLESS = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART}
"""What a broker says of a partition that was made a moment ago."""

LARGEST = 1_048_588
"""What a topic takes where nobody says otherwise (`max.message.bytes`)."""


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """What a topic takes.

    Attributes:
        largest: Bytes that a batch of messages may have.
        compacted: Whether only the latest message of a key is kept, so that each needs one.
    """

    largest: int = LARGEST
    compacted: bool = False


def prepare_topic(
    cluster: Cluster, name: str, partitions: int = 1, *, replication: int | None = None, settings: Mapping[str, str] | None = None
) -> TopicFacts:
    """Make a topic where it does not exist, grow it where it has too few partitions, and look at it. Arguments as in `ensure_topics`.

    Raises:
        ConfigError, FatalError, RetryableError: As the brokers say.
    """
    ensure_topics(cluster, [name], partitions, replication, settings)
    return look_at(cluster, name)


def look_at(cluster: Cluster, name: str) -> TopicFacts:
    """What a topic takes that is there.

    Raises:
        RetryableError: The brokers do not say.
    """
    resource = ConfigResource(ConfigResource.Type.TOPIC, name)
    future = cluster.admin.describe_configs([resource], request_timeout=PATIENCE)[resource]
    try:
        found = cluster.answer(future, f"cannot look at topic {name}")
    except FatalError:  # Who may write need not be allowed to read a topic's settings: then they are taken to be the usual ones.
        return TopicFacts()
    policy = str(found["cleanup.policy"].value) if "cleanup.policy" in found else ""
    return TopicFacts(
        int(found["max.message.bytes"].value or LARGEST) if "max.message.bytes" in found else LARGEST, "compact" in policy
    )
