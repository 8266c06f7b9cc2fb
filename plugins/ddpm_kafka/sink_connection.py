"""What the sinks of a pipeline share with its source and with each other: the cluster, the group's offsets, their names."""

from __future__ import annotations

from ddpm_core import BuildContext, ConfigError
from ddpm_kafka.connection import SharedKafka
from ddpm_kafka.connection_options import ConnectionOptions

SHARED = "kafka"
"""Where a source puts its `SharedKafka`."""


def connection_of(
    options: ConnectionOptions, context: BuildContext, owner: str, topic: str
) -> tuple[ConnectionOptions, SharedKafka | None]:
    """How the cluster is reached, and what the source shares where it is the source's.

    Args:
        topic: What is written there.

    Raises:
        ConfigError: Nobody names brokers; or the source reads this topic; or rows and dead letters would share it.
    """
    found, shared = _connection_of(options, context, owner)
    if shared is not None and shared.reads(topic):
        raise ConfigError(
            f"{owner} writes to topic {topic}, which the source reads: what is written would come round for ever",
            hint="Name another topic.",
        )
    written: dict[tuple[frozenset[str], str], str] = context.shared.setdefault("kafka_written", {})
    other = written.setdefault((frozenset(found.servers), topic), owner)
    if other != owner:
        raise ConfigError(f"{owner} writes to topic {topic}, and so does {other}", hint="Give dead letters a topic of their own.")
    return found, shared


def _connection_of(options: ConnectionOptions, context: BuildContext, owner: str) -> tuple[ConnectionOptions, SharedKafka | None]:
    shared = context.shared.get(SHARED)
    if not isinstance(shared, SharedKafka):
        shared = None
    if not options.servers:
        if shared is None:
            raise ConfigError(
                f"{owner}: no brokers are named, and the source is not kafka", hint="Set `brokers`, such as localhost:9092."
            )
        return shared.options, shared
    same = shared is not None and set(options.servers) == set(shared.options.servers)
    return options, shared if same else None


def name_in_pipeline(context: BuildContext, topic: str) -> str:
    """What a sink's positions are kept under: its topic; behind it a number for a pipeline's second and further sinks into the same one, in
    their order. Called once for each sink, when it is built."""
    before: list[str] = context.shared.setdefault("kafka_sinks", [])
    before.append(topic)
    number = before.count(topic)
    return topic if number == 1 else f"{topic}/{number}"
