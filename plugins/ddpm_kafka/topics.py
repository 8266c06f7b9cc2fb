"""Topics: listing them, creating and growing them, and knowing one from another of the same name."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import NewPartitions, NewTopic  # type: ignore[attr-defined]

from ddpm_core import ConfigError, FatalError, Problem, RetryableError
from ddpm_kafka.connection import PATIENCE, Cluster, reach
from ddpm_kafka.errors import of_kafka, unwrap

log = logging.getLogger("ddpm.kafka.topics")

_INTERNAL = re.compile(r"__|_ddpm_positions$")


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is now.

    Attributes:
        id: The brokers' id of it; another one when it is deleted and created again under the same name. Empty with brokers that give none.
        partitions: How many there are.
    """

    name: str
    id: str
    partitions: int


def find_topics(cluster: Cluster, names: Sequence[str], patterns: Sequence[str]) -> dict[str, Topic]:
    """The topics that are named, and those that match; in the order of their names.

    Raises:
        ConfigError: One that is named does not exist.
    """
    known = reach(cluster.admin, cluster.watch).topics
    missing = [name for name in names if name not in known]
    if missing:
        raise ConfigError(
            [Problem(f"topic {name}", f"{cluster.where} has no such topic") for name in missing],
            hint="Create it, correct its name, or set min_partitions so that it is created.",
        )
    matched = {name for name in known if not _INTERNAL.match(name) and any(re.match(pattern, name) for pattern in patterns)}
    return describe(cluster, sorted({*names, *matched}))


def topics_to_read(
    cluster: Cluster, names: Sequence[str], patterns: Sequence[str], least: int | None, replication: int | None
) -> dict[str, Topic]:
    """As `find_topics`; where `least` partitions are asked for, topics that are named are created, and all are grown.

    Raises:
        ConfigError: A topic that is named does not exist, and none is to be created.
    """
    if least is None:
        return find_topics(cluster, names, patterns)
    ensure_topics(cluster, names, least, replication)
    found = find_topics(cluster, names, patterns)
    small = [topic.name for topic in found.values() if topic.partitions < least]
    if not small:
        return found
    ensure_topics(cluster, small, least, replication)
    return find_topics(cluster, names, patterns)


def missing_topics(cluster: Cluster, names: Sequence[str]) -> list[str]:
    """Those of these topics that do not exist."""
    known = reach(cluster.admin, cluster.watch).topics
    return [name for name in names if name not in known]


def look_for_topics(cluster: Cluster, names: Sequence[str], patterns: Sequence[str], least: int | None) -> None:
    """Tell in the log what a run would make of topics, and change nothing.

    Args:
        names, patterns: As in `find_topics`.
        least: How many partitions a topic has at least, where a run makes and grows them.

    Raises:
        ConfigError: One that is named does not exist, and is not made.
    """
    missing = [] if least is None else missing_topics(cluster, names)
    for name in missing:
        log.warning("topic %s does not exist at %s yet: a run creates it, with %s partitions", name, cluster.where, least)
    topics = find_topics(cluster, [name for name in names if name not in missing], patterns)
    for topic in topics.values():
        if topic.name in names and topic.partitions < (least or 0):
            log.warning("topic %s has too few partitions, %s: a run adds some, up to %s", topic.name, topic.partitions, least)
    if not topics and not missing:
        log.warning("no topic of %s matches %s yet", cluster.where, ", ".join(patterns))


def describe(cluster: Cluster, names: Iterable[str]) -> dict[str, Topic]:
    """These topics as they are now; those that do not exist (any more) are absent."""
    asked = ask(cluster, names)
    for name, future in asked.items():
        with contextlib.suppress(ConfigError, RetryableError, FatalError):  # Told below, but for a topic that does not exist.
            cluster.answer(future, name)
    return described(asked)


def ask(cluster: Cluster, names: Iterable[str]) -> dict[str, Future[Any]]:
    """Requests for what `described` tells, without waiting for the answers."""
    wanted = list(names)
    return cluster.admin.describe_topics(TopicCollection(wanted), request_timeout=PATIENCE) if wanted else {}


def described(answers: Mapping[str, Future[Any]]) -> dict[str, Topic]:
    """The topics that these answers tell of; those that do not exist are absent.

    Raises:
        RetryableError, FatalError: The brokers did not answer one of them, or refused it.
    """
    found: dict[str, Topic] = {}
    for name, future in answers.items():
        try:
            said = future.result(timeout=0)
        except TimeoutError:
            raise RetryableError(f"cannot describe topic {name}: there was no answer") from None
        except KafkaException as error:
            if unwrap(error).code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                continue
            raise of_kafka(error, f"cannot describe topic {name}") from None
        identity = str(said.topic_id or "")
        found[name] = Topic(name, "" if identity.strip("A=") == "" else identity, len(said.partitions))
    return found


def ensure_topics(
    cluster: Cluster, names: Sequence[str], partitions: int, replication: int | None, settings: Mapping[str, str] | None = None
) -> None:
    """Create the topics that do not exist, and grow those with fewer partitions. Several processes may do it at once.

    Args:
        names: Topics, no patterns.
        partitions: How many each of them has at least.
        replication: Copies of each partition; None: as the brokers are set.
        settings: A created topic's own settings, such as `cleanup.policy`.

    Raises:
        ConfigError: The brokers cannot do it: fewer of them than copies, a policy.
        FatalError: The user may not.
        RetryableError: They did not answer, or the topic is not ready yet.
    """
    new = missing_topics(cluster, names)
    if new:
        made = [NewTopic(name, partitions, -1 if replication is None else replication, config=dict(settings or {})) for name in new]
        _wait(cluster, cluster.admin.create_topics(made, request_timeout=PATIENCE), "create", KafkaError.TOPIC_ALREADY_EXISTS)
    known = reach(cluster.admin, cluster.watch).topics
    grow = [name for name in names if name not in new and name in known and len(known[name].partitions) < partitions]
    if grow:
        wanted = [NewPartitions(name, partitions) for name in grow]
        # Another worker that grew it first: the brokers then say that it has as many partitions already.
        _wait(cluster, cluster.admin.create_partitions(wanted, request_timeout=PATIENCE), "grow", KafkaError.INVALID_PARTITIONS)
    if new or grow:
        _until_ready(cluster, names, partitions)


def _wait(cluster: Cluster, futures: Mapping[str, Future[Any]], what: str, fine: int) -> None:
    for name, future in futures.items():
        try:
            future.result(timeout=2 * PATIENCE)
        except KafkaException as error:
            if unwrap(error).code() != fine:
                raise of_kafka(error, f"cannot {what} topic {name} at {cluster.where}") from None
        except TimeoutError:
            raise RetryableError(f"cannot {what} topic {name}: {cluster.where} did not answer") from None


def _until_ready(cluster: Cluster, names: Sequence[str], partitions: int) -> None:
    """A topic is known before its partitions have leaders, and then answers no question about its offsets."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        known = reach(cluster.admin, cluster.watch).topics
        if all(
            name in known
            and len(found := known[name].partitions) >= partitions
            and all(p.leader >= 0 and p.error is None for p in found.values())
            for name in names
        ):
            return
        time.sleep(0.05)
    raise RetryableError(f"topics {', '.join(names)} at {cluster.where} have no leaders yet")
