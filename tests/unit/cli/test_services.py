"""`ddpm services`: what is printed, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ddpm_core.services.local_services import Health, LocalServices
from ddpm_core.services.state import Kept
from ddpm_core.services.unavailable import ServiceUnavailableError

KAFKA = Kept("local", "127.0.0.1:9092", "Apache Kafka 4.1.0", "Docker is not installed")
POSTGRES = Kept("local", "postgresql://postgres:canary@127.0.0.1:5432/postgres?sslmode=disable", "Postgres 18", "none is named")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    monkeypatch.setattr(
        LocalServices, "up", lambda self, ports: calls.append((self.folder, ports)) or {"kafka": KAFKA, "postgres": POSTGRES}
    )
    monkeypatch.setattr(LocalServices, "down", lambda self, *, wipe: calls.append((self.folder, wipe)) or ["kafka"])
    monkeypatch.setattr(
        LocalServices, "status", lambda self: [Health("kafka", KAFKA, ""), Health("postgres", None, "it was not started")]
    )
    return calls


def test_up_prints_lines_for_a_shell_and_the_choice_beside_them(run, asked, tmp_path):
    result = run("services", "up", "--dir", tmp_path / "s", "--kafka-port", "19092")

    assert result.exit_code == 0
    assert asked == [((tmp_path / "s").resolve(), {"kafka": 19092, "postgres": None})]
    assert result.stdout == (
        "export KAFKA_BROKERS=127.0.0.1:9092\n"
        "export DATABASE_URL='postgresql://postgres:canary@127.0.0.1:5432/postgres?sslmode=disable'\n"
    )
    assert result.stderr == "kafka: Apache Kafka 4.1.0 (Docker is not installed)\npostgres: Postgres 18 (none is named)\n"


def test_up_as_json(run, asked, tmp_path):
    result = run("services", "up", "--dir", tmp_path, "--json", "--quiet")

    told = json.loads(result.stdout)
    assert told["folder"] == str(tmp_path.resolve())
    assert told["environment"] == {"KAFKA_BROKERS": KAFKA.address, "DATABASE_URL": POSTGRES.address}
    assert told["services"][0] == {
        "service": "kafka", "how": "local", "address": "127.0.0.1:9092", "about": "Apache Kafka 4.1.0", "why": "Docker is not installed",
    }  # fmt: skip
    assert result.stderr == ""


def test_a_service_that_cannot_be_had_ends_it_with_what_is_missing(run, monkeypatch):
    def refuse(self: LocalServices, ports: Any) -> None:
        raise ServiceUnavailableError("Kafka", "it needs Java 17 or later; there is none", hint="Install one.")

    monkeypatch.setattr(LocalServices, "up", refuse)
    result = run("services", "up")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "ddpm: error: Kafka: it needs Java 17 or later; there is none\n  Install one.\n"


def test_status_masks_the_password_and_its_exit_code_tells_the_health(run, asked, monkeypatch):
    result = run("services", "status")

    assert result.exit_code == 1
    assert result.stdout == (
        "service   status              address         about\n"
        "kafka     ok                  127.0.0.1:9092  Apache Kafka 4.1.0\n"
        "postgres  it was not started  -               -\n"
    )
    monkeypatch.setattr(LocalServices, "status", lambda self: [Health("postgres", POSTGRES, "")])
    result = run("services", "status", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == [
        {"service": "postgres", "status": "ok", "address": "postgresql://postgres:***@127.0.0.1:5432/postgres?sslmode=disable", "about": "Postgres 18"}
    ]  # fmt: skip


def test_down_says_what_it_stopped_and_what_it_deleted(run, asked, tmp_path: Path):
    assert run("services", "down", "--dir", tmp_path).stderr == "stopped kafka\n"
    assert (
        run("services", "down", "--dir", tmp_path, "--wipe").stderr == f"stopped kafka\ndeleted the data in {tmp_path.resolve()}\n"
    )
    assert [wipe for _, wipe in asked] == [False, True]
