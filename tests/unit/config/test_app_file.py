"""The `app:` file of the pipeline manager: what it becomes, and what is said where it is wrong."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core.config.app_file import AppPipeline, app_pipeline, integration_test_timeout, is_app_file
from ddpm_core.config.environment import Environment
from ddpm_core.config.node import Mark, Node
from ddpm_core.config.yaml_file import parse_yaml, read_yaml
from ddpm_core.config.yaml_text import yaml_text
from ddpm_core.errors import ConfigError
from tests.examples import examples

APP = """\
app:
  profiling: false
  pipeline_template: template.yaml
  generated_pipeline_config: out/pipeline.yaml
  source:
    parser: json
  kafka:
    brokers: ["a:9092", "b:9092"]
    topics: ["pipeline-topic"]
    consumer_group: group-1
    min_partitions: 3
  postgres:
    url: ${DATABASE_URL}
    table: processed_data
  logger:
    level: DEBUG
"""
TEMPLATE = """\
name: ${app.kafka.consumer_group}
source:
  kafka: {brokers: "${app.kafka.brokers}", topics: "${ app.kafka.topics }", min_partitions: "${app.kafka.min_partitions}"}
format: ${app.source.parser}
sinks:
  - postgres: {url: "${app.postgres.url}", table: "${app.postgres.table}_${STAGE:-dev}"}
  - stdout:
note: "brokers ${app.kafka.brokers}, $${app.kafka.topics}"
"""


def rendered(tmp_path: Path, app: str = APP, template: str = TEMPLATE, environment: Mapping[str, str] | None = None) -> AppPipeline:
    (tmp_path / "app.yaml").write_text(app)
    (tmp_path / "template.yaml").write_text(template)
    path = tmp_path / "app.yaml"
    raw, problems = read_yaml(path)
    assert not problems
    assert is_app_file(raw)
    return app_pipeline(raw, path, Environment.of(path, environment or {"DATABASE_URL": "postgresql://u:hunter2@h/d"}))


def said(tmp_path: Path, app: str = APP, template: str = TEMPLATE) -> list[str]:
    with pytest.raises(ConfigError) as failed:
        rendered(tmp_path, app, template)
    return str(failed.value).replace(f"{tmp_path}/", "").splitlines()


def test_names_become_what_the_file_says_lists_and_numbers_too(tmp_path: Path) -> None:
    made = rendered(tmp_path)
    assert made.root.plain_value() == {
        "name": "group-1",
        "source": {"kafka": {"brokers": ["a:9092", "b:9092"], "topics": ["pipeline-topic"], "min_partitions": 3}},
        "format": "json",
        "sinks": [{"postgres": {"url": "${DATABASE_URL}", "table": "processed_data_${STAGE:-dev}"}}, {"stdout": None}],
        "note": "brokers a:9092,b:9092, $${app.kafka.topics}",
    }
    assert made.level == "DEBUG"


def test_a_value_knows_the_line_that_it_was_written_in_and_its_place_in_the_pipeline(tmp_path: Path) -> None:
    url = rendered(tmp_path).root.find(["sinks", 0, "postgres", "url"])
    assert (url.mark.line, url.path, Path(url.mark.file).name) == (13, "sinks[0].postgres.url", "app.yaml")


def test_it_is_written_without_what_the_environment_holds_and_reads_back_as_the_same(tmp_path: Path) -> None:
    made = rendered(tmp_path)
    assert not (tmp_path / "out").exists()
    made.write()
    file = tmp_path / "out" / "pipeline.yaml"
    assert "hunter2" not in file.read_text()
    root, problems = read_yaml(file)
    assert not problems
    assert root.plain_value() == made.root.plain_value()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_writing_again_leaves_an_equal_file_alone(tmp_path: Path) -> None:
    made = rendered(tmp_path)
    made.write()
    file = tmp_path / "out" / "pipeline.yaml"
    before = file.stat().st_ino
    rendered(tmp_path).write()
    assert file.stat().st_ino == before
    rendered(tmp_path, APP.replace("group-1", "group-2")).write()
    assert "group-2" in file.read_text()
    assert [path.name for path in file.parent.iterdir()] == ["pipeline.yaml"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ConfigError) as failed:
        rendered(tmp_path).write()
    assert str(failed.value).replace(f"{tmp_path}/", "") == (
        "out/pipeline.yaml cannot be written: file exists\napp.generated_pipeline_config names it"
    )


def test_without_a_place_nothing_is_written(tmp_path: Path) -> None:
    made = rendered(tmp_path, APP.replace("  generated_pipeline_config: out/pipeline.yaml\n", ""))
    made.write()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.yaml", "template.yaml"]


def test_what_the_file_leaves_out_has_the_defaults_of_the_manager(tmp_path: Path) -> None:
    template = "a: ${app.kafka.brokers}\nb: ${app.kafka.topics}\nc: ${app.kafka.consumer_group}\nd: ${app.kafka.min_partitions}\n"
    made = rendered(
        tmp_path, "app: {pipeline_template: template.yaml}\n", template + "e: ${app.postgres.table}\nf: ${app.source.parser}"
    )
    assert made.root.plain_value() == {
        "a": ["redpanda:9092"],
        "b": ["pipeline-topic"],
        "c": "pipeline-group",
        "d": 3,
        "e": "processed_data",
        "f": "json",
    }
    assert (made.generated, made.level) == (None, "INFO")


def test_a_list_may_be_text_with_commas(tmp_path: Path) -> None:
    made = rendered(tmp_path, APP.replace('["a:9092", "b:9092"]', "${BROKERS:x:1}, y:2"))
    assert made.root.find(["source", "kafka", "brokers"]).plain_value() == ["${BROKERS:x:1}", "y:2"]


def test_a_plugin_path_makes_the_parser_a_function_of_the_format_custom(tmp_path: Path) -> None:
    made = rendered(tmp_path, APP.replace("parser: json", "plugin_path: parsers/upper.py:parse"))
    assert made.root.find(["format"]).plain_value() == {"custom": {"function": f"{tmp_path}/parsers/upper.py:parse"}}
    same = rendered(tmp_path, APP.replace("parser: json", "parser: custom\n    plugin_path: parsers/upper.py:parse"))
    assert same.root.plain_value() == made.root.plain_value()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "profiling: false",
            "profiling: true",
            ["app.yaml:2: app.profiling: is not available in this version of DDPM (set it to false, or leave it out)"],
        ),
        ("profiling: false", "profiling: maybe", ["app.yaml:2: app.profiling: is true or false"]),
        ("profiling: false", "profilng: true", ["app.yaml:2: app.profilng: there is no such key (did you mean 'profiling'?)"]),
        ("level: DEBUG", "level: LOUD", ["app.yaml:16: app.logger.level: is one of DEBUG, INFO, WARNING, ERROR"]),
        (
            "    min_partitions: 3",
            "    min_partitions: [3]",
            ["app.yaml:11: app.kafka.min_partitions: is one value, and this is a list"],
        ),
        (
            'topics: ["pipeline-topic"]',
            "topics: {a: b}",
            ["app.yaml:9: app.kafka.topics: is a list of texts, and this is a mapping"],
        ),
        (
            "parser: json",
            "parser: json\n    plugin_path: a.py:f",
            ["app.yaml:7: app.source.plugin_path: is for the parser custom, and app.source.parser says json (remove one of them)"],
        ),
        (
            "parser: json",
            "plugin_path: a.so",
            ["app.yaml:6: app.source.plugin_path: is a function in a file, written path.py:function"],
        ),
        (
            "parser: json",
            "parser: custom",
            [
                "app.yaml:6: app.source.parser: custom needs the function that parses (set app.source.plugin_path to path.py:function)"
            ],
        ),
        (
            "  pipeline_template: template.yaml\n",
            "",
            ["app.yaml:2: app: pipeline_template: is missing (it names the pipeline's template)"],
        ),
        (
            "    url: ${DATABASE_URL}\n",
            "",
            ["template.yaml:6: sinks[0].postgres.url: the app file does not set app.postgres.url (set it in app.yaml)"],
        ),
        (
            "  logger:\n    level: DEBUG\n",
            "name: x\n",
            ["app.yaml:15: name: there is no such key beside app (a pipeline's keys belong into the template)"],
        ),
    ],
)
def test_mistakes_in_the_file_are_told_with_their_line(tmp_path: Path, old: str, new: str, expected: list[str]) -> None:
    assert old in APP
    assert said(tmp_path, APP.replace(old, new)) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("a: ${app.kafka.topic}", ["template.yaml:1: a: there is no app.kafka.topic (did you mean app.kafka.topics?)"]),
        ("${app.kafka.topics}: a", ["template.yaml:1: ${app.kafka.topics}: names are filled in in values, not in keys"]),
    ],
)
def test_mistakes_in_the_template_are_told_with_their_line(tmp_path: Path, template: str, expected: list[str]) -> None:
    assert said(tmp_path, template=template) == expected


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    assert len(said(tmp_path, APP.replace("false", "true").replace("DEBUG", "LOUD"), "a: ${app.x}\nb: ${app.y}")) == 4


def test_a_template_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^there is no file .*/other\.yaml$"):
        rendered(tmp_path, APP.replace("template.yaml", "other.yaml"))


def test_a_value_never_becomes_structure_or_another_name(tmp_path: Path) -> None:
    evil = APP.replace("group-1", "'x: {y: z}'").replace("processed_data", "'$${app.kafka.topics}'")
    root = rendered(tmp_path, evil).root
    assert root.find(["name"]).value == "x: {y: z}"
    assert root.find(["sinks", 0, "postgres", "table"]).value == "$${app.kafka.topics}_${STAGE:-dev}"


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"INTEGRATION_TEST_MODE": "false"}, None),
        ({"INTEGRATION_TEST_MODE": "true"}, 30.0),
        ({"INTEGRATION_TEST_MODE": "True", "INTEGRATION_TEST_TIMEOUT": "5s"}, 5.0),
        ({"INTEGRATION_TEST_TIMEOUT": "5s"}, None),
    ],
)
def test_integration_test_mode_stops_after_a_time(environment: dict[str, str], seconds: float | None) -> None:
    assert integration_test_timeout(environment) == seconds


@pytest.mark.parametrize(
    "environment", [{"INTEGRATION_TEST_MODE": "maybe"}, {"INTEGRATION_TEST_MODE": "1", "INTEGRATION_TEST_TIMEOUT": "x"}]
)
def test_integration_test_mode_that_means_nothing_is_an_error(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"^INTEGRATION_TEST_"):
        integration_test_timeout(environment)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.text(max_size=8),
    st.sampled_from(["no", "0o7", "1e5", "~", "a: b", "#x", "\U0001f600\n"]),
)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8
)


def _node(value: Any) -> Node:
    mark = Mark("", 1, 1)
    if isinstance(value, dict):
        return Node({key: _node(inner) for key, inner in value.items()}, mark)
    if isinstance(value, list):
        return Node([_node(inner) for inner in value], mark)
    written = (
        {None: "null", True: "true", False: "false"}.get(value, str(value))
        if value is None or isinstance(value, bool)
        else str(value)
    )
    return Node(value, mark, written=written)


@settings(max_examples=examples(150), deadline=None)
@given(st.dictionaries(st.text(max_size=5).filter(lambda key: key != "<<"), TREES, max_size=3))
def test_any_pipeline_reads_back_as_it_was_written(tree: dict[str, Any]) -> None:
    root, problems = parse_yaml(yaml_text(_node(tree)), "x.yaml")
    assert not problems
    assert root.plain_value() == tree
