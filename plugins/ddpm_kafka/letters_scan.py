"""Reading a topic of dead letters from its beginning to the end that it has now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ddpm_core import DeadLetter, DeadLetterFilter, RetryableError, supersedes
from ddpm_kafka.client_config import client_config
from ddpm_kafka.connection import PATIENCE, Cluster, make, reach
from ddpm_kafka.connection_options import ConnectionOptions
from ddpm_kafka.errors import of_kafka, unwrap
from ddpm_kafka.letters_message import id_of, letter_of
from ddpm_kafka.sink_topic import LEADERLESS

T = TypeVar("T")

Span: TypeAlias = tuple[int, int]
"""Offsets of a partition: the first one, and behind the last one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a letter's entry without its payload.

    Attributes:
        partition, offset: Where its message is.
        letter: What it is now of it, without payload, key and headers.
        wanted: Whether the filter takes it.
    """

    partition: int
    offset: int
    letter: DeadLetter
    wanted: bool


@dataclass(slots=True)
class Places:
    """The offsets of each partition: all of a letter's entries, and the messages that say that letters are gone."""

    letters: dict[str, list[tuple[int, int]]]
    gone: dict[str, list[tuple[int, int]]]


class Scan:
    """Reads what a topic holds.

    Args:
        options: How the cluster is reached.
        cluster: The same, open.
        topic: Which.
    """

    def __init__(self, options: ConnectionOptions, cluster: Cluster, topic: str) -> None:
        self._options = options
        self._cluster = cluster
        self._topic = topic
        self._what = f"cannot read topic {topic} of {cluster.where}"

    def winners(self, wanted: DeadLetterFilter) -> list[Entry]:
        """Of each letter that is not gone the entry that counts, if the filter takes it; newest first.

        Keeps less than a kilobyte for each letter of the topic.
        """
        best: dict[tuple[str, int], Entry] = {}
        for message in self.messages(self.spans()):
            headers, partition = _headers(message), message.partition() or 0
            known = id_of(headers)
            if known is None:
                continue
            name, gone = known
            if gone:
                best.pop((name, partition), None)
                continue
            letter = letter_of(message.key(), message.value(), headers)
            if letter is None:
                continue
            entry = Entry(partition, message.offset() or 0, _slim(letter), wanted.takes(letter))
            _keep(best, (name, partition), entry)
        winners: dict[str, Entry] = {}
        for (name, _), entry in best.items():
            _keep(winners, name, entry)
        chosen = [entry for entry in winners.values() if entry.wanted]
        chosen.sort(key=lambda entry: entry.letter.created_at, reverse=True)
        return chosen[: wanted.limit or None]

    def letters(self, entries: list[Entry]) -> list[DeadLetter]:
        """The letters at these places, in this order."""
        places = {(entry.partition, entry.offset): number for number, entry in enumerate(entries)}
        spans: dict[int, Span] = {}
        for entry in entries:
            low, high = spans.get(entry.partition, (entry.offset, entry.offset + 1))
            spans[entry.partition] = (min(low, entry.offset), max(high, entry.offset + 1))
        found: dict[int, DeadLetter] = {}
        for message in self.messages(spans):
            number = places.get((message.partition() or 0, message.offset() or 0))
            if number is not None and (letter := letter_of(message.key(), message.value(), _headers(message))) is not None:
                found[number] = letter
        return [found[number] for number in sorted(found)]

    def places(self) -> Places:
        """Where everything is."""
        places = Places({}, {})
        for message in self.messages(self.spans()):
            if (known := id_of(_headers(message))) is not None:
                kind = places.gone if known[1] else places.letters
                kind.setdefault(known[0], []).append((message.partition() or 0, message.offset() or 0))
        return places

    def spans(self) -> dict[int, Span]:
        """Where each partition begins and ends now."""
        consumer = self._consumer()
        try:
            found = reach(consumer, self._cluster.watch, self._topic).topics[self._topic]
            if found.error is not None:
                raise of_kafka(found.error, self._what)
            return {number: self._span(consumer, number) for number in found.partitions}
        finally:
            consumer.close()

    def _span(self, consumer: Consumer, number: int) -> Span:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return consumer.get_watermark_offsets(TopicPartition(self._topic, number), timeout=PATIENCE) or (0, 0)
            except KafkaException as error:
                if unwrap(error).code() not in LEADERLESS or time.monotonic() > deadline:
                    raise of_kafka(error, self._what) from None
                time.sleep(0.05)

    def messages(self, spans: Mapping[int, Span]) -> Iterator[Message]:
        """What is between these offsets, partition by partition.

        Raises:
            RetryableError, FatalError: It cannot be read.
        """
        consumer = self._consumer()
        try:
            for number, (low, high) in sorted(spans.items()):
                if low < high:
                    yield from self._of_partition(consumer, number, low, high)
        finally:
            consumer.close()

    def _of_partition(self, consumer: Consumer, number: int, low: int, high: int) -> Iterator[Message]:
        consumer.assign([TopicPartition(self._topic, number, low)])
        silence = time.monotonic() + PATIENCE
        while True:
            for message in consumer.consume(500, 0.25):
                silence = time.monotonic() + PATIENCE
                error, offset = message.error(), message.offset() or 0
                if error is None and offset < high:
                    yield message
                elif error is not None and error.code() != KafkaError._PARTITION_EOF and not error.retriable():
                    raise of_kafka(error, self._what)
                if offset >= high - 1 and (error is None or error.code() == KafkaError._PARTITION_EOF):
                    return
            self._cluster.watch.check()
            if time.monotonic() > silence:
                raise RetryableError(f"{self._what}: it did not answer within {PATIENCE:.0f} s")

    def _consumer(self) -> Consumer:
        config = {
            **client_config(self._options, "consumer"),
            "group.id": "ddpm-dead-letters",  # The library wants one; nothing is joined or committed.
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "check.crcs": True,
            "fetch.wait.max.ms": 50,
            "queued.max.messages.kbytes": 16 << 10,
            "enable.sparse.connections": False,
        }
        return make(Consumer, config, self._cluster.watch)


def _headers(message: Message) -> list[tuple[str, bytes | None]]:
    return message.headers() or []  # type: ignore[return-value]


def _keep(best: dict[T, Entry], name: T, entry: Entry) -> None:
    if name not in best or supersedes(entry.letter, best[name].letter):
        best[name] = entry


def _slim(letter: DeadLetter) -> DeadLetter:
    """The letter without what may be large."""
    return replace(letter, payload=b"", view=None, message="", key=None, headers=None)
