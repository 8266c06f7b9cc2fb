"""`ddpm dlq`: listing and showing what was set aside."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import sys
from types import ModuleType

import pytest

from ddpm_core import DeadLetter, DeadLetterFilter, DeadLetterStore

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


class ListStore(DeadLetterStore):
    """Letters in memory, and what was asked of them."""

    def __init__(self) -> None:
        self.letters = []
        self.asked = []
        self.address = "never opened"
        self.opened = self.closed = 0

    def open(self):
        self.opened += 1

    def close(self):
        self.closed += 1

    def append(self, letters):
        raise AssertionError

    def find(self, wanted):
        self.asked.append(wanted)
        yield from [letter for letter in self.letters if wanted.takes(letter)][: wanted.limit or None]

    def mark_replayed(self, letters):
        raise AssertionError

    def purge(self, letters):
        gone = {letter.id for letter in letters}
        before = len(self.letters)
        self.letters = [letter for letter in self.letters if letter.id not in gone]
        return before - len(self.letters)


@pytest.fixture
def database(registry, monkeypatch):
    store = ListStore()

    def letter_store(address, registry):
        store.address = address
        return store

    module = ModuleType("ddpm_core.engine.letter_store")
    module.letter_store = letter_store
    monkeypatch.setitem(sys.modules, "ddpm_core.engine.letter_store", module)
    return store


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
    run(
        *("dlq", "list", "--stage", "sink", "--sink", "pg", "--id", "4f", "--replayed"),
        *("--since", "2026-01-02", "--until", "2026-01-02T03:04+02:00"),
    )

    assert database.address is None
    assert database.asked == [
        DeadLetterFilter(table="s.t", reason="r", source="x", limit=6, replayed=False),
        DeadLetterFilter(
            stage="sink", sink="pg", id="4f", limit=21, replayed=True, since=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
            until=dt.datetime(2026, 1, 2, 1, 4, tzinfo=dt.UTC),
        ),
    ]  # fmt: skip


def test_an_age_is_so_long_ago(run, database):
    run("dlq", "list", "--since", "2h")

    (asked,) = database.asked
    assert dt.timedelta(0) <= dt.datetime.now(dt.UTC) - asked.since - dt.timedelta(hours=2) < dt.timedelta(minutes=10)


def test_what_is_no_time_is_said(run, database):
    result = run("dlq", "list", "--since", "yesterday")

    assert result.exit_code == 2
    assert result.stderr.endswith(
        "Invalid value for '--since': 'yesterday' is no time; write 2026-01-31, 2026-01-31T12:00, or 2h or 7d for so long ago\n"
    )


def test_a_place_is_named_once(run, database, tmp_path):
    (tmp_path / "p.yaml").write_text("")

    result = run("dlq", "list", "--db", "x", "--pipeline", tmp_path / "p.yaml")

    assert result.exit_code == 2
    assert result.stderr.endswith("--db and --pipeline both say where the dead letters are; give one of them.\n")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ((), "There are no dead letters.\n"),
        (("--reason", "x"), "No dead letters match.\n"),
        (("--json",), "[]\n"),
        (("--replayed",), "No dead letter was replayed.\n"),
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
        "target": "main.events", "format": "", "key": None, "headers": None, "timestamp": None, "replayed_at": None,
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


def test_what_a_message_had_is_shown(run, database):
    database.letters = [
        dataclasses.replace(
            BAD_LINE, format="json", key=b"k\xff", headers=(("h", b"v"),), timestamp=1, replayed_at=BAD_LINE.created_at, attempts=3
        )
    ]

    shown = run("dlq", "show", "4f").stdout
    assert (
        "attempts   3\nreplayed   2026-01-02 03:04:05+00:00\nformat     json\nkey        k\\xff\nheader     h: v\npayload" in shown
    )
    entry = json.loads(run("dlq", "show", "4f", "--json").stdout)
    assert (entry["key"], entry["headers"]) == ("a/8=", [["h", "dg=="]])


STATS = (
    "count  reason        stage  source         first                      last\n"
    "-----  ------------  -----  -------------  -------------------------  -------------------------\n"
    "    2  json_invalid  parse  events.ndjson  2026-01-01 03:04:05+00:00  2026-01-02 03:04:05+00:00\n"
    "    1  out_of_range  sink   events.ndjson  2026-01-02 03:04:05+00:00  2026-01-02 03:04:05+00:00\n"
)


@pytest.fixture
def three(database):
    earlier = dataclasses.replace(BAD_LINE, id="5", created_at=BAD_LINE.created_at - dt.timedelta(days=1))
    database.letters = [BAD_ROW, BAD_LINE, earlier]
    return database


def test_stats_count_by_reason_stage_and_source(run, three):
    assert run("dlq", "stats").stdout == STATS
    assert three.asked == [DeadLetterFilter(limit=0, replayed=False)]
    assert run("dlq", "stats", "--reason", "no").stdout == "No dead letters match.\n"
    assert json.loads(run("dlq", "stats", "--json", "--stage", "sink").stdout) == {
        "total": 1,
        "groups": [
            {
                "count": 1, "reason": "out_of_range", "stage": "sink", "source": "events.ndjson",
                "first": "2026-01-02T03:04:05.678901+00:00", "last": "2026-01-02T03:04:05.678901+00:00",
            }
        ],
    }  # fmt: skip


def test_purge_removes_what_the_filters_mean(run, three):
    result = run("dlq", "purge", "--reason", "json_invalid", "--yes")

    assert (result.exit_code, result.output) == (0, "Removed 2 dead letters.\n")
    assert three.letters == [BAD_ROW]


def test_a_dry_purge_only_tells(run, three):
    result = run("dlq", "purge", "--dry-run")

    assert (result.exit_code, result.output) == (0, f"{STATS}3 dead letters would be removed.\n")
    assert len(three.letters) == 3


def test_purge_asks_nobody_who_is_not_there(run, three):
    result = run("dlq", "purge")

    assert result.exit_code == 2
    assert result.stderr.endswith("There is nobody to ask; --yes removes them, --dry-run says what would go.\n")
    assert len(three.letters) == 3


@pytest.mark.parametrize(("answer", "left", "code"), [("y\n", 0, 0), ("n\n", 3, 130)])
def test_purge_asks(run, three, monkeypatch, answer, left, code):
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: True, raising=False)

    result = run("dlq", "purge", input=answer)

    assert "Remove these 3 dead letters for good? [y/N]: " in result.output
    assert (result.exit_code, len(three.letters)) == (code, left)


def test_nothing_to_purge_is_said(run, database):
    assert run("dlq", "purge", "--yes").stdout == "There are no dead letters.\n"
