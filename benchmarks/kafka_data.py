"""The stream that benchmarks read: JSON events of about 240 bytes, ten fields, in topics of four partitions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa
from confluent_kafka import KafkaException, Producer

PARTITIONS = 4

SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("user_id", pa.int64()),
        ("event_type", pa.string()),
        ("happened_at", pa.timestamp("us", "UTC")),
        ("session_duration", pa.float64()),
        ("device", pa.string()),
        ("app_version", pa.string()),
        ("locale", pa.string()),
        ("ip", pa.string()),
        ("amount", pa.float64()),
    ]
)
"""The ten columns, as every contender writes them."""

_TYPES = {"string": "text", "int64": "bigint", "double": "double precision", "timestamp[us, tz=UTC]": "timestamp with time zone"}
_KINDS = ("page_view", "click", "purchase", "search", "login", "logout")


def create_table(name: str, *, key: bool = False) -> str:
    """The statement that makes the table, typed; with `key`, `event_id` is its primary key."""
    columns = ", ".join(f"{field.name} {_TYPES[str(field.type)]}" for field in SCHEMA)
    return f"CREATE TABLE {name} ({columns}{', PRIMARY KEY (event_id)' if key else ''})"


def event(number: int) -> dict[str, Any]:
    """One event. Ids are all different and in no order, so that keys come unsorted as in life."""
    return {
        "event_id": f"{number * 2654435761 & 0xFFFFFFFF:08x}-{number:012}",
        "user_id": number % 100_003,
        "event_type": _KINDS[number % 6],
        "happened_at": f"2026-01-{number % 28 + 1:02}T{number % 24:02}:{number % 60:02}:{number % 59:02}.{number % 1000:03}Z",
        "session_duration": number * 123 / 1000,
        "device": ("ios", "android", "web")[number % 3],
        "app_version": f"{number % 4}.{number % 17}.{number % 5}",
        "locale": ("pl_PL", "en_US", "de_DE")[number % 3],
        "ip": f"10.{number % 256}.{number % 199}.{number % 251}",
        "amount": number / 100,
    }


def encoded(first: int, count: int) -> Iterator[bytes]:
    """So many events from this number on, as JSON."""
    return (orjson.dumps(event(number)) for number in range(first, first + count))


class Feed:
    """Sends events to a topic, numbered on over all calls.

    Args:
        bootstrap: The brokers.
        topic: Has `PARTITIONS` partitions.
        linger_ms: How long the client may wait for more; 0 sends each message at once.
    """

    def __init__(self, bootstrap: str, topic: str, *, linger_ms: int = 20) -> None:
        self.sent = 0
        self._topic = topic
        self._refused: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "linger.ms": linger_ms,
                "batch.num.messages": 10_000,
                "queue.buffering.max.messages": 200_000,
                "enable.idempotence": True,
                "log_level": 3,
            }
        )

    def send(self, count: int) -> None:
        """Hand so many events to the client, by turns to each partition."""
        for value in encoded(self.sent, count):
            while True:
                try:
                    self._producer.produce(self._topic, value, partition=self.sent % PARTITIONS, on_delivery=self._told)
                    break
                except BufferError:
                    self._producer.poll(0.05)
            self.sent += 1
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until the brokers have all of it.

        Raises:
            KafkaException: They refused an event, or do not answer.
        """
        if self._producer.flush(300) or self._refused:
            raise KafkaException(self._refused[0] if self._refused else "the broker did not take the events within five minutes")

    def steadily(self, rate: int, seconds: float) -> None:
        """So many events a second, evenly, for so long."""
        began, first = time.monotonic(), self.sent
        while (passed := time.monotonic() - began) < seconds:
            due = first + round(passed * rate) - self.sent
            if due > 0:
                self.send(due)
            time.sleep(0.01)
        self.flush()

    def _told(self, error: Any, _: Any) -> None:
        if error is not None:
            self._refused.append(str(error))
