"""Servers that the environment names: asked, and not for long."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from ddpm_core.services import reach
from ddpm_core.services.reach import why_unreachable


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_closed_port_is_known_at_once() -> None:
    assert why_unreachable("kafka", "127.0.0.1:1") == "no broker answers at 127.0.0.1:1"
    said = why_unreachable("postgres", "postgresql://u:canary@127.0.0.1:1/postgres")
    assert said.startswith('connection to server at "127.0.0.1", port 1 failed: ')
    assert "canary" not in said


@pytest.mark.parametrize("name", ["kafka", "postgres"])
def test_a_server_that_says_nothing_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch, silent: str, name: str) -> None:
    monkeypatch.setattr(reach, "ANSWER_SECONDS", 0.2)
    began = time.monotonic()
    assert why_unreachable(name, silent if name == "kafka" else f"postgresql://u:canary@{silent}/d") == "no answer within 0.2 s"
    assert time.monotonic() - began < 30


def test_one_broker_of_several_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "answers", lambda address: address == "b:2")
    assert why_unreachable("kafka", "a:1, b:2") == ""
    assert why_unreachable("kafka", "a:1,c:2") == "no broker answers at a:1,c:2"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:can@ary@h/d", "postgresql://u:can/ary@h/d", "postgresql://u:canary", "postgresql://u:%zzcanary@h/d",
        "postgresql://u:1/canary@h/d", "postgresql://u:ca?n@ary@h/d", "postgresql://u:can#a@ry@h/d", "postgresql://u:p@h:canary/d",
    ],
)  # fmt: skip
def test_a_url_that_the_client_would_read_in_another_way_is_not_repeated(url: str) -> None:
    assert why_unreachable("postgres", url) == (
        "it is no URL of a Postgres (in a password, write %40 for @, %2F for / and %3A for :)"
    )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h/d", "postgresql:///d", "postgresql://h", "postgresql://u@h:1,i:2/d?sslmode=disable", "postgresql://u:@h",
        "postgresql://u:p%40%3A%2F@[::1]:5/d", "postgresql://u@h/d?password=p&application_name=a@b", "postgres://u:p:q?r@h/d", "postgresql://",
    ],
)  # fmt: skip
def test_urls_that_are_well_are_asked(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(reach, "why_not", lambda asked: f"asked {asked}")
    assert why_unreachable("postgres", url) == f"asked {url}"
