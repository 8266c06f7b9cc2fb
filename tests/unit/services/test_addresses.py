"""Addresses in the environment."""

from __future__ import annotations

import pytest

from ddpm_core.errors import ConfigError
from ddpm_core.services.addresses import kafka_address, postgres_address


def test_none_is_named_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DDPM_TEST_KAFKA", raising=False)
    monkeypatch.setenv("DDPM_TEST_POSTGRES", " ")
    assert (kafka_address(), postgres_address()) == (None, None)


@pytest.mark.parametrize("address", ["127.0.0.1:9092", "a:1, b:65535", "[::1]:9092"])
def test_a_broker_is_host_and_port(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("DDPM_TEST_KAFKA", address)
    assert kafka_address() == address


@pytest.mark.parametrize(
    ("address", "wrong"), [("localhost", "localhost"), ("a:1,b:0", "b:0"), ("kafka://a:1", "kafka://a:1"), (":9", ":9")]
)
def test_what_is_no_broker_is_said_so(monkeypatch: pytest.MonkeyPatch, address: str, wrong: str) -> None:
    monkeypatch.setenv("DDPM_TEST_KAFKA", address)
    with pytest.raises(ConfigError) as refused:
        kafka_address()
    assert str(refused.value) == f"DDPM_TEST_KAFKA: {wrong!r} is no HOST:PORT\nFor example 127.0.0.1:9092."


def test_a_postgres_is_a_url_and_the_error_does_not_repeat_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPM_TEST_POSTGRES", "host=h password=canary")
    with pytest.raises(ConfigError) as refused:
        postgres_address()
    assert str(refused.value) == (
        "DDPM_TEST_POSTGRES does not begin with postgresql://\nFor example postgresql://postgres:secret@127.0.0.1:5432/postgres."
    )
