"""The consumer's settings. Those that decide loss are not the user's; the others are what measured best, and his where he sets them."""

from __future__ import annotations

from typing import Any

from ddpm_core import BuildContext
from ddpm_kafka.client_config import client_config
from ddpm_kafka.source_options import KafkaSourceOptions

_BEST = {
    # Dozens of small fetches a second instead of waiting: a message is here within milliseconds, at no cost that could be measured.
    "fetch.wait.max.ms": 50,
    # At its default of a second, reading alone is 0.4 to 1.4 million messages a second by luck.
    "fetch.queue.backoff.ms": 10,
    "queued.max.messages.kbytes": 65_536,
    # Partitions and topics that are added are seen within so long.
    "topic.metadata.refresh.interval.ms": 30_000,
}
_CLASSIC = {
    # A process that was killed is replaced in seconds.
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 3_000,
}


def group_of(options: KafkaSourceOptions, context: BuildContext) -> str:
    """The consumer group of a run: the one that is named, else the pipeline's name.

    A run under another name (`--as`) has one of its own, like its positions. In the live run's group it would begin where that stands, and
    a sink whose positions are the group's offsets would move them: the live run would miss what lies between.
    """
    if options.group and context.beside:
        return f"{options.group}.{context.pipeline}"
    return options.group or context.pipeline


def consumer_config(
    options: KafkaSourceOptions, *, group: str, pipeline: str, worker: int, member: bool, partitions: int = 1
) -> dict[str, Any]:
    """What the consumer is made with.

    Args:
        options: The source's.
        group: The group's name.
        pipeline: The pipeline's, by which its members are told from others.
        worker: This process's number among those that share the group.
        member: It joins the group; else it only commits offsets under its name.
        partitions: How many the topics have.

    Raises:
        ConfigError: As `client_config`.
    """
    config: dict[str, Any] = {
        **_BEST,
        # The library fetches so many ahead of each partition; its limit in bytes knows nothing of headers and of what a message costs.
        "queued.min.messages": max(1_000, min(200_000, 400_000 // max(1, partitions))),
        **(_CLASSIC if options.protocol == "classic" else {}),
        **client_config(options, "consumer"),
        "group.id": group,
        # Offsets are committed when the sinks have what lies before them, never when a message was merely handed over.
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # A position that is gone is told, never silently replaced by another one.
        "auto.offset.reset": "error",
        "check.crcs": True,
        "allow.auto.create.topics": False,
        "enable.partition.eof": True,
    }
    if "client.id" not in options.client:
        config["client.id"] = client_id(options, pipeline)
    if not member:
        return config
    if options.patterns:
        config["topic.blacklist"] = "^__.*,^_ddpm_positions$"
    if options.instance:
        config["group.instance.id"] = f"{options.instance}-{worker}"
    if options.protocol == "consumer":
        for name in ("session.timeout.ms", "heartbeat.interval.ms"):  # The brokers decide these.
            config.pop(name, None)
        return {**config, "group.protocol": "consumer"}
    return {**config, "partition.assignment.strategy": "cooperative-sticky"}


def client_id(options: KafkaSourceOptions, pipeline: str) -> str:
    """What the brokers know this client by."""
    return str(options.client.get("client.id") or f"ddpm-{pipeline}")
