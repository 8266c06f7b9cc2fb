"""A plugin by which `ddpm` kills itself, as `kill -9` would, at a chosen event: no test is too slow to hit the moment."""

from __future__ import annotations

from pathlib import Path

PLUGIN = """
import os, signal
from ddpm_core import hookimpl

name, number = os.environ["DDPM_KILLED_AT"].split()
left = int(number)

@hookimpl
def ddpm_event(event):
    global left
    if type(event).__name__ == name:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_at(folder: Path, event: str, number: int) -> dict[str, str]:
    """The environment in which `ddpm` is killed at its so manieth event of this kind, from 1: an installed plugin, as pip leaves it.

    Args:
        folder: For the plugin; it may be there from an earlier call.
    """
    info = folder / "ddpm_self_kill-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (folder / "ddpm_self_kill.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ddpm-self-kill\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ddpm]\nself_kill = ddpm_self_kill\n")
    return {"PYTHONPATH": str(folder), "DDPM_KILLED_AT": f"{event} {number}"}
