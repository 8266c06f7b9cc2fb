"""`ddpm plugins`: what is listed, what is shown, how a new one begins."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ddpm_core import ConfigError, SinkSpec, hookimpl
from ddpm_core.registry import Broken, Origin


def test_the_list_has_every_plugin_and_why_one_does_not_work(run, registry):
    registry.broken.append(Broken(Origin("mqtt", "ddpm-mqtt", "1.0"), "disabled", "named in DDPM_DISABLE_PLUGINS"))

    result = run("plugins", "list")

    assert result.exit_code == 0
    assert result.stdout == (
        "name     kind    distribution  version  status\n"
        "files    source  ddpm-core     0.1.0    ok\n"
        "avro     format  ddpm-core     0.1.0    ok\n"
        "json     format  ddpm-core     0.1.0    ok\n"
        "duckdb   sink    ddpm-core     0.1.0    ok\n"
        "logline  -       ddpm-logline  2.0      broken: ModuleNotFoundError: No module named 'x'\n"
        "mqtt     -       ddpm-mqtt     1.0      disabled: named in DDPM_DISABLE_PLUGINS\n"
    )


def test_the_list_as_json(run, registry):
    rows = json.loads(run("plugins", "list", "--json").stdout)

    assert rows[0] == {
        "name": "files", "kind": "source", "distribution": "ddpm-core", "version": "0.1.0", "status": "ok", "why": "",
        "summary": "Files",
    }  # fmt: skip
    assert rows[-1] == {
        "name": "logline", "kind": None, "distribution": "ddpm-logline", "version": "2.0", "status": "broken",
        "why": "ModuleNotFoundError: No module named 'x'", "summary": "",
    }  # fmt: skip


def test_one_plugin_is_shown_with_options_capabilities_and_example(run, registry):
    result = run("plugins", "show", "json")

    assert result.exit_code == 0
    assert result.stdout == (
        "json: JSON\n"
        "\n"
        "  kind       format\n"
        "  from       ddpm-core 0.1.0\n"
        "  used by    ddpm ingest, ddpm run\n"
        "  stability  stable\n"
        "  reads      yes\n"
        "  writes     no\n"
        "  suffixes   .json\n"
        "\n"
        "Options (with ddpm ingest: -o format.NAME=VALUE):\n"
        "  option     type                 default  meaning\n"
        "  max_depth  integer, at least 1  128      Deeper nesting is set aside\n"
        "  token      secret                        Opens the lock\n"
        "  columns    list of text         none     Only these\n"
        "  path       path                 none     A file\n"
        "\n"
        "Example:\n"
        "  ddpm ingest a.json\n"
    )


def test_a_plugin_without_options_says_so(run, registry):
    assert "Options (with ddpm ingest: -o format.NAME=VALUE):\n  none\n" in run("plugins", "show", "avro").stdout


def test_a_name_of_several_kinds_shows_all_or_the_kind_asked_for(run, registry):
    class More:
        @hookimpl
        def ddpm_sinks(self):
            yield SinkSpec(name="json", summary="Lines of JSON", build="x:y")

    registry.add(More(), entry_point="more", distribution="more", version="1")

    both, one = run("plugins", "show", "json").stdout, run("plugins", "show", "json", "--kind", "sink").stdout

    assert "json: JSON\n" in both
    assert both.endswith(f"\n\n\n{one}")
    assert one.startswith("json: Lines of JSON\n")


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("jsom",), "there is no plugin 'jsom'\n  Did you mean 'json'? Installed: avro, duckdb, files, json.\n"),
        (("logline",), "plugin 'logline' of ddpm-logline 2.0 is broken: ModuleNotFoundError: No module named 'x'\n"),
        (("avro", "--kind", "sink"), "there is no sink 'avro'\n  Installed: duckdb.\n"),
    ],
)
def test_a_plugin_that_is_not_there_exits_2(run, registry, args, text):
    result = run("plugins", "show", *args)

    assert (result.exit_code, result.stderr) == (2, f"ddpm: error: {text}")


@pytest.fixture
def scaffold(monkeypatch):
    asked = []
    fake = ModuleType("ddpm_core.cli.scaffold")

    def create(name: str, kind: str, into: Path) -> Path:
        asked.append((name, kind, into))
        if name == "Bad":
            raise ConfigError("'Bad' is no name for a plugin")
        return into / f"ddpm-{name}"

    fake.create = create  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ddpm_core.cli.scaffold", fake)
    return asked


def test_a_new_one_is_made_where_asked_and_the_next_steps_are_said(run, scaffold, tmp_path):
    result = run("plugins", "new", "mqtt", "--kind", "source", "--into", tmp_path)

    assert result.exit_code == 0
    assert scaffold == [("mqtt", "source", tmp_path)]
    assert result.stdout == f"Made {tmp_path}/ddpm-mqtt\n"
    assert result.stderr == (
        f"Try it: cd {tmp_path}/ddpm-mqtt && pip install -e '.[dev]' && pytest\nThen: ddpm plugins show mqtt\n"
    )


def test_a_name_that_does_not_do_exits_2(run, scaffold):
    result = run("plugins", "new", "Bad", "--kind", "sink")

    assert (result.exit_code, result.stderr) == (2, "ddpm: error: 'Bad' is no name for a plugin\n")


def test_an_observer_is_listed_and_has_nothing_to_show(run, registry):
    watch = ModuleType("watch")
    watch.ddpm_event = hookimpl(lambda event: None)  # type: ignore[attr-defined]
    registry.add(watch, entry_point="watch", distribution="ddpm-watch", version="1.0")

    assert "watch    observer  ddpm-watch    1.0      ok\n" in run("plugins", "list").stdout
    result = run("plugins", "show", "watch")
    assert result.exit_code == 2
    assert "ddpm: error: 'watch' of ddpm-watch 1.0 is an observer: it is told of every run and has no options" in result.stderr


def test_sources_that_ingest_does_not_use_say_so(run, registry):
    from ddpm_core import SourceSpec

    module = ModuleType("rows")
    spec = SourceSpec(name="rows", summary="Rows", build="x:y", example="rows: {}")
    module.ddpm_sources = hookimpl(lambda: [spec])  # type: ignore[attr-defined]
    registry.add(module, entry_point="rows", distribution="ddpm-rows", version="1.0")

    assert run("plugins", "show", "rows").stdout == (
        "rows: Rows\n"
        "\n"
        "  kind            source\n"
        "  from            ddpm-rows 1.0\n"
        "  used by         ddpm run\n"
        "  stability       stable\n"
        "  URL schemes     none\n"
        "  needs a format  yes\n"
        "\n"
        "Options:\n"
        "  none\n"
        "\n"
        "Example:\n"
        "  rows: {}\n"
    )
