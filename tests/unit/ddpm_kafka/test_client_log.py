"""librdkafka's log reaches ours without its prefixes, and an outage does not flood it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError

from ddpm_kafka.client_log import AGAIN_AFTER, KINDS_AT_ONCE, ClientLog
from ddpm_kafka.connection import Watch

FORM = "%s [%s] %s"


class Kept(logging.Handler):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def said() -> Iterator[list[logging.LogRecord]]:
    logger, kept = logging.getLogger("ddpm.kafka.librdkafka"), Kept()
    was = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(kept)
    yield kept.records
    logger.removeHandler(kept)
    logger.setLevel(was)


def test_the_same_line_is_said_once_a_minute_whatever_its_numbers(said: list[logging.LogRecord]) -> None:
    now = [0.0]
    log = ClientLog(clock=lambda: now[0])
    for number in range(1000):
        text = f"[thrd:127.0.0.1:1/bootstrap]: 127.0.0.1:1/bootstrap: Connect failed: refused (after {number}ms in state CONNECT)"
        log.log(logging.ERROR, FORM, "FAIL", "rdkafka#consumer-1", text)
    assert [(one.levelno, one.getMessage()) for one in said] == [(logging.INFO, "127.0.0.1:1/bootstrap: Connect failed: refused")]
    now[0] = AGAIN_AFTER
    log.log(logging.ERROR, FORM, "FAIL", "rdkafka#consumer-1", "127.0.0.1:1/bootstrap: Connect failed: refused")
    assert [one.getMessage() for one in said][1:] == [
        "999 more lines of librdkafka in the last minute",
        "127.0.0.1:1/bootstrap: Connect failed: refused",
    ]


def test_many_different_lines_are_counted_not_said(said: list[logging.LogRecord]) -> None:
    log = ClientLog(clock=lambda: 0.0)
    for number in range(200):
        log.log(logging.WARNING, FORM, "X", "c", "x" * (number + 1))
    assert len(said) == KINDS_AT_ONCE


def test_what_is_no_connection_keeps_its_level(said: list[logging.LogRecord]) -> None:
    ClientLog().log(logging.CRITICAL, FORM, "FATAL", "c", "Fatal error")
    assert [(one.levelname, one.getMessage()) for one in said] == [("CRITICAL", "Fatal error")]


@pytest.mark.parametrize("facility", ["FATAL", "TXNERR"])
def test_being_fenced_is_no_accident(said: list[logging.LogRecord], facility: str) -> None:
    ClientLog().log(logging.CRITICAL, FORM, facility, "c", "transactional producer fenced by newer producer instance (_FENCED)")
    assert [(one.levelname, one.getMessage()) for one in said] == [
        ("INFO", "transactional producer fenced by newer producer instance (_FENCED)")
    ]


def test_what_nobody_listens_to_is_not_even_looked_at(said: list[logging.LogRecord]) -> None:
    log = ClientLog(clock=lambda: 0.0)
    for _ in range(3):
        log.log(logging.DEBUG, FORM, "X", "c", "detail")
    assert said == []
    log.log(logging.WARNING, FORM, "X", "c", "detail")
    assert len(said) == 1


def test_what_a_client_says_of_its_connections_is_one_line_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    watch = Watch("Kafka at a:9092")
    with caplog.at_level(logging.DEBUG, "ddpm.kafka"):
        for number in range(100):
            watch(KafkaError(KafkaError._TRANSPORT, ("refused", "reset")[number % 2]))
    assert caplog.messages == ["Kafka at a:9092: refused", "Kafka at a:9092: reset"]
