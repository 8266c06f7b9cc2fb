"""Formats that the harness can be run for: those that are installed, and those of this repository's own distributions.

`python -m tests.installed_formats NAME` ends with 0 when the harness can be run for that format; else it says which there are.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ddpm_core.registry import Registry
from ddpm_core.testing import golden_messages_of

ROOT = Path(__file__).parents[1]
SIBLINGS = {path.parent.name.removeprefix("ddpm-"): path.parent for path in (ROOT / "plugins").glob("ddpm-*/pyproject.toml")}
"""Format -> the folder of a distribution of its own. It is not installed beside DDPM, as no one else's is."""


def with_golden_messages() -> list[str]:
    """The names of all formats that bring golden messages."""
    registry = Registry.discover()
    installed = {name for name in registry.names("format") if golden_messages_of(registry.format(name).spec) is not None}
    return sorted(installed | {name for name, folder in SIBLINGS.items() if any(folder.glob("*/golden.py"))})


def install_sibling(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """Install a format of this repository's own distributions, as pip does, into a folder for Python's path. None: it is there already."""
    if name not in SIBLINGS or name in Registry.discover().names("format"):
        return None
    folder = tmp_path_factory.mktemp("installed")
    # Without a network: what builds it is there already.
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(folder)]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    command = [sys.executable, "-m", "pip", "install", *options, str(SIBLINGS[name])]
    done = subprocess.run(command, capture_output=True, text=True, env=clean, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def main(name: str) -> str | None:
    """What to say of a name that the harness cannot be run for."""
    names = with_golden_messages()
    if name in names:
        return None
    if not name:
        return f"Say which format: make test-integration-plugin format=NAME. There are {', '.join(names)}."
    known = name in Registry.discover().names("format")
    why = "brings no golden messages (docs/plugins.md says how)" if known else "is not installed"
    return f"The format {name!r} {why}. There are {', '.join(names)}."


if __name__ == "__main__":
    problem = main(sys.argv[1] if len(sys.argv) > 1 else "")
    if problem:
        sys.stderr.write(f"{problem}\n")
        sys.exit(2)
