"""The most memory that a command has had, whatever the process has that asks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LAUNCHER = """
import os, resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
os.write(int(sys.argv[1]), b"%d %d" % (code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
"""
# Linux counts the memory of the process that starts another as a peak of that one, and pytest's is large: a small one stands between.

UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Peak:
    """How a command ended: its exit code, less than 0 where a signal ended it, and its peak of resident memory in bytes."""

    code: int
    memory: int


def peak_of(command: Sequence[str], **how: Any) -> Peak:
    """Run a command to its end.

    Args:
        how: For `subprocess.run`.
    """
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as found:
        try:
            launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(writing), *command]
            subprocess.run(launcher, check=True, pass_fds=[writing], **how)
        finally:
            os.close(writing)
        code, memory = found.read().split()
    return Peak(int(code), int(memory) * UNIT)
