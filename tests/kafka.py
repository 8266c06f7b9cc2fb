"""A real Kafka for tests: the one that `DDPM_TEST_KAFKA` names, else Apache Kafka from Maven Central, started and wiped here.

In CI only a real broker counts: Redpanda or Apache Kafka, never a stand-in. `tests/integration/test_kafka_gate.py` holds whichever is
used to what the other tests build on. Nothing is left behind: a guard process ends the broker even when the test run is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from ddpm_core.services.addresses import KAFKA, kafka_address
from ddpm_core.services.java import find_java
from ddpm_core.services.kafka_broker import KafkaBroker as OwnBroker
from ddpm_core.services.kafka_broker import answers
from ddpm_core.services.kafka_jars import find_jars
from ddpm_core.services.ports import free_port
from tests.services import ServiceUnavailableError, guarded_folder, started

SETTINGS = {
    # A killed broker's lease has to run out before it may come back: 3 s instead of 9.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # Tests wait for nobody: members that are gone, transactions that were left open.
    "group.min.session.timeout.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "auto.create.topics.enable": "false",
}
SECONDS = 120.0
"""How long anything of the broker is waited for before a test fails."""


@dataclass
class KafkaBroker:
    """A broker for tests.

    Attributes:
        bootstrap: Its address, `HOST:PORT`.
        about: What it is, for the head of the test run.
        managed: Whether `stop`, `start` and `kill` work; not so for one named by `DDPM_TEST_KAFKA`.
    """

    bootstrap: str
    about: str
    managed: bool = False
    _own: OwnBroker | None = None

    def start(self) -> None:
        """Start it and wait until it answers, also about groups and transactions. Its port and data are those from before.

        Raises:
            ServiceUnavailableError: It ended, or did not answer in time.
        """
        assert self._own is not None
        self._own.start()
        wake(self.bootstrap)

    def stop(self) -> None:
        """Stop it as an operator does. Safe when it has stopped already."""
        assert self._own is not None
        self._own.stop()

    def kill(self) -> None:
        """End it as a crash does: SIGKILL."""
        assert self._own is not None
        self._own.kill()

    @property
    def pid(self) -> int | None:
        """Its process, while it runs and is ours: for SIGSTOP and SIGCONT."""
        return self._own.daemon.pid() if self._own is not None else None

    def admin(self) -> AdminClient:
        """A client for everything that is not records."""
        return AdminClient({"bootstrap.servers": self.bootstrap})

    def create_topic(self, name: str = "", *, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        """Make a topic and wait until clients can use it. Returns its name, made up where none is given."""
        name = name or f"test-{uuid.uuid4().hex[:12]}"
        topic = NewTopic(name, partitions, 1, config=dict(config or {}))
        admin, until, asked_before = self.admin(), time.monotonic() + SECONDS, False
        while True:
            try:
                admin.create_topics([topic], operation_timeout=20)[name].result(90)
                break
            except KafkaException as error:
                code = error.args[0].code()
                if asked_before and code == KafkaError.TOPIC_ALREADY_EXISTS:
                    break
                # After a stop of seconds the controller takes the broker for dead, and has no place for a topic until it hears of it again.
                if time.monotonic() > until or not (code == KafkaError.INVALID_REPLICATION_FACTOR or error.args[0].retriable()):
                    raise
                asked_before = True
                time.sleep(0.05)
        self.wait_for(name, partitions)
        return name

    def wait_for(self, name: str, partitions: int) -> None:
        """Wait until clients see a topic with so many partitions. The answer to who makes them comes when the controller knows them;
        clients ask the broker, which learns of it a moment later, and what they send to a partition until then is thrown away."""
        admin, until = self.admin(), time.monotonic() + SECONDS
        while True:
            found = admin.list_topics(name, timeout=30).topics[name]
            if found.error is None and len(found.partitions) == partitions:
                return
            assert time.monotonic() < until, f"{name} has {len(found.partitions)} partitions, not {partitions}: {found.error}"
            time.sleep(0.01)  # Another process works; only its answers tell how far it is.

    def delete_topic(self, name: str) -> None:
        """Delete a topic; it may be gone already."""
        admin = self.admin()  # It has to live until its answer is there.
        with contextlib.suppress(KafkaException):
            admin.delete_topics([name], operation_timeout=20)[name].result(90)


def freeze(pid: int) -> None:
    """Stop a process, as SIGSTOP does, and wait until every thread of it stands: for a moment they go on, and a broker may answer.

    SIGCONT wakes it up.
    """
    os.kill(pid, signal.SIGSTOP)
    until = time.monotonic() + SECONDS
    while any(_state(task) not in "TtZX" for task in Path(f"/proc/{pid}/task").iterdir()):
        if time.monotonic() > until:
            os.kill(pid, signal.SIGCONT)
            raise AssertionError(f"process {pid} did not stop")
        time.sleep(0.001)  # Another process; only its states tell.


def _state(task: Path) -> str:
    """The letter of a thread's state; of one that has gone meanwhile, as that of a dead one."""
    try:
        return (task / "stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


@contextlib.contextmanager
def kafka(settings: Mapping[str, str] | None = None) -> Iterator[KafkaBroker]:
    """A running broker.

    Args:
        settings: More lines of its `server.properties`, such as a small limit for a message. Not for one that is named.

    Raises:
        ServiceUnavailableError: None could be started; the reason says what is missing.
    """
    given = kafka_address()
    if given is not None:
        if not answers(given, seconds=30):
            raise ServiceUnavailableError("Kafka", f"{KAFKA}: nothing answers at {given}")
        wake(given)
        yield KafkaBroker(given, f"the broker that {KAFKA} names")
        return
    java, jars = find_java(), find_jars()
    with contextlib.ExitStack() as stack:
        folder = guarded_folder("ddpm-kafka-", stack, signal.SIGKILL)
        configured = SETTINGS | dict(settings or {})

        def make() -> OwnBroker:
            return OwnBroker(folder, (port := free_port()), free_port(but=(port,)), java, jars, heap="384m", settings=configured)

        own = started(make)
        stack.callback(own.kill)
        wake(own.bootstrap)
        yield KafkaBroker(own.bootstrap, own.about, managed=True, _own=own)


def wake(bootstrap: str) -> None:
    """Wait until the broker answers about groups and about transactions. For each it makes a topic of its own when it is first asked, or
    reads it when it comes up again: on a slow machine that takes seconds, which no test is about.

    Raises:
        ServiceUnavailableError: It did not in time.
    """
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "ddpm-tests-wake", "enable.auto.commit": False})
    try:
        _until_answered(lambda: consumer.committed([TopicPartition("ddpm-tests-wake", 0)], timeout=30))
    finally:
        consumer.close()
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": "ddpm-tests-wake"})
    _until_answered(lambda: producer.init_transactions(30))


def _until_answered(ask: Callable[[], object]) -> None:
    until = time.monotonic() + SECONDS
    while True:
        try:
            ask()
            return
        except KafkaException as error:
            if time.monotonic() > until:
                raise ServiceUnavailableError("Kafka", f"it answers, and serves no groups or no transactions: {error}") from None
            time.sleep(0.05)  # Another process works; only its answers tell how far it is.
