"""Instances of the sink: names for them, and whether one is still alive."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import time
from hashlib import blake2b
from pathlib import Path

SILENT_AFTER = 24 * 3600.0
"""An instance on another machine is taken for dead when what it staged has not changed for so many seconds."""


def new_instance() -> str:
    """A name for an instance of this process: says where and when it runs, and is unique."""
    pid = os.getpid()
    return f"{_machine()}-{pid}-{_started(pid)}-{secrets.token_hex(4)}"


def is_dead(instance: str, silent: float) -> bool:
    """Whether an instance has certainly or most likely come to its end. Wrongly said so, its next commit fails and nothing is lost.

    Args:
        instance: Its name.
        silent: For how many seconds it has shown no sign of life.
    """
    machine, _, rest = instance.partition("-")
    pid, _, rest = rest.partition("-")
    started = rest.partition("-")[0]
    if machine == _machine() and pid.isdecimal():
        return _started(int(pid)) != started
    return silent > SILENT_AFTER


def _machine() -> str:
    """This machine since it was started, and the space that its process ids are from."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return blake2b("\n".join(parts).encode(), digest_size=6).hexdigest()


def _started(pid: int) -> str:
    """When a process began; empty when there is none. Where the system does not say when, whether there is one."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
    except FileNotFoundError:
        if os.path.exists("/proc/self/stat"):
            return ""
    except (OSError, IndexError):
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "0"
    return "0"


def now() -> float:
    """Seconds since 1970."""
    return time.time()
