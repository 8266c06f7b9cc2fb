"""Ctrl+C and SIGTERM, with an engine that stops when asked, or does not."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import IO

import pytest

from ddpm_core.cli.stopping import Stoppable

PROGRAM = """
import sys, threading
from types import ModuleType, SimpleNamespace
from ddpm_core.engine.report import DocumentReport, Report
from ddpm_core.registry import Registry

asked = threading.Event()

class Ingest:
    def __init__(self, request, registry, *, observers=()):
        pass

    def run(self):
        if READS:
            threading.Thread(target=sys.stdin.buffer.read, name="ddpm-intake", daemon=True).start()
        print("running", file=sys.stderr, flush=True)
        asked.wait()
        if HANGS:
            threading.Event().wait()
        return Report("ingest", "x.duckdb", STATUS, 5, 5, 10, {}, 1.0, [DocumentReport("a", "stopped", "new", "a", 5, 5)])

    def stop(self):
        asked.set()

fake = ModuleType("ddpm_core.engine.ingest")
fake.Ingest, fake.IngestRequest = Ingest, lambda **given: SimpleNamespace(**given)
sys.modules["ddpm_core.engine.ingest"] = fake
Registry.discover = classmethod(lambda cls, **_: cls())
sys.argv[1:] = ["ingest", "a.json", *sys.argv[1:]]
from ddpm_core.cli.start import main
main()
"""
STOPPING = "stopping: finishing the current transaction (Ctrl+C again to abort now)\n"


PATIENCE = 120.0
"""Seconds after which a process is killed, which ends every wait for it."""


@contextlib.contextmanager
def started(code: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """A process that outlives neither the block nor our patience."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, *args], text=True, **pipes) as process:
        overdue = threading.Timer(PATIENCE, process.kill)
        overdue.start()
        try:
            yield process
        finally:
            overdue.cancel()
            process.kill()


@contextlib.contextmanager
def start(
    *args: str, status: str = "stopped", hangs: bool = False, reads: bool = False
) -> Iterator[tuple[subprocess.Popen[str], IO[str], IO[str]]]:
    """`ddpm ingest` at work, its standard output and its standard error."""
    with started(f"HANGS, READS, STATUS = {hangs}, {reads}, {status!r}\n{PROGRAM}", *args) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline() == "running\n"
        yield process, process.stdout, process.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_stops_in_good_order_and_says_where_it_stands(number, code):
    with start() as (process, _, _):
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == code
    assert err == STOPPING
    assert out.startswith("a: stopped after 5 rows into a\n")
    assert "Stopped. 1 document not finished. Run the same command again to go on.\n" in out


def test_a_stopped_run_still_gives_its_json_report():
    with start("--json") as (process, _, _):
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=PATIENCE)

    assert (json.loads(out)["status"], json.loads(out)["exit_code"]) == ("stopped", 143)


def test_a_run_that_was_done_before_it_could_stop_has_landed():
    with start(status="landed") as (process, _, _):
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)

    assert process.returncode == 0


def test_a_thread_that_waits_for_standard_input_does_not_crash_the_end():
    with start(reads=True) as (process, stdout, stderr):
        process.send_signal(signal.SIGINT)
        out, err = stdout.read(), stderr.read()  # Not communicate, which closes standard input.
        assert (process.wait(timeout=PATIENCE), err) == (130, STOPPING)

    assert out.startswith("a: stopped after 5 rows into a\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_second_signal_ends_it_at_once(number, code):
    with start(hangs=True) as (process, _, stderr):
        process.send_signal(signal.SIGINT)
        assert stderr.readline() == STOPPING
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)

    assert (process.returncode, out, err) == (code, "", "")


def test_a_question_to_a_database_ends_at_once_on_ctrl_c():
    code = (
        "import sys, threading\n"
        "from types import ModuleType\n"
        "from ddpm_core.registry import Registry\n"
        "Registry.discover = classmethod(lambda cls, **_: cls())\n"
        "def hang(address, registry):\n"
        "    print('asking', flush=True)\n"
        "    threading.Event().wait()\n"
        "fake = sys.modules['ddpm_core.engine.build'] = ModuleType('ddpm_core.engine.build')\n"
        "fake.open_database = hang\n"
        "sys.argv[1:] = ['query', 'select 1']\n"
        "from ddpm_core.cli.start import main\n"
        "main()\n"
    )
    with started(code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asking\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)

    assert (process.returncode, out, err) == (-signal.SIGINT, "", "")


def test_without_a_signal_the_work_ends_as_it_ends():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    work = Stoppable(lambda: 42, lambda: pytest.fail("nobody asked for that"))

    assert (work.run(), work.exit_code) == (42, None)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_what_the_work_raises_is_raised():
    def fail() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        Stoppable(fail, lambda: None).run()
