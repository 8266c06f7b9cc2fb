"""A real Kafka for tests: the one that `DDPM_TEST_KAFKA` names, else Apache Kafka from Maven Central, started and wiped here.

In CI only a real broker counts: Redpanda or Apache Kafka, never a stand-in. `tests/integration/test_kafka_gate.py` holds whichever is
used to what the other tests build on. Nothing is left behind: a guard process ends the broker even when the test run is killed.
"""

from __future__ import annotations

import contextlib
import signal
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from ddpm_core.services.addresses import KAFKA, kafka_address
from ddpm_core.services.java import find_java
from ddpm_core.services.kafka_broker import KafkaBroker as OwnBroker
from ddpm_core.services.kafka_broker import answers
from ddpm_core.services.kafka_jars import find_jars
from ddpm_core.services.ports import free_port
from tests.services import ServiceUnavailableError, guarded_folder

SETTINGS = {
    # A killed broker's lease has to run out before it may come back: 3 s instead of 9.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # Tests wait for nobody: members that are gone, transactions that were left open.
    "group.min.session.timeout.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "auto.create.topics.enable": "false",
}


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
        """Start it and wait until it answers. Its port and data are those from before.

        Raises:
            ServiceUnavailableError: It ended, or did not answer in time.
        """
        assert self._own is not None
        self._own.start()

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
        admin = self.admin()
        made = admin.create_topics([NewTopic(name, partitions, 1, config=dict(config or {}))], operation_timeout=20)
        made[name].result(30)
        while True:  # The answer comes when the controller knows it; clients ask the broker, which learns of it a moment later.
            found = admin.list_topics(name, timeout=10).topics[name]
            if found.error is None and len(found.partitions) == partitions:
                return name

    def delete_topic(self, name: str) -> None:
        """Delete a topic; it may be gone already."""
        admin = self.admin()  # It has to live until its answer is there.
        with contextlib.suppress(KafkaException):
            admin.delete_topics([name], operation_timeout=20)[name].result(30)


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
        if not answers(given, seconds=10):
            raise ServiceUnavailableError("Kafka", f"{KAFKA}: nothing answers at {given}")
        yield KafkaBroker(given, f"the broker that {KAFKA} names")
        return
    java, jars = find_java(), find_jars()
    with contextlib.ExitStack() as stack:
        folder = guarded_folder("ddpm-kafka-", stack, signal.SIGKILL)
        own = _started(folder, java, jars, SETTINGS | dict(settings or {}))
        stack.callback(own.kill)
        yield KafkaBroker(own.bootstrap, own.about, managed=True, _own=own)


def _started(folder: Any, java: Any, jars: Any, settings: Mapping[str, str]) -> OwnBroker:
    for attempt in range(3):
        own = OwnBroker(folder, (port := free_port()), free_port(but=(port,)), java, jars, heap="384m", settings=settings)
        try:
            own.start()
        except ServiceUnavailableError:
            if attempt == 2:  # Another process may take a port between its choice and its use, but not three times.
                raise
            continue
        return own
    raise AssertionError("unreachable")
