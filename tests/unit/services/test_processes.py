"""Processes that outlive a command: started, known again, never mistaken for another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ddpm_core.services.processes import Daemon

SLEEP = "import time; time.sleep(600)"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "pid", str(tmp_path))
    yield made
    made.stop(signal.SIGKILL, 10)


def command(folder: Path, code: str = SLEEP) -> list[str]:
    return [sys.executable, "-c", code, str(folder)]


def until(true: Callable[[], bool]) -> None:
    """Wait for another process."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_it_is_known_from_its_start_until_its_end(daemon: Daemon, tmp_path: Path) -> None:
    assert daemon.pid() is None
    daemon.start(command(tmp_path), tmp_path / "log")
    pid = daemon.pid()
    assert pid is not None
    assert os.getsid(pid) == pid != os.getsid(0)
    assert Daemon(daemon.pid_file, daemon.mark).pid() == pid
    assert (tmp_path / "pid").stat().st_mode & 0o777 == 0o600
    daemon.stop(signal.SIGTERM, 60)
    assert daemon.pid() is None


def test_it_goes_on_when_the_process_that_started_it_has_ended(daemon: Daemon, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ddpm_core.services.processes import Daemon; folder = Path(sys.argv[1]); "
        f"Daemon(folder / 'pid', str(folder)).start([sys.executable, '-c', {SLEEP!r}, str(folder)], folder / 'log')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=120)
    assert daemon.pid() is not None


def test_one_that_ignores_the_wish_is_killed(daemon: Daemon, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    code = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); open({str(ready)!r}, 'w').close(); {SLEEP}"
    daemon.start(command(tmp_path, code), tmp_path / "log")
    until(ready.exists)
    daemon.stop(signal.SIGTERM, 0.05)
    until(lambda: daemon.pid() is None)  # It was killed; the system may need longer to clear it away than `stop` has time here.


def test_another_process_with_the_recorded_id_is_left_alone(daemon: Daemon, tmp_path: Path) -> None:
    """Ours has ended, and its id was given to another: that one began at another time, or is another program."""
    daemon.start(command(tmp_path), tmp_path / "log")
    ours = daemon.pid_file.read_text()
    pid, began = ours.splitlines()
    # It has to be its own program by now: on the way there a process has no command line.
    with subprocess.Popen([sys.executable, "-c", f"print(1, flush=True); {SLEEP}"], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            proc = Path(f"/proc/{other.pid}/stat")
            began_too = proc.read_text() if proc.exists() else began
            later = began.replace(began.split()[21], f"{began.split()[21]}0") if proc.exists() else "another day"
            for recorded in (f"{other.pid}\n{began_too}", f"{pid}\n{later}\n", "", "no number\n1\n"):
                daemon.pid_file.write_text(recorded)
                assert daemon.pid() is None
                daemon.stop(signal.SIGKILL, 1)
            assert other.poll() is None
        finally:
            other.kill()
    daemon.pid_file.write_text(ours)
    assert daemon.pid() == int(pid)


def test_one_that_ends_at_once_is_not_running_and_its_log_says_why(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start([str(tmp_path / "no-such-program")], tmp_path / "log")
    until(lambda: daemon.pid() is None)
    assert "no-such-program" in (tmp_path / "log").read_text()
