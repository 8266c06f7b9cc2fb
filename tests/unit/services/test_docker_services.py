"""Containers. No Docker runs here: its program and testcontainers are doubles that take the same calls."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ddpm_core.services import docker_services
from ddpm_core.services.docker_services import container_name, start_postgres, start_redpanda, why_no_docker
from ddpm_core.services.unavailable import ServiceUnavailableError


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A `docker` that notes what it is asked; its `info` does what the file `info` says."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "info").write_text("exit 0")
    (folder / "docker").write_text(f'#!/bin/sh\necho "$@" >>{folder}/asked\n[ "$1" = info ] && . {folder}/info\nexit 0\n')
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(docker_services, "ANSWER_SECONDS", 120.0)  # A machine that is busy needs longer to start a program.
    return folder


class DockerContainer:
    """What testcontainers' class of this name is told."""

    made: list[DockerContainer]

    def __init__(self, image: str) -> None:
        self.image, self.ports, self.env, self.volumes, self.name, self.command = image, {}, {}, {}, "", ""
        self.ports: dict[Any, Any]
        type(self).made.append(self)

    def with_name(self, name: str) -> DockerContainer:
        self.name = name
        return self

    def with_command(self, command: str) -> DockerContainer:
        self.command = command
        return self

    def with_env(self, key: str, value: str) -> DockerContainer:
        self.env[key] = value
        return self

    def with_volume_mapping(self, host: str, container: str, mode: str) -> DockerContainer:
        self.volumes[host] = (container, mode)
        return self

    def start(self) -> None:
        assert os.environ["TESTCONTAINERS_RYUK_DISABLED"] == "true"


@pytest.fixture
def testcontainers(monkeypatch: pytest.MonkeyPatch) -> type[DockerContainer]:
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "")
    module = ModuleType("testcontainers.core.container")
    DockerContainer.made = []
    module.DockerContainer = DockerContainer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "testcontainers", ModuleType("testcontainers"))
    monkeypatch.setitem(sys.modules, "testcontainers.core", ModuleType("testcontainers.core"))
    monkeypatch.setitem(sys.modules, "testcontainers.core.container", module)
    monkeypatch.setattr(docker_services, "answers", lambda bootstrap: True)
    monkeypatch.setattr(docker_services, "why_not", lambda url: None)
    return DockerContainer


def test_docker_that_hangs_costs_its_three_seconds_and_no_more(monkeypatch: pytest.MonkeyPatch, docker: Path) -> None:
    monkeypatch.setattr(docker_services, "ANSWER_SECONDS", 0.2)
    (docker / "info").write_text("exec sleep 60")
    began = time.monotonic()
    assert why_no_docker() == "Docker did not answer within 0.2 s"
    assert time.monotonic() - began < 30, "it waited until Docker had ended"


def test_why_there_is_no_docker(monkeypatch: pytest.MonkeyPatch, docker: Path) -> None:
    (docker / "info").write_text("exit 1")
    assert why_no_docker() == "Docker's daemon does not answer"
    (docker / "info").write_text("exit 0")
    monkeypatch.setattr(docker_services.importlib.util, "find_spec", lambda name: None)
    assert why_no_docker() == "Docker answers, but the package testcontainers is not installed"
    monkeypatch.setattr(docker_services.importlib.util, "find_spec", lambda name: object())
    assert why_no_docker() is None
    monkeypatch.setattr(docker_services.shutil, "which", lambda name: None)
    assert why_no_docker() == "Docker is not installed"


@pytest.mark.usefixtures("docker")
def test_containers_listen_on_loopback_and_keep_their_data_in_a_volume(
    testcontainers: type[DockerContainer], tmp_path: Path
) -> None:
    kafka = start_redpanda(tmp_path, 19092)
    postgres = start_postgres(tmp_path, 15432)
    first, second = testcontainers.made
    assert kafka.address == "127.0.0.1:19092"
    assert "--advertise-kafka-addr PLAINTEXT://127.0.0.1:19092" in first.command
    assert (first.ports, second.ports) == ({9092: ("127.0.0.1", 19092)}, {5432: ("127.0.0.1", 15432)})
    assert first.volumes == {kafka.name: ("/var/lib/redpanda/data", "rw")}
    assert second.volumes == {postgres.name: ("/var/lib/postgresql/data", "rw")}
    password = (tmp_path / "postgres-password").read_text()
    assert second.env == {"POSTGRES_PASSWORD": password}
    assert postgres.address == f"postgresql://postgres:{password}@127.0.0.1:15432/postgres?sslmode=disable"
    assert (tmp_path / "postgres-password").stat().st_mode & 0o777 == 0o600
    assert start_postgres(tmp_path, 15432) == postgres


def test_an_image_that_cannot_be_had_is_said_so(
    monkeypatch: pytest.MonkeyPatch, docker: Path, testcontainers: type[DockerContainer], tmp_path: Path
) -> None:
    def refuse(self: DockerContainer) -> None:
        raise RuntimeError("404 Client Error: no such image\nand more")

    monkeypatch.setattr(testcontainers, "start", refuse)
    with pytest.raises(ServiceUnavailableError, match=r"^Kafka: its container does not start: 404 Client Error: no such image$"):
        start_redpanda(tmp_path, 19092)


def test_data_goes_only_when_it_shall(docker: Path, tmp_path: Path) -> None:
    name = container_name(tmp_path, "kafka")
    container = docker_services.Container(name, "127.0.0.1:1", "x")
    container.remove(wipe=False)
    assert (docker / "asked").read_text().splitlines() == [f"stop --time 20 {name}", f"rm --force {name}"]
    container.remove(wipe=True)
    assert (docker / "asked").read_text().splitlines()[-1] == f"volume rm --force {name}"
