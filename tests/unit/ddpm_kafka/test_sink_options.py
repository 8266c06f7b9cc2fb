"""Options of the sink and of the topic of dead letters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ddpm_core import BuildContext, ConfigError
from ddpm_core.config.options import check_options
from ddpm_core.testing.sink_target import installed_format
from ddpm_kafka.connection import OFFSETS_KEPT, SharedKafka
from ddpm_kafka.connection_options import ConnectionOptions
from ddpm_kafka.letters import build as build_letters
from ddpm_kafka.letters_options import KafkaLettersOptions
from ddpm_kafka.sink import KafkaSink, build
from ddpm_kafka.sink_options import KafkaSinkOptions
from ddpm_kafka.source import build as build_source
from ddpm_kafka.source_options import KafkaSourceOptions


def checked(**values: Any) -> KafkaSinkOptions:
    return check_options(KafkaSinkOptions, values, owner="sink kafka")


def context(**more: Any) -> BuildContext:
    return BuildContext(pipeline="shop", output=installed_format, **more)


def shared(brokers: str = "a:1,b:2") -> dict[str, Any]:
    options = ConnectionOptions(brokers=brokers.split(","))  # type: ignore[arg-type]
    return {"kafka": SharedKafka(options, "group", lambda: None, lambda: "")}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"topic": "a", "url": "kafka://h/b"}, "sink kafka: the topic is given twice: in url and in topic"),
        ({"key": ["a", "a"]}, "sink kafka, option 'key': names each column once"),
        ({"mode": "upsert"}, "sink kafka, option 'mode': messages are only added, never changed: mode upsert needs a database"),
    ],
)
def test_what_cannot_be_is_said(values: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked(**values)
    assert str(caught.value) == text


def test_without_topic_or_brokers_nothing_is_built() -> None:
    with pytest.raises(ConfigError, match=r"^sink kafka: no topic is named\nSet `topic`, or write kafka://host:port/topic\.$"):
        build(checked(brokers="h"), context())
    with pytest.raises(
        ConfigError,
        match=r"^sink kafka: no brokers are named, and the source is not kafka\nSet `brokers`, such as localhost:9092\.$",
    ):
        build(checked(topic="t"), context())
    with pytest.raises(ConfigError, match=r"^dead_letter kafka: no brokers are named, and the source is not kafka\n"):
        build_letters(KafkaLettersOptions(topic="t"), context())
    with pytest.raises(ConfigError, match=r"^dead_letter kafka: no topic is named\n"):
        build_letters(KafkaLettersOptions(brokers=("h",)), context())


def test_the_first_sink_on_the_sources_cluster_has_the_groups_offsets() -> None:
    meeting = shared()

    def made(**values: Any) -> KafkaSink:
        return build(checked(topic="t", **values), context(shared=meeting))

    assert made(guarantee="at_least_once")._group is None
    assert made(brokers="elsewhere:1")._group is None
    assert OFFSETS_KEPT not in meeting
    assert made(brokers="b:2,a:1")._group is not None
    assert meeting[OFFSETS_KEPT] is True
    further = made()
    assert further._group is None
    assert further._kept.target == "t/4"


def test_ids_differ_between_processes_and_stay_with_a_static_member() -> None:
    class Static(ConnectionOptions):
        instance: str = "pod-1"

    static = {"kafka": SharedKafka(Static(brokers=("h",)), "group", lambda: None, lambda: "")}
    assert build(checked(topic="t"), context(shared=shared()))._id != build(checked(topic="t"), context(shared=shared()))._id
    assert build(checked(topic="t"), context(shared=dict(static), bounds=None, worker=2))._id == "ddpm-shop-t-pod-1-2"
    assert build(checked(topic="t"), context(shared=dict(static)))._id != "ddpm-shop-t-pod-1-0"


@pytest.mark.parametrize("topics", [["orders", "other"], ["^ord"]])
@pytest.mark.parametrize("what", ["sink", "dead_letter"])
def test_a_topic_that_the_source_reads_is_never_written_to(topics: list[str], what: str) -> None:
    shop = context()
    build_source(KafkaSourceOptions(brokers="localhost:1", topics=tuple(topics)), shop)
    makers: dict[str, Callable[[], object]] = {
        "sink": lambda: build(KafkaSinkOptions(topic="orders"), shop),
        "dead_letter": lambda: build_letters(KafkaLettersOptions(topic="orders"), shop),
    }
    with pytest.raises(ConfigError) as error:
        makers[what]()
    owner = "sink kafka" if what == "sink" else "dead_letter kafka"
    assert str(error.value) == (
        f"{owner} writes to topic orders, which the source reads: what is written would come round for ever\nName another topic."
    )


def test_rows_and_dead_letters_never_share_a_topic() -> None:
    shop = context(shared=shared())
    build(checked(topic="orders"), shop)
    build(checked(topic="orders"), shop)
    build_letters(KafkaLettersOptions(topic="orders", brokers="elsewhere:1"), shop)
    with pytest.raises(ConfigError) as error:
        build_letters(KafkaLettersOptions(topic="orders"), shop)
    assert str(error.value) == (
        "dead_letter kafka writes to topic orders, and so does sink kafka\nGive dead letters a topic of their own."
    )
