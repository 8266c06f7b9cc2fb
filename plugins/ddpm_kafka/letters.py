"""A topic of dead letters: `letters_message.py` says what its messages are."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from confluent_kafka import TopicPartition

from ddpm_core import BuildContext, ConfigError, DeadLetter, DeadLetterFilter, DeadLetterStore, FatalError, RetryableError
from ddpm_kafka.connection import PATIENCE, Cluster
from ddpm_kafka.connection_options import ConnectionOptions
from ddpm_kafka.letters_message import headers_of, key_of, purge_headers
from ddpm_kafka.letters_options import KafkaLettersOptions
from ddpm_kafka.letters_scan import Places, Scan
from ddpm_kafka.producer import Outbox
from ddpm_kafka.producer_errors import EndedError
from ddpm_kafka.sink_connection import connection_of
from ddpm_kafka.sink_topic import TopicFacts, look_at, prepare_topic
from ddpm_kafka.topics import describe

log = logging.getLogger("ddpm.kafka.letters")

WITHIN = 10.0
"""Seconds in which appended letters are durable, or the environment has failed."""

SETTINGS = {"cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": str(20 << 20)}
"""Of a topic that is made: letters stay until they are purged, and one is larger than its message was."""

_AT_ONCE = 500
"""Letters held in memory when all are wanted."""


def build(options: KafkaLettersOptions, context: BuildContext) -> KafkaLetters:
    """The store for these options. Opens nothing.

    Raises:
        ConfigError: No topic is named; or no brokers, and the source is not Kafka's.
    """
    connection, _ = connection_of(options, context, "dead_letter kafka", options.target)
    return KafkaLetters(options, connection)


def letters_at(address: str) -> KafkaLetters:
    """The store at `kafka://HOST:PORT/TOPIC`, for `ddpm dlq`. Its topic is not made.

    Raises:
        ConfigError: It is no such address.
    """
    from pydantic import SecretStr, ValidationError

    try:
        options = KafkaLettersOptions(url=SecretStr(address))
    except ValidationError as error:
        text = str(error.errors(include_input=False, include_url=False)[0]["msg"]).removeprefix("Value error, ")
        raise ConfigError(f"the address of the dead letters {text}") from None
    return KafkaLetters(options, options, creates=False)


class KafkaLetters(DeadLetterStore):
    """Dead letters in a topic.

    Written by an idempotent producer and acknowledged by all replicas before `append` returns. A crash after that writes them again, with the
    same ids. Purging writes a message for each letter that it is gone, and then deletes from the beginning of each partition what nobody needs
    any more; letters behind one that stays are hidden, and their bytes go when that one goes.

    Args:
        options: Which topic.
        connection: How its cluster is reached.
        creates: Whether the topic is made where it does not exist.
    """

    def __init__(self, options: KafkaLettersOptions, connection: ConnectionOptions, *, creates: bool = True) -> None:
        if not options.target:
            raise ConfigError("dead_letter kafka: no topic is named", hint="Set `topic`, or write kafka://host:port/topic.")
        self._options = options
        self._connection = connection
        self._creates = creates
        self._topic = options.target
        self._cluster = Cluster(connection)
        self._outbox: Outbox | None = None

    def open(self) -> None:
        self.close()
        self._cluster.open()
        if not self._creates and not describe(self._cluster, [self._topic]):
            raise self._missing()
        options = self._options
        facts = prepare_topic(
            self._cluster, self._topic, options.min_partitions, replication=options.replication, settings=SETTINGS
        )
        self._check(facts)
        settings = {
            "compression.type": options.compression,
            "partitioner": "murmur2_random",
            "batch.size": min(1_000_000, facts.largest),
            "message.max.bytes": max(1_000_000, min(facts.largest, 1_000_000_000)),
            "delivery.timeout.ms": int(WITHIN * 1000),
            "linger.ms": 0,
        }
        self._outbox = Outbox(self._connection, settings)

    def inspect(self) -> None:
        """As `open`, for looking only. A topic that a run would make is told in the log."""
        self.close()
        self._cluster.open()
        if describe(self._cluster, [self._topic]):
            self._check(look_at(self._cluster, self._topic))
        elif self._creates:
            log.warning("topic %s does not exist at %s yet: a run creates it", self._topic, self._cluster.where)
        else:
            raise self._missing()

    def append(self, letters: Sequence[DeadLetter]) -> None:
        self._send(
            [letter.payload for letter in letters],
            [key_of(letter) for letter in letters],
            [headers_of(letter) for letter in letters],
        )

    def find(self, wanted: DeadLetterFilter) -> Iterator[DeadLetter]:
        scan = self._scan()
        entries = scan.winners(wanted)
        for at in range(0, len(entries), _AT_ONCE):
            yield from scan.letters(entries[at : at + _AT_ONCE])

    def mark_replayed(self, letters: Sequence[DeadLetter]) -> None:
        self.append(letters)

    def purge(self, letters: Sequence[DeadLetter]) -> int:
        ids = {letter.id for letter in letters}
        scan = self._scan()
        places = scan.places()
        there = [
            (name, partition) for name in sorted(ids & set(places.letters)) for partition in {p for p, _ in places.letters[name]}
        ]
        for partition in sorted({partition for _, partition in there}):
            names = [name for name, where in there if where == partition]
            self._send([None] * len(names), [name.encode() for name in names], [purge_headers(name) for name in names], partition)
        gone = {name for name, _ in there}
        self._delete_before({n: low for n, low in first_needed(places, gone, scan.spans()).items() if low})
        return len(gone)

    def close(self) -> None:
        outbox, self._outbox = self._outbox, None
        if outbox is not None:
            outbox.drop()
        self._cluster.close()

    # How.

    def _send(
        self,
        values: Sequence[bytes | None],
        keys: Sequence[bytes],
        headers: list[list[tuple[str, bytes | None]]],
        partition: int = -1,
    ) -> None:
        outbox = self._outbox
        if outbox is None:
            raise RetryableError(f"{self._cluster.where} is not open")
        what = f"dead letters cannot be written to topic {self._topic}"
        try:
            if not outbox.ready:
                outbox.open()
            outbox.send(self._topic, values, keys, headers=headers, partition=partition)
            outbox.flush(WITHIN, what)
        except EndedError as error:
            raise RetryableError(f"{what}: {error}") from None
        except FatalError as error:
            if "too large" in error.message:
                raise FatalError(error.message, hint=f"Raise max.message.bytes of topic {self._topic}.") from None
            raise

    def _delete_before(self, offsets: dict[int, int]) -> None:
        if not offsets:
            return
        places = [TopicPartition(self._topic, number, offset) for number, offset in offsets.items()]
        for future in self._cluster.admin.delete_records(places, request_timeout=PATIENCE).values():
            self._cluster.answer(future, f"cannot delete from topic {self._topic}")

    def _missing(self) -> ConfigError:
        return ConfigError(f"{self._cluster.where} has no topic {self._topic}")

    def _check(self, facts: TopicFacts) -> None:
        if facts.compacted:
            raise ConfigError(
                f"topic {self._topic} is compacted, and would lose dead letters that have the same key",
                hint="Use a topic with cleanup.policy=delete.",
            )

    def _scan(self) -> Scan:
        return Scan(self._connection, self._cluster, self._topic)


def first_needed(places: Places, gone: set[str], spans: dict[int, tuple[int, int]]) -> dict[int, int]:
    """Partition -> the offset before which nothing is needed any more.

    Needed is every entry of a letter that stays, and what says that a letter is gone, while an entry of it is before it and stays too
    because of what is before that.
    """
    stays = [
        (partition, offset)
        for name, where in places.letters.items()
        if not _is_gone(name, places, gone)
        for partition, offset in where
    ]
    first = {number: high for number, (_, high) in spans.items()}
    for partition, offset in stays:
        first[partition] = min(first.get(partition, offset), offset)
    return first


def _is_gone(name: str, places: Places, gone: set[str]) -> bool:
    """Whether every entry of it is before a message that says that it is gone, in the same partition."""
    if name in gone:
        return True
    ends = dict(sorted(places.gone.get(name, ())))
    return all(partition in ends and offset < ends[partition] for partition, offset in places.letters[name])
