"""Addresses, names, options and the spec."""

from __future__ import annotations

import sys
from types import TracebackType

import psycopg2
import pytest

from ddpm_core import ConfigError, SinkSpec
from ddpm_postgres import plugin
from ddpm_postgres.options import PostgresOptions
from ddpm_postgres.session import parameters, quote_name, server_name, without_lost_notices


def test_what_the_address_says_wins_over_our_defaults() -> None:
    given = parameters("postgresql://u:p@h:1/d?connect_timeout=3&keepalives_idle=99&application_name=mine", connect_timeout=10)
    assert given["connect_timeout"] == "3"
    assert given["keepalives_idle"] == "99"
    assert given["application_name"] == "mine"
    assert (given["tcp_user_timeout"], given["client_encoding"]) == ("30000", "UTF8")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:se%cret@h/d",
        "postgresql://u:p@secret@h/d",
        "postgresql://u:secret@h/d?nonsense=1",
        "postgresql://u:secret@[h/d",
        "postgresql://u:sec/ret@h:5432/d",
        "postgresql://u:12/secret@h/d",
    ],
)
def test_an_address_that_is_none_is_said_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parameters(url, connect_timeout=10)
    assert str(caught.value) == (
        "the address is not a valid Postgres URL\n"
        "Write postgresql://user:password@host:5432/database; special characters in the password as %XX."
    )
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://u:secret@h:5432/d", "Postgres at h:5432/d"),
        ("postgresql:///d?host=/tmp", "Postgres at /tmp/d"),
        ("postgresql://", "Postgres"),
        ("postgresql://a,b/d", "Postgres at a,b/d"),
    ],
)
def test_messages_name_the_server_and_never_the_password(url: str, name: str) -> None:
    assert server_name(parameters(url, connect_timeout=2)) == name


def test_names_are_quoted() -> None:
    assert quote_name('a"b') == '"a""b"'
    with pytest.raises(ConfigError, match="NUL"):
        quote_name("a\x00b")


def test_options_never_show_the_address() -> None:
    options = PostgresOptions(url="postgresql://u:secret@h/d", table="t")
    assert "secret" not in f"{options!r}{options}{options.model_dump_json()}"


def test_the_spec_names_things_that_exist() -> None:
    (spec,) = plugin.ddpm_sinks()
    assert isinstance(spec, SinkSpec)
    assert spec.options_model() is PostgresOptions
    assert (spec.name, spec.schemes, spec.guarantee) == ("postgres", ("postgresql", "postgres"), "exactly_once")


def test_a_notice_that_psycopg2_cannot_decode_prints_no_traceback_and_all_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[BaseException] = []

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        printed.append(error)

    monkeypatch.setattr(sys, "excepthook", hook)
    lost, own, foreign = SystemError("decode"), SystemError("other"), ValueError("a bug")
    lost.__cause__ = psycopg2.OperationalError("terminating connection")
    with without_lost_notices():
        for error in (lost, own, foreign):
            sys.excepthook(type(error), error, None)
    sys.excepthook(SystemError, lost, None)
    assert printed == [own, foreign, lost]
