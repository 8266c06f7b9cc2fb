"""The compose file: read here, run only where there is Docker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

COMPOSE = yaml.safe_load((Path(__file__).parents[3] / "deploy/compose.yaml").read_text())


@pytest.mark.parametrize("name", ["redpanda", "console", "postgres"])
def test_every_service_is_on_loopback_and_tells_its_health(name: str) -> None:
    service: dict[str, Any] = COMPOSE["services"][name]
    assert service["ports"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert ":" in service["image"]
    assert not service["image"].endswith(":latest")


def test_volumes_are_declared() -> None:
    used = {volume.partition(":")[0] for service in COMPOSE["services"].values() for volume in service.get("volumes", ())}
    assert used == set(COMPOSE["volumes"])


def test_the_broker_tells_clients_the_port_that_is_published() -> None:
    redpanda = COMPOSE["services"]["redpanda"]
    port = "${KAFKA_PORT:-9092}"
    assert f"127.0.0.1:{port}:9092" in redpanda["ports"]
    assert f"--advertise-kafka-addr=internal://redpanda:29092,external://127.0.0.1:{port}" in redpanda["command"]
    assert COMPOSE["services"]["console"]["environment"]["KAFKA_BROKERS"] == "redpanda:29092"
