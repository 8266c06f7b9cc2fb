"""The sink `kafka` on a real broker: what the kit promises of every sink, and what only transactions of Kafka can get wrong."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from ddpm_core import Batch, BuildContext, ConfigError, Position, RetryableError, Sink
from ddpm_core.config.options import check_options
from ddpm_core.plugin.specs import resolve
from ddpm_core.testing import SinkCapabilities, SinkConformance
from ddpm_core.testing.sink_target import installed_format, some_rows
from ddpm_kafka.connection_options import ConnectionOptions
from ddpm_kafka.plugin import ddpm_sinks
from ddpm_kafka.positions import TOPIC
from ddpm_kafka.producer import Outbox
from ddpm_kafka.sink import KafkaSink
from tests.kafka import SECONDS, KafkaBroker, freeze
from tests.kafka_groups import GroupView, committed_values, messages_of
from tests.seeds import seeded


def topic_name() -> str:
    return f"sink-{uuid.uuid4().hex[:12]}"


def made_sink(broker: KafkaBroker, topic: str, *, context: Mapping[str, Any] | None = None, **options: Any) -> Sink:
    (spec,) = ddpm_sinks()
    checked = check_options(spec.options_model(), {"brokers": broker.bootstrap, "topic": topic, **options}, owner="sink kafka")
    sink = resolve(spec.build)(checked, BuildContext(**{"pipeline": "kit", "output": installed_format, **(context or {})}))
    assert isinstance(sink, Sink)
    return sink


class TestConformance(SinkConformance):
    """What the kit promises of every sink."""

    plugin = "ddpm_kafka.plugin"
    name = "kafka"
    options: ClassVar[Mapping[str, Any]] = {"brokers": "localhost", "topic": "rows"}
    capabilities = SinkCapabilities(types=("bool", "integers", "unsigned", "text", "list", "struct"), refuses_rows=False)

    @pytest.fixture
    def target_options(self, kafka_broker: KafkaBroker) -> Mapping[str, Any]:
        self.broker = kafka_broker
        return {"brokers": kafka_broker.bootstrap, "topic": topic_name()}

    def build_sink(self, target_options: Mapping[str, Any]) -> Sink:
        made = super().build_sink(target_options)
        assert isinstance(made, KafkaSink)
        self.sinks = [*getattr(self, "sinks", ()), made]
        return made

    def read_rows(self, target_options: Mapping[str, Any]) -> list[dict[str, Any]]:
        decided = not any(sink._outbox._began for sink in self.sinks)  # What a sink is writing stays open until it commits.
        return [
            json.loads(message.value() or b"") for message in messages_of(self.broker, target_options["topic"], decided=decided)
        ]


def rows(start: int, stop: int) -> Batch:
    return Batch(some_rows(start, stop))


def read_ids(broker: KafkaBroker, topic: str, *, decided: bool = True) -> list[int]:
    return [json.loads(message.value() or b"")["id"] for message in messages_of(broker, topic, decided=decided)]


class Ingest:
    """`ddpm ingest` of a file into a topic, as a process of its own."""

    def __init__(self, broker: KafkaBroker, source: Path, topic: str) -> None:
        ddpm = str(Path(sys.executable).with_name("ddpm"))
        self.command = [ddpm, "ingest", str(source), "--to", f"kafka://{broker.bootstrap}/{topic}", "--quiet"]

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def finish(self) -> None:
        process = self.start()
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()


@pytest.mark.timeout(1800)
def test_killed_at_random_moments_the_topic_holds_every_row_once(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    """`DDPM_KILLS` for the number of kills, `DDPM_KILLS_SEED` for the moments of an earlier run."""
    records, kills = 20_000, int(os.environ.get("DDPM_KILLS", "4"))
    rng, topic, source = seeded("DDPM_KILLS_SEED"), topic_name(), tmp_path / "events.ndjson"
    with source.open("w") as file:
        file.writelines(json.dumps({"id": n, "text": "x" * 1000}) + "\n" for n in range(records))
    load = Ingest(kafka_broker, source, topic)
    kafka_broker.create_topic(topic, partitions=3)
    mark, between = HighMark(kafka_broker), 0
    for number in range(kills):
        # Until it has sent something, or until the decided part has grown twice: by what the one before left open, and by a commit.
        # And a random moment more.
        committed = number % 2 == 1
        before = mark.of(topic, committed=committed)
        process = load.start()
        moves = 2 if committed else 1
        while process.poll() is None and moves:
            wait_at_most(process, 0.005)
            if (now := mark.of(topic, committed=committed)) != before:
                before, moves = now, moves - 1
        wait_at_most(process, rng.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=120)
        seen = read_ids(kafka_broker, topic, decided=False)
        assert len(seen) == len(set(seen)), "a row is there twice"
        between += 0 < len(seen) < records
        print(f"kill {number + 1}: {len(seen):,} rows were there")
        if len(seen) == records:
            load.finish()
            assert sorted(read_ids(kafka_broker, topic)) == list(range(records))
            topic = topic_name()
            kafka_broker.create_topic(topic, partitions=3)
            load = Ingest(kafka_broker, source, topic)
    load.finish()
    load.finish()
    assert sorted(read_ids(kafka_broker, topic)) == list(range(records))
    assert between >= kills // 3, "hardly any kill fell between the first row and the last one"


class HighMark:
    """How far a topic's first partition goes: all that was sent, or what is committed."""

    def __init__(self, broker: KafkaBroker) -> None:
        self._admin = broker.admin()

    def of(self, topic: str, *, committed: bool) -> int:
        place, until = TopicPartition(topic, 0), time.monotonic() + SECONDS
        isolation = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        while True:
            latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
            try:
                return int(self._admin.list_offsets({place: latest}, isolation_level=isolation)[place].result(90).offset)
            except KafkaException:  # A topic that was made just now has no leader yet.
                assert time.monotonic() < until, f"{topic} has no leader"


def wait_at_most(process: subprocess.Popen[bytes], seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def test_two_ingests_of_a_file_write_each_row_once_with_its_key(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    topic, source = topic_name(), tmp_path / "events.ndjson"
    source.write_text("".join(json.dumps({"id": n, "user": n % 7}) + "\n" for n in range(500)))
    load = Ingest(kafka_broker, source, topic)
    load.command += ["-o", "sink.key=user", "-o", "sink.min_partitions=4", "-o", "sink.compression=gzip"]
    load.finish()
    load.finish()
    messages = messages_of(kafka_broker, topic)
    assert sorted(json.loads(message.value() or b"")["id"] for message in messages) == list(range(500))
    assert all(message.key() == str(json.loads(message.value() or b"")["user"]).encode() for message in messages)
    assert len({(message.key(), message.partition()) for message in messages}) == 7, "a key is in more than one partition"


def test_what_is_not_committed_is_invisible_and_a_rolled_back_round_stays_so(kafka_broker: KafkaBroker) -> None:
    topic = topic_name()
    sink = made_sink(kafka_broker, topic)
    sink.open()
    sink.claim(["p"])
    sink.write(rows(0, 10))
    sink.rollback()
    sink.write(rows(10, 20))
    sink.commit({"p": Position(10)}, [])
    sink.write(rows(20, 30))
    sink.close()
    assert sorted(read_ids(kafka_broker, topic)) == list(range(10, 20))


def test_too_large_a_row_is_refused_alone_and_before_the_broker_refuses_its_neighbours(kafka_broker: KafkaBroker) -> None:
    topic = kafka_broker.create_topic(topic_name(), config={"max.message.bytes": "20000"})
    sink = made_sink(kafka_broker, topic, compression="none")
    sink.open()
    sink.claim(["p"])
    sizes = [19_700, 30_000, 500, *[19_000] * 40]
    data = pa.RecordBatch.from_pydict({"id": list(range(len(sizes))), "text": ["x" * size for size in sizes]})
    rejects = sink.write(Batch(data))
    sink.commit({"p": Position(len(sizes))}, [])
    sink.close()
    assert [(r.index, r.reason, r.message) for r in rejects] == [
        (1, "too_large", "the message would have 30,118 bytes, and the topic takes 20,000")
    ]
    assert sorted(read_ids(kafka_broker, topic)) == [n for n in range(len(sizes)) if n != 1]


def test_key_headers_and_time_of_a_message(kafka_broker: KafkaBroker) -> None:
    topic = topic_name()
    headers = {"origin": "shop", "trace": {"column": "trace"}}
    sink = made_sink(kafka_broker, topic, key=["user", "n"], headers=headers, timestamp="at", format="json")
    sink.open()
    sink.claim(["p"])
    at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    data = pa.RecordBatch.from_pydict(
        {"id": [0, 1, 2], "user": ["a", None, None], "n": [1, 2, None], "trace": ["t", None, "u"], "at": [at] * 3}
    )
    assert [(r.index, r.reason) for r in sink.write(Batch(data))] == [(2, "no_key")]
    sink.commit({"p": Position(3)}, [])
    sink.close()
    found = [(m.key(), m.headers(), m.timestamp()[1]) for m in messages_of(kafka_broker, topic)]
    assert found == [
        (b'{"user":"a","n":1}', [("origin", b"shop"), ("trace", b"t")], 1795262400000),
        (b'{"user":null,"n":2}', [("origin", b"shop")], 1795262400000),
    ]


def test_at_least_once_keeps_no_positions_and_writes_without_transactions(kafka_broker: KafkaBroker) -> None:
    topic = topic_name()
    sink = made_sink(kafka_broker, topic, guarantee="at_least_once")
    assert sink.keeps_positions is False
    sink.open()
    assert sink.claim(["p"]) == {}
    sink.write(rows(0, 10))
    sink.commit({"p": Position(10)}, [])
    sink.write(rows(10, 20))
    sink.rollback()
    sink.close()
    assert set(range(10)) <= set(read_ids(kafka_broker, topic))


def test_looking_makes_nothing(kafka_broker: KafkaBroker, caplog: pytest.LogCaptureFixture) -> None:
    topic, compacted = topic_name(), kafka_broker.create_topic(topic_name(), config={"cleanup.policy": "compact"})
    sink = made_sink(kafka_broker, topic)
    sink.inspect()
    sink.close()
    where = f"Kafka at {kafka_broker.bootstrap}"
    # What the client's library says of its connections depends on the moment.
    said = [record.getMessage() for record in caplog.records if record.name == "ddpm.kafka.sink"]
    assert said == [f"topic {topic} does not exist at {where} yet: a run creates it"]
    assert topic not in kafka_broker.admin().list_topics(timeout=60).topics
    refused = made_sink(kafka_broker, compacted)
    with pytest.raises(ConfigError, match=f"^topic {compacted} is compacted, so its messages need a key\n"):
        refused.inspect()
    refused.close()
    fine = made_sink(kafka_broker, compacted, key="id")
    fine.inspect()
    fine.close()


def test_a_compacted_topic_needs_a_key(kafka_broker: KafkaBroker) -> None:
    topic = kafka_broker.create_topic(topic_name(), config={"cleanup.policy": "compact"})
    sink = made_sink(kafka_broker, topic)
    with pytest.raises(ConfigError) as caught:
        sink.open()
    sink.close()
    assert str(caught.value) == f"topic {topic} is compacted, so its messages need a key\nSet `key` to the column that is it."


def test_who_died_in_the_middle_of_its_commit_is_ended_by_the_next_one_at_once(kafka_broker: KafkaBroker) -> None:
    """Its transaction hides the end of the log, and would do so for a minute."""
    topic = topic_name()
    dead, following = made_sink(kafka_broker, topic), made_sink(kafka_broker, topic)
    assert isinstance(dead, KafkaSink)
    dead.open()
    dead.claim(["p"])
    dead.write(rows(0, 5))
    ((key, value),) = dead._kept.position_messages({"p": Position(5)})
    dead._outbox.send(TOPIC, [value], [key], partition=dead._kept.partition)
    dead._outbox.flush(90, "the positions")
    following.open()
    began = time.monotonic()
    assert following.claim(["p"]) == {}
    assert time.monotonic() - began < 30
    following.write(rows(0, 5))
    following.commit({"p": Position(5)}, [])
    following.close()
    dead.close()
    assert sorted(read_ids(kafka_broker, topic)) == list(range(5))


@contextlib.contextmanager
def frozen(broker: KafkaBroker) -> Iterator[None]:
    """A broker that keeps its connections and answers nothing. Left again as it was."""
    pid = broker.pid
    if pid is None:
        pytest.skip("the broker is not ours to freeze")
    freeze(pid)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def cancelled(outbox: Outbox, call: Callable[[], object], *, opens: bool) -> tuple[BaseException | None, float]:
    """What a call raises that is cancelled after a second, and the seconds that it and taking back take from then on.

    Args:
        outbox: Whose.
        call: The call.
        opens: It is `open`, which begins by forgetting that anything was cancelled.
    """
    raised: list[BaseException] = []
    watch = outbox._watch

    def work() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            raised.append(error)
        outbox.abort(60.0)  # As long as that is, after it was cancelled it is short.
        outbox.drop()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    until = time.monotonic() + 60
    while opens and outbox._watch is watch and time.monotonic() < until:
        time.sleep(0.01)  # Another thread works.
    thread.join(1.0)
    assert thread.is_alive(), f"it did not wait: {raised}"
    began = time.monotonic()
    outbox.cancel()
    thread.join(150)
    assert not thread.is_alive()
    return (raised[0] if raised else None), time.monotonic() - began


@pytest.mark.parametrize("what", ["offsets", "commit", "open"])
def test_a_call_that_is_cancelled_while_the_broker_is_frozen_returns_and_nothing_of_it_counts(
    kafka_broker: KafkaBroker, what: str
) -> None:
    broker = kafka_broker
    topic, group = broker.create_topic(), f"group-{uuid.uuid4().hex[:8]}"
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group})
    offsets = [TopicPartition(topic, 0, 7)] if what == "offsets" else []
    outbox = Outbox(ConnectionOptions(brokers=broker.bootstrap), {}, transactional_id=f"id-{topic}")
    outbox.open()
    outbox.send(topic, [b"lost"])
    outbox.flush(90, "it")
    with frozen(broker):
        call = outbox.open if what == "open" else lambda: outbox.commit(offsets, consumer.consumer_group_metadata())
        error, seconds = cancelled(outbox, call, opens=what == "open")
        assert isinstance(error, RetryableError), error
        assert "was interrupted" in str(error)
        assert seconds < 20, "a call that is not cancelled takes a minute, ours with all that follows 2 seconds"
    outbox.open()  # Ends what the other producer of this id had begun.
    seen = committed_values(broker, topic)
    # The broker may have had the request for the commit, and act upon it when it wakes up; never so without one.
    assert seen in ([], [b"lost"]) if what == "commit" else seen == []
    # Asked again and again: the broker may just have lost its lease to its controller, asleep as both were.
    with GroupView(broker, group, topic) as view:
        assert view.offsets() == {}
        outbox.send(topic, [b"again"])
        outbox.commit([TopicPartition(topic, 0, 8)], consumer.consumer_group_metadata())
        outbox.drop()
        assert committed_values(broker, topic) == [*seen, b"again"]
        assert {number: offset for number, (offset, _) in view.offsets().items()} == {0: 8}
    consumer.close()


GIVEN_UP = """
import sys, threading
from confluent_kafka import Consumer, TopicPartition
from ddpm_core import RetryableError
from ddpm_kafka.connection_options import ConnectionOptions
from ddpm_kafka.producer import Outbox

brokers, topic = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": brokers, "group.id": topic})
outbox = Outbox(ConnectionOptions(brokers=brokers), {}, transactional_id=topic)
outbox.open()
outbox.send(topic, [b"lost"])
metadata = consumer.consumer_group_metadata()
print("ready", flush=True)
sys.stdin.readline()
threading.Timer(0.5, outbox.cancel).start()
try:
    outbox.commit([TopicPartition(topic, 0, 7)], metadata)
except RetryableError:
    print("given up", flush=True)
"""


def test_a_producer_that_was_given_up_does_not_delay_the_end_of_its_process(kafka_broker: KafkaBroker) -> None:
    topic, pid = kafka_broker.create_topic(), kafka_broker.pid
    if pid is None:
        pytest.skip("the broker is not ours to freeze")
    command = [sys.executable, "-c", GIVEN_UP, kafka_broker.bootstrap, topic]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        freeze(pid)
        process.stdin.write(b"go on\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"given up\n"
        began = time.monotonic()
        assert process.wait(150) == 0
        assert time.monotonic() - began < 20, "the library's own good-bye takes a minute"
    finally:
        os.kill(pid, signal.SIGCONT)
        process.kill()
        process.communicate(timeout=60)
