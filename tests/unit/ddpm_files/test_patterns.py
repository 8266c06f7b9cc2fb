"""Patterns over keys mean what the same patterns mean over files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ddpm_core import ConfigError
from ddpm_files.local_listing import files
from ddpm_files.patterns import matches

NAMES = (
    "a.json", "b.csv", "x/a.json", "x/y/a.json", "x/y/z/a.json", "_x/a.json", "x/_y/a.json", "x/.a.json", ".a.json", "xy/b.json", "x/yy/c.json",
)  # fmt: skip
PATTERNS = (
    "*", "*.json", "**", "**/*.json", "x/*", "x/**", "x/**/a.json", "**/y/*", "x*", "x*/*.json", "_*/*", "x/.*", "**/a.json", "*/*/a.json",
    "x/[y]/a.json", "?.json", "x/y*", "**/**/a.json", "x/**/*", "nothing*",
)  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_means_the_same_here_and_far_away(pattern: str, tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    try:
        here = {os.path.relpath(path, tmp_path) for path in files(f"{tmp_path}/{pattern}")}
    except ConfigError:
        here = set()
    assert {name for name in NAMES if matches(name.split("/"), pattern.split("/"))} == here
