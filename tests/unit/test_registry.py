"""Finding plugins: guarded, named, and never two for one name."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest

from ddpm_core.errors import ConfigError, PluginError
from ddpm_core.plugin.events import Event, RunStarted
from ddpm_core.plugin.hookspecs import hookimpl
from ddpm_core.plugin.specs import FormatSpec, SinkSpec, SourceSpec
from ddpm_core.registry import DISABLE, Registry


def plugin(**hooks: object) -> SimpleNamespace:
    return SimpleNamespace(**{name: hookimpl(hook) for name, hook in hooks.items()})  # type: ignore[type-var]


def formats(*names: str, **more: object) -> SimpleNamespace:
    def ddpm_formats() -> list[FormatSpec]:
        return [FormatSpec(name=name, summary="A format", parser="x:y", **more) for name in names]  # type: ignore[arg-type]

    return plugin(ddpm_formats=ddpm_formats)


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, **modules: str) -> list[EntryPoint]:
    """Distributions made by hand, each with one entry point and the source text of its module."""
    monkeypatch.syspath_prepend(str(folder))
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
        info = folder / f"ddpm_{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: ddpm-{name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[ddpm]\n{name} = {name}\n")
    from importlib.metadata import distributions

    return [e for d in distributions(path=[str(folder)]) for e in d.entry_points if e.group == "ddpm"]


GOOD = """
from ddpm_core import FormatSpec, hookimpl

@hookimpl
def ddpm_formats():
    yield FormatSpec(name="good", summary="Good", parser="x:y", suffixes=(".good",))
"""


def test_a_plugin_is_found_and_says_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry.discover(entry_points=installed(tmp_path, monkeypatch, good_one=GOOD))
    found = registry.format("good")
    assert (found.distribution, found.version, found.owner) == ("ddpm-good_one", "1.2", "format good (ddpm-good_one 1.2)")


def test_a_plugin_that_fails_at_import_costs_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    points = installed(tmp_path, monkeypatch, good_two=GOOD, broken_two="import does_not_exist\n")
    registry = Registry.discover(entry_points=points, warn=warnings.append)
    assert registry.names("format") == ["good"]
    (warning,) = warnings
    assert warning == (
        "plugin 'broken_two' of ddpm-broken_two 1.2 does not work and is left out: ModuleNotFoundError: "
        "No module named 'does_not_exist' (to go without it: DDPM_DISABLE_PLUGINS=broken_two)"
    )
    assert [(b.origin.entry_point, b.status) for b in registry.broken] == [("broken_two", "broken")]


def test_strict_makes_a_broken_plugin_fatal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = installed(tmp_path, monkeypatch, broken_three="raise SystemExit(3)\n")
    with pytest.raises(PluginError) as caught:
        Registry.discover(entry_points=points, strict=True)
    assert str(caught.value) == (
        "plugin 'broken_three' of ddpm-broken_three 1.2 does not work and is left out: SystemExit: 3\n"
        "to go without it: DDPM_DISABLE_PLUGINS=broken_three"
    )


@pytest.mark.parametrize("name", ["broken_four", "ddpm-broken_four", "DDPM.Broken-Four"])
def test_a_broken_plugin_can_be_switched_off_without_being_imported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = installed(tmp_path, monkeypatch, broken_four="raise RuntimeError('imported')\n")
    monkeypatch.setenv(DISABLE, f"other, {name}")
    registry = Registry.discover(entry_points=points, strict=True)
    assert [(b.status, b.why) for b in registry.broken] == [("disabled", "named in DDPM_DISABLE_PLUGINS")]


def test_two_distributions_with_one_name_are_an_error_that_names_both() -> None:
    registry = Registry()
    registry.add(formats("csv"), entry_point="csv", distribution="ddpm-core", version="0.1.0")
    with pytest.raises(ConfigError) as caught:
        registry.add(formats("csv"), entry_point="csv2", distribution="ddpm-csv-plus", version="3.0")
    assert str(caught.value) == (
        "format 'csv' is claimed by two distributions: ddpm-core 0.1.0 and ddpm-csv-plus 3.0\n"
        "Uninstall one of them, or set DDPM_DISABLE_PLUGINS to the one not to use."
    )


def test_the_same_name_for_different_kinds_is_fine() -> None:
    registry = Registry()
    registry.add(formats("kafka"), entry_point="a", distribution="a", version="1")

    def ddpm_sinks() -> list[SinkSpec]:
        return [SinkSpec(name="kafka", summary="A sink", build="x:y", schemes=("kafka",))]

    registry.add(plugin(ddpm_sinks=ddpm_sinks), entry_point="b", distribution="b", version="1")
    assert (registry.names("format"), registry.names("sink")) == (["kafka"], ["kafka"])


def test_a_misspelt_hook_is_loud() -> None:
    with pytest.raises(PluginError, match=r"^there is no hook 'ddpm_format'; did you mean 'ddpm_formats'\?$"):
        Registry().add(plugin(ddpm_format=lambda: ()), entry_point="a", distribution="a", version="1")


def test_what_is_no_spec_is_refused() -> None:
    with pytest.raises(PluginError, match=r"^ddpm_formats yielded 'csv', which is no FormatSpec$"):
        Registry().add(plugin(ddpm_formats=lambda: ["csv"]), entry_point="a", distribution="a", version="1")


@pytest.mark.parametrize("name", ["CSV", "1csv", "my-format", ""])
def test_names_follow_the_rule(name: str) -> None:
    with pytest.raises(PluginError, match="names are lower-case letters, digits and _, beginning with a letter"):
        Registry().add(formats(name), entry_point="a", distribution="a", version="1")


def test_a_hook_that_fails_while_yielding_leaves_nothing_behind() -> None:
    def ddpm_formats():  # type: ignore[no-untyped-def]
        yield FormatSpec(name="half", summary="Half", parser="x:y")
        raise ZeroDivisionError

    registry = Registry()
    with pytest.raises(ZeroDivisionError):
        registry.add(plugin(ddpm_formats=ddpm_formats), entry_point="a", distribution="a", version="1")
    assert registry.names("format") == []


def test_an_unknown_name_tells_the_nearest_and_what_is_installed() -> None:
    registry = Registry()
    registry.add(formats("json", "avro"), entry_point="a", distribution="a", version="1")
    with pytest.raises(ConfigError) as caught:
        registry.format("jsn")
    assert str(caught.value) == "there is no format 'jsn'\nDid you mean 'json'? Installed: avro, json."


def test_an_unknown_name_of_a_broken_plugin_tells_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = installed(tmp_path, monkeypatch, broken_five="import does_not_exist\n")
    registry = Registry.discover(entry_points=points)
    with pytest.raises(ConfigError) as caught:
        registry.format("broken_five")
    assert "ddpm-broken_five 1.2 is installed but broken: ModuleNotFoundError" in str(caught.value)


def test_the_longest_suffix_decides_the_format() -> None:
    registry = Registry()
    registry.add(formats("log", suffixes=(".log",)), entry_point="a", distribution="a", version="1")
    registry.add(formats("access", suffixes=(".access.log",)), entry_point="b", distribution="b", version="1")
    for name, wanted in (("x.log", "log"), ("X.ACCESS.LOG", "access")):
        found = registry.format_for(name)
        assert found is not None
        assert found.spec.name == wanted
    assert registry.format_for("x.txt") is None


def test_packed_names_and_urls_are_of_the_format_of_what_is_in_them() -> None:
    registry = Registry()
    registry.add(formats("log", suffixes=(".log",)), entry_point="a", distribution="a", version="1")
    for name in ("x.log.gz", "https://host/x.log?at=1", "s3://b/x.LOG.zst", "all.zip/x.log"):
        found = registry.format_for(name)
        assert found is not None
        assert found.spec.name == "log"
    assert registry.format_for("x.gz") is None


def test_an_address_picks_its_sink_and_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "folder.db").mkdir()
    sinks = (
        SinkSpec(name="base", summary="A database", build="x:y", schemes=("mysql", "sql"), suffixes=(".db",)),
        SinkSpec(name="folder", summary="Files", build="x:y", schemes=("s3",), folders=True),
        SinkSpec(name="printed", summary="Standard output", build="x:y", addresses=("-",)),
    )
    registry = Registry()
    registry.add(plugin(ddpm_sinks=lambda: sinks), entry_point="a", distribution="a", version="1")
    source = SourceSpec(name="rows", summary="Rows", build="x:y", schemes=("mysql",), decodes=True)
    registry.add(plugin(ddpm_sources=lambda: [source]), entry_point="b", distribution="b", version="1")
    for address, wanted in (
        ("mysql+pymysql://h/db", "base"),
        ("sql+crate://h", "base"),
        ("x.db", "base"),
        ("S3://bucket/x.db", "folder"),
        ("new/", "folder"),
        ("out", "folder"),
        ("out/x.db/", "folder"),
        ("folder.db", "base"),
        ("-", "printed"),
        ("new", None),
        ("ftp://h/x.db", None),
    ):
        found = registry.sink_for(address)
        assert (found.spec.name if found else None) == wanted, address
    for path, reader in (("mysql+x://h", "rows"), ("a.json", None), ("s3://b/k", None)):
        made = registry.source_for(path)
        assert (made.spec.name if made else None) == reader, path


def test_an_observer_that_fails_does_not_silence_the_others() -> None:
    seen: list[Event] = []
    failures: list[str] = []

    def bad(event: Event) -> None:
        raise ValueError("no")

    registry = Registry()
    registry.add(plugin(ddpm_event=bad), entry_point="a", distribution="bad", version="1")
    registry.add(plugin(ddpm_event=lambda event: seen.extend([event])), entry_point="b", distribution="good", version="1")
    assert registry.has_observers
    registry.observe(RunStarted("x"), failed=lambda owner, error: failures.append(f"{owner}: {error}"))
    assert (seen, failures) == ([RunStarted("x")], ["bad 1: no"])


@pytest.mark.parametrize(
    ("field", "what"),
    [
        ({"suffixes": ".log"}, "suffixes='.log', which is no tuple of str; a tuple of one ends in a comma: ('',)"),
        ({"magic": b"PAR1"}, "magic=b'PAR1', which is no tuple of bytes; a tuple of one ends in a comma: (b'',)"),
        ({"suffixes": ("log",)}, "the suffix 'log'; suffixes are in lower case and begin with a dot"),
        ({"suffixes": (".LOG",)}, "the suffix '.LOG'; suffixes are in lower case and begin with a dot"),
        ({"options": "x.Options"}, "options='x.Options', which is neither something to call nor 'module:attribute'"),
        ({"serializer": "x"}, "serializer='x', which is neither something to call nor 'module:attribute'"),
    ],
)
def test_a_spec_that_could_not_work_is_refused_before_anybody_uses_it(field: dict[str, object], what: str) -> None:
    with pytest.raises(PluginError) as refused:
        Registry().add(formats("x", **field), entry_point="x", distribution="ddpm-x", version="1")
    assert str(refused.value) == f"ddpm_formats yielded {what}"


def test_a_scheme_is_written_without_slashes() -> None:
    hooks = plugin(ddpm_sinks=lambda: [SinkSpec(name="x", summary="X", build="x:y", schemes=("x://",))])
    with pytest.raises(PluginError) as refused:
        Registry().add(hooks, entry_point="x", distribution="ddpm-x", version="1")
    assert str(refused.value) == "ddpm_sinks yielded the scheme 'x://'; schemes are in lower case, without ://"


def test_a_hook_that_returns_a_spec_instead_of_several_is_told_so() -> None:
    hooks = plugin(ddpm_formats=lambda: FormatSpec(name="x", summary="X", parser="x:y"))
    with pytest.raises(PluginError) as refused:
        Registry().add(hooks, entry_point="x", distribution="ddpm-x", version="1")
    assert str(refused.value) == "ddpm_formats returned a FormatSpec, and should yield or return several"


def test_a_hook_that_wants_what_it_does_not_get_is_told_so() -> None:
    def ddpm_event(happened: Event) -> None: ...

    with pytest.raises(PluginError) as refused:
        Registry().add(plugin(ddpm_event=ddpm_event), entry_point="x", distribution="ddpm-x", version="1")
    assert str(refused.value) == "ddpm_event is called with event, and takes 'happened'"


def test_a_misspelt_hook_that_is_not_even_marked_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "import ddpm_core\n\ndef ddpm_format():\n    pass\n"
    registry = Registry.discover(entry_points=installed(tmp_path, monkeypatch, misspelt_two=text))
    assert [broken.why for broken in registry.broken] == ["there is no hook 'ddpm_format'; did you mean 'ddpm_formats'?"]


def test_observers_are_listed() -> None:
    registry = Registry()
    registry.add(formats("x"), entry_point="x", distribution="ddpm-x", version="1")
    assert registry.observers() == []
    registry.add(plugin(ddpm_event=lambda event: None), entry_point="watch", distribution="ddpm-watch", version="2")
    assert [str(origin) for origin in registry.observers()] == ["ddpm-watch 2"]
