"""What the test suite promises about services: none missing unseen, none left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("ci", [False, True])
def test_a_service_that_cannot_start_is_named_above_the_closing_line(tmp_path: Path, ci: bool) -> None:
    (tmp_path / "test_it.py").write_text("def test_needs_it(postgres_database): ...\ndef test_does_not(): ...\n")
    environment = {key: value for key, value in os.environ.items() if key != "CI"} | ({"CI": "true"} if ci else {})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-q", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=ROOT,
        env=environment | {"DDPM_TEST_POSTGRES": "postgresql://postgres@127.0.0.1:1/postgres"},
        capture_output=True,
        text=True,
        timeout=240,
    )  # fmt: skip
    assert done.returncode == (1 if ci else 0), done.stdout + done.stderr
    *_, title, service, count, test, closing = done.stdout.strip().splitlines()
    assert title.strip("= ") == "services that could not be started" + (": a failure in CI" if ci else "")
    assert service.startswith("Postgres: DDPM_TEST_POSTGRES: connection to server at ")
    assert (count, test) == ("  1 tests skipped for it:", "    test_it.py::test_needs_it")
    assert re.match(r"1 passed, 1 skipped in [\d.]+s", closing)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("module", ["tests.services", "tests.kafka"])
def test_a_killed_test_run_leaves_no_server_and_no_folder(request: pytest.FixtureRequest, module: str) -> None:
    name, fixture, server = {
        "tests.services": ("postgres", "postgres_server", "_server"),
        "tests.kafka": ("kafka", "kafka_broker", "_own"),
    }[module]
    if not request.getfixturevalue(fixture).managed:
        pytest.skip("the server is not ours")
    script = (
        f"from {module} import {name}\n"
        f"with {name}() as server:\n"
        f"    print(server.{server}.folder, server.{server}.daemon.pid(), flush=True)\n"
        "    input()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    folder, pid = child.stdout.readline().split()
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=240)
    deadline = time.monotonic() + 240
    while (Path(folder).exists() or _lives(int(pid))) and time.monotonic() < deadline:
        time.sleep(0.05)  # Another process works; only the folder and the process tell when it is done.
    assert not Path(folder).exists()
    assert not _lives(int(pid))


def _lives(pid: int) -> bool:
    """Whether it runs. One that has ended stays in the list until its parent has asked for it, and that may be anybody by now."""
    try:
        os.kill(pid, 0)
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False
