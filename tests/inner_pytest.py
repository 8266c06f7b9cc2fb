"""pytest within pytest: what becomes of tests that lie elsewhere. A process of its own would take longer to start than they run."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

# Two of these would be in each other's way, and what is left open is noticed by the plugin of the run around this one.
_OFF = ("cacheprovider", "faulthandler", "threadexception", "unraisableexception")


class _Outcomes:
    """A plugin that keeps how each test ended."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        assert not report.failed, report.longreprtext

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            self.found[report.nodeid] = report.outcome if report.outcome != "failed" else f"failed: {report.longreprtext}"


def outcomes(
    tests: Sequence[str | Path],
    *more: str,
    root: Path,
    scratch: Path,
    paths: Sequence[Path] = (),
    plugins: Sequence[object] = (),
) -> dict[str, str]:
    """Run tests as their author would, without anything of this repository's configuration.

    Args:
        tests: Files, folders or node ids.
        more: Arguments for pytest.
        root: Its root folder. Modules that lie in it, or in `paths`, are forgotten afterwards.
        scratch: A folder for temporary files.
        paths: Where modules are found, before all others.
        plugins: Of pytest's.

    Returns:
        Node id -> `passed`, `skipped`, or `failed: ` with the reason.
    """
    arguments = ["-q", "-s", "--tb=native", "-c", os.devnull, "--rootdir", str(root), "--import-mode=importlib"]
    arguments += [f"--basetemp={scratch}", *(f"-pno:{name}" for name in _OFF), *more, *map(str, tests)]
    kept = _Outcomes()
    before, modules = list(sys.path), set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        patch.delenv("PYTEST_ADDOPTS", raising=False)
        patch.setattr(sys, "dont_write_bytecode", True)
        sys.path[:0] = map(str, paths)
        importlib.invalidate_caches()
        try:
            pytest.main(arguments, plugins=[kept, *plugins])
        finally:
            sys.path[:] = before
            for name in set(sys.modules) - modules:
                file = getattr(sys.modules[name], "__file__", None) or ""
                if any(Path(file).is_relative_to(folder) for folder in (root, *paths)):
                    del sys.modules[name]
    assert kept.found
    return kept.found
