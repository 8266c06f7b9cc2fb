"""Whether a server that the environment names can be used, within a few seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ddpm_core.services.kafka_broker import answers
from ddpm_core.services.postgres_server import why_not

ANSWER_SECONDS = 3.0


def why_unreachable(name: str, address: str) -> str:
    """Why clients cannot use it, in one line without its password; empty where they can. Takes `ANSWER_SECONDS`, or hardly more.

    Args:
        name: `kafka` or `postgres`.
        address: As `addresses` gives it.
    """
    if name == "postgres" and (wrong := _why_no_url(address)):
        return wrong
    ask = _why_no_brokers if name == "kafka" else _why_no_postgres
    return _in_time(lambda: ask(address), f"no answer within {ANSWER_SECONDS:g} s")


def _why_no_brokers(address: str) -> str:
    # One of several that answers tells clients of the others.
    return "" if any(answers(one.strip()) for one in address.split(",")) else f"no broker answers at {address}"


def _why_no_postgres(address: str) -> str:
    return why_not(address) or ""


def _why_no_url(address: str) -> str:
    """What is wrong with it. What the client would say of it may repeat parts of the password, so it is not even asked."""
    import psycopg2
    from psycopg2.extensions import parse_dsn

    try:
        parts = parse_dsn(address)
    except psycopg2.Error:
        parts = {"port": "none"}
    # The rest of a password that holds @, / or : is taken for one of these.
    ports = parts.get("port", "").split(",")
    if all(port.isdigit() or not port for port in ports) and "@" not in parts.get("host", "") + parts.get("dbname", ""):
        return ""
    return "it is no URL of a Postgres (in a password, write %40 for @, %2F for / and %3A for :)"


def _in_time(ask: Callable[[], str], late: str) -> str:
    """What `ask` says, or `late`: neither the client nor the look-up of a name has a limit that holds for all of it."""
    said: list[str] = []
    asking = threading.Thread(target=lambda: said.append(ask()), name="ddpm-reach", daemon=True)
    asking.start()
    asking.join(ANSWER_SECONDS)
    return said[0] if said else late
