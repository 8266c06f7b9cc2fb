"""Addresses and logins are read as people write them, and what is unsafe or contradicts itself is refused without being repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ddpm_core import ConfigError
from ddpm_kafka.client_config import client_config
from ddpm_kafka.connection_options import ConnectionOptions


def options(**given: Any) -> ConnectionOptions:
    return ConnectionOptions.model_validate(given)


def refused(**given: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        options(**given)
    return "; ".join(entry["msg"].removeprefix("Value error, ") for entry in raised.value.errors())


@pytest.mark.parametrize(
    ("given", "servers"),
    [
        ("localhost:9092", ("localhost:9092",)),
        ("a, b:1 ,[::1]:2", ("a:9092", "b:1", "[::1]:2")),
        (["a", "b"], ("a:9092", "b:9092")),
        ("[::1]", ("[::1]:9092",)),
        ("", ()),
    ],
)
def test_brokers_are_a_list_or_text_and_the_port_may_be_left_out(given: Any, servers: tuple[str, ...]) -> None:
    assert options(brokers=given).servers == servers


@pytest.mark.parametrize("wrong", ["a:b", "a:0", "a:65536", ":9092", "kafka://a", "a b", "a:\u0661", "u@a"])
def test_what_is_no_broker_is_refused(wrong: str) -> None:
    assert refused(brokers=wrong) == "has a broker that is not written as host:port, such as localhost:9092"


def test_an_address_names_brokers_topic_and_login() -> None:
    made = options(url="kafka://us%40er:p%3A%2F%40ss@a:1,b/my%2Dtopic")
    assert made.servers == ("a:1", "b:9092")
    assert (made.address.topic, made.address.username, made.address.password) == ("my-topic", "us@er", "p:/@ss")
    assert "p:/@ss" not in repr(made) + repr(made.address) + str(made)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://a/t", "is kafka://host:port/topic, without parameters; user, password and topic with special characters as %XX"),
        (
            "kafka://a/t?x=1",
            "is kafka://host:port/topic, without parameters; user, password and topic with special characters as %XX",
        ),
        ("kafka://u:p@ss@a/t", "has an @ in its user, password or topic; write it as %40"),
        ("kafka://u:p/ss@a/t", "has an @ in its user, password or topic; write it as %40"),
        ("kafka://a/t/u", "has a / in its topic, or an unescaped one in its password; write it as %2F"),
        ("kafka:///t", "names no broker; write kafka://host:port/topic"),
    ],
)
def test_an_address_that_cannot_be_read_is_refused(url: str, said: str) -> None:
    assert refused(url=url) == said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"url": "kafka://a/t", "brokers": "b"}, "give either url or brokers, not both"),
        ({"url": "kafka://u:p@a/t", "security": {"username": "v"}}, "the user is given twice: in url and in security.username"),
        ({"security": {"certificate": "c"}}, "certificate and key are given together or not at all"),
        ({"security": {"mechanism": "OAUTHBEARER"}}, "mechanism OAUTHBEARER needs token_url"),
        ({"security": {"token_url": "https://a/"}}, "token_url is for mechanism OAUTHBEARER"),
        (
            {"security": {"mechanism": "PLAIN"}},
            "mechanism PLAIN without tls would send the password in clear; set tls: true, or insecure: true",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(given: dict[str, Any], said: str) -> None:
    assert refused(**given) == said


@pytest.mark.parametrize("url", ["http://a/token", "ftp://a", "file:///etc/passwd", "https://u:p@a/", "https://"])
def test_tokens_are_fetched_over_https_only(url: str) -> None:
    said = refused(security={"mechanism": "OAUTHBEARER", "token_url": url})
    assert said == "is an https:// address without user; tokens are not fetched over anything else"


def test_certificates_are_verified_unless_it_says_insecure(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("")
    safe = client_config(options(brokers="a", security={"ca": str(ca)}), "consumer")
    assert (safe["security.protocol"], safe["ssl.endpoint.identification.algorithm"]) == ("SSL", "https")
    assert "enable.ssl.certificate.verification" not in safe
    unsafe = client_config(options(brokers="a", security={"tls": True, "insecure": True}), "consumer")
    assert unsafe["enable.ssl.certificate.verification"] is False


def test_a_user_without_a_mechanism_logs_in_by_scram() -> None:
    made = client_config(options(url="kafka://u:p@a/t"), "admin")
    assert {name: made[name] for name in ("security.protocol", "sasl.mechanism", "sasl.username", "sasl.password")} == {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "u",
        "sasl.password": "p",
    }


def test_tokens_are_fetched_with_the_client_id_and_secret() -> None:
    security = {
        "mechanism": "OAUTHBEARER",
        "token_url": "https://a/t",
        "username": "id",
        "password": "s",
        "scope": "x",
        "tls": True,
    }
    made = client_config(options(brokers="a", security=security), "consumer")
    assert made["sasl.oauthbearer.method"] == "oidc"
    assert (made["sasl.oauthbearer.client.id"], made["sasl.oauthbearer.client.secret"]) == ("id", "s")
    assert (made["sasl.oauthbearer.token.endpoint.url"], made["sasl.oauthbearer.scope"]) == ("https://a/t", "x")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "Kafka: no brokers are named\nSet `brokers`, such as localhost:9092."),
        (
            {"brokers": "a", "security": {"mechanism": "SCRAM-SHA-256", "username": "u"}},
            "Kafka: SCRAM-SHA-256 needs a user and a password\nSet security.username and security.password.",
        ),
        ({"brokers": "a", "security": {"ca": "/no/such/ca"}}, "Kafka: the file of security.ca does not exist: /no/such/ca"),
    ],
)
def test_a_connection_that_cannot_be_made_is_a_config_error(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        client_config(options(**given), "consumer")
    assert str(raised.value) == said
