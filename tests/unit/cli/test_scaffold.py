"""`ddpm plugins new`: a complete package whose tests pass at once."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from ddpm_core.cli.scaffold import KINDS, create
from ddpm_core.errors import ConfigError
from tests.inner_pytest import outcomes

ROOT = Path(__file__).parents[3]


def listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Kind -> how each test of its new package ended. One run for all, since starting pytest takes longer than the tests."""
    place = tmp_path_factory.mktemp("new")
    folders = [create(f"my_{kind}", kind, place) for kind in KINDS]
    scratch = tmp_path_factory.mktemp("scratch")
    ended = outcomes([folder / "tests" for folder in folders], "-Werror", root=place, paths=folders, scratch=scratch)
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for test, outcome in ended.items():
        kind = test.partition("::")[0].rpartition("/")[2].removeprefix("test_my_").removesuffix(".py")
        found[kind].append(f"{test}: {outcome}" if outcome.startswith("failed") else "passed")
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_its_tests_pass_at_once(kind: str, found: dict[str, list[str]]) -> None:
    assert len(found[kind]) > 15
    assert [outcome for outcome in found[kind] if outcome != "passed"] == []


def test_a_format_is_twenty_lines_of_code(tmp_path: Path) -> None:
    tree = ast.parse((create("mine", "format", tmp_path) / "ddpm_mine" / "parser.py").read_text())
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    code = {node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt | ast.expr) and id(node) not in texts}
    code -= {node.lineno for node in ast.walk(tree) if isinstance(node, ast.Expr) and id(node.value) in texts}
    assert len(code) <= 20


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_template_is_left(kind: str, tmp_path: Path) -> None:
    folder = create("fixed_width", kind, tmp_path)
    module = {"format": "parser", "table_sink": "sink"}.get(kind, kind)
    common = {".gitignore", "CHANGELOG.md", "README.md", "pyproject.toml", "tests/test_fixed_width.py"}
    package = {f"ddpm_fixed_width/{name}.py" for name in ("__init__", "plugin", "options", module)}
    assert folder == tmp_path / "ddpm-fixed-width"
    assert listing(folder) == common | package
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert "$" not in text
            assert "tmpl" not in text
            if path.suffix == ".py":
                ast.parse(text)


@pytest.mark.parametrize("kind", KINDS)
def test_the_entry_point_names_a_module_that_is_there(kind: str, tmp_path: Path) -> None:
    folder = create("fixed_width", kind, tmp_path)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "ddpm-fixed-width"
    assert project["entry-points"] == {"ddpm": {"fixed_width": "ddpm_fixed_width.plugin"}}
    assert project["dependencies"][0].startswith("ddpm-core>=")
    assert (folder / "ddpm_fixed_width" / "plugin.py").exists()


@pytest.mark.parametrize("name", ["", "Mqtt", "1st", "a-b", "a__b", "_a", "a_", "a b", "a/b", "..", "ü", "x" * 41, "a\n"])
def test_a_bad_name_is_refused_with_the_rule(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        create(name, "format", tmp_path)
    assert str(caught.value) == (
        f"{name!r} cannot be the name of a plugin\n"
        "Names are lower-case letters and digits, in words joined by _, beginning with a letter, at most 40 characters."
    )
    assert listing(tmp_path) == set()


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        create("mqtt", "codec", tmp_path)
    assert str(caught.value) == "there is no kind of plugin 'codec'\nOne of: format, source, processor, sink, table_sink."


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "ddpm-mqtt"
    folder.mkdir()
    (folder / "precious").write_text("mine")
    with pytest.raises(ConfigError) as caught:
        create("mqtt", "source", tmp_path)
    assert str(caught.value) == (f"{folder} is there already and is not an empty folder\nChoose another name, or another folder.")
    assert listing(folder) == {"precious"}


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "ddpm-mqtt").mkdir()
    assert create("mqtt", "source", tmp_path) == tmp_path / "ddpm-mqtt"


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    assert create("mqtt", "sink", tmp_path / "a" / "b").is_dir()


def test_a_name_that_would_hide_an_installed_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        create("core", "format", tmp_path)
    assert str(caught.value) == "a package ddpm_core is installed here already\nChoose another name."


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigError) as caught:
        create("mqtt", "format", file)
    assert str(caught.value) == f"cannot write {file / 'ddpm-mqtt'}: Not a directory"
