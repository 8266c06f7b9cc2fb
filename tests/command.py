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
import os
from ddpm_core import hookimpl

@hookimpl
def ddpm_event(event):
    os.write(2, f"event: {type(event).__name__}\\n".encode())
"""


@dataclass(frozen=True)
class Ended:
    """What became of a command: its exit code, all that it printed, and the seconds since `stopwatch` was started."""

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
        self._began = time.monotonic()
        self._printed = {"out": b"", "err": b""}
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
        self.process.wait(10)
        for reader in self._readers:
            reader.join(10)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def until_it_says(self, text: str, *, times: int = 1, seconds: float = 20) -> None:
        """Wait until standard error has this text so often."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._printed["err"].count(text.encode()) >= times, seconds), self._text("err")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, and start the stopwatch."""
        self._began = time.monotonic()
        self.process.send_signal(number)

    def end(self, *, seconds: float = 60) -> Ended:
        """Wait for its end. Whatever it printed, no password is in it."""
        code = self.process.wait(seconds)
        took = time.monotonic() - self._began
        for reader in self._readers:
            reader.join(10)
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


def ddpm(*arguments: str, seconds: float = 60, **more: Any) -> Ended:
    """Run `ddpm` to its end."""
    with Command(*arguments, **more) as command:
        return command.end(seconds=seconds)


def event_probe(folder: Path) -> dict[str, str]:
    """The environment in which `ddpm` prints a line on standard error for each event of the engine: an installed plugin, as pip leaves it."""
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
