"""One broker of Apache Kafka in KRaft mode, that is also its own controller, on loopback."""

from __future__ import annotations

import base64
import logging
import re
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ddpm_core.services.java import Java
from ddpm_core.services.kafka_jars import KAFKA_VERSION
from ddpm_core.services.ports import refuse_taken
from ddpm_core.services.processes import Daemon
from ddpm_core.services.unavailable import ServiceUnavailableError

START_SECONDS = 120.0
STOP_SECONDS = 30.0
_LOG = """\
appenders = out
appender.out.type = Console
appender.out.name = OUT
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c)%n%throwable{3}
rootLogger.level = WARN
rootLogger.appenderRefs = out
rootLogger.appenderRef.out.ref = OUT
"""


@dataclass
class KafkaBroker:
    """A broker with its data in a folder of its own.

    Attributes:
        folder: Holds `data`, `server.properties`, `log` and `pid`. Made by `start` where it is missing.
        port: Where clients connect, on 127.0.0.1.
        controller_port: Where it talks to itself.
        java: What runs it.
        jars: The folder of its jars.
        heap: Java's `-Xmx`.
        settings: More lines of `server.properties`; they win.
    """

    folder: Path
    port: int
    controller_port: int
    java: Java
    jars: Path
    heap: str = "512m"
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def about(self) -> str:
        return f"Apache Kafka {KAFKA_VERSION} on {self.java.about}"

    @property
    def daemon(self) -> Daemon:
        return kafka_daemon(self.folder)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def start(self) -> None:
        """Start it and wait until it answers. Does nothing when it runs.

        Raises:
            ServiceUnavailableError: It ended or did not answer; the reason is its own last word.
        """
        if self.daemon.pid() is not None:
            self._wait()
            return
        refuse_taken("Kafka", self.port, self.controller_port)  # Else another's broker might answer for this one.
        self.folder.mkdir(parents=True, exist_ok=True)
        properties = self.folder / "server.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in self._properties().items()))
        (self.folder / "log4j2.properties").write_text(_LOG)
        if not (self.folder / "data/meta.properties").exists():
            self._format(properties)
        self.daemon.start([*self._java(f"-Xmx{self.heap}"), "kafka.Kafka", str(properties)], self.log, cwd=self.folder)
        self._wait()

    def stop(self) -> None:
        """Stop it as an operator would: what it holds is on disk, and the next start is quick."""
        self.daemon.stop(signal.SIGTERM, STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL, as a crash; returns when it is gone."""
        self.daemon.stop(signal.SIGKILL, STOP_SECONDS)

    def _properties(self) -> dict[str, str]:
        single = {
            f"{log}.replication.factor": "1" for log in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
        }
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.folder / "data"),
            **single,
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # One broker: fewer partitions of its own topics start quicker, and no second member is worth waiting for.
            "offsets.topic.num.partitions": "5",
            "transaction.state.log.num.partitions": "5",
            "group.initial.rebalance.delay.ms": "0",
            "log.cleaner.dedupe.buffer.size": "8388608",
            **self.settings,
        }

    def _java(self, *flags: str) -> list[str]:
        native = ["--enable-native-access=ALL-UNNAMED"] if self.java.version >= 22 else []
        log = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}"
        # The collector with the least memory and threads of its own: the broker shares a small machine with what it serves.
        return [str(self.java.path), "-XX:+UseSerialGC", "-Xshare:auto", *flags, *native, log, "-cp", f"{self.jars}/*"]

    def _format(self, properties: Path) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "x")
        command = [
            *self._java("-XX:TieredStopAtLevel=1"),
            "kafka.tools.StorageTool",
            "format",
            "-t",
            cluster,
            "-c",
            str(properties),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise ServiceUnavailableError("Kafka", f"its storage cannot be made: {_telling(done.stdout + done.stderr)}")

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not answers(self.bootstrap):
            ended = self.daemon.pid() is None
            if ended or time.monotonic() > deadline:
                self.kill()
                word = _telling(self.log.read_text(errors="replace"))
                raise ServiceUnavailableError(
                    "Kafka", f"it {'ended' if ended else 'did not answer'}: {word}", hint=f"Its log: {self.log}"
                )
            time.sleep(0.05)


def kafka_daemon(folder: Path) -> Daemon:
    """The process that serves this folder, if it runs."""
    return Daemon(folder / "pid", str(folder / "server.properties"))


def answers(bootstrap: str, *, seconds: float = 2.0) -> bool:
    """Whether a broker is there and serves clients."""
    host, _, port = bootstrap.split(",")[0].strip().rpartition(":")
    try:
        # A closed port is known at once; the client would try again and again.
        socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()
    except (OSError, ValueError):
        return False
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    silent = logging.getLogger("ddpm.services.kafka")
    silent.addHandler(logging.NullHandler())
    silent.propagate = False
    settings: dict[str, Any] = {"bootstrap.servers": bootstrap, "logger": silent, "log_level": 0}
    client = AdminClient(settings)
    try:
        return bool(client.list_topics(timeout=seconds).brokers)
    except KafkaException:
        return False


def _telling(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\b(ERROR|FATAL|Exception)\b|Exception:", line)]
    line = (errors or lines or ["it said nothing"])[-1].strip()
    return line if len(line) <= 300 else f"{line[:299]}…"
