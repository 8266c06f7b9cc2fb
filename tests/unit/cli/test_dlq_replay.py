"""`ddpm dlq replay`, as the command line drives it."""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace

import pytest

from ddpm_core.engine import replay as replaying
from ddpm_core.engine.dead_letter_file import DeadLetterFile
from ddpm_core.engine.replay import ReplayReport
from ddpm_core.errors import FatalError
from ddpm_core.plugin.kept_letters import KeptLetters
from ddpm_core.registry import Registry


@pytest.fixture
def registry():
    """What is installed."""
    return Registry.discover()


@pytest.fixture
def engine(monkeypatch):
    """Takes what the command asks for, and answers with a report."""
    told = SimpleNamespace(report=ReplayReport(), asked=None, dry=False)

    class Replay:
        def __init__(self, store, wanted, target, **given):
            told.asked = SimpleNamespace(store=store, wanted=wanted, target=target, **given)

        def run(self):
            return told.report

        def dry_run(self):
            told.dry = True
            return told.report

        def stop(self):
            raise AssertionError

    monkeypatch.setattr(replaying, "Replay", Replay)
    return told


def test_all_landed_is_0(run, engine):
    engine.report = ReplayReport(selected=1_200, landed=1_200)

    result = run("dlq", "replay")

    assert (result.exit_code, result.output) == (0, "1,200 dead letters: 1,200 landed, 0 failed again.\n")
    assert isinstance(engine.asked.store, KeptLetters)
    assert (engine.asked.wanted.limit, engine.asked.wanted.replayed, engine.asked.max_attempts) == (0, False, 5)


def test_some_that_failed_again_are_3_and_what_was_left_out_is_told(run, engine):
    engine.report = ReplayReport(
        "failed_again", selected=4, landed=1, failed=Counter(a=1, b=2), left_out=Counter({"tried 5 times or more": 2})
    )

    result = run("dlq", "replay", "--limit", "4")

    assert result.exit_code == 3
    assert result.stdout == "4 dead letters: 1 landed, 3 failed again.\n  2 b\n  1 a\n"
    assert result.stderr == "ddpm: warning: 2 dead letters left out: tried 5 times or more\n"


@pytest.mark.parametrize(
    ("report", "code", "stdout", "stderr"),
    [
        (ReplayReport("stopped", selected=3, landed=1), 130, "3 dead letters: 1 landed, 0 failed again, 2 not sent.\n", ""),
        (
            ReplayReport("failed", selected=1, error=FatalError("the disk is full", hint="Make room.")),
            1,
            "1 dead letter: 0 landed, 0 failed again, 1 not sent.\n",
            "ddpm: error: the disk is full\n  Make room.\n",
        ),
        (ReplayReport(), 0, "There is nothing to replay.\n", ""),
    ],
)
def test_how_it_can_end(run, engine, report, code, stdout, stderr):
    engine.report = report

    result = run("dlq", "replay")

    assert (result.exit_code, result.stdout, result.stderr) == (code, stdout, stderr)


def test_a_dry_run_says_what_would_happen(run, engine):
    engine.report = ReplayReport("failed_again", selected=3, would_land=2, failed=Counter(json_invalid=1))

    result = run("dlq", "replay", "--dry-run")

    assert (result.exit_code, engine.dry) == (3, True)
    assert result.stdout == (
        "3 dead letters: 2 would be sent to the target, 1 would fail again. Nothing was changed.\n  1 json_invalid\n"
    )


def test_the_report_as_json(run, engine):
    engine.report = ReplayReport("failed_again", selected=2, landed=1, failed=Counter(json_invalid=1), left_out=Counter(x=1))

    assert json.loads(run("dlq", "replay", "--json").stdout) == {
        "status": "failed_again", "exit_code": 3, "dry_run": False, "selected": 2, "landed": 1, "failed_again": 1,
        "reasons": {"json_invalid": 1}, "left_out": {"x": 1}, "error": None,
    }  # fmt: skip


def test_letters_of_a_file_need_a_place_to_go(run, engine):
    result = run("dlq", "replay", "--db", "x.ndjson")

    assert result.exit_code == 2
    assert result.stderr.endswith("Where shall the rows go? --db is no database: name one with --to.\n")
    assert run("dlq", "replay", "--db", "x.ndjson", "--to", "y.duckdb").exit_code == 0
    assert isinstance(engine.asked.store, DeadLetterFile)


def test_a_pipeline_says_everything_itself(run, engine, tmp_path):
    (tmp_path / "p.yaml").write_text("name: p\n")

    result = run("dlq", "replay", "--pipeline", tmp_path / "p.yaml", "--into", "t")

    assert result.exit_code == 2
    assert result.stderr.endswith("--into has no meaning with --pipeline: the file says it.\n")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("-o", "source.x=1"), "option 'source.x': is not of the form KIND.NAME=VALUE"),
        (("--format", "nope"), "nope"),
    ],
)
def test_mistakes_are_said_before_anything_is_read(run, engine, flags, text):
    result = run("dlq", "replay", *flags)

    assert result.exit_code == 2
    assert text in result.stderr
    assert engine.asked is None
