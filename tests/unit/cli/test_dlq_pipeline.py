"""`ddpm dlq --pipeline FILE`: the letters of that pipeline, wherever it keeps them, and of no other."""

from __future__ import annotations

import json

import pytest

from ddpm_core.registry import Registry

PIPELINE = """
name: {name}
source: {{files: {{paths: [events.ndjson]}}}}
format: {format}
columns: {{id: bigint}}
reject_limit: {{share: 100%, in_a_row: 1000000}}
sink: {{duckdb: {{path: x.duckdb, table: "{table}"}}}}
{more}
"""
FILE = "dead_letter: {file: {path: dead.ndjson}}"
FIX = "import json\ndef fix(payload):\n    return json.loads(payload + b'2}')\n"


@pytest.fixture
def registry():
    """What is installed."""
    return Registry.discover()


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a pipeline's file, in the working folder, beside events of which the second is cut."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events.ndjson").write_text('{"id": 1}\n{"id": \n')
    (tmp_path / "fix.py").write_text(FIX)

    def write_(name, *, format_="json", more=FILE, table=None):
        path = tmp_path / f"{name}.yaml"
        path.write_text(PIPELINE.format(name=name, format=format_, table=table or f"of_{name}", more=more))
        return path

    return write_


def listed(run, *how):
    return [(one["pipeline"], one["offset"]) for one in json.loads(run("dlq", "list", "--json", *how).output)]


@pytest.mark.parametrize("more", [FILE, ""])
def test_it_shows_replays_and_removes_its_own_letters_and_leaves_those_of_others(run, write, more):
    for name in ("one", "two"):
        ran = run("run", write(name, more=more))
        assert ran.exit_code == 3, ran.output
    mine, theirs = ("--pipeline", "one.yaml"), ("--pipeline", "two.yaml")
    assert (listed(run, *mine), listed(run, *theirs)) == ([("one", 1)], [("two", 1)])
    assert json.loads(run("dlq", "stats", "--json", *mine).output)["total"] == 1
    (letter,) = json.loads(run("dlq", "list", "--json", *theirs).output)
    missing = run("dlq", "show", letter["id"], *mine)
    assert missing.stderr.splitlines()[0] == f"ddpm: error: there is no dead letter whose id begins with '{letter['id']}'"

    write("one", more=more, format_='{custom: {function: "fix.py:fix"}}')
    assert run("dlq", "replay", *mine).output == "1 dead letter: 1 landed, 0 failed again.\n"
    assert json.loads(run("query", "--db", "x.duckdb", "--json", "SELECT id FROM of_one ORDER BY id").stdout) == [
        {"id": 1},
        {"id": 2},
    ]
    assert run("dlq", "purge", "--yes", "--replayed", *theirs).output == "No dead letter was replayed.\n"
    assert run("dlq", "purge", "--yes", "--replayed", *mine).output == "Removed 1 dead letter.\n"
    assert listed(run, *theirs) == [("two", 1)]


def test_before_any_letter_was_set_aside_there_are_none_and_that_is_no_mistake(run, write, tmp_path):
    how = ("--pipeline", write("one"))
    for command, said in (("list", "There are no dead letters.\n"), ("replay", "There is nothing to replay.\n")):
        result = run("dlq", command, *how)
        assert (result.exit_code, result.output) == (0, said)
    assert not (tmp_path / "dead.ndjson").exists()


def test_the_letters_of_a_run_under_another_name_are_asked_for_by_it(run, write):
    path = write("one", table="${TABLE:live}")
    assert run("run", path, "--as", "again", env={"TABLE": "backfill"}).exit_code == 3
    assert listed(run, "--pipeline", path) == []
    how = ("--pipeline", path, "--as", "again")
    assert listed(run, *how) == [("again", 1)]
    write("one", table="${TABLE:live}", format_='{custom: {function: "fix.py:fix"}}')
    done = run("dlq", "replay", *how, env={"TABLE": "backfill"})
    assert done.output == "1 dead letter: 1 landed, 0 failed again.\n"
    assert json.loads(run("query", "--db", "x.duckdb", "--json", "SELECT count(*) AS n FROM backfill").stdout) == [{"n": 2}]


def test_a_name_without_a_pipeline_is_a_mistake(run):
    result = run("dlq", "list", "--as", "again")
    assert result.exit_code == 2
    assert result.stderr.endswith("--as names a run of a pipeline: name its file with --pipeline.\n")
