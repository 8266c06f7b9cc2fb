"""Redpanda and Postgres in containers, through testcontainers, for machines with Docker.

The containers outlive the command that starts them; they are known again by their names. Their data is in volumes with the same names.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ddpm_core.services.kafka_broker import answers
from ddpm_core.services.postgres_server import why_not
from ddpm_core.services.unavailable import ServiceUnavailableError
from ddpm_core.values import dataclass

REDPANDA = "redpandadata/redpanda:v24.3.1"
POSTGRES = "postgres:17-alpine"
ANSWER_SECONDS = 3.0
START_SECONDS = 120.0


def why_no_docker() -> str | None:
    """None when containers can be started here; else why not, in a few words. Takes 3 seconds at most."""
    docker = shutil.which("docker")
    if docker is None:
        return "Docker is not installed"
    try:
        said = subprocess.run(
            [docker, "info"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=ANSWER_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"Docker did not answer within {ANSWER_SECONDS:g} s"
    except OSError as error:
        return f"Docker does not run: {error.strerror}"
    if said.returncode:
        return "Docker's daemon does not answer"
    if importlib.util.find_spec("testcontainers") is None:
        return "Docker answers, but the package testcontainers is not installed"
    return None


@dataclass(frozen=True, slots=True)
class Container:
    """One service in a container.

    Attributes:
        name: Of the container and of its volume.
        address: What clients use: `HOST:PORT` or a URL.
        about: What it is, for people.
    """

    name: str
    address: str
    about: str

    def remove(self, *, wipe: bool) -> None:
        """Stop and remove it; with `wipe` its data too."""
        _docker("stop", "--time", "20", self.name)
        _docker("rm", "--force", self.name)
        if wipe:
            _docker("volume", "rm", "--force", self.name)


def container_name(folder: Path, service: str) -> str:
    """One name for each folder and service, so that a folder finds its own again."""
    return f"ddpm-{service}-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"


def start_redpanda(folder: Path, port: int) -> Container:
    """A Redpanda that listens on this port of 127.0.0.1.

    Raises:
        ServiceUnavailableError: The image cannot be had, or it did not answer.
    """
    name = container_name(folder, "kafka")
    made = _container(REDPANDA, name, 9092, port, "/var/lib/redpanda/data")
    made.with_command(
        "redpanda start --mode dev-container --smp 1 --memory 512M --default-log-level=warn"
        f" --kafka-addr PLAINTEXT://0.0.0.0:9092 --advertise-kafka-addr PLAINTEXT://127.0.0.1:{port}"
    )
    address = f"127.0.0.1:{port}"
    _run("Kafka", name, made, lambda: answers(address))
    return Container(name, address, f"Redpanda ({REDPANDA}) in Docker")


def start_postgres(folder: Path, port: int) -> Container:
    """A Postgres that listens on this port of 127.0.0.1; the password is kept in the folder.

    Raises:
        ServiceUnavailableError: The image cannot be had, or it did not answer.
    """
    name = container_name(folder, "postgres")
    password = _password(folder / "postgres-password")
    made = _container(POSTGRES, name, 5432, port, "/var/lib/postgresql/data").with_env("POSTGRES_PASSWORD", password)
    url = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres?sslmode=disable"
    _run("Postgres", name, made, lambda: why_not(url) is None)
    return Container(name, url, f"Postgres ({POSTGRES}) in Docker")


def _container(image: str, name: str, inside: int, port: int, data: str) -> Any:
    # Read at import: else a helper container of testcontainers removes ours as soon as this command ends.
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
    library: Any = importlib.import_module("testcontainers.core.container")

    _docker("rm", "--force", name)  # One that has stopped; its data stays in the volume.
    container = library.DockerContainer(image).with_name(name)
    container.ports[inside] = ("127.0.0.1", port)
    return container.with_volume_mapping(name, data, "rw")


def _run(service: str, name: str, container: Any, ready: Callable[[], bool]) -> None:
    try:
        container.start()
    except Exception as error:
        raise ServiceUnavailableError(service, f"its container does not start: {str(error).splitlines()[0]}") from error
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            _docker("rm", "--force", name)
            raise ServiceUnavailableError(service, f"its container did not answer within {START_SECONDS:g} s")
        time.sleep(0.1)


def _password(path: Path) -> str:
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(16))
    return path.read_text()


def _docker(*arguments: str) -> None:
    """A command of Docker's, whose failure only says that there was nothing to do."""
    subprocess.run(["docker", *arguments], capture_output=True, check=False, stdin=subprocess.DEVNULL)
