"""The harness finds everything that is not as the golden messages say, and tells a plugin's author which message it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ddpm_core.testing import FormatHarness, GoldenMessage, GoldenMessages
from ddpm_core.testing.harness import list_problems, repeats
from ddpm_core.testing.harness_problems import Letter, Sent, letter_problems, position_problems, row_problems
from ddpm_core.testing.harness_stream import GoldenStream

ADA = GoldenMessage(b"1 Ada", [{"id": 1, "name": "Ada"}])
BOB = GoldenMessage(b"2 Bob", [{"id": 2, "name": "Bob", "country": None}])
BAD = GoldenMessage(b"\xff", reason="encoding", key=b"k")
SENT = [Sent("good[0]", ADA, "kafka:t/0", 0), Sent("good[1]", BOB, "kafka:t/1", 0), Sent("bad[0]", BAD, "kafka:t/0", 1)]
ROWS = [{"name": "Bob", "id": 2}, {"id": 1, "name": "Ada", "country": None}]
LETTER = Letter("kafka:t/0", 1, "parse", "encoding", "not UTF-8", "kv", b"\xff", b"k", 1)
MISSING = "good[0], b'1 Ada' (kafka:t/0, offset 0)\n    expected once: {'id': 1, 'name': 'Ada'}\n    found not at all"


def test_the_rows_that_were_wanted_are_no_problem_in_any_order() -> None:
    assert row_problems(SENT, ROWS) == []


@pytest.mark.parametrize(
    ("found", "problems"),
    [
        (ROWS[:1], [MISSING]),
        (
            [*ROWS, ROWS[0]],
            ["good[1], b'2 Bob' (kafka:t/1, offset 0)\n    expected once: {'id': 2, 'name': 'Bob'}\n    found twice"],
        ),
        (
            [ROWS[0], {"id": "1", "name": "Ada"}],
            [
                f"{MISSING}; the nearest row differs in id: expected 1 (int), found '1' (str)",
                "a row that no golden message has, once: {'id': '1', 'name': 'Ada'}",
            ],
        ),
        (
            [ROWS[0], {"id": 1, "name": "Ada", "extra": True}],
            [
                f"{MISSING}; the nearest row differs in extra: expected no value, found True (bool)",
                "a row that no golden message has, once: {'id': 1, 'name': 'Ada', 'extra': True}",
            ],
        ),
    ],
)
def test_a_row_that_is_missing_doubled_or_different_is_told_with_its_message(found: list[Any], problems: list[str]) -> None:
    assert row_problems(SENT, found) == problems


def test_a_message_that_was_sent_often_lands_as_often() -> None:
    assert row_problems(SENT * 3, ROWS * 3) == []
    assert row_problems(SENT * 3, ROWS * 2 + ROWS[1:]) == [
        "good[1], b'2 Bob' (kafka:t/1, offset 0)\n    expected 3 times: {'id': 2, 'name': 'Bob'}\n    found twice"
    ]


def test_values_are_the_same_whatever_database_drivers_make_of_them() -> None:
    noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    wanted = {"at": noon, "price": Decimal("1.50"), "raw": b"x", "tags": ["a"], "no": float("nan"), "deep": {"a": 1, "b": None}}
    found = {"at": noon.astimezone(timezone(timedelta(hours=2))), "price": Decimal("1.5"), "raw": memoryview(b"x"), "tags": ("a",)}
    sent = [Sent("good[0]", GoldenMessage(b"", [wanted]), "p", 0)]
    assert row_problems(sent, [found | {"no": float("nan"), "deep": {"a": 1}}]) == []


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0), (1, "1"), ("a", b"a"), (Decimal(1), 1)])
def test_values_of_other_types_are_other_values(one: Any, other: Any) -> None:
    sent = [Sent("good[0]", GoldenMessage(b"", [{"x": one}]), "p", 0)]
    assert len(row_problems(sent, [{"x": other}])) == 2


def test_a_whole_number_in_a_column_of_fractions_has_become_a_fraction() -> None:
    sent = [Sent("good[0]", GoldenMessage(b"", [{"x": 1}]), "p", 0), Sent("good[1]", GoldenMessage(b"", [{"x": 1.5}]), "p", 1)]
    assert row_problems(sent, [{"x": 1.0}, {"x": 1.5}]) == []
    assert len(row_problems(sent, [{"x": 1}, {"x": 1.5}])) == 2


def test_of_many_problems_the_first_are_told() -> None:
    strangers = [{"id": number} for number in range(10, 30)]
    assert row_problems([], strangers)[-1] == "and 15 more"


def test_the_dead_letters_that_were_wanted_are_no_problem() -> None:
    assert letter_problems(SENT, [LETTER], plugin="kv") == []
    assert letter_problems(SENT, [replace(LETTER, attempts=2)], plugin="kv", attempts=2) == []


HEAD = "bad[0], b'\\xff' (kafka:t/0, offset 1)\n    "


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ([], f"{HEAD}expected one dead letter, encoding\n    found none"),
        ([LETTER, LETTER], f"{HEAD}expected one dead letter, encoding\n    found 2 (encoding, encoding)"),
        (
            [replace(LETTER, reason="kv_invalid")],
            f"{HEAD}expected a dead letter with reason 'encoding'\n    found 'kv_invalid': not UTF-8",
        ),
        ([replace(LETTER, payload=b"\xef")], f"{HEAD}expected a dead letter with payload b'\\xff'\n    found b'\\xef'"),
        ([replace(LETTER, key=None)], f"{HEAD}expected a dead letter with key b'k'\n    found None"),
        ([replace(LETTER, stage="sink")], f"{HEAD}expected a dead letter with stage 'parse'\n    found 'sink'"),
        ([replace(LETTER, plugin="json")], f"{HEAD}expected a dead letter with plugin 'kv'\n    found 'json'"),
        ([replace(LETTER, attempts=2)], f"{HEAD}expected a dead letter with attempts 1\n    found 2"),
        (
            [LETTER, replace(LETTER, offset=0)],
            "good[0], b'1 Ada' (kafka:t/0, offset 0)\n    expected no dead letter\n    found one at stage parse: encoding: not UTF-8",
        ),
        (
            [LETTER, replace(LETTER, offset=7)],
            f"a dead letter of no message that was sent: {replace(LETTER, offset=7)}",
        ),
    ],
)
def test_a_dead_letter_that_is_missing_doubled_or_different_is_told(found: list[Letter], problem: str) -> None:
    assert letter_problems(SENT, found, plugin="kv") == [problem]


def test_a_position_is_behind_the_last_message() -> None:
    assert position_problems(SENT, {"kafka:t/0": 2, "kafka:t/1": 1, "kafka:t/2": 0}) == []
    assert position_problems(SENT, {"kafka:t/0": 1, "kafka:t/2": 3}) == [
        "the position of kafka:t/0\n    expected 2, behind its last message\n    found 1",
        "the position of kafka:t/1\n    expected 1, behind its last message\n    found None",
        "the position of kafka:t/2\n    expected 0, behind its last message\n    found 3",
    ]


def test_what_is_listed_is_every_bad_message_and_nothing_else() -> None:
    entry = {"reason": "encoding", "payload": "/w==", "payload_encoding": "base64", "partition": "kafka:t/0", "offset": 1}
    assert list_problems(SENT, json.dumps([entry])) == []
    assert list_problems(SENT, "[]") == [f"{HEAD}expected in `ddpm dlq list` once\n    found 0"]
    other = entry | {"payload": "a", "payload_encoding": "utf-8"}
    assert list_problems(SENT, json.dumps([entry, other])) == [
        "`ddpm dlq list` has what is no bad message: ('encoding', b'a', 'kafka:t/0', 1)"
    ]


def test_a_run_that_is_killed_gets_many_messages_of_little_and_few_of_much() -> None:
    assert repeats([ADA, BOB, BAD]) == 1_333
    assert repeats([GoldenMessage(b"x", [{"id": 1}] * 1_000)]) == 20
    assert repeats([GoldenMessage(b"x" * (5 << 20), [{}])]) == 1


def test_the_pipeline_takes_the_options_as_they_are(tmp_path: Path) -> None:
    golden = GoldenMessages([ADA], options={"pattern": "${HOME} $$ 'x'"})
    stream = GoldenStream("kv", golden, "localhost:1", "t", "postgresql://u:secret@h/d", tmp_path)
    text = stream.file(instance="golden").read_text()
    assert json.loads(text) == {
        "name": "golden-kv",
        "source": {"kafka": {"brokers": "localhost:1", "topics": ["t"], "group": "t", "instance": "golden"}},
        "format": {"kv": {"pattern": "$${HOME} $$ 'x'"}},
        "sink": {"postgres": {"url": "${GOLDEN_DATABASE_URL}", "table": "golden"}, "schema": "evolve"},
        "reject_limit": {"share": "100%", "in_a_row": 1_000_000_000},
    }


def test_the_page_says_what_it_asserts() -> None:
    page = " ".join((Path(__file__).parents[3] / "docs" / "plugins.md").read_text().split())
    promises = [name.removeprefix("test_").replace("_", " ") for name in vars(FormatHarness) if name.startswith("test_")]
    assert f"It asserts that {'; '.join(promises)}. " in page


CASE = """
from ddpm_core.testing import FormatHarness

class TestIt(FormatHarness):
    name = "{name}"
"""


def harness(folder: Path, name: str, **environment: str) -> str:
    """What pytest says of a harness in a repository of its own, where there are no services."""
    (folder / "test_it.py").write_text(CASE.format(name=name))
    clean = {key: value for key, value in os.environ.items() if not key.startswith("DDPM_")}
    clean |= {"CI": "", "XDG_DATA_HOME": str(folder)}
    plain = ("-q", "-rs", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".")
    command = [sys.executable, "-m", "pytest", *plain, "test_it.py"]
    done = subprocess.run(command, cwd=folder, env={**clean, **environment}, capture_output=True, text=True, timeout=240)
    return done.stdout + done.stderr


def test_without_services_it_is_skipped_and_in_ci_it_fails(tmp_path: Path) -> None:
    said = "no Kafka and no Postgres: run `ddpm services up`, or set DDPM_TEST_KAFKA and DDPM_TEST_POSTGRES"
    skipped = harness(tmp_path, "json")
    assert said in skipped
    assert "5 skipped" in skipped
    failed = harness(tmp_path, "json", CI="true")
    assert said in failed
    assert "5 errors" in failed


def test_a_format_without_golden_messages_is_told_so(tmp_path: Path) -> None:
    services = {"DDPM_TEST_KAFKA": "127.0.0.1:1", "DDPM_TEST_POSTGRES": "postgresql://u:p@127.0.0.1:1/d"}
    assert "the format 'csv' brings no golden messages: see GoldenMessages" in harness(tmp_path, "csv", **services)
