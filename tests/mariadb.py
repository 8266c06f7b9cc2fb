"""A real MariaDB for tests: found on this machine or installed from Debian's package, started on a free port, stopped and wiped at the end.

Nothing is left behind: a guard process stops the server and deletes its folder even when the test run is killed.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql

from tests.services import PASSWORD, ServiceUnavailableError, free_port

USER = "ddpm"
START_SECONDS = 180.0
INSTALL_SECONDS = 600.0
SILENCE_SECONDS = 120
"""After so long without an answer the server is taken for dead: longer than any statement of a test waits for a lock."""


@dataclass
class MariaDbServer:
    """A MariaDB server for tests.

    Attributes:
        port: Where it listens on 127.0.0.1.
        about: Which binary it runs.
    """

    port: int
    about: str
    _command: list[str] = field(default_factory=list)
    _popen: dict[str, Any] = field(default_factory=dict)
    _log: Path = field(default_factory=Path)
    _process: subprocess.Popen[bytes] | None = None

    def url(self, database: str, *, port: int | None = None) -> str:
        """The URL of a database, or of the same through a proxy's port."""
        return f"mariadb://{USER}:{PASSWORD}@127.0.0.1:{port or self.port}/{database}"

    def connect(self, database: str | None = None, **more: Any) -> pymysql.Connection[Any]:
        """A plain connection with autocommit, in UTC."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=PASSWORD,
            database=database,
            charset="utf8mb4",
            **{
                "autocommit": True,
                "connect_timeout": 20,
                "read_timeout": SILENCE_SECONDS,
                "write_timeout": SILENCE_SECONDS,
                "init_command": "SET time_zone = '+00:00'",
                **more,
            },
        )

    def sql(self, statement: str, *, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run one statement in a connection of its own; its rows."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            ServiceUnavailableError: It ended, or did not answer in time; the reason is its own last word.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._popen)
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(pymysql.Error):
                self.connect(read_timeout=10).close()
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                lines = self._log.read_text(errors="replace").strip().splitlines()
                raise ServiceUnavailableError(
                    "MariaDB", ([line for line in lines if "ERROR" in line] or lines or ["no answer"])[-1]
                )
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it; SIGKILL is a crash. Safe when it has stopped already."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(60)


@contextlib.contextmanager
def mariadb() -> Iterator[MariaDbServer]:
    """A running MariaDB server.

    Raises:
        ServiceUnavailableError: It could not be started, or neither found nor installed.
    """
    binary = _binary()
    with contextlib.ExitStack() as stack:
        yield _own_server(binary, stack)


def _binary() -> Path:
    for _ in range(2):
        found = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if found and shutil.which("mariadb-install-db"):
            return Path(found)
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            break
        _install()
    raise ServiceUnavailableError("MariaDB", "mariadbd is not installed: apt-get install --no-install-recommends mariadb-server")


def _install() -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    patient = ["-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=120"]
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "mariadb-server"]):
        done = subprocess.run(
            ["apt-get", *patient, *command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
        if done.returncode:
            raise ServiceUnavailableError("MariaDB", (done.stderr.strip().splitlines() or ["apt-get failed"])[-1])


def _own_server(binary: Path, stack: contextlib.ExitStack) -> MariaDbServer:
    folder = Path(tempfile.mkdtemp(prefix="ddpm-my-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    popen: dict[str, Any] = {"start_new_session": True, "cwd": folder}
    if os.geteuid() == 0:  # MariaDB refuses to run as root, so root lends the folder to the user of the package.
        user = pwd.getpwnam("mysql")
        os.chown(folder, user.pw_uid, user.pw_gid)
        popen |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    root = {"PYTHONPATH": str(Path(__file__).parent.parent)}
    guard = subprocess.Popen(
        [sys.executable, __file__, str(folder)], stdin=subprocess.PIPE, start_new_session=True, env=os.environ | root
    )
    stack.callback(_release, guard)
    made = subprocess.run(
        ["mariadb-install-db", "--no-defaults", f"--datadir={folder}/data", "--auth-root-authentication-method=normal", "--skip-test-db"],
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
        **popen,
    )  # fmt: skip
    if made.returncode:
        raise ServiceUnavailableError(
            "MariaDB", (made.stderr.strip() or made.stdout.strip() or "mariadb-install-db failed").splitlines()[-1]
        )
    first = folder / "first.sql"
    first.write_text(
        f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
    )
    first.chmod(0o644)
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False, timeout=60).stdout.strip()
    for attempt in range(3):
        port = free_port()
        server = MariaDbServer(port, version, _command(binary, folder, port), popen, folder / f"log-{attempt}")
        try:
            server.start()
        except ServiceUnavailableError:
            if attempt == 2:  # Another process may take a port between its choice and its use, but not three times.
                raise
            continue
        stack.callback(server.stop)
        return server
    raise AssertionError("unreachable")


def _command(binary: Path, folder: Path, port: int) -> list[str]:
    settings = {
        "datadir": f"{folder}/data",
        "socket": f"{folder}/socket",
        "pid-file": f"{folder}/pid",
        "init-file": f"{folder}/first.sql",
        "bind-address": "127.0.0.1",
        "port": str(port),
        "innodb-buffer-pool-size": "64M",
        "innodb-log-file-size": "32M",
        "innodb-flush-log-at-trx-commit": "2",
        "max-connections": "50",
        "performance-schema": "OFF",
    }
    return [str(binary), "--no-defaults", "--skip-name-resolve", *(f"--{name}={value}" for name, value in settings.items())]


def _release(guard: subprocess.Popen[bytes]) -> None:
    """Tell the guard that all is in order. By now the server has stopped; the folder goes next."""
    assert guard.stdin is not None
    with contextlib.suppress(OSError):
        guard.stdin.write(b"stopped")
        guard.stdin.close()
    guard.wait(120)


def _guard(folder: Path, last_words: Callable[[], bytes]) -> None:
    """Wait until the test run ends, however it ends; then see that nothing of it stays."""
    stopped = last_words() == b"stopped"
    if not stopped:  # Else its process id may be another's by now.
        with contextlib.suppress(OSError, ValueError):
            pid = int((folder / "pid").read_text())
            os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                os.kill(pid, 0)
                time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _guard(Path(sys.argv[1]), sys.stdin.buffer.read)
