"""A topic of dead letters on a real broker: nothing is lost, each is found once, and purged ones are gone."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Consumer, TopicPartition

from ddpm_core import ConfigError, DeadLetter, DeadLetterFilter
from ddpm_core.testing import hostile_texts
from ddpm_core.testing.sink import dead_letter
from ddpm_kafka.letters import KafkaLetters, letters_at
from ddpm_kafka.letters_options import KafkaLettersOptions
from tests.kafka import KafkaBroker

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
OPEN = DeadLetterFilter(limit=0, replayed=False)
ALL = DeadLetterFilter(limit=0)

Make = Callable[..., KafkaLetters]


@pytest.fixture
def topic() -> str:
    return f"letters-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def store(kafka_broker: KafkaBroker, topic: str) -> Iterator[KafkaLetters]:
    options = KafkaLettersOptions(brokers=(kafka_broker.bootstrap,), topic=topic, min_partitions=3)
    made = KafkaLetters(options, options)
    made.open()
    yield made
    made.close()


def letter(name: str, minutes: int = 0, **values: object) -> DeadLetter:
    return replace(dead_letter(name), created_at=AT + timedelta(minutes=minutes), **values)  # type: ignore[arg-type]


def ids(store: KafkaLetters, wanted: DeadLetterFilter) -> list[str]:
    return [found.id for found in store.find(wanted)]


def bytes_left(broker: KafkaBroker, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "x"})
    try:
        spans = [consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=60) for number in range(3)]
        return sum(high - low for low, high in spans)
    finally:
        consumer.close()


def test_what_is_appended_is_found_as_it_was_newest_first_and_by_the_filter(store: KafkaLetters) -> None:
    hostile = [letter(f"h{n}", n, message=text, view=text, source=text) for n, text in enumerate(hostile_texts())]
    kept = letter(
        "kept", 500, key=b"\x00k", headers=(("a", b"\xff"), ("a", b""), ("ddpm.id", b"theirs")), timestamp=7, byte_offset=0
    )
    bare = letter("bare", 501, key=None, headers=(), format="json", payload=b"", reason="other", target="t")
    store.append([*hostile, kept])
    store.append([bare])
    found = list(store.find(ALL))
    assert found == [bare, kept, *reversed(hostile)]
    assert found[0].target == "t"
    assert ids(store, DeadLetterFilter(limit=1)) == ["bare"]
    assert ids(store, DeadLetterFilter(reason="other")) == ["bare"]
    assert ids(store, DeadLetterFilter(id="kep")) == ["kept"]


def test_one_written_twice_is_found_once_and_a_replay_is_noted(store: KafkaLetters) -> None:
    first, second = letter("first"), letter("second", 1)
    store.append([first, second])
    store.append([first])
    assert ids(store, OPEN) == ["second", "first"]
    done = replace(first, replayed_at=AT)
    store.mark_replayed([done])
    store.append([first])  # A run that crashed writes it once more.
    assert ids(store, OPEN) == ["second"]
    assert list(store.find(DeadLetterFilter(replayed=True))) == [done]
    store.append([replace(second, attempts=2, reason="again")])
    assert [found.reason for found in store.find(OPEN)] == ["again"]


def test_purged_ones_are_gone_and_their_bytes_with_them_as_far_as_nothing_else_is_before(
    kafka_broker: KafkaBroker, store: KafkaLetters, topic: str
) -> None:
    letters = [letter(f"n{n}", n) for n in range(30)]
    store.append(letters)
    assert store.purge(letters[10:]) == 20
    assert ids(store, ALL) == [one.id for one in reversed(letters[:10])]
    assert store.purge(letters[10:]) == 0 or bytes_left(kafka_broker, topic) >= 10
    assert store.purge(letters[:10]) == 10
    assert ids(store, ALL) == []
    assert bytes_left(kafka_broker, topic) == 0
    store.append(letters[:1])
    assert ids(store, ALL) == ["n0"], "what failed again after it was purged is a letter again"


def test_the_store_at_an_address_is_the_same_and_makes_no_topic(kafka_broker: KafkaBroker, store: KafkaLetters, topic: str) -> None:
    store.append([letter("one")])
    at = letters_at(f"kafka://{kafka_broker.bootstrap}/{topic}")
    at.open()
    assert ids(at, ALL) == ["one"]
    at.close()
    missing = letters_at(f"kafka://{kafka_broker.bootstrap}/no-{topic}")
    with pytest.raises(ConfigError, match=rf"^Kafka at {kafka_broker.bootstrap} has no topic no-{topic}$"):
        missing.open()
    missing.close()
    with pytest.raises(ConfigError, match=r"^the address of the dead letters is kafka://host:port/topic, without parameters"):
        letters_at("kafka://h/t?x")


def test_a_compacted_topic_is_refused(kafka_broker: KafkaBroker, topic: str) -> None:
    kafka_broker.create_topic(topic, config={"cleanup.policy": "compact"})
    options = KafkaLettersOptions(brokers=(kafka_broker.bootstrap,), topic=topic)
    made = KafkaLetters(options, options)
    for reach in (made.open, made.inspect):
        with pytest.raises(ConfigError, match=f"^topic {topic} is compacted, and would lose dead letters that have the same key\n"):
            reach()
    made.close()


def test_looking_makes_no_topic(kafka_broker: KafkaBroker, topic: str, caplog: pytest.LogCaptureFixture) -> None:
    options = KafkaLettersOptions(brokers=(kafka_broker.bootstrap,), topic=topic)
    made = KafkaLetters(options, options)
    made.inspect()
    made.close()
    where = f"Kafka at {kafka_broker.bootstrap}"
    # What the client's library says of its connections depends on the moment.
    said = [record.getMessage() for record in caplog.records if record.name == "ddpm.kafka.letters"]
    assert said == [f"topic {topic} does not exist at {where} yet: a run creates it"]
    assert topic not in kafka_broker.admin().list_topics(timeout=60).topics
    missing = KafkaLetters(options, options, creates=False)
    with pytest.raises(ConfigError, match=f"^{where} has no topic {topic}$"):
        missing.inspect()
    missing.close()
