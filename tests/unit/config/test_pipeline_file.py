"""A pipeline's file: its keys are read, and every mistake is told at once with its line."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ddpm_core.config.pipeline_file import KEYS, PipelineDocument, load_pipeline
from ddpm_core.errors import ConfigError

WHOLE = """\
name: user-login
source:
  kafka: {topics: ["${TOPIC:logins}"]}
format: json
processors:
  - map: {at: now()}
  - trim
sinks:
  - postgres: {table: logins}
    when: device_type <> 'test'
    schema: evolve
    guarantee: exactly_once
  - postgres: {table: others}
    name: others
  - stdout
dead_letter: {file: {path: x.ndjson}}
columns: {ts: timestamp}
linger: 10ms
in_flight: 32MB
reject_limit: {share: 5%, in_a_row: 7}
retry_for: forever
on_error: fail
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def loaded(text: str, **variables: str) -> PipelineDocument:
        Path("p.yaml").write_text(text)
        return load_pipeline("p.yaml", environment=variables)

    return loaded


def test_all_keys_of_a_pipeline_are_read(load):
    made = load(WHOLE)
    assert made.problems == []
    assert made.name == "user-login"
    assert (made.source.name, made.source.options.plain_value()) == ("kafka", {"topics": ["logins"]})
    assert (made.format.name, made.format.options.plain_value()) == ("json", {})
    assert [use.name for use in made.processors] == ["map", "trim"]
    assert [(s.name, s.use.name, s.when, s.schema, s.guarantee) for s in made.sinks] == [
        ("postgres", "postgres", "device_type <> 'test'", "evolve", "exactly_once"),
        ("others", "postgres", "", None, None),
        ("stdout", "stdout", "", None, None),
    ]
    assert (made.dead_letter.name, made.dead_letter.options.plain_value()) == ("file", {"path": "x.ndjson"})
    assert made.columns.plain_value() == {"ts": "timestamp"}
    assert (made.linger, made.in_flight, made.reject_share, made.reject_run) == (0.01, 32_000_000, 0.05, 7)
    assert (made.retry_for, made.on_error) == (math.inf, "fail")


def test_what_is_not_said_is_left_to_the_engine(load):
    made = load("name: a\nsource: {files: }\nsink: stdout\nprocessors:\n")
    assert made.problems == []
    assert (made.format, made.processors, made.dead_letter, made.columns) == (None, [], None, None)
    assert (made.linger, made.in_flight, made.reject_share, made.retry_for, made.on_error) == (0.0, None, None, None, None)
    assert [sink.name for sink in made.sinks] == ["stdout"]


def test_every_mistake_is_told_at_once(load):
    text = """\
nmae: x
source: [files]
format: {json: {}, csv: {}}
processors: map
sinks:
  - duckdb: {table: a}
    scheme: evolve
  - name: b
  - duckdb: {table: c}
    when: ""
    schema: evolv
  - 5
  - a: 1
    b: 2
linger: soon
in_flight: [1]
reject_limit: {share: 200%, in_row: 5, in_a_row: 0}
retry_for: ever
on_error: fial
dead_letter: {}
x: ${UNSET}
"""
    told = [
        "x: the variable UNSET is not set (set it, or give a default: ${UNSET:default})",
        "nmae: there is no such key (did you mean 'name'?)",
        f"x: there is no such key (keys of a pipeline: {', '.join(KEYS)})",
        "name: is missing (positions are kept under it)",
        "source: is a plugin's name, or a mapping of the name to its options, and this is a list",
        "format: names more than one plugin (one of these keys, the others are not known: json, csv)",
        "processors: is a list, and this is text (begin each entry with a dash)",
        "sinks[0].scheme: there is no such key (did you mean 'schema'?)",
        "sinks[1]: names no plugin (write its name and options, such as postgres: {table: events})",
        "sinks[2].when: is a condition in SQL, such as amount > 0",
        "sinks[2].schema: is one of evolve, freeze; did you mean evolve?",
        "sinks[3]: is a plugin's name, or a mapping of the name to its options, and this is a number",
        "sinks[4]: names more than one plugin (one of these keys, the others are not known: a, b)",
        "sinks[2]: is called 'duckdb', as the sink in line 6 is (dead letters are known by the sink's name: give each a name:)",
        "dead_letter: names no plugin (write its name and options, such as postgres: {table: events})",
        "linger: is no duration; write 10ms, 90, 90s, 5m or 1h",
        "in_flight: is one value, and this is a list",
        "retry_for: is no duration; write 10ms, 90, 90s, 5m or 1h",
        "on_error: is one of dead-letter, fail; did you mean fail?",
        "reject_limit.in_row: there is no such key (did you mean 'in_a_row'?)",
        "reject_limit.share: is no share; write 5% or 0.05",
        "reject_limit.in_a_row: is a whole number from 1 on",
    ]
    assert [str(problem).partition(": ")[2] for problem in load(text).problems] == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sink: stdout\nsource: files\n", "p.yaml:1: name: is missing (positions are kept under it)"),
        (
            "name: ingest\nsource: files\nsink: stdout\n",
            "p.yaml:1: name: 'ingest' is what `ddpm ingest` keeps its positions under (choose another name)",
        ),
        (
            "name: a/b\nsource: files\nsink: stdout\n",
            "p.yaml:1: name: a name has up to 100 letters, digits, _, - and dots, and begins with a letter or digit",
        ),
        ("name: a\nsource: files\n", "p.yaml:1: sinks: is missing (name at least one, such as sinks: [{duckdb: {table: events}}])"),
        ("name: a\nsource: files\nsinks: []\n", "p.yaml:3: sinks: is empty (name at least one sink)"),
        ("name: a\nsource: files\nsink: stdout\nsinks: [stdout]\n", "p.yaml:3: sink: stands beside sinks (keep one of them)"),
        ("name: a\nsource:\nsink: stdout\n", "p.yaml:2: source: is empty"),
    ],
)
def test_what_a_pipeline_cannot_do_without(load, text: str, told: str):
    assert told in [str(problem) for problem in load(text).problems]


def test_a_variable_without_content_costs_no_further_message(load):
    text = "name: ${N}\nsource: ${S}\nsinks: ${K}\nlinger: ${L}\non_error: ${E}\n"
    assert [problem.what.split(" ")[2] for problem in load(text).problems] == ["N", "S", "K", "L", "E"]


def test_numbers_are_names_and_conditions_as_they_are_written(load):
    made = load("name: 007\nsource: files\nsink: {stdout: , when: true}\n")
    assert (made.name, made.sinks[0].when) == ("007", "true")


def test_a_file_that_is_no_mapping_is_no_pipeline(load):
    with pytest.raises(ConfigError) as caught:
        load("- a\n")
    assert str(caught.value) == "p.yaml:1: a pipeline is a mapping, and this is a list (begin with name: and source:)"


def test_no_value_is_in_what_python_prints_of_a_document(load):
    made = load("name: a\nsource: {kafka: {password: canary, other: '${X}'}}\nsink: stdout\n", X="canary")
    assert "canary" not in repr(made)
