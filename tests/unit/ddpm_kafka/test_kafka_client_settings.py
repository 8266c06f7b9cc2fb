"""What may be passed through to the library is a list; each dangerous setting is refused with its reason."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from pydantic import ValidationError

from ddpm_core import ConfigError
from ddpm_kafka import client_settings
from ddpm_kafka.client_config import client_config
from ddpm_kafka.connection import Watch, make
from ddpm_kafka.connection_options import ConnectionOptions

OURS = "delivery depends on it; ddpm sets it"
UNLISTED = "it is not on the list of settings that may be passed on; they are in the README of ddpm_kafka"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("plugin.library.paths", "it loads a program library into this process; it cannot be set"),
        ("sasl.kerberos.kinit.cmd", "it runs a command in a shell; it cannot be set"),
        ("ssl.engine.location", "it loads a program library into this process; it cannot be set"),
        ("ssl.engine.id", "it loads a program library into this process; it cannot be set"),
        ("ssl.providers", "it loads program libraries into this process; it cannot be set"),
        ("opaque", "it is a pointer into this process; it cannot be set"),
        ("oauth_cb", "it is code; it cannot be set"),
        ("enable.ssl.certificate.verification", "use the option security.insecure"),
        ("ssl.endpoint.identification.algorithm", "use the option security.insecure"),
        ("sasl.oauthbearer.token.endpoint.url", "use the option security.token_url"),
        ("sasl.password", "use the option security.password"),
        ("bootstrap.servers", "use the option brokers"),
        ("auto.offset.reset", "use the option start"),
        ("enable.auto.commit", OURS),
        ("enable.auto.offset.store", OURS),
        ("enable.idempotence", OURS),
        ("acks", OURS),
        ("check.crcs", OURS),
        ("transactional.id", OURS),
        ("partition.assignment.strategy", OURS),
        ("sasl.kerberos.keytab", UNLISTED),
        ("no.such.setting", UNLISTED),
    ],
)
def test_a_setting_that_is_not_the_users_is_refused_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(ValidationError) as raised:
        ConnectionOptions.model_validate({"brokers": "a", "client": {name: "x"}})
    assert raised.value.errors()[0]["msg"] == f"Value error, {name}: {why}"


def test_all_wrong_settings_are_told_at_once() -> None:
    found = client_settings.problems({"acks": 0, "fetch.min.bytes": 1, "isolation.level": "read_uncommitted", "opaque": 1})
    assert [line.partition(":")[0] for line in found] == ["acks", "opaque", "isolation.level"]


def test_no_listed_setting_is_refused_elsewhere() -> None:
    listed = client_settings.BOTH | client_settings.CONSUMER | client_settings.PRODUCER
    assert all(client_settings.refusal(name) == "" for name in listed)
    assert not client_settings.CONSUMER & client_settings.PRODUCER


def test_a_client_gets_those_settings_that_it_has() -> None:
    options = ConnectionOptions.model_validate(
        {"brokers": "a", "client": {"fetch.min.bytes": 5, "linger.ms": 7, "client.rack": "r", "socket.nagle.disable": True}}
    )
    made = {role: client_config(options, role) for role in ("consumer", "producer", "admin")}  # type: ignore[arg-type]
    assert [("fetch.min.bytes" in one, "linger.ms" in one) for one in made.values()] == [
        (True, False),
        (False, True),
        (False, False),
    ]
    assert {(one["client.rack"], one["socket.nagle.disable"]) for one in made.values()} == {("r", "true")}


@pytest.mark.parametrize(
    ("kind", "names"),
    [(Consumer, client_settings.CONSUMER | client_settings.BOTH), (Producer, client_settings.PRODUCER | client_settings.BOTH)],
)
def test_the_library_knows_every_listed_setting(kind: Any, names: frozenset[str]) -> None:
    """One that it does not know would only be found by the user who needs it."""
    for name in sorted(names):
        try:
            kind({"group.id": "g", name: "no value of any setting"}, logger=logging.getLogger("ddpm.test"))
        except KafkaException as error:
            assert "No such configuration property" not in str(error), name  # noqa: PT017 - those of free text raise nothing


def test_a_value_that_the_library_refuses_is_a_config_error() -> None:
    options = ConnectionOptions.model_validate({"brokers": "a", "client": {"fetch.min.bytes": "many"}})
    with pytest.raises(ConfigError) as raised:
        make(Consumer, {**client_config(options, "consumer"), "group.id": "g"}, Watch("Kafka at a:9092"))
    assert str(raised.value) == 'Kafka at a:9092: Invalid value for configuration property "fetch.min.bytes"'
