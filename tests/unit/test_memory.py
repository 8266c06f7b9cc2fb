"""Where Arrow takes its memory from: the choice is made where nobody has made one."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from ddpm_core import memory
from ddpm_core.memory import CHOSEN, start_compact


def on(platform: str, monkeypatch: pytest.MonkeyPatch, chosen: str | None = None) -> str | None:
    """What a start on this platform makes of the variable."""
    monkeypatch.setenv(CHOSEN, chosen or "")
    if chosen is None:
        monkeypatch.delenv(CHOSEN)
    monkeypatch.setattr(memory, "sys", SimpleNamespace(platform=platform))
    start_compact()
    return os.environ.get(CHOSEN)


def test_arrow_starts_with_jemalloc_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CHOSEN == "ARROW_DEFAULT_MEMORY_POOL"
    assert on("linux", monkeypatch) == "jemalloc"


@pytest.mark.parametrize("chosen", ["mimalloc", "system"])
def test_the_users_choice_of_memory_stays(monkeypatch: pytest.MonkeyPatch, chosen: str) -> None:
    assert on("linux", monkeypatch, chosen) == chosen


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_nothing_is_chosen_where_arrow_may_have_no_jemalloc(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    assert on(platform, monkeypatch) is None
