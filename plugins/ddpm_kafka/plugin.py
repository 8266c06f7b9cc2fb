"""What this plugin gives: the source `kafka` and the sink `kafka`."""

from __future__ import annotations

from collections.abc import Iterable

from ddpm_core import SinkSpec, SourceSpec, hookimpl


@hookimpl
def ddpm_sources() -> Iterable[SourceSpec]:
    yield SourceSpec(
        name="kafka",
        summary="Topics of Kafka, Redpanda and their like, by a consumer group",
        options="ddpm_kafka.source_options:KafkaSourceOptions",
        example="ddpm ingest kafka://localhost:9092/events --format json",
        build="ddpm_kafka.source:build",
        schemes=("kafka",),
        address="url",
        endless=True,
    )


@hookimpl
def ddpm_sinks() -> Iterable[SinkSpec]:
    yield SinkSpec(
        name="kafka",
        summary="A message for each row, exactly once by transactions; and a topic of dead letters",
        options="ddpm_kafka.sink_options:KafkaSinkOptions",
        example="ddpm ingest orders.csv --to kafka://localhost:9092/orders -o sink.key=id",
        build="ddpm_kafka.sink:build",
        schemes=("kafka",),
        address="url",
        guarantee="exactly_once",
        modes=("append",),
        dead_letters="ddpm_kafka.letters:build",
        dead_letter_options="ddpm_kafka.letters_options:KafkaLettersOptions",
        dead_letters_at="ddpm_kafka.letters:letters_at",
    )
