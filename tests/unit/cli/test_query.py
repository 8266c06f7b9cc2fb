"""`ddpm query`: how results are printed, and what the database is asked."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import io
import json
import re
from decimal import Decimal

import pyarrow as pa
import pytest

from ddpm_core import ConfigError, FatalError


def everything() -> pa.Table:
    moment = dt.datetime(2013, 1, 1, 5, 15, tzinfo=dt.UTC)
    return pa.table(
        {
            "n": pa.array([1, None], pa.int64()),
            "price": pa.array([Decimal("1.50"), None]),
            "when": pa.array([moment, None], pa.timestamp("us", "Europe/Berlin")),
            "local": pa.array([0, 1_500_000], pa.timestamp("us")),
            "day": pa.array([dt.date(2013, 1, 1), None]),
            "ok": [True, False],
            "text": ["a\x1b[31m\nb", ""],
            "raw": [b"\x00\xff", None],
            "nested": [{"a": [1, 2]}, None],
        }
    )


def test_a_table_is_plain_aligned_text_where_there_is_no_terminal(run, database):
    database.result = pa.table({"carrier": ["UA", "B6", None], "n": [58665, 5, None]})

    result = run("query", "select 1", "--db", "x.duckdb")

    assert result.exit_code == 0
    assert result.stdout == "carrier      n\n-------  -----\nUA       58665\nB6           5\nNULL      NULL\n"
    assert result.stderr == "3 rows\n"
    assert (database.address, database.asked, database.closed) == ("x.duckdb", [("select 1", False)], 1)


def test_every_type_is_readable_and_cannot_talk_to_the_terminal(run, database):
    database.result = everything()

    lines = run("query", "x").stdout.splitlines()

    assert lines[2].split() == [
        "1", "1.50", "2013-01-01", "05:15:00Z", "1970-01-01", "00:00:00.000000", "2013-01-01", "true", "a\\x1b[31m\\nb", "\\x00ff",
        '{"a":[1,2]}',
    ] or lines[2].split()[5] == "00:00:00"  # fmt: skip
    assert "\x1b" not in "".join(lines)
    assert lines[3].split()[:3] == ["NULL", "NULL", "NULL"]
    assert "1970-01-01 00:00:01.500000" in lines[3]


def test_csv_has_empty_fields_for_null_and_the_text_as_it_is(run, database):
    database.result = everything()

    rows = list(csv.reader(io.StringIO(run("query", "x", "--format", "csv").stdout)))

    assert rows[0] == ["n", "price", "when", "local", "day", "ok", "text", "raw", "nested"]
    assert rows[1][6] == "a\x1b[31m\nb"
    assert rows[2] == ["", "", "", "1970-01-01 00:00:01.500000", "", "false", "", "", ""]


@pytest.mark.parametrize("flags", [("--json",), ("--format", "json"), ("--format", "ndjson")])
def test_json_keeps_types_and_digits(run, database, flags):
    database.result = everything()

    printed = run("query", "x", *flags).stdout
    rows = [json.loads(line) for line in printed.splitlines()] if "ndjson" in flags else json.loads(printed)

    assert rows[0] == {
        "n": 1, "price": "1.50", "when": "2013-01-01 05:15:00Z", "local": "1970-01-01 00:00:00", "day": "2013-01-01", "ok": True,
        "text": "a\x1b[31m\nb", "raw": "AP8=", "nested": {"a": [1, 2]},
    }  # fmt: skip
    assert rows[1]["n"] is None


def test_json_holds_what_orjson_refuses(run, database):
    wide = decimal.Context(prec=40).create_decimal("18446744073709551616")
    database.result = pa.table(
        {"a": pa.array([wide], pa.decimal256(40, 0)), "d": pa.array([[("k", 1)]], pa.map_("string", "int8"))}
    )

    assert json.loads(run("query", "x", "--json").stdout) == [{"a": "18446744073709551616", "d": [["k", 1]]}]


def test_values_that_python_cannot_hold_are_shown_all_the_same(run, database):
    database.result = pa.table(
        {
            "ns": pa.array([5], pa.timestamp("ns")),
            "infinity": pa.array([2**63 - 1], pa.timestamp("us")),
            "deep": pa.array([[5]], pa.list_(pa.timestamp("ns"))),
            "broken": pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")]),
        }
    )

    result = run("query", "x")

    assert result.exit_code == 0
    assert "1970-01-01 00:00:00.000000005" in result.stdout
    assert "<value out of range: 9223372036854775807>" in result.stdout
    assert "a\\xff" in result.stdout


def test_two_columns_of_one_name_both_stay(run, database):
    database.result = pa.table([[1], [2], [3]], ["a", "a", "a_2"])

    assert json.loads(run("query", "x", "--json").stdout) == [{"a": 1, "a_2": 2, "a_2_2": 3}]
    assert run("query", "x").stdout.splitlines()[0] == "a  a  a_2"


@pytest.mark.parametrize(
    ("flags", "rows", "below"),
    [
        ((), 1000, "1,000 rows shown, and there are more: --limit N\n"),
        (("--limit", "10"), 10, "10 rows shown, and there are more: --limit N\n"),
        (("--limit", "0"), 2500, "2,500 rows\n"),
        (("--limit", "2500"), 2500, "2,500 rows\n"),
        (("--format", "ndjson"), 2500, "2,500 rows\n"),
    ],
)
def test_a_table_is_cut_off_and_says_so(run, database, flags, rows, below):
    database.result = pa.Table.from_batches([pa.record_batch({"n": list(range(500))})] * 5)

    result = run("query", "x", *flags)

    assert len(result.stdout.splitlines()) == rows + (0 if "ndjson" in flags else 2)
    assert result.stderr == below


def test_an_empty_result_still_has_its_header(run, database):
    database.result = pa.schema([("n", pa.int64())]).empty_table()

    assert run("query", "x").output == "n\n-\n0 rows\n"
    assert run("query", "x", "--json", "-q").output == "[]\n"
    assert run("query", "x", "--format", "csv", "-q").output == "n\n"


def test_a_statement_without_a_result_says_done(run, database):
    database.result = pa.RecordBatchReader.from_batches(pa.schema([]), [])

    result = run("query", "delete from t", "--write")

    assert (result.stdout, result.stderr) == ("", "done\n")
    assert database.asked == [("delete from t", True)]


@pytest.mark.parametrize("args", [("-",), ()])
def test_sql_may_come_from_standard_input(run, database, args):
    database.result = pa.table({"n": [1]})

    assert run("query", *args, input="select 1 as n").exit_code == 0
    assert database.asked == [("select 1 as n", False)]


def test_no_sql_at_all_is_a_usage_error(run, database):
    result = run("query", input=" \n")

    assert result.exit_code == 2
    assert result.stderr.endswith("Error: There is no SQL on standard input.\n")


@pytest.mark.parametrize(("error", "code"), [(ConfigError('column "x" does not exist'), 2), (FatalError("locked"), 1)])
def test_the_databases_own_error_is_shown_and_the_connection_closed(run, database, error, code):
    database.error = error

    result = run("query", "select x")

    assert (result.exit_code, result.stderr, database.closed) == (code, f"ddpm: error: {error}\n", 1)


class OnATerminal:
    """A stream that a terminal of this width stands behind."""

    @pytest.fixture(autouse=True)
    def terminal(self, monkeypatch):
        monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda stream: True, raising=False)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "60")


class TestTerminal(OnATerminal):
    def test_long_cells_are_shortened_and_short_ones_stay_whole(self, run, database):
        database.result = pa.table({"id": [12345], "text": ["x" * 200], "more": ["y" * 25]})

        printed = re.sub(r"\x1b\[[0-9;]*m", "", run("query", "x").stdout)

        assert max(map(len, printed.splitlines())) <= 60
        assert "│ 12345 │ xxxxxxxxxxxxxxxxxxxxx… │ yyyyyyyyyyyyyyyyyyyyy… │" in printed

    def test_markup_in_data_is_text(self, run, database):
        database.result = pa.table({"a": ["[red]x[/red]"]})

        assert "[red]x[/red]" in run("query", "x").stdout

    def test_a_table_that_does_not_fit_is_turned_on_its_side(self, run, database):
        database.result = pa.table({f"column_{n}": [n] for n in range(10)})

        assert run("query", "x").stdout.splitlines()[:3] == ["--- row 1", "column_0  0", "column_1  1"]


def test_an_empty_statement_exits_2(run, database):
    result = run("query", " ")

    assert (result.exit_code, result.stderr.splitlines()[-1]) == (2, "Error: The SQL is empty.")
    assert database.address == "never opened"
