"""Every plugin that DDPM ships is held to its contract by the kit: no spec without a conformance class in `tests/`."""

from __future__ import annotations

import ast
import importlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ddpm_core.registry import Registry

ROOT = Path(__file__).parents[3]
BASES = {f"{kind.capitalize()}Conformance": kind for kind in ("format", "source", "processor", "sink")}


def bundled() -> list[tuple[str, str, str]]:
    """Kind, name and module of every spec that our own entry points lead to."""
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["ddpm"]
    found = []
    for entry_point, module in points.items():
        registry = Registry()
        registry.add(importlib.import_module(module), entry_point=entry_point, distribution="ddpm-core", version="0")
        found += [(plugin.spec.kind, plugin.spec.name, module) for plugin in registry.all()]
    return found


def conformance_classes(text: str) -> Iterator[tuple[str, str, str]]:
    """Kind, name and module that each test class of a file holds to the kit. Read, not run: what it needs may not be here."""
    classes = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
    for node in classes.values():
        kind, said = _of(node, classes)
        if kind and node.name.startswith("Test") and {"name", "plugin"} <= said.keys():
            yield kind, said["name"], said["plugin"]


def _of(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> tuple[str, dict[str, str]]:
    """The kind of kit that a class inherits, if any, and the texts that it and its bases in the file set."""
    kind, said = "", {}
    for base in reversed(node.bases):
        name = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
        inherited, texts = _of(classes[name], classes) if name in classes else (BASES.get(name, ""), {})
        kind, said = inherited or kind, {**said, **texts}
    for statement in node.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Constant):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            said |= {target.id: str(statement.value.value) for target in targets if isinstance(target, ast.Name)}
    return kind, said


@pytest.fixture(scope="module")
def held() -> set[tuple[str, str, str]]:
    """What the test files hold to the kit."""
    texts = [path.read_text() for path in (ROOT / "tests").glob("**/test_*.py")]
    return {found for text in texts if "Conformance" in text for found in conformance_classes(text)}


@pytest.mark.parametrize(("kind", "name", "module"), bundled(), ids=lambda value: value)
def test_a_bundled_plugin_is_held_to_the_kit(kind: str, name: str, module: str, held: set[tuple[str, str, str]]) -> None:
    assert (kind, name, module) in held, (
        f"no class in tests/ inherits {kind.capitalize()}Conformance with name = {name!r} and plugin = {module!r}"
    )


def test_a_class_is_found_through_its_bases_in_the_file_and_only_if_pytest_collects_it() -> None:
    text = """
class Base(kit.SinkConformance):
    plugin = "p"
class TestIt(Base):
    name: str = "a"
class Unseen(Base):
    name = "b"
class TestOther(Mixin, FormatConformance):
    plugin, name = "p", "c"
class TestNothing:
    plugin = "p"
    name = "d"
"""
    assert list(conformance_classes(text)) == [("sink", "a", "p")]
