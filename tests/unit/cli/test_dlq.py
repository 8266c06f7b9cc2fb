"""`ddpm dlq`: listing and showing what was set aside."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json

import pytest

from ddpm_core import DeadLetter, DeadLetterFilter

BAD_LINE = DeadLetter(
    id="4f1c2a9b8d7e6f5a4b3c",
    pipeline="ingest",
    source="events.ndjson",
    partition="file:/data/events.ndjson#9",
    offset=41,
    byte_offset=10_233,
    stage="parse",
    reason="json_invalid",
    message="a value is missing after ':'",
    plugin="json",
    plugin_version="0.1.0",
    sink="",
    payload=b'{"a":\x1b}',
    payload_kind="bytes",
    view=None,
    attempts=1,
    created_at=dt.datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=dt.UTC),
    target="main.events",
)
BAD_ROW = dataclasses.replace(
    BAD_LINE, id="4f99", stage="sink", reason="out_of_range", sink="postgres", byte_offset=None, payload=b"\xff\x00" * 600,
    payload_kind="arrow", view='{"a": 1}',
)  # fmt: skip


def test_the_list_shows_where_each_one_came_from_and_why(run, database):
    database.letters = [BAD_LINE, BAD_ROW]

    result = run("dlq", "list")

    assert result.exit_code == 0
    assert result.stdout == (
        "id            created                    table        source         record  stage  reason        message\n"
        "------------  -------------------------  -----------  -------------  ------  -----  ------------  ----------------------------\n"
        "4f1c2a9b8d7e  2026-01-02 03:04:05+00:00  main.events  events.ndjson      41  parse  json_invalid  a value is missing after ':'\n"
        "4f99          2026-01-02 03:04:05+00:00  main.events  events.ndjson      41  sink   out_of_range  a value is missing after ':'\n"
    )
    assert result.stderr == ""
    assert (database.address, database.closed) == (None, 1)


def test_the_filters_reach_the_database(run, database):
    run("dlq", "list", "--db", "a.duckdb", "--table", "s.t", "--reason", "r", "--source", "x", "--limit", "5")

    assert database.address == "a.duckdb"
    assert database.asked == [DeadLetterFilter(table="s.t", reason="r", source="x", limit=6)]


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ((), "There are no dead letters.\n"),
        (("--reason", "x"), "No dead letters match.\n"),
        (("--json",), "[]\n"),
    ],
)
def test_no_dead_letters_is_good_news(run, database, flags, text):
    result = run("dlq", "list", *flags)

    assert (result.exit_code, result.output) == (0, text)


def test_more_than_shown_is_said(run, database):
    database.letters = [BAD_LINE, BAD_ROW]

    result = run("dlq", "list", "--limit", "1")

    assert len(result.stdout.splitlines()) == 3
    assert result.stderr == "there are more than 1; --limit N shows more\n"


def test_one_is_shown_with_all_fields_and_its_payload(run, database):
    database.letters = [BAD_LINE, BAD_ROW]

    result = run("dlq", "show", "4f1")

    assert result.exit_code == 0
    assert result.stdout == (
        "id         4f1c2a9b8d7e6f5a4b3c\n"
        "created    2026-01-02 03:04:05+00:00\n"
        "pipeline   ingest\n"
        "table      main.events\n"
        "source     events.ndjson\n"
        "partition  file:/data/events.ndjson#9\n"
        "record     41 (counted from 0), at byte 10233\n"
        "stage      parse\n"
        "reason     json_invalid\n"
        "message    a value is missing after ':'\n"
        "plugin     json 0.1.0\n"
        "sink       -\n"
        "attempts   1\n"
        "payload    8 bytes, as they came\n"
        "\n"
        '{"a":\\x1b}\n'
    ).replace("8 bytes", "7 bytes")


def test_a_row_without_bytes_of_its_own_is_shown_as_json(run, database):
    database.letters = [BAD_ROW]

    printed = run("dlq", "show", "4f99").stdout

    assert "payload    1.2 kB, the row as an Arrow stream; here as JSON\n" in printed
    assert printed.endswith('\n\n{"a": 1}\n')


def test_a_payload_that_is_no_text_is_dumped_at_its_beginning(run, database):
    database.letters = [dataclasses.replace(BAD_LINE, payload=b"Obj\x01" + b"\xff" * 1100)]

    lines = run("dlq", "show", "4f").stdout.splitlines()

    assert lines[15] == "00000000  4f 62 6a 01 ff ff ff ff ff ff ff ff ff ff ff ff  Obj............."
    assert lines[-1] == "… 80 bytes more; --raw writes all"


def test_raw_writes_the_payload_and_nothing_else(run, database):
    database.letters = [BAD_ROW]

    assert run("dlq", "show", "4f99", "--raw").stdout_bytes == BAD_ROW.payload


def test_json_has_every_field_and_says_how_the_payload_is_written(run, database):
    database.letters = [BAD_LINE, BAD_ROW]

    first, second = json.loads(run("dlq", "list", "--json").stdout)

    assert first == {
        "id": "4f1c2a9b8d7e6f5a4b3c", "pipeline": "ingest", "source": "events.ndjson", "partition": "file:/data/events.ndjson#9",
        "offset": 41, "byte_offset": 10233, "stage": "parse", "reason": "json_invalid", "message": "a value is missing after ':'",
        "plugin": "json", "plugin_version": "0.1.0", "sink": "", "payload": '{"a":\x1b}', "payload_kind": "bytes", "view": None,
        "attempts": 1, "created_at": "2026-01-02T03:04:05.678901+00:00", "payload_encoding": "utf-8",
        "target": "main.events",
    }  # fmt: skip
    assert (second["payload"][:4], second["payload_encoding"]) == ("/wD/", "base64")
    assert json.loads(run("dlq", "show", "4f1", "--json").stdout) == first


@pytest.mark.parametrize(
    ("id_", "text"),
    [
        ("5", "ddpm: error: there is no dead letter whose id begins with '5'\n  `ddpm dlq list` shows them.\n"),
        (
            "4f",
            "ddpm: error: more than one dead letter's id begins with '4f'\n  Write more of it: 4f1c2a9b8d7e6f5a4b3c, 4f99\n",
        ),
    ],
)
def test_an_id_must_mean_exactly_one(run, database, id_, text):
    database.letters = [BAD_LINE, BAD_ROW]

    result = run("dlq", "show", id_)

    assert (result.exit_code, result.stderr) == (2, text)


def test_a_whole_id_that_another_one_begins_with_is_found(run, database):
    database.letters = [dataclasses.replace(BAD_LINE, id="4f991"), BAD_ROW]

    assert run("dlq", "show", "4f99").stdout.startswith("id         4f99\n")
