"""Options of the source `kafka`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from ddpm_core import Problem
from ddpm_kafka.connection_options import ConnectionOptions

Metadata: TypeAlias = Literal["key", "headers", "timestamp"]

_COLUMNS: Mapping[str, Metadata] = {"_key": "key", "_headers": "headers", "_timestamp": "timestamp"}
"""What expressions call them."""
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class KafkaSourceOptions(ConnectionOptions):
    """Which topics, read by which group, from where."""

    topics: tuple[str, ...] = Field(
        default=(),
        description="Topics to read: a list, or text separated by commas. One that begins with `^` is a regular expression, and "
        "topics that match it later are read too. Not needed where `url` names the topic",
    )
    group: str = Field(
        default="",
        max_length=200,
        description="Consumer group; by default the pipeline's name. Under another name (`--as NAME`) it is GROUP.NAME",
    )
    instance: str = Field(
        default="",
        max_length=200,
        description="A name that this process keeps over restarts (static membership): when it comes back within the session timeout, "
        "no partition moves. The worker's number is added to it",
    )
    start: Literal["earliest", "latest"] | datetime = Field(
        default="earliest",
        description="Where to begin in partitions that no sink has seen: earliest, latest, or a time (ISO 8601; UTC where it names no "
        "zone). Partitions that are added while a pipeline exists are always read from their beginning",
    )
    min_partitions: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Create topics that do not exist with so many partitions, and grow those with fewer",
    )
    replication: int | None = Field(
        default=None,
        ge=1,
        le=32_767,
        description="Copies of each partition of a topic that is created; by default as the brokers are set",
    )
    metadata: tuple[Metadata, ...] = Field(
        default=("key", "headers"),
        description="What to take of each message besides its value: key, headers, timestamp. Dead letters keep what is taken; each "
        "costs a little time",
    )
    protocol: Literal["classic", "consumer"] = Field(
        default="classic",
        description="How the group shares partitions: classic (cooperative), or consumer (KIP-848, Kafka 4), where the brokers decide",
    )

    @field_validator("topics", "metadata", mode="before")
    @classmethod
    def _comma_list(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",")] if value.strip() else []
        return value

    @field_validator("topics")
    @classmethod
    def _are_topics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for topic in value:
            if topic.startswith("^"):
                try:
                    re.compile(topic)
                except re.error as error:
                    raise ValueError(f"has {topic!r}, which is no regular expression: {error}") from None
            elif not _TOPIC.fullmatch(topic) or topic in (".", ".."):
                raise ValueError(f"has {topic!r}, which is no topic's name: letters, digits, `.`, `_` and `-`, at most 249 of them")
        if len(set(value)) < len(value):
            raise ValueError("names a topic twice")
        return value

    @field_validator("start")
    @classmethod
    def _is_in_utc(cls, value: Any) -> Any:
        return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value

    @model_validator(mode="after")
    def _fits_together(self) -> KafkaSourceOptions:
        if self.topics and self.address.topic:
            raise ValueError("names topics twice: give them either in url or in topics")
        if self.address.topic:
            self._are_topics((self.address.topic,))
        if self.min_partitions is None and self.replication is not None:
            raise ValueError("replication is for topics that are created: set min_partitions too")
        return self

    def missing(self) -> list[Problem]:
        """What has to be named before anything can be read. Not a mistake of the options alone: nothing is required of them singly."""
        found = []
        if not self.servers:
            found.append(Problem("source kafka", "names no brokers", "set brokers, such as localhost:9092, or url"))
        if not self.wanted:
            found.append(Problem("source kafka", "names no topic", "set topics, or write url as kafka://host:port/topic"))
        return found

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names and patterns, from whichever option has them."""
        return self.topics or ((self.address.topic,) if self.address.topic else ())

    def reads(self, topic: str) -> bool:
        """Whether this topic is one of those that are named or match."""
        return topic in self.names or any(re.match(pattern, topic) for pattern in self.patterns)

    def taken(self, named: Collection[str]) -> tuple[Metadata, ...]:
        """What is taken of each message: what the option says, and what expressions of the pipeline name (`_key`, …)."""
        return tuple(dict.fromkeys([*self.metadata, *(kind for column, kind in _COLUMNS.items() if column in named)]))

    @property
    def patterns(self) -> tuple[str, ...]:
        """Those of them that are regular expressions."""
        return tuple(topic for topic in self.wanted if topic.startswith("^"))

    @property
    def names(self) -> tuple[str, ...]:
        """Those of them that are topics."""
        return tuple(topic for topic in self.wanted if not topic.startswith("^"))
