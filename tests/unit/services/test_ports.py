"""Ports: a free one, and a taken one that is said so."""

from __future__ import annotations

import socket

import pytest

from ddpm_core.services.ports import choose, free_port, is_free, refuse_taken
from ddpm_core.services.unavailable import ServiceUnavailableError


def test_a_free_port_can_be_listened_on_and_is_none_of_those_left_out() -> None:
    assert any(is_free(free_port()) for _ in range(5))  # Another process may have taken one of them meanwhile, but not five times.
    port = free_port()
    assert free_port(but=(port,)) != port


def test_the_named_port_wins_then_the_first_preferred_one_that_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        free = free_port()
        assert choose(busy, (free,)) == busy
        assert choose(None, (0, busy, free)) == free
        assert choose(None, (busy,)) not in (0, busy)


def test_a_server_is_not_started_on_a_port_that_another_one_has() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceUnavailableError) as refused:
            refuse_taken("Kafka", free_port(), port)
    assert str(refused.value) == f"Kafka: port {port} of 127.0.0.1 is in use\nName another one, or none."
