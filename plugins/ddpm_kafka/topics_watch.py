"""Notices that a topic was deleted or created again while it is read.

The client library does not: after a topic is created again it goes on in the new one at the offset where it stood in the old, and
every message before that is lost without a word (measured, 2.16, brokers 4.1).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from ddpm_core import FatalError, RetryableError
from ddpm_kafka.connection import Cluster
from ddpm_kafka.topics import Topic, ask, described

EVERY = 5.0
"""Seconds between two looks. One request for all topics, which is not waited for."""


class TopicWatch:
    """Asks for the ids of the topics that are read, every few seconds. Used from one thread.

    Args:
        cluster: An open one.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._asked: dict[str, Future[Any]] = {}
        self._last = time.monotonic()

    def changed(self, reading: Mapping[str, Topic]) -> tuple[Topic, Topic | None] | None:
        """A topic that is no more what it was when reading began: as it was, and as it is now (None: it does not exist). Never waits.

        Args:
            reading: Topic's name -> the topic as it was.

        Raises:
            FatalError: The brokers do not accept us any more.
        """
        if not self._asked:
            if reading and time.monotonic() - self._last >= EVERY:
                self._last = time.monotonic()
                self._asked = ask(self._cluster, reading)
            return None
        self._cluster.admin.poll(0)
        self._cluster.watch.check()
        if not all(future.done() for future in self._asked.values()):
            return None
        asked, self._asked = self._asked, {}
        try:
            found = described(asked)
        except RetryableError:
            return None  # Nobody answers: that is told by the consumer.
        for name in asked:
            if (was := reading.get(name)) is not None and was.id and (name not in found or found[name].id not in ("", was.id)):
                return was, found.get(name)
        return None


def deleted(name: str, where: str) -> FatalError:
    """The error of a topic that is gone."""
    return FatalError(f"topic {name} was deleted at {where} while it was read", hint="What had been read stays.")
