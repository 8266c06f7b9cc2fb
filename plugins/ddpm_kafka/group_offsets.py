"""Reading the offsets of a consumer group, without being its member.

Not by the library's `list_consumer_group_offsets`: an answer that is an error for the whole group, such as a coordinator that has just moved
or is still loading, ends the process by a segmentation fault (seen with 2.16.1 on a broker that had come up a moment before). A consumer's
`committed` repeats its question by itself then, and also while a transaction is not decided that moves some of the offsets.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from typing import TypeAlias

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from ddpm_core import RetryableError
from ddpm_kafka.client_config import client_config
from ddpm_kafka.connection import PATIENCE, Cluster, Watch, make
from ddpm_kafka.errors import of_kafka, unwrap

AGAIN = 0.05
"""Seconds until a question is asked again that could not be answered yet."""

Committed: TypeAlias = dict[tuple[str, int], tuple[int, str]]
"""Topic and partition -> the group's offset there and its metadata. Those without an offset are absent."""


def read_group(cluster: Cluster, group: str, places: Iterable[tuple[str, int]], patience: float = PATIENCE) -> Committed | None:
    """Where the group stands in these partitions, transactions that are not decided waited for.

    Args:
        cluster: Whose options are taken; it need not be open.
        group: The group's name. It need not exist.
        places: Topics and partitions.
        patience: Seconds to wait.

    Returns None when there was no answer within that time: a transaction was not decided, or no broker could answer.

    Raises:
        RetryableError, FatalError: The brokers refused.
    """
    points = [TopicPartition(*place) for place in places]
    if not points:
        return {}
    what = f"cannot read the offsets of group {group}"
    consumer = make(Consumer, _config(cluster, group), Watch(cluster.where))
    try:
        found = _committed(consumer, points, time.monotonic() + patience, what)
    finally:
        consumer.close()
    if found is None:
        return None
    for one in found:
        if one.error is not None:
            raise of_kafka(one.error, what)
    return {(one.topic, one.partition): (one.offset, one.metadata or "") for one in found if one.offset >= 0}


def ask_group(cluster: Cluster, group: str, places: Iterable[tuple[str, int]]) -> Future[Committed | None]:
    """As `read_group`, in a thread of its own, for who must not wait."""
    future: Future[Committed | None] = Future()
    wanted = list(places)

    def ask() -> None:
        try:
            future.set_result(read_group(cluster, group, wanted))
        except BaseException as error:  # noqa: BLE001 - raised where the answer is looked at
            future.set_exception(error)

    threading.Thread(target=ask, name="ddpm-kafka-group", daemon=True).start()
    return future


def _committed(consumer: Consumer, points: list[TopicPartition], deadline: float, what: str) -> list[TopicPartition] | None:
    """Asked again while a coordinator has just moved or is loading."""
    while True:
        try:
            return consumer.committed(points, timeout=max(0.0, deadline - time.monotonic()))
        except KafkaException as error:
            if unwrap(error).code() in (KafkaError._TIMED_OUT, KafkaError.UNSTABLE_OFFSET_COMMIT):
                return None
            raised = of_kafka(error, what)
            if not isinstance(raised, RetryableError) or time.monotonic() > deadline:
                raise raised from None
            time.sleep(AGAIN)


def _config(cluster: Cluster, group: str) -> dict[str, object]:
    return {
        # What is not decided now is decided in milliseconds as a rule; by default it would be asked for again after up to a second.
        "retry.backoff.ms": 20,
        "retry.backoff.max.ms": 100,
        **client_config(cluster.options, "consumer"),
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        # 7 ms instead of 65 to the answer (measured, 2.16). Only here: for a consumer that fetches it may cost a second.
        "enable.sparse.connections": False,
    }
