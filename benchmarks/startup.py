"""CPU that the command line takes before it does anything."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

DDPM = str(Path(sys.executable).with_name("ddpm"))


@dataclass(frozen=True)
class Start:
    """CPU milliseconds of a command, above those of the bare imports."""

    command: str
    extra_ms: float
    goal_ms: float


def starts(pairs: int) -> Iterator[Start]:
    """`ddpm --help` and `ddpm plugins list`, each against `python -c 'import click, pluggy'`."""
    for arguments, goal in ((["--help"], 150.0), (["plugins", "list"], 300.0)):
        extra = [_cpu_ms([DDPM, *arguments]) - _cpu_ms([sys.executable, "-c", "import click, pluggy"]) for _ in range(pairs)]
        yield Start(f"ddpm {' '.join(arguments)}", statistics.median(extra), goal)


def _cpu_ms(command: Sequence[str]) -> float:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command}: exit code {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1000
