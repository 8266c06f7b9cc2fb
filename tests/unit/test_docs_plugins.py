"""docs/plugins.md says what is: hooks and methods with their exact arguments, every error, every flag; its example works."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any, get_args

import pytest

import ddpm_core
from ddpm_core import AtLeastOnceSink, Parser, Processor, Serializer, Sink, Source, errors, testing
from ddpm_core.plugin.hookspecs import HookSpecs
from ddpm_core.plugin.specs import FormatSpec, PluginSpec, ProcessorSpec, SinkSpec, SourceSpec
from tests.inner_pytest import outcomes

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text()


def called(name: str, function: Any) -> str:
    """As the page writes it: `write(batch)`."""
    arguments = [parameter for parameter in inspect.signature(function).parameters if parameter != "self"]
    return f"`{name}({', '.join(arguments)})`"


def section(title: str) -> str:
    return re.split(r"^## ", PAGE.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def test_every_hook_is_documented_with_its_exact_arguments() -> None:
    hooks = [called(name, hook) for name, hook in vars(HookSpecs).items() if name.startswith("ddpm_")]
    assert re.findall(r"^### (.*)$", section("Hooks"), re.MULTILINE) == hooks


@pytest.mark.parametrize(
    ("title", "base"),
    [("A parser", Parser), ("A parser", Serializer), ("A source", Source), ("A processor", Processor), ("A sink", Sink)],
)
def test_every_method_is_documented_with_its_exact_arguments(title: str, base: type) -> None:
    methods = {called(name, thing) for name, thing in vars(base).items() if inspect.isfunction(thing) and not name.startswith("_")}
    assert {method for method in methods if method not in section(title)} == set()


def test_no_method_is_documented_that_is_not_there() -> None:
    bases = {"A parser": (Parser, Serializer), "A source": (Source,), "A processor": (Processor,), "A sink": (Sink,)}
    for title, classes in bases.items():
        first_cells = " ".join(re.findall(r"^\| ([^|]*\(.*?) \|", section(title), re.MULTILINE))
        for name in re.findall(r"`(\w+)\(", first_cells):
            assert any(hasattr(base, name) for base in classes), name


def test_every_error_is_documented() -> None:
    classes = {
        name for name, thing in vars(errors).items()
        if inspect.isclass(thing) and issubclass(thing, errors.DdpmError) and thing is not errors.DdpmError
    }  # fmt: skip
    assert set(re.findall(r"^\| `(\w+)`", section("Errors, and what the engine does next"), re.MULTILINE)) == classes


@pytest.mark.parametrize("spec", [SourceSpec, FormatSpec, ProcessorSpec, SinkSpec])
def test_every_field_of_a_spec_is_documented(spec: type[PluginSpec]) -> None:
    common = {field.name for field in dataclasses.fields(PluginSpec)}
    own = [field.name for field in dataclasses.fields(spec) if field.name not in common]
    (row,) = re.findall(rf"^\| `{spec.__name__}` \| (.*) \|$", section("Specs"), re.MULTILINE)
    assert row == ", ".join(f"`{name}`" for name in own)
    for name in common:
        assert f"`{name}`" in section("Specs")


def test_every_method_that_a_table_sink_writes_is_documented() -> None:
    text = section("A sink for a database with tables")
    methods = {called(name, getattr(ddpm_core.TableSink, name)) for name in ddpm_core.TableSink.__abstractmethods__}
    assert {method for method in methods if method not in text} == set()
    for name in re.findall(r"`(\w+)\(", text):
        assert called(name, getattr(ddpm_core.TableSink, name)) in text


def test_every_field_of_what_travels_is_documented() -> None:
    for name in (
        "Position",
        "Messages",
        "Document",
        "Parsed",
        "Reject",
        "Batch",
        "Processed",
        "Assigned",
        "Skipped",
        "Failed",
    ):
        assert _row(section("What travels"), name) == _fields(getattr(ddpm_core, name))


def test_every_event_is_documented_and_public() -> None:
    for event in get_args(ddpm_core.Event):
        assert getattr(ddpm_core, event.__name__) is event
        assert _row(section("Hooks"), event.__name__) == _fields(event)


def _row(text: str, name: str) -> str:
    (row,) = re.findall(rf"^\| `{name}` \| (.*) \|$", text, re.MULTILINE)
    return str(row)


def _fields(thing: Any) -> str:
    return ", ".join(f"`{field.name}`" for field in dataclasses.fields(thing))


@pytest.mark.parametrize("kind", ["Format", "Source", "Processor", "Sink"])
def test_every_capability_is_documented(kind: str) -> None:
    flags = [field.name for field in dataclasses.fields(getattr(testing, f"{kind}Capabilities"))]
    (row,) = re.findall(rf"^\| `{kind}Capabilities` \| (.*) \|$", section("The conformance kit"), re.MULTILINE)
    assert row == ", ".join(f"`{flag}`" for flag in flags)
    for flag in flags:
        assert f"    {flag}: " in str(getattr(testing, f"{kind}Capabilities").__doc__), f"{flag} has no sentence"


def test_every_public_name_used_on_the_page_exists() -> None:
    for module, names in re.findall(r"^from (ddpm_core(?:\.testing)?) import (.*)$", PAGE, re.MULTILINE):
        for name in names.split(", "):
            assert hasattr(ddpm_core if module == "ddpm_core" else testing, name), name


def test_the_bases_of_sinks_are_public() -> None:
    assert issubclass(AtLeastOnceSink, Sink)
    assert issubclass(ddpm_core.TableSink, Sink)


def test_the_example_passes_the_conformance_kit(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n# (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in blocks] == ["my_kv/plugin.py", "my_kv/parser.py", "tests/test_kv.py", "my_kv/options.py"]
    assert sum(bool(line.strip()) for line in dict(blocks)["my_kv/parser.py"].splitlines()) <= 20
    for name, text in blocks:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    ended = outcomes([tmp_path / "tests"], "-Werror", root=tmp_path, paths=[tmp_path], scratch=tmp_path / "scratch")
    assert [f"{test}: {outcome}" for test, outcome in ended.items() if outcome.startswith("failed")] == []
    assert "passed" in ended.values()


def test_the_options_of_the_page_work() -> None:
    (code,) = re.findall(r"^```python\n# my_kv/options.py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    namespace: dict[str, Any] = {"__name__": "my_kv_options"}
    exec(compile(code, "options.py", "exec", dont_inherit=True), namespace)
    assert "secret" not in repr(namespace["KvOptions"](password="secret"))


def test_the_entry_point_of_the_page_is_in_our_group() -> None:
    from ddpm_core.plugin.hookspecs import PROJECT

    assert f"[project.entry-points.{PROJECT}]\n" in PAGE


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
