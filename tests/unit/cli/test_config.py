"""`ddpm config`: the schema for editors, and a file as it is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core.cli.main import cli
from ddpm_core.cli.resolved import resolved_yaml
from ddpm_core.config.environment import Environment, Layer
from ddpm_core.config.node import Node
from ddpm_core.config.pipeline_file import PipelineDocument
from ddpm_core.config.pipeline_keys import PIPELINE_KEYS, SINK_KEYS
from ddpm_core.config.yaml_file import parse_yaml
from ddpm_core.registry import Registry
from tests.examples import examples


@pytest.fixture
def ddpm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> Result:
        return CliRunner().invoke(cli, args, catch_exceptions=False, prog_name="ddpm")

    return run


FILE = """\
name: shop
source: {sql: {url: "postgresql://u:${DB_PASSWORD}@h/x", table: orders}}
processors: []
sinks:
  - postgres: {url: "${URL}", table: 0123, key: [id, "a b"], mode: upsert, connect_timeout: "${T:5}"}
    when: total > 1
  - duckdb: {pasword: canary}
  - stdout
  - nothing: {x: canary, n: [1, canary]}
dead_letter: {file: {path: "a: b"}}
columns: {"on": text, x: "decimal(12,2)"}
linger: 10ms
"""


def test_show_fills_variables_in_and_masks_secrets(ddpm, monkeypatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "canary")
    monkeypatch.setenv("URL", "postgresql://u:canary@h/x?sslmode=require&sslpassword=canary")
    Path("p.yaml").write_text(FILE)
    done = ddpm("config", "show", "p.yaml")
    assert done.exit_code == 2
    assert (
        done.stdout
        == """\
name: shop
source:
  sql:
    url: "postgresql://u:***@h/x"
    table: orders
processors: []
sinks:
  - postgres:
      url: "postgresql://u:***@h/x?sslmode=require&sslpassword=***"
      table: 0123
      key: [id, a b]
      mode: upsert
      connect_timeout: "5"
    when: "total > 1"
  - duckdb:
      pasword: "***"
  - stdout
  - nothing:
      x: "***"
      n: ["***", "***"]
dead_letter:
  file:
    path: "a: b"
columns:
  on: text
  x: "decimal(12,2)"
linger: "10ms"
"""
    )
    assert "sinks[1].duckdb.pasword: sink duckdb (ddpm-core 0.1.0) has no such option" in done.stderr
    assert "canary" not in done.output


def test_show_of_a_good_file_exits_with_0(ddpm) -> None:
    Path("p.yaml").write_text("name: a\nsource: {files: {paths: [a.json]}}\nformat: json\nsink: stdout\n")
    done = ddpm("config", "show", "p.yaml")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "name: a\nsource:\n  files:\n    paths: [a.json]\nformat: json\nsink: stdout\n"


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(["true", "1.0", "0x1", "~", "${X}", "- a", "a: b", " "]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


def node_of(tree: object) -> Node:
    mark = parse_yaml("a", "p")[0].mark
    if isinstance(tree, dict):
        return Node({key: node_of(inner) for key, inner in tree.items()}, mark)
    if isinstance(tree, list):
        return Node([node_of(inner) for inner in tree], mark)
    written = {True: "true", False: "false"}.get(tree, str(tree)) if isinstance(tree, bool) else str(tree)
    return Node(tree, mark, written=written)  # type: ignore[arg-type]


@given(st.dictionaries(st.just("a"), TREES, min_size=1))
@settings(max_examples=examples(80), deadline=None)
def test_what_is_shown_is_read_as_the_same_again(tree: dict[str, object]) -> None:
    nowhere = Environment([Layer({}, Path(), "")])
    shown = resolved_yaml(PipelineDocument(Path("p"), node_of(tree), nowhere), Registry())
    problems: list = []
    again = nowhere.fill(parse_yaml(shown, "p")[0], problems).plain_value()
    assert problems == []
    assert keyed(again) == tree


def keyed(tree):
    """Keys are never filled in, so what `$${` stands for in them stays as it is shown."""
    if isinstance(tree, dict):
        return {key.replace("$${", "${"): keyed(inner) for key, inner in tree.items()}
    return [keyed(inner) for inner in tree] if isinstance(tree, list) else tree


@pytest.fixture(scope="module")
def schema() -> dict:
    done = CliRunner().invoke(cli, ["config", "schema"], catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads(done.stdout)


def test_the_schema_has_every_key_with_what_it_means(schema) -> None:
    assert {name: inner["description"] for name, inner in schema["properties"].items()} == {
        k.name: k.meaning for k in PIPELINE_KEYS
    }
    assert schema["required"] == ["name", "source"]
    assert schema["additionalProperties"] is False
    entry = schema["properties"]["sink"]["anyOf"][0]
    assert {key.name for key in SINK_KEYS} < set(entry["properties"])
    assert entry["additionalProperties"] is False


def test_the_schema_has_every_plugin_with_its_options(schema) -> None:
    sinks = schema["properties"]["sinks"]["items"]["anyOf"][0]["properties"]
    registry = Registry.discover()
    assert set(registry.names("sink")) < set(sinks)
    postgres = sinks["postgres"]
    assert set(postgres["required"]) == {"table", "url"}
    assert postgres["additionalProperties"] is False
    assert "Tables of a Postgres server" in postgres["description"]
    assert postgres["properties"]["connect_timeout"] == {
        "anyOf": [
            {"maximum": 600, "minimum": 2, "title": "Connect Timeout", "type": "integer"},
            {"type": "string", "pattern": r"\$\{[A-Za-z_]"},
        ],
        "description": "Seconds to wait for a connection",
        "default": 10,
    }


def test_what_needs_no_options_may_be_a_name_alone(schema) -> None:
    formats = schema["properties"]["format"]["anyOf"]
    assert "json" in formats[1]["enum"]
    assert "custom" not in formats[1]["enum"]


def test_every_reference_of_the_schema_leads_somewhere(schema) -> None:
    def references(value):
        if isinstance(value, dict):
            yield from [value["$ref"]] if "$ref" in value else []
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    for reference in references(schema):
        assert reference.removeprefix("#/definitions/") in schema["definitions"]


def test_the_default_of_a_secret_is_not_in_the_schema(schema) -> None:
    assert "hunter2" not in json.dumps(schema)
