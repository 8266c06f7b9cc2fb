"""One Postgres server on loopback, with its data in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from ddpm_core.services.ports import refuse_taken
from ddpm_core.services.postgres_binaries import as_helper, helper_user, reachable, version_of
from ddpm_core.services.processes import Daemon
from ddpm_core.services.unavailable import ServiceUnavailableError

START_SECONDS = 60.0
STOP_SECONDS = 20.0
_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


@dataclass
class LocalPostgres:
    """A server that this machine's or a package's programs run. The superuser is `postgres`, and comes in with a password only.

    Attributes:
        folder: Holds `data`, `log`, `pid` and `password`. Made by `start` where it is missing.
        port: Where clients connect, on 127.0.0.1.
        binaries: The folder of `initdb` and `postgres`.
        password: The superuser's; an empty one is made up.
        settings: More of `postgresql.conf`; they win.
        durable: Whether what `initdb` writes has to outlive a power cut.
    """

    folder: Path
    port: int
    binaries: Path
    password: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    durable: bool = True

    @property
    def url(self) -> str:
        """Its database `postgres`, as the superuser."""
        return f"postgresql://postgres:{quote(self._password(), safe='')}@127.0.0.1:{self.port}/postgres?sslmode=disable"

    @property
    def about(self) -> str:
        return f"{version_of(self.binaries)} from {self.binaries}"

    @property
    def daemon(self) -> Daemon:
        return postgres_daemon(self.folder)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def start(self) -> None:
        """Start it and wait until it answers. Does nothing when it runs.

        Raises:
            ServiceUnavailableError: It ended or did not answer; the reason is its own last word.
        """
        if self.daemon.pid() is not None:
            self._wait()
            return
        refuse_taken("Postgres", self.port)
        popen = self._lent()
        if not (self.folder / "data/PG_VERSION").exists():
            self._initialise(popen)
        self.daemon.start(self._command(), self.log, cwd=self.folder, **popen)
        self._wait()

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it, as `pg_ctl stop -m fast` or `-m immediate` (a crash) does. Does nothing when it does not run."""
        self.daemon.stop(_SIGNALS[mode], STOP_SECONDS)

    def _password(self) -> str:
        kept = self.folder / "password"
        if not self.password:
            self.password = kept.read_text().strip() if kept.exists() else secrets.token_urlsafe(16)
        return self.password

    def _lent(self) -> dict[str, Any]:
        """The folder, lent to the user whom root becomes."""
        popen = as_helper()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        if popen:
            user = helper_user()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            if not reachable(self.folder, popen):
                raise ServiceUnavailableError(
                    "Postgres",
                    f"it refuses to run as root, and the user {user.pw_name!r} cannot reach {self.folder}",
                    hint="Use a folder that every user can enter, such as one in /var/lib, or do not be root.",
                )
            if not reachable(self.binaries, popen):
                self._copy_programs(user)
        return popen

    def _copy_programs(self, user: pwd.struct_passwd) -> None:
        """A virtual environment in root's home is closed to others; the programs in it run from any place, beside their libraries."""
        copy, package = self.folder / "programs", self.binaries.parents[1]
        shutil.rmtree(copy, ignore_errors=True)
        for part in (self.binaries.parent, package.with_name(f"{package.name}.libs")):
            if part.is_dir():
                shutil.copytree(part, copy / part.relative_to(package.parent), symlinks=True)
        os.chown(copy, user.pw_uid, user.pw_gid)
        self.binaries = copy / self.binaries.relative_to(package.parent)

    def _initialise(self, popen: dict[str, Any]) -> None:
        # Made beside its place: what an interrupted initdb leaves is no server.
        data, fresh, secret = self.folder / "data", self.folder / "data.new", self.folder / "password"
        shutil.rmtree(fresh, ignore_errors=True)
        self._write_secret(secret, popen)
        command = [
            str(self.binaries / "initdb"), "-D", str(fresh), "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-locale",
            *([] if self.durable else ["--no-sync"]),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder, **popen)
        if done.returncode:
            said = done.stderr.strip() or done.stdout.strip() or "initdb failed"
            raise ServiceUnavailableError("Postgres", said.splitlines()[-1])
        fresh.rename(data)

    def _write_secret(self, path: Path, popen: dict[str, Any]) -> None:
        password = self._password()
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(password)
        if popen:
            os.chown(path, popen["user"], popen["group"])

    def _command(self) -> list[str]:
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "lc_messages": "C",
            **self.settings,
        }
        program = [str(self.binaries / "postgres"), "-D", str(self.folder / "data")]
        return [*program, *(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))]

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while (refusal := why_not(self.url)) is not None:
            if "password authentication failed" in refusal:
                raise ServiceUnavailableError("Postgres", f"it refuses the password in {self.folder / 'password'}")
            ended = self.daemon.pid() is None
            if ended or time.monotonic() > deadline:
                self.stop("immediate")
                raise ServiceUnavailableError("Postgres", _last_word(self.log), hint=f"Its log: {self.log}")
            time.sleep(0.02)


def postgres_daemon(folder: Path) -> Daemon:
    """The process that serves this folder, if it runs."""
    return Daemon(folder / "pid", str(folder / "data"))


def why_not(url: str) -> str | None:
    """None when a server is there and lets us in; else its refusal, in one line."""
    import psycopg2

    try:
        psycopg2.connect(url, connect_timeout=5).close()
    except psycopg2.Error as error:
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return None


def _last_word(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    telling = [line for line in lines if "FATAL" in line or "error" in line.casefold()]
    return (telling or lines or ["it did not answer"])[-1]
