"""What tests and benchmarks say of memory is the memory of the command alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.peak_memory import Peak, peak_of

MB = 1 << 20


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def test_a_large_parent_makes_no_command_large() -> None:
    ours = bytearray(b"x" * (200 * MB))
    peak = peak_of(python("pass"))
    assert len(ours) == 200 * MB
    assert peak.code == 0
    assert MB < peak.memory < 100 * MB


def test_memory_that_was_given_back_counts() -> None:
    peak = peak_of(python("x = b'x' * (200 << 20); del x; y = b'y' * (10 << 20)"))
    assert 200 * MB < peak.memory < 300 * MB


@pytest.mark.parametrize(("code", "expected"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", -9)])
def test_how_it_ended_is_told(code: str, expected: int) -> None:
    peak = peak_of(python(code))
    assert peak == Peak(expected, peak.memory)


def test_what_it_prints_goes_where_it_should(capfd: pytest.CaptureFixture[str]) -> None:
    peak_of(python("import sys; print('out'); print('err', file=sys.stderr)"), stderr=subprocess.DEVNULL)
    assert capfd.readouterr() == ("out\n", "")
