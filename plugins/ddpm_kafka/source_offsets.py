"""The group's offsets: noted at the brokers every second, for lag to be seen, or as the position where no sink keeps one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from ddpm_kafka.errors import said, unwrap
from ddpm_kafka.source_notes import note
from ddpm_kafka.source_start import Place

log = logging.getLogger("ddpm.kafka.source")

EVERY = 1.0
"""Seconds between two commits."""

PATIENCE = 2.0
"""Seconds that the last commit may take: the library itself would wait for brokers that are down for as long as they are."""


class GroupOffsets:
    """What is to be committed for the group. Used from one thread.

    Args:
        kept: Whether a sink keeps them, so that nothing is committed here. Looked at whenever something is to be committed.
    """

    def __init__(self, kept: Callable[[], bool] = lambda: False) -> None:
        self.enabled = True
        """Whether anything is committed at all."""
        self._kept = kept
        self.known: Mapping[str, int] = {}
        """Topic -> partitions when the source was opened."""
        self._due: dict[Place, TopicPartition] = {}
        self._last = 0.0
        self._asked = 0
        """Commits that are not answered yet."""
        self._failure = ""

    def add(self, place: Place, offset: int) -> None:
        """This is where the partition stands now."""
        self._due[place] = TopicPartition(*place, offset, metadata=note(self.known.get(place[0], 0)))

    def forget(self, places: Iterable[Place]) -> None:
        """These are no longer ours."""
        for place in places:
            self._due.pop(place, None)

    def look_after(self, consumer: Any) -> None:
        """Commit what is due, without waiting, when it is time."""
        if self._due and time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            self._post(consumer, list(self._due))

    def post(self, consumer: Any, places: Iterable[Place]) -> None:
        """Commit these now, from within a callback of the group, just before they are given up. The brokers get it before they get
        our word that the partitions are free, on the same connection: it need not be waited for, and cannot be."""
        self._post(consumer, places)

    def settle(self, consumer: Any) -> None:
        """Commit all that is due and wait for it, but not for ever. What is polled meanwhile is thrown away: only before the end.

        Never by the library's own waiting commit: while brokers do not answer it, every other call of that consumer waits with it, and
        from another thread within a callback it is not answered at all (measured, 2.16).
        """
        self._post(consumer, list(self._due))
        until = time.monotonic() + PATIENCE
        while self._asked and time.monotonic() < until:
            consumer.poll(0.02)
        if self._asked:
            log.warning("the last offsets of the group could not be committed within %.0f s", PATIENCE)
        elif self._failure:
            log.warning("the last offsets of the group could not be committed: %s", self._failure)

    def heard(self, error: KafkaError | None, _: list[TopicPartition]) -> None:
        """The consumer's `on_commit`: what became of a commit."""
        self._asked -= 1
        self._failure = "" if error is None else said(error)
        if error is not None:
            log.debug("offsets of the group could not be committed: %s", self._failure)

    def _post(self, consumer: Any, places: Iterable[Place]) -> None:
        if not self.enabled or self._kept():
            self._due.clear()
        places = [place for place in places if place in self._due]
        if not places:
            return
        try:
            consumer.commit(offsets=[self._due[place] for place in places], asynchronous=True)
        except KafkaException as error:
            log.debug("offsets of the group are committed later: %s", said(unwrap(error)))
            return
        self._asked += 1
        self.forget(places)
