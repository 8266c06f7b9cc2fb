"""Processes that outlive the command that started them, and how they are known again.

A process is ours when it is the one that was recorded: same process id, same start, and a command line that names our folder. A
process id alone may be another's by the time it is used.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ddpm_core.values import dataclass

_RECORD_AND_BECOME = """umask 077
{ echo $$; if read -r line </proc/$$/stat; then echo "$line"; else /bin/ps -o lstart= -p $$; fi; } 2>/dev/null >"$0" && exec "$@"
"""
"""The process writes its own id and start before it becomes the server: there is no moment in which a server runs and no file names it."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A process of its own session, known by a file with its id.

    Attributes:
        pid_file: Where its id is written.
        mark: A text that its command line must contain, such as its folder.
    """

    pid_file: Path
    mark: str

    def start(self, command: Sequence[str], log: Path, **popen: Any) -> None:
        """Start it, with its output appended to `log`. It goes on when this process ends.

        Args:
            command: The program and its arguments.
            log: A file; it is made where it is missing.
            popen: More for `subprocess.Popen`, such as a user to become.
        """
        with contextlib.suppress(FileNotFoundError):
            self.pid_file.unlink()
        with log.open("ab") as out:
            process = subprocess.Popen(
                ["/bin/sh", "-c", _RECORD_AND_BECOME, str(self.pid_file), *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                **popen,
            )
        while self.pid() is None and process.poll() is None:
            time.sleep(0.002)
        process.returncode = (
            process.returncode or 0
        )  # From now on the file stands for it; else Popen complains of being left alone.

    def pid(self) -> int | None:
        """Its id while it runs; None when it has ended, was never started, or when the id is another process's by now."""
        try:
            recorded, began = self.pid_file.read_text().splitlines()
            pid = int(recorded)
        except (OSError, ValueError):
            return None
        about = _about(pid)
        if about is None or about.began != _start_of(began):
            return None
        # In the middle of becoming another program a process has no command line for a moment. The id and the start are enough then.
        return pid if about.dying or not about.command or self.mark in about.command else None

    def signal(self, number: int) -> bool:
        """Send it a signal; whether there was anybody to get it."""
        pid = self.pid()
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        return True

    def stop(self, number: int, seconds: float) -> None:
        """Ask it to end, and wait; after `seconds` it is killed. Does nothing when it does not run."""
        if not self.signal(number):
            return
        if not self._ended_within(seconds):
            self.signal(signal.SIGKILL)
            self._ended_within(seconds)

    def _ended_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.pid() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


@dataclass(frozen=True, slots=True)
class _About:
    command: str
    began: str
    """Ticks since the machine started, or a date: what the process wrote of itself."""
    dying: bool = False
    """Its main thread has ended and took the command line along, but others still hold its ports and files."""


def _about(pid: int) -> _About | None:
    """A running process; None for one that has ended, also when nobody has asked for its exit status yet."""
    _reap(pid)
    if Path("/proc/self/stat").exists():
        return _from_proc(pid)
    state, began, command = (_ps(pid, field) for field in ("stat", "lstart", "command"))
    return None if not state or state.startswith("Z") else _About(command, began)


def _from_proc(pid: int) -> _About | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        dying = _fields(stat)[0] in "ZX"
        if dying and len(os.listdir(f"/proc/{pid}/task")) < 2:
            return None
    except OSError:
        return None
    return _About(command, _start_of(stat), dying)


def _start_of(line: str) -> str:
    """When a process began: field 22 of Linux' line about it, or the date that `ps` tells."""
    return _fields(line)[19] if ")" in line else line.strip()


def _fields(stat: str) -> list[str]:
    """Those behind the name, which is in brackets and may hold anything."""
    return stat.rpartition(")")[2].split()


def _ps(pid: int, field: str) -> str:
    return subprocess.run(
        ["/bin/ps", "-p", str(pid), "-o", f"{field}="], capture_output=True, text=True, check=False
    ).stdout.strip()


def _reap(pid: int) -> None:
    """A child of this process that has ended stays a process until it is asked for."""
    with contextlib.suppress(ChildProcessError, OSError):
        os.waitpid(pid, os.WNOHANG)
