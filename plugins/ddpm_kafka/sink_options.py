"""Options of the sink `kafka`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from ddpm_core import PluginOptions, one_format
from ddpm_kafka.connection_options import ConnectionOptions


class HeaderColumn(PluginOptions):
    """A header whose value is in a column."""

    column: str = Field(min_length=1, description="The column that holds the header's value")


class KafkaSinkOptions(ConnectionOptions):
    """Which topic, what its messages look like, and how safely they are written."""

    topic: str = Field(default="", description="The topic; not needed where `url` names it. It is created where it does not exist")
    min_partitions: int = Field(
        default=1, ge=1, le=10_000, description="The topic is created with so many partitions, or grown to them. It never shrinks"
    )
    replication: int | None = Field(
        default=None,
        ge=1,
        le=32_767,
        description="Copies of each partition of a topic that is created; by default as the brokers are set",
    )
    format: dict[str, dict[str, Any]] = Field(
        default={"json": {}},
        description='Format of the messages\' values: a name (`json`, `avro`, ...), or `{"avro": {...}}` with options. A row is a message',
    )
    key: tuple[str, ...] = Field(
        default=(),
        description="Column or columns of the messages' key. One column of text, bytes or whole numbers: just that; else JSON. "
        "A row whose key columns are all null is set aside",
    )
    headers: dict[str, HeaderColumn | str] = Field(
        default_factory=dict,
        description="Header name -> its text, or `{column: NAME}` for the value of a column; no header where that is null",
    )
    timestamp: str = Field(
        default="",
        description="Column with the messages' time: a timestamp, or milliseconds since 1970; null and without: the time of writing",
    )
    partitioner: Literal["murmur2_random", "consistent_random", "fnv1a_random", "random"] = Field(
        default="murmur2_random", description="How a key becomes a partition; murmur2_random is what Java's clients do"
    )
    compression: Literal["none", "gzip", "lz4", "zstd", "snappy"] = Field(default="none", description="Compression of the messages")
    max_message_bytes: int | None = Field(
        default=None,
        ge=1000,
        le=1_000_000_000,
        description="A row whose message is larger than this is set aside (reason `too_large`); by default what the topic takes",
    )
    guarantee: Literal["exactly_once", "at_least_once"] = Field(
        default="exactly_once",
        description="exactly_once: rows and positions in one transaction. at_least_once: without, a run that was killed writes rows again",
    )
    transaction_timeout: float = Field(
        default=60.0,
        ge=10,
        le=86_400,
        description="Seconds after which the brokers give up a transaction. Who reads the topic may wait so long behind a process that died. "
        "More only for loads that are one transaction (standard input); brokers allow 900 by default",
    )
    mode: Literal["append"] = Field(default="append", description="Messages are only ever added")

    @field_validator("format", mode="before")
    @classmethod
    def _one_format(cls, value: Any) -> Any:
        return one_format(value)

    @field_validator("key", mode="before")
    @classmethod
    def _names_with_commas(cls, value: Any) -> Any:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @field_validator("key")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value) or "" in value:
            raise ValueError("names each column once")
        return value

    @field_validator("mode", mode="before")
    @classmethod
    def _append_only(cls, value: Any) -> Any:
        if value in ("replace", "upsert"):
            raise ValueError(f"messages are only added, never changed: mode {value} needs a database")
        return value

    @model_validator(mode="after")
    def _one_topic(self) -> KafkaSinkOptions:
        if self.topic and self.address.topic and self.topic != self.address.topic:
            raise ValueError("the topic is given twice: in url and in topic")
        return self

    @property
    def target(self) -> str:
        """The topic, from whichever option names it."""
        return self.topic or self.address.topic
