"""A kit that lets everything pass is worth nothing: for each of its tests there is a plugin that fails exactly there.

The broken plugins lie in `broken/`. One pytest run inside this one runs the one test of each that has to fail.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from ddpm_core.testing import FormatConformance, ProcessorConformance, SinkConformance, SourceConformance
from tests.inner_pytest import outcomes

BROKEN = str(Path(__file__).parent / "broken")
FILES = ("broken_plugin", "broken_format", "broken_source", "broken_processor", "broken_sink")
CASES = {
    f"{file}.{name}": f"{BROKEN}/{file}.py::{name}::{thing.fails}"
    for file in FILES
    for name, thing in vars(importlib.import_module(file)).items()
    if "fails" in getattr(thing, "__dict__", {})
}


class OneOfEach:
    """A plugin of pytest's: no test is made but the one that has to fail, which else would take as long as running it."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makeitem(self, collector: pytest.Collector, name: str) -> list[pytest.Item] | None:
        other = isinstance(collector, pytest.Class) and name.startswith("test_") and name != getattr(collector.obj, "fails", name)
        return [] if other else None


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Case -> `failed` with the reason, `passed` or `skipped`."""
    scratch = tmp_path_factory.mktemp("broken")
    found = outcomes(list(CASES.values()), "-opython_classes=*", root=Path(BROKEN), scratch=scratch, plugins=[OneOfEach()])
    return {id_.replace(".py::", ".").rpartition("::")[0]: outcome for id_, outcome in found.items()}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_plugin_is_found(case: str, found: dict[str, str]) -> None:
    assert found[case].startswith("failed: "), found[case]


@pytest.mark.parametrize("kit", [FormatConformance, SourceConformance, ProcessorConformance, SinkConformance])
def test_every_assertion_of_the_kit_has_been_seen_to_fail(kit: Any) -> None:
    tests = {name for name in dir(kit) if name.startswith("test_")}
    assert tests - {case.rpartition("::")[2] for case in CASES.values()} == set()


def test_a_failing_assertion_shows_its_values(found: dict[str, str]) -> None:
    """pytest rewrites the kit's assertions, though they lie in an installed package."""
    assert "ONE" in found["broken_format.WrongRows"]


def test_the_kit_reads_no_file_of_the_repository() -> None:
    """It ships in the wheel: data comes from code."""
    import ddpm_core.testing

    sources = [path.read_text() for path in Path(str(ddpm_core.testing.__file__)).parent.glob("*.py")]
    assert len(sources) > 5
    assert not [text for text in sources if "test_data" in text or "__file__" in text]
