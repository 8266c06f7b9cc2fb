"""`ddpm` as its users run it: a process of its own, judged by its exit code and by all that it prints."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.services import PASSWORD

DDPM = str(Path(sys.executable).with_name("ddpm"))
CANARY = "c4nary-passw0rd"
"""A wrong password for tests, which must not be printed any more than the right one."""

PROBE = """
import os, time
from ddpm_core import hookimpl

@hookimpl
def ddpm_event(event):
    name = type(event).__name__
    os.write(2, f"event: {name}\\n".encode())
    at, _, file = os.environ.get("DDPM_PROBE_HOLD", "").partition(" ")
    while name == at and os.path.exists(file):
        time.sleep(0.005)
"""

STALL = 0.25
"""Seconds: where a look that is due every few milliseconds comes later than this, the machine stood still meanwhile."""


class Stopwatch:
    """The seconds until a process ends, without those in which the machine stood still: what it is promised to take is its own time.

    Args:
        process: Looked at from a thread, until it has ended.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.seconds = 0.0
        self._process = process
        self._replaced = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stopwatch", daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """The process has ended, or another stopwatch takes over. What was measured."""
        self._replaced.set()
        self._thread.join(60)
        return self.seconds

    def _run(self) -> None:
        before = time.monotonic()
        while True:
            over = self._process.poll() is not None
            now = time.monotonic()
            self.seconds += min(now - before, STALL)
            before = now
            if over or self._replaced.wait(0.02):
                return


@dataclass(frozen=True)
class Ended:
    """What became of a command: its exit code, all that it printed, and the seconds from its start, or the last signal, to its end.

    Seconds in which the machine stood still do not count: see `Stopwatch`.
    """

    code: int
    out: str
    err: str
    seconds: float

    @property
    def said(self) -> str:
        """Standard error without the lines of the waiting, which depend on the moment, and of the probe."""
        return "".join(line for line in self.err.splitlines(keepends=True) if not line.startswith(("waiting for ", "event: ")))


class Command:
    """A running `ddpm`, whose standard error can be waited on. Use as a context manager: it never outlives the block.

    Args:
        arguments: After `ddpm`.
        stdin: A file descriptor, `subprocess.PIPE`, or nothing.
        more: For Popen.
    """

    def __init__(self, *arguments: str, stdin: int = subprocess.DEVNULL, environment: Mapping[str, str] = {}, **more: Any) -> None:
        self.process = subprocess.Popen(
            [DDPM, *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment},
            **more,
        )
        self._stopwatch = Stopwatch(self.process)
        self._printed = {"out": b"", "err": b""}
        self._closed: set[str] = set()
        self._changed = threading.Condition()
        self._readers = [
            threading.Thread(target=self._gather, args=(name, stream))
            for name, stream in (("out", self.process.stdout), ("err", self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(60)
        self._stopwatch.stop()
        for reader in self._readers:
            reader.join(60)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def until_it_says(self, text: str, *, times: int = 1, seconds: float = 120) -> None:
        """Wait until standard error has this text so often; no longer than there may be more of it."""
        with self._changed:
            self._changed.wait_for(lambda: self.said(text) >= times or "err" in self._closed, seconds)
            assert self.said(text) >= times, self._text("err")

    def said(self, text: str) -> int:
        """How often this text has come on standard error so far."""
        return self._printed["err"].count(text.encode())

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, and start the stopwatch."""
        self._stopwatch.stop()
        self.process.send_signal(number)
        self._stopwatch = Stopwatch(self.process)

    def end(self, *, seconds: float = 240) -> Ended:
        """Wait for its end. Whatever it printed, no password is in it."""
        code = self.process.wait(seconds)
        took = self._stopwatch.stop()
        for reader in self._readers:
            reader.join(60)
        ended = Ended(code, self._text("out"), self._text("err"), took)
        for secret in (PASSWORD, CANARY):
            assert secret not in ended.out + ended.err
        return ended

    def _text(self, name: str) -> str:
        return self._printed[name].decode("utf-8", "replace")

    def _gather(self, name: str, stream: Any) -> None:
        while piece := os.read(stream.fileno(), 1 << 16):
            with self._changed:
                self._printed[name] += piece
                self._changed.notify_all()
        with self._changed:
            self._closed.add(name)
            self._changed.notify_all()


def ddpm(*arguments: str, seconds: float = 240, **more: Any) -> Ended:
    """Run `ddpm` to its end."""
    with Command(*arguments, **more) as command:
        return command.end(seconds=seconds)


def event_probe(folder: Path) -> dict[str, str]:
    """The environment in which `ddpm` prints a line on standard error for each event of the engine: an installed plugin, as pip leaves it.

    Where its variable DDPM_PROBE_HOLD is the name of an event and a file (`ChunkCommitted /tmp/x`), the engine is held at these events
    for as long as that file is there: so a test can act in the middle of a run, however fast the run or slow the test.
    """
    folder.mkdir()
    (folder / "ddpm_event_probe.py").write_text(PROBE)
    info = folder / "ddpm_event_probe-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ddpm-event-probe\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ddpm]\nevent_probe = ddpm_event_probe\n")
    return {"PYTHONPATH": str(folder)}


def ingest(paths: Sequence[Path | str], to: str, *more: str) -> tuple[str, ...]:
    """The arguments of `ddpm ingest` into the table `events`."""
    return ("ingest", *map(str, paths), "--to", to, "--table", "events", *more)
