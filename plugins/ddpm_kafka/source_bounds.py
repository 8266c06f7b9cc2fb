"""Bounded runs: which partitions this worker reads, to where, and that no live pipeline reads them at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from datetime import datetime
from typing import Any

from confluent_kafka import ConsumerGroupState, IsolationLevel, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from ddpm_core import FatalError, RetryableError
from ddpm_kafka.connection import PATIENCE, Cluster
from ddpm_kafka.source_start import Place, partition_name
from ddpm_kafka.topics import Topic


def share(topics: Iterable[Topic], worker: int, workers: int) -> list[Place]:
    """The partitions that this worker reads: each n-th one of all topics in order."""
    places = [(topic.name, number) for topic in topics for number in range(topic.partitions)]
    return places[worker::workers]


def ends(cluster: Cluster, places: Iterable[Place], end: int | datetime | None) -> dict[str, int]:
    """Partition -> the first offset that is not read any more: never beyond what can be read now.

    Messages of a transaction that is still open, and what follows them, belong to a later run.
    """
    points = [TopicPartition(*place) for place in places]
    found = _ask(cluster, points, OffsetSpec.latest())  # type: ignore[no-untyped-call]
    if isinstance(end, datetime):
        timed = _ask(cluster, points, OffsetSpec.for_timestamp(int(end.timestamp() * 1000)))
        return {name: min(high, timed[name]) if timed[name] >= 0 else high for name, high in found.items()}
    if end is not None:
        return {name: min(high, end) for name, high in found.items()}
    return found


def _ask(cluster: Cluster, points: list[TopicPartition], spec: OffsetSpec) -> dict[str, int]:
    found: dict[str, int] = {}
    # Asked for at once; those that fail are asked for again, one by one.
    for point, future in _requests(cluster, points, spec).items() if points else ():
        asked = iter([future])

        def request(point: TopicPartition = point, asked: Iterator[Future[Any]] = asked) -> Future[Any]:
            return next(asked, None) or _requests(cluster, [point], spec)[point]

        name = partition_name((point.topic, point.partition))
        found[name] = cluster.ask(request, f"cannot ask for the end of {name}").offset
        if found[name] < -1:  # Brokers that come back answer without an error and without an offset (measured, 2.16).
            raise RetryableError(f"the brokers do not know the end of {name} now")
    return found


def _requests(cluster: Cluster, points: list[TopicPartition], spec: OffsetSpec) -> dict[TopicPartition, Future[Any]]:
    futures: dict[TopicPartition, Future[Any]] = cluster.admin.list_offsets(
        dict.fromkeys(points, spec), isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=PATIENCE
    )
    return futures


def members_of(cluster: Cluster, group: str) -> list[str]:
    """The client ids of a group's active members; empty for a group that nobody has ever used."""

    def request() -> Future[Any]:
        future: Future[Any] = cluster.admin.describe_consumer_groups([group], request_timeout=PATIENCE)[group]
        return future

    try:
        found = cluster.ask(request, f"cannot ask for the members of group {group}")
    except FatalError as error:
        if "GROUP_ID_NOT_FOUND" in error.message:
            return []
        raise
    if found.state in (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD):
        return []
    return [str(member.client_id) for member in found.members]


def refuse_beside(group: str, pipeline: str, count: int) -> FatalError:
    """The error of a bounded run beside the live pipeline of the same name."""
    return FatalError(
        f"group {group} has {count} active {'member' if count == 1 else 'members'}: pipeline {pipeline} runs now, and both would take the "
        "same messages",
        hint="Stop it first, or run this one beside it under a name of its own: --as NAME.",
    )
