"""Leaving the group, within a time.

The library's `close` waits for brokers that do not answer for as long as a minute (measured, 2.16, a broker that was stopped), and a
process that is asked to end has ten seconds.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from confluent_kafka import KafkaException

from ddpm_kafka.errors import said, unwrap
from ddpm_kafka.source_offsets import GroupOffsets

log = logging.getLogger("ddpm.kafka.source")

GIVING_UP = 1.0
"""Seconds to wait for the group's word that our partitions are given up; what is drained meanwhile has a budget of its own."""

CLOSING = 3.0
"""Seconds for saying good-bye to the brokers."""


def leave(consumer: Any, offsets: GroupOffsets, *, member: bool) -> None:
    """Give up the partitions, commit the last offsets, leave the group and let go of the consumer.

    The callbacks that are due run in this thread. What is not done in time goes on in a thread of its own, which ends with the process.
    """
    offsets.settle(consumer)
    if member:
        _give_up(consumer)
    worker = threading.Thread(target=_close, args=(consumer,), name="ddpm-kafka-close", daemon=True)
    worker.start()
    worker.join(CLOSING)
    if worker.is_alive():
        log.warning("the brokers did not answer while the consumer was closed; the group notices within its session timeout")


def _give_up(consumer: Any) -> None:
    try:
        consumer.unsubscribe()
        until = time.monotonic() + GIVING_UP
        while consumer.assignment() and time.monotonic() < until:
            consumer.poll(0.02)
    except KafkaException as error:
        log.debug("the partitions could not be given up: %s", said(unwrap(error)))


def _close(consumer: Any) -> None:
    try:
        consumer.close()
    except (KafkaException, RuntimeError) as error:
        log.debug("while the consumer was closed: %s", error)
