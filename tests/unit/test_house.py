"""The rules of the house that no linter knows."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [*ROOT.glob("ddpm_core/**/*.py"), *ROOT.glob("plugins/*/**/*.py")]
BUNDLED = sorted(path for path in (ROOT / "plugins").glob("ddpm_*") if path.is_dir())
LONGEST_FILE = 450


def test_a_file_is_one_concept_and_so_not_long() -> None:
    lines = {str(path.relative_to(ROOT)): path.read_bytes().count(b"\n") for path in SOURCES}
    long = {path: count for path, count in lines.items() if count > LONGEST_FILE}
    assert long == {}, "look for their second concept"


@pytest.mark.parametrize("folder", BUNDLED, ids=lambda path: path.name)
def test_every_bundled_plugin_looks_the_same(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert {"__init__.py", "plugin.py", "README.md"} <= names
    assert any(name.endswith("options.py") for name in names)


def test_every_bundled_plugin_is_in_the_wheel_and_has_an_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    points = project["project"]["entry-points"]["ddpm"]
    assert sorted(wheel) == ["ddpm_core", *(f"plugins/{folder.name}" for folder in BUNDLED)]
    assert sorted(points.values()) == [f"{folder.name}.plugin" for folder in BUNDLED]


def test_plugins_import_the_public_door_only() -> None:
    """import-linter sees packages; this sees the statement, so that a submodule cannot slip in under `from ddpm_core.x`."""
    inside = re.compile(r"^\s*(from|import) ddpm_core\.(?!testing)", re.MULTILINE)
    found = [path for folder in BUNDLED for path in folder.rglob("*.py") if inside.search(path.read_text())]
    assert found == []


def test_the_public_names_all_exist() -> None:
    import ddpm_core

    assert [name for name in ddpm_core.__all__ if getattr(ddpm_core, name, None) is None] == []
    with pytest.raises(AttributeError, match=r"^module 'ddpm_core' has no attribute 'Nothing'$"):
        _ = ddpm_core.Nothing


def test_importing_the_contract_imports_no_heavy_library() -> None:
    code = (
        "import sys; from ddpm_core import hookimpl, FormatSpec, SinkSpec; "
        "print([m for m in ('pyarrow', 'pydantic', 'duckdb', 'loguru', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.strip() == "[]"
