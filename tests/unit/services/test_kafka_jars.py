"""The jars: exactly those of the lock, or an error that says what was tried."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from ddpm_core.services import kafka_jars, maven_settings
from ddpm_core.services.kafka_jars import COORDINATES, Jar, find_jars, locked
from ddpm_core.services.unavailable import ServiceUnavailableError

JARS = (
    Jar("org.a", "one", "1.0", hashlib.sha256(b"one").hexdigest()),
    Jar("org.b.c", "two", "2.0", hashlib.sha256(b"two").hexdigest()),
)


class Repository(BaseHTTPRequestHandler):
    """A Maven repository that has just these files."""

    files: ClassVar = {"/maven/org/a/one/1.0/one-1.0.jar": b"one", "/maven/org/b/c/two/2.0/two-2.0.jar": b"two"}

    def do_GET(self) -> None:
        body = self.server.files.get(self.path)  # type: ignore[attr-defined]
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    """A mirror of Maven Central, and a cache that is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(kafka_jars, "locked", lambda: JARS)
    with ThreadingHTTPServer(("127.0.0.1", 0), Repository) as server:
        server.files = dict(Repository.files)  # type: ignore[attr-defined]
        monkeypatch.setenv(maven_settings.MIRROR, f"http://127.0.0.1:{server.server_port}/maven")
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_lock_names_every_jar_once_with_its_hash() -> None:
    jars = locked()
    assert {jar.coordinate for jar in jars} >= set(COORDINATES)
    assert len({jar.name for jar in jars}) == len(jars) == 46
    assert all(len(jar.sha256) == 64 for jar in jars)
    # What a dependency of ours prefers must not win over what the broker is made with.
    assert {jar.version for jar in jars if jar.group == "org.apache.kafka"} == {kafka_jars.KAFKA_VERSION}


def test_they_are_downloaded_once_from_the_mirror(mirror: ThreadingHTTPServer) -> None:
    said: list[str] = []
    folder = find_jars(said.append)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"one-1.0.jar": b"one", "two-2.0.jar": b"two"}
    assert said == ["getting the 2 jars of Apache Kafka 4.1.0 (43 MB), once"]
    mirror.files.clear()  # type: ignore[attr-defined]
    assert find_jars(said.append) == folder
    assert len(said) == 1
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.usefixtures("mirror")
def test_a_jar_with_other_bytes_is_refused(mirror: ThreadingHTTPServer, tmp_path: Path) -> None:
    mirror.files["/maven/org/b/c/two/2.0/two-2.0.jar"] = b"evil"  # type: ignore[attr-defined]
    with pytest.raises(ServiceUnavailableError) as refused:
        find_jars()
    assert str(refused.value) == (
        "Kafka: its jars cannot be had: from DDPM_MAVEN_MIRROR: two-2.0.jar is not the file that the lock names\n"
        "They come from Maven Central, or from the mirror that Maven's settings.xml or DDPM_MAVEN_MIRROR names."
    )
    assert list((tmp_path / "cache/ddpm").iterdir()) == []


def test_what_was_tried_is_said_when_nothing_helps(
    monkeypatch: pytest.MonkeyPatch, mirror: ThreadingHTTPServer, tmp_path: Path
) -> None:
    broken = tmp_path / "mvn"
    broken.write_text("#!/bin/sh\necho '[INFO] Scanning'\necho '[ERROR] Failed to execute goal: no route to host'\nexit 1\n")
    broken.chmod(0o755)
    mirror.files.clear()  # type: ignore[attr-defined]
    monkeypatch.setattr(kafka_jars.shutil, "which", lambda name: str(broken))
    monkeypatch.setattr(maven_settings, "settings_mirror", lambda: f"http://127.0.0.1:{mirror.server_port}/maven")
    monkeypatch.delenv(maven_settings.MIRROR)
    with pytest.raises(ServiceUnavailableError) as refused:
        find_jars()
    through_maven, _, itself = refused.value.reason.partition("; ")
    assert through_maven == "its jars cannot be had: through mvn: Failed to execute goal: no route to host"
    assert itself.startswith("from the mirror in Maven's settings: Artifact org.a:one:jar:1.0 not found in remote repositories ")


def test_without_jgo_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kafka_jars.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ServiceUnavailableError) as missing:
        find_jars()
    assert str(missing.value) == (
        "Kafka: its jars are not here, and jgo, which gets them, is not installed\npip install 'ddpm-core[services]'"
    )
