"""Connections: how an address is read, and what every session of DDPM is set to."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import psycopg2
import psycopg2.extensions

from ddpm_core import ConfigError
from ddpm_postgres.errors import of_connecting, of_statement

IDLE_IN_TRANSACTION_SECONDS = 45
"""A round left alone for so long is rolled back by the server, so that a frozen process holds no lock that its successor needs.
Shorter than the 60 s for which a successor tries again. Rounds that must stay open for a whole run turn it off."""

CANCEL_SECONDS = 1.0
"""How long the server gets to cancel a statement."""

# A peer that is gone without a word is noticed within about half a minute. psycopg2 ignores signals while inside libpq, so
# without these a cut cable would hang the process.
_NETWORK = {
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


def parameters(url: str, *, connect_timeout: int) -> dict[str, Any]:
    """libpq's parameters for an address; what the address says wins over DDPM's own.

    Raises:
        ConfigError: It is not a Postgres URL. Its text is not repeated, since it may hold a password.
    """
    try:
        given = psycopg2.extensions.parse_dsn(url)
    except (psycopg2.ProgrammingError, UnicodeError, ValueError):
        raise _not_valid() from None
    if _password_runs_over(url, given):
        raise _not_valid()
    return {"application_name": "ddpm", "connect_timeout": str(connect_timeout), **_NETWORK, **given, "client_encoding": "UTF8"}


def _not_valid() -> ConfigError:
    return ConfigError(
        "the address is not a valid Postgres URL",
        hint="Write postgresql://user:password@host:5432/database; special characters in the password as %XX.",
    )


def _password_runs_over(url: str, given: dict[str, Any]) -> bool:
    """Whether libpq took a part of the password for host, port or database, as in `user:p@ss@host`; messages would then print it."""
    ports = str(given.get("port") or "").split(",")
    authority, _, path = url.partition("://")[2].partition("?")[0].partition("/")
    return authority.count("@") > 1 or "@" in path or not all(port.isdigit() for port in ports if port)


def server_name(given: dict[str, Any]) -> str:
    """The server and database as messages name them: never with a password."""
    hosts = str(given.get("host") or given.get("hostaddr") or "").split(",")
    ports = str(given.get("port") or "").split(",")
    ports += ports[-1:] * (len(hosts) - len(ports))  # One port may stand for all hosts.
    at = ",".join(f"{host}:{port}" if host and port else host or port for host, port in zip(hosts, ports, strict=False))
    database = given.get("dbname") or ""
    return "Postgres" + (f" at {at}" if at else "") + (f"/{database}" if database else "")


def connect(given: dict[str, Any], settings: dict[str, str]) -> psycopg2.extensions.connection:
    """A connection in autocommit mode (transactions are begun by statements), with these session settings.

    Raises:
        RetryableError, FatalError: There is none; which of them, `errors` decides.
    """
    where = server_name(given)
    try:
        connection: psycopg2.extensions.connection = psycopg2.connect(**given)
    except psycopg2.Error as error:
        raise of_connecting(error, where) from None
    except UnicodeError:
        raise ConfigError("the address of Postgres holds characters that cannot be encoded") from None
    fixed = {"timezone": "UTC", "datestyle": "ISO", "intervalstyle": "postgres", "bytea_output": "hex", "extra_float_digits": "1"}
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            wanted = {**fixed, "standard_conforming_strings": "on", **settings}
            cursor.execute(
                f"SELECT {', '.join(['set_config(%s, %s, false)'] * len(wanted))}",
                [part for item in wanted.items() for part in item],
            )
    except psycopg2.Error as error:
        connection.close()
        raise of_statement(error, where) from None
    return connection


def break_off(connection: psycopg2.extensions.connection, given: dict[str, Any]) -> None:
    """Make a statement that another thread waits for return soon: ask the server, and if that does not help, cut the connection.

    Not by `connection.cancel()`: it holds the interpreter's lock until the server answers (psycopg2 2.9), so a server that hangs would
    freeze the process, signals included.
    """
    request = (given, connection.info.backend_pid)
    threading.Thread(target=_request_cancel, args=request, name="ddpm-cancel", daemon=True).start()
    deadline = time.monotonic() + CANCEL_SECONDS
    while not connection.closed and connection.get_transaction_status() == psycopg2.extensions.TRANSACTION_STATUS_ACTIVE:
        if time.monotonic() > deadline:
            with contextlib.suppress(psycopg2.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as end:
                end.shutdown(socket.SHUT_RDWR)
            return
        time.sleep(0.02)


def _request_cancel(given: dict[str, Any], pid: int) -> None:
    with contextlib.suppress(psycopg2.Error):
        connection = psycopg2.connect(**{**given, "connect_timeout": "2"})
        try:
            with connection.cursor() as cursor:
                # Behind a pooler the number may be another session's: that one is left alone.
                cursor.execute(
                    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = %s AND application_name = %s",
                    [pid, given["application_name"]],
                )
        finally:
            connection.close()


@contextlib.contextmanager
def without_lost_notices() -> Iterator[None]:
    """Keep psycopg2 (2.9) from printing a traceback when the server ends the session within a COPY.

    What the server says then comes as a notice while the error is set already; the notice cannot be decoded, and psycopg2 hands a
    `SystemError` to `sys.excepthook`, as Python does with what nobody catches. The error itself is raised all the same.
    """
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not (kind is SystemError and isinstance(error.__cause__, psycopg2.Error)):
            before(kind, error, trace)

    sys.excepthook = hook
    try:
        yield
    finally:
        sys.excepthook = before


def quote_name(name: str) -> str:
    """An identifier as SQL text, for statements without parameters."""
    if "\x00" in name:
        raise ConfigError(f"{name!r} cannot be a name in Postgres: it contains a NUL character")
    return '"' + name.replace('"', '""') + '"'
