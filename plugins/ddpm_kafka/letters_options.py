"""Options of a topic of dead letters."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ddpm_kafka.connection_options import ConnectionOptions


class KafkaLettersOptions(ConnectionOptions):
    """Which topic dead letters go to."""

    topic: str = Field(default="", description="The topic; not needed where `url` names it. It is created where it does not exist")
    min_partitions: int = Field(
        default=1, ge=1, le=10_000, description="The topic is created with so many partitions, or grown to them"
    )
    replication: int | None = Field(
        default=None,
        ge=1,
        le=32_767,
        description="Copies of each partition of a topic that is created; by default as the brokers are set",
    )
    compression: Literal["none", "gzip", "lz4", "zstd", "snappy"] = Field(default="gzip", description="Compression of the messages")

    @model_validator(mode="after")
    def _one_topic(self) -> KafkaLettersOptions:
        if self.topic and self.address.topic and self.topic != self.address.topic:
            raise ValueError("the topic is given twice: in url and in topic")
        return self

    @property
    def target(self) -> str:
        """The topic, from whichever option names it."""
        return self.topic or self.address.topic
