"""What librdkafka says becomes: wait, stop, or correct the configuration."""

from __future__ import annotations

import ast
from importlib.resources import files

import pytest
from confluent_kafka import KafkaError, KafkaException

from ddpm_core import ConfigError, FatalError, RetryableError
from ddpm_kafka.errors import of_kafka, refused, said

NAMES = sorted(name for name in dir(KafkaError) if name.isupper())


def test_no_constant_is_named_that_the_library_lacks() -> None:
    named = {
        node.attr
        for file in files("ddpm_kafka").iterdir()
        if file.name.endswith(".py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "KafkaError"
    }
    assert {name for name in named if not hasattr(KafkaError, name)} == set()
    assert "NOT_LEADER_FOR_PARTITION" in named


@pytest.mark.parametrize("name", NAMES)
def test_every_error_of_the_library_becomes_one_of_ours_that_says_where(name: str) -> None:
    error = of_kafka(KafkaError(getattr(KafkaError, name), "what happened"), "at the broker")
    assert isinstance(error, ConfigError | FatalError | RetryableError)
    assert str(error).startswith("at the broker: ")


@pytest.mark.parametrize(
    "name",
    [
        *("_TRANSPORT", "_ALL_BROKERS_DOWN", "_TIMED_OUT", "_RESOLVE", "LEADER_NOT_AVAILABLE", "NOT_LEADER_FOR_PARTITION"),
        *("COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR", "REQUEST_TIMED_OUT", "NETWORK_EXCEPTION"),
        *(
            "NOT_ENOUGH_REPLICAS",
            "REBALANCE_IN_PROGRESS",
            "CONCURRENT_TRANSACTIONS",
            "UNSTABLE_OFFSET_COMMIT",
            "UNKNOWN_TOPIC_OR_PART",
        ),
    ],
)
def test_what_passes_is_waited_for(name: str) -> None:
    assert isinstance(of_kafka(KafkaError(getattr(KafkaError, name)), "w"), RetryableError)


@pytest.mark.parametrize(
    "name", ["TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED", "UNSUPPORTED_SASL_MECHANISM", "FENCED_INSTANCE_ID"]
)
def test_what_does_not_pass_stops_with_what_to_do(name: str) -> None:
    error = of_kafka(KafkaException(KafkaError(getattr(KafkaError, name))), "w")
    assert isinstance(error, FatalError)
    assert error.hint


@pytest.mark.parametrize("name", ["TOPIC_EXCEPTION", "INVALID_PARTITIONS", "INVALID_REPLICATION_FACTOR", "POLICY_VIOLATION"])
def test_what_the_options_say_wrong_is_for_the_user_to_correct(name: str) -> None:
    assert isinstance(of_kafka(KafkaError(getattr(KafkaError, name)), "w"), ConfigError)


def test_brokers_that_stood_still_are_waited_for_and_too_few_are_not() -> None:
    copies, still = "Unable to replicate the partition 1 time(s): ", "All brokers are currently fenced."
    few = "The target replication factor of 3 cannot be reached because only 1 broker(s) are registered."
    code = KafkaError.INVALID_REPLICATION_FACTOR
    assert of_kafka(KafkaError(code, copies + still), "w").message == f"w: {copies}{still}"
    assert isinstance(of_kafka(KafkaError(code, copies + still), "w"), RetryableError)
    assert isinstance(of_kafka(KafkaError(code, copies + few), "w"), ConfigError)


def test_what_nobody_knows_stops_and_is_named() -> None:
    error = of_kafka(KafkaError(KafkaError._FAIL, "odd"), "w")
    assert isinstance(error, FatalError)
    assert error.message == "w: odd (_FAIL)"


@pytest.mark.parametrize(
    ("text", "is_refused"),
    [
        ("SASL authentication error: Authentication failed: Invalid username or password", True),
        ("Disconnected while requesting ApiVersion", False),
        ("SASL handshake: Connection reset by peer", False),
        ("SASL authentication error: Failed to acquire token: timed out", False),
    ],
)
def test_a_login_that_is_refused_is_told_from_one_that_breaks_off(text: str, is_refused: bool) -> None:
    error = KafkaError(KafkaError._AUTHENTICATION, text)
    assert refused(error) is is_refused
    assert isinstance(of_kafka(error, "w"), FatalError if is_refused else RetryableError)


@pytest.mark.parametrize(
    ("text", "is_refused"),
    [
        ("SSL handshake failed: certificate verify failed: self-signed certificate in chain", True),
        ("SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?", False),
    ],
)
def test_a_certificate_that_nobody_signed_is_told_from_a_broken_connection(text: str, is_refused: bool) -> None:
    error = of_kafka(KafkaError(KafkaError._SSL, text), "w")
    assert isinstance(error, FatalError if is_refused else RetryableError)
    assert error.hint


def test_who_took_our_place_in_the_group_is_said_though_the_error_has_no_code() -> None:
    error = of_kafka(
        KafkaError(KafkaError._FATAL, "Static consumer fenced by other consumer with same group.instance.id"), "group g"
    )
    assert isinstance(error, FatalError)
    assert str(error) == (
        "group g: another consumer has taken this one's place in the group\n"
        "Another process runs with the same `instance` and group. Give each one a name of its own."
    )


def test_threads_and_states_of_the_library_are_not_said() -> None:
    text = "sasl_ssl://h:9092/bootstrap: Connect to ipv4#1.2.3.4:9092 failed: refused (after 3ms in state CONNECT, 4 identical error(s) suppressed)"
    assert said(KafkaError(KafkaError._TRANSPORT, text)) == "Connect to ipv4#1.2.3.4:9092 failed: refused"
    assert said(KafkaError(KafkaError._TRANSPORT, "x" * 900)) == "x" * 500


def test_an_exception_without_an_error_inside_is_one_all_the_same() -> None:
    assert isinstance(of_kafka(KafkaException("odd"), "w"), FatalError)
