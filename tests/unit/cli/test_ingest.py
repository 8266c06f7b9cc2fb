"""`ddpm ingest`: exit codes, what is printed, what the engine is asked."""

from __future__ import annotations

import dataclasses
import json

import pytest

from ddpm_core import ConfigError, DataError, FatalError, PluginError, Problem
from ddpm_core.engine.ingest import IngestRequest
from ddpm_core.engine.report import DocumentReport, Report
from ddpm_core.plugin.events import DocumentEnded, DocumentStarted


def landed(**changes) -> Report:
    documents = [DocumentReport("flights.avro", "landed", "new", table="flights", records=20_000, rows=20_000)]
    whole = Report("ingest", "ddpm.duckdb", "landed", 20_000, 20_000, 4_700_000, {}, 1.25, documents)
    return dataclasses.replace(whole, **changes)


def with_rejects() -> Report:
    documents = [DocumentReport("e.json", "landed", "new", table="e", records=10, rows=7, rejects=3)]
    return landed(
        status="dead_letters", records=10, rows=7, nbytes=812, rejects={"too_large": 1, "json_invalid": 2}, documents=documents
    )


def test_what_landed_is_summed_up_with_the_command_to_look_at_it(run, engine):
    engine.report = landed()

    result = run("ingest", "flights.avro")

    assert result.exit_code == 0
    assert result.stdout == (
        "flights.avro: landed, 20,000 rows into flights (new)\n"
        "Read 20,000 records (4.7 MB) in 1.2 s (16,000 rows/s): 20,000 rows written, 0 rejected\n"
        "Target: ddpm.duckdb, table flights\n"
        "\n"
        "Look at the rows:  ddpm query 'select * from flights limit 10'\n"
    )
    assert result.stderr == ""


def test_rejects_exit_3_and_name_the_command_that_lists_them(run, engine):
    engine.report = with_rejects()

    result = run("ingest", "e.json", "--to", "my data.duckdb")

    assert result.exit_code == 3
    assert result.stdout == (
        "e.json: landed, 7 rows into e, 3 rejected (new)\n"
        "Read 10 records (812 bytes) in 1.2 s (6 rows/s): 7 rows written, 3 rejected (2 json_invalid, 1 too_large)\n"
        "Target: ddpm.duckdb, table e\n"
        "\n"
        "Look at the rows:     ddpm query 'select * from e limit 10' --db 'my data.duckdb'\n"
        "Look at the rejects:  ddpm dlq list --db 'my data.duckdb'\n"
    )


def test_a_table_name_that_sql_would_not_take_is_quoted_in_the_command(run, engine):
    engine.report = landed(documents=[DocumentReport("a", "landed", "new", table='Shop."my.orders"', rows=1)])

    assert """ddpm query 'select * from "Shop"."my.orders" limit 10'""" in run("ingest", "a").stdout


def test_a_password_is_printed_nowhere(run, engine):
    url = "postgresql://me:hunter2@db/shop?sslpassword=hunter2"
    engine.report = landed(target=url, status="failed", error=FatalError(f"cannot log in at {url}", hint=f"Look at {url}"))

    for flags in ((), ("--json",), ("--debug",), ("--log-format", "json")):
        result = run("ingest", "a.avro", "--to", url, *flags)
        assert "hunter2" not in result.output
        assert "postgresql://me:***@db/shop?sslpassword=***" in result.output


def test_a_skipped_file_is_a_success(run, engine):
    engine.report = landed(
        records=0, rows=0, nbytes=0, seconds=0.0,
        documents=[DocumentReport("a.avro", "skipped", "already landed; --again reads it again", table="a")],
    )  # fmt: skip

    result = run("ingest", "a.avro")

    assert result.exit_code == 0
    assert result.stdout == (
        "a.avro: skipped: already landed; --again reads it again\n"
        "Read 0 records (0 bytes) in 0.0 s: 0 rows written, 0 rejected\n"
        "Target: ddpm.duckdb, table a\n"
    )


def test_a_file_name_that_is_no_unicode_is_printed_escaped(run, engine):
    name = b"caf\xe9.json".decode("utf-8", "surrogateescape")
    engine.report = landed(documents=[DocumentReport(name, "landed", "new", table="t", rows=1)])

    result = run("ingest", "x")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "caf\\udce9.json: landed, 1 row into t (new)")
    assert json.loads(run("ingest", "x", "--json").stdout)["documents"][0]["name"] == name


def test_no_name_can_talk_to_the_terminal(run, engine):
    name = "a\x1b[2J\nb.json"
    error = DataError(f"broken at {name}")
    engine.report = landed(documents=[DocumentReport(name, "failed", "new", table="t\x1b", rows=1, error=error)])
    engine.events = [DocumentEnded(name, "failed", "broken")]

    result = run("ingest", "x")

    assert "\x1b" not in result.output
    assert "a\\x1b[2J\\nb.json: failed after 1 row into t\\x1b\n" in result.stdout
    assert "ddpm: error: a\\x1b[2J" in result.stderr


def test_a_failed_document_exits_1_even_where_the_others_landed(run, engine):
    error = DataError("block 3 ends in the middle", hint="Fetch the file again.")
    for status in ("landed", "dead_letters", "failed"):
        engine.report = landed(
            status=status, documents=[*landed().documents, DocumentReport("bad.avro", "failed", "new", "bad", rows=1, error=error)]
        )
        result = run("ingest", "flights.avro", "bad.avro")

        assert result.exit_code == 1
        assert "bad.avro: failed after 1 row into bad\n" in result.stdout
        assert result.stderr == "ddpm: error: bad.avro: block 3 ends in the middle\n  Fetch the file again.\n"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (FatalError("the disk is full", hint="Make room."), 1, "ddpm: error: the disk is full\n  Make room.\n"),
        (ConfigError("table t has no column 'k'"), 2, "ddpm: error: table t has no column 'k'\n"),
        (PluginError("it fell over", distribution="ddpm-x 1.0"), 1, "ddpm: error: it fell over (ddpm-x 1.0)\n"),
        (PluginError("ddpm-x 1.0 fell over", distribution="ddpm-x 1.0"), 1, "ddpm: error: ddpm-x 1.0 fell over\n"),
    ],
)
def test_why_a_run_failed_is_said_on_standard_error(run, engine, error, code, text):
    engine.report = landed(status="failed", error=error)

    result = run("ingest", "a.avro")

    assert (result.exit_code, result.stderr) == (code, text)


def test_a_run_that_reads_nothing_prints_nothing_but_why(run, engine):
    engine.report = landed(status="failed", error=FatalError("the server is away"), documents=[])

    assert run("ingest", "a").output == "ddpm: error: the server is away\n"


def test_an_error_that_is_also_a_documents_is_told_once(run, engine):
    error = DataError("broken")
    engine.report = landed(status="failed", error=error, documents=[DocumentReport("a", "failed", "", error=error)])

    assert run("ingest", "a").stderr == "ddpm: error: a: broken\n"


def test_an_error_of_the_environment_is_no_documents(run, engine):
    error = FatalError("the disk is full")
    documents = [DocumentReport(name, "failed", "", error=error) for name in "ab"]
    engine.report = landed(status="failed", error=error, documents=documents)

    assert run("ingest", "a", "b").stderr == "ddpm: error: the disk is full\n"


def test_a_stopped_run_says_where_it_stands_and_how_to_go_on(run, engine):
    stopped = [*landed().documents, DocumentReport("b.avro", "stopped", "new", "b", rows=5)]
    engine.report = landed(status="stopped", documents=stopped)

    result = run("ingest", "flights.avro", "b.avro")

    assert result.exit_code == 130
    assert "b.avro: stopped after 5 rows into b\n" in result.stdout
    assert "Stopped. 1 document not finished. Run the same command again to go on.\n" in result.stdout


def test_every_mistake_of_a_request_gets_a_line_and_exits_2(run, engine):
    engine.refuse = ConfigError([Problem("option 'x'", "is unknown", "did you mean 'y'?"), Problem("", "no such file: b")])

    result = run("ingest", "b")

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "ddpm: error: option 'x': is unknown (did you mean 'y'?)\nddpm: error: no such file: b\n"


def test_an_unknown_format_names_the_nearest_and_the_installed_ones(run, engine, registry):
    with pytest.raises(ConfigError) as caught:
        registry.format("jsom")
    engine.refuse = caught.value

    result = run("ingest", "a", "--format", "jsom")

    assert result.exit_code == 2
    assert result.stderr == "ddpm: error: there is no format 'jsom'\n  Did you mean 'json'? Installed: avro, json.\n"


def test_a_defect_of_ours_asks_for_a_report_and_shows_the_traceback_with_debug(run, engine):
    engine.fail = RuntimeError("oh\nno")

    result = run("ingest", "a")
    assert result.exit_code == 1
    assert result.stderr == ("ddpm: internal error: RuntimeError: oh no\n  Run with --debug, and please report this.\n")

    result = run("ingest", "a", "--debug")
    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback (most recent call last):\n")
    assert result.stderr.endswith("ddpm: internal error: RuntimeError: oh no\n  Please report this, with what --debug shows.\n")


def test_debug_shows_the_cause_too(run, engine):
    error = FatalError("cannot open it")
    error.__cause__ = OSError("EIO")
    engine.report = landed(status="failed", error=error)

    stderr = run("--debug", "ingest", "a").stderr

    assert "OSError: EIO\n" in stderr
    assert "The above exception was the direct cause" in stderr
    assert stderr.endswith("ddpm: error: cannot open it\n")


def test_a_panic_of_a_rust_library_is_an_error_like_any_other(run, engine):
    class PanicException(BaseException):
        pass

    engine.fail = PanicException("index out of bounds")

    result = run("ingest", "a")

    assert result.exit_code == 1
    assert result.stderr.startswith("ddpm: internal error: PanicException: index out of bounds\n")


def test_json_is_one_object_with_the_promised_keys(run, engine):
    engine.report = with_rejects()

    result = run("ingest", "e.json", "--json")

    assert result.exit_code == 3
    assert result.stdout.count("\n") == 1
    assert json.loads(result.stdout) == {
        "ddpm": "0.1.0",
        "pipeline": "ingest",
        "status": "dead_letters",
        "exit_code": 3,
        "target": "ddpm.duckdb",
        "records": 10,
        "rows": 7,
        "rejected": 3,
        "rejects": {"too_large": 1, "json_invalid": 2},
        "dead_letter_file": None,
        "bytes": 812,
        "seconds": 1.25,
        "rows_per_second": 6,
        "documents": [
            {
                "name": "e.json",
                "status": "landed",
                "note": "new",
                "table": "e",
                "records": 10,
                "rows": 7,
                "rejected": 3,
                "error": None,
            }
        ],
        "error": None,
    }


def test_json_is_one_object_also_for_a_request_that_is_refused(run, engine):
    engine.refuse = ConfigError(Problem("option 'x'", "is unknown", "try 'y'"), hint="Look it up.")

    result = run("ingest", "e.json", "--json")

    report = json.loads(result.stdout)
    assert result.exit_code == report["exit_code"] == 2
    assert report["status"] == "failed"
    assert report["documents"] == []
    assert report["error"] == {
        "type": "ConfigError",
        "message": "option 'x': is unknown (try 'y')",
        "hint": "Look it up.",
        "problems": [{"where": "option 'x'", "what": "is unknown", "hint": "try 'y'"}],
    }
    assert result.stderr == "ddpm: error: option 'x': is unknown (try 'y')\n  Look it up.\n"


def test_json_names_the_error_of_a_document(run, engine):
    document = DocumentReport("a", "failed", "", error=DataError("broken", hint="Mend it."))
    engine.report = landed(status="failed", documents=[document])

    report = json.loads(run("ingest", "a", "--json").stdout)

    assert report["documents"][0]["error"] == {"type": "DataError", "message": "broken", "hint": "Mend it.", "problems": []}


def test_quiet_prints_nothing_but_errors(run, engine):
    engine.report = landed()
    engine.events = [DocumentEnded("a", "skipped", "already landed")]
    for args in (("--quiet", "ingest", "a"), ("ingest", "-q", "a")):
        result = run(*args)
        assert (result.exit_code, result.output) == (0, "")

    engine.report = landed(status="failed", error=FatalError("no"))
    assert run("ingest", "a", "--quiet").output == "ddpm: error: no\n"


def test_elsewhere_than_on_a_terminal_progress_is_plain_lines(run, engine):
    engine.report = landed()
    engine.events = [
        DocumentStarted("a", "new", 10),
        DocumentStarted("b", "resumed at record 12,000", 10),
        DocumentEnded("c", "skipped", "already landed; --again reads it again"),
        DocumentEnded("d", "failed", "block 3 ends in the middle"),
    ]

    assert run("ingest", "a", "b", "c", "d").stderr == "b: resumed at record 12,000\n"


def test_with_a_json_log_every_line_of_standard_error_is_an_object(run, engine):
    engine.report = landed(status="failed", error=FatalError("no room", hint="Make some."))
    engine.events = [DocumentEnded("c", "skipped", "already landed")]

    lines = [json.loads(line) for line in run("ingest", "c", "--log-format", "json").stderr.splitlines()]

    assert [(line["level"], line["message"]) for line in lines] == [
        ("info", "c: skipped: already landed"),
        ("error", "no room\nMake some."),
    ]


def test_of_many_documents_only_the_interesting_ones_get_a_line(run, engine):
    documents = [DocumentReport(f"{n}.avro", "landed", "new", f"t{n}", rows=1) for n in range(100)]
    documents += [DocumentReport(f"s{n}", "skipped", "known") for n in range(5)]
    documents += [
        DocumentReport("r", "landed", "", "r", rows=1, rejects=1),
        DocumentReport("f", "failed", "", error=DataError("x")),
    ]
    engine.report = landed(documents=documents)

    lines = run("ingest", "x").stdout.splitlines()

    assert lines[:11] == [
        "0.avro: landed, 1 row into t0 (new)",
        "1.avro: landed, 1 row into t1 (new)",
        "2.avro: landed, 1 row into t2 (new)",
        "s0: skipped: known",
        "s1: skipped: known",
        "s2: skipped: known",
        "r: landed, 1 row into r, 1 rejected",
        "f: failed",
        "… and 97 more landed",
        "… and 2 more skipped",
        "Read 20,000 records (4.7 MB) in 1.2 s (16,000 rows/s): 20,000 rows written, 0 rejected",
    ]
    assert lines[11] == "Target: ddpm.duckdb, tables t0, t1, t2 and 98 more"


def test_the_engine_is_asked_what_was_typed(run, engine):
    run(
        "ingest", "a.json", "b", "--format", "json", "--to", "x.duckdb", "--table", "s.t", "--mode", "upsert", "--key", "a,b",
        "--key", '"c,d"', "--columns", "ts=timestamp", "-o", "format.max_depth=64", "--option", "sink.x=1", "--again",
        "--on-error", "fail", "--retry-for", "5m", "--max-reject-share", "10%", "--max-rejects-in-a-row", "7",
        "--schema", "freeze", "--max-record-bytes", "2MiB", "--max-depth", "9",
    )  # fmt: skip

    assert vars(engine.request) == {
        "paths": ("a.json", "b"), "format": "json", "to": "x.duckdb", "table": "s.t", "mode": "upsert", "key": ("a", "b", "c,d"),
        "columns": "ts=timestamp", "options": ("format.max_depth=64", "sink.x=1"), "again": True, "on_error": "fail",
        "retry_for": 300.0, "reject_share": 0.1, "reject_run": 7,
        "evolve": False, "max_record_bytes": 2 << 20, "max_depth": 9,
    }  # fmt: skip


def test_what_is_not_typed_is_left_to_the_engine(run, engine):
    run("ingest")

    asked = vars(engine.request)
    assert asked == {field.name: asked[field.name] for field in dataclasses.fields(IngestRequest)}
    assert asked == vars_of(IngestRequest(paths=("-",)))


def vars_of(request: IngestRequest) -> dict:
    return {field.name: getattr(request, field.name) for field in dataclasses.fields(request)}


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--retry-for", "soon"), "Invalid value for '--retry-for': 'soon' is no duration; write 10ms, 90, 90s, 5m or 1h"),
        (("--max-reject-share", "5"), "Invalid value for '--max-reject-share': '5' is no share; write 5% or 0.05"),
        (("--key", "a,,b"), "Invalid value for '--key' / '-k': 'a,,b' has an empty name in it"),
        (("--mode", "merge"), "Invalid value for '--mode': 'merge' is not one of 'append', 'replace', 'upsert'."),
        (("--max-record-bytes", "0"), "Invalid value for '--max-record-bytes': '0' is no size; write 1000000, 16MiB or 1GB"),
        (
            ("--max-record-bytes", "1 pound"),
            "Invalid value for '--max-record-bytes': '1 pound' is no size; write 1000000, 16MiB or 1GB",
        ),
        (("--schema", "grow"), "Invalid value for '--schema': 'grow' is not one of 'evolve', 'freeze'."),
        (("--max-rejects-in-a-row", "0"), "Invalid value for '--max-rejects-in-a-row': 0 is not in the range x>=1."),
    ],
)
def test_a_value_that_makes_no_sense_exits_2_in_clicks_style(run, engine, args, text):
    result = run("ingest", "a", *args)

    assert result.exit_code == 2
    assert result.stderr == f"Usage: ddpm ingest [OPTIONS] [PATH]...\nTry 'ddpm ingest --help' for help.\n\nError: {text}\n"


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1h", 3600), ("500ms", 0.5), ("1.5 m", 90)])
def test_durations_may_have_a_unit(run, engine, text, seconds):
    run("ingest", "a", "--retry-for", text)
    assert engine.request.retry_for == seconds


@pytest.mark.parametrize(("text", "size"), [("1000", 1000), ("1kB", 1000), ("16MiB", 16 << 20), ("1.5 gib", 3 << 29)])
def test_sizes_may_have_a_unit(run, engine, text, size):
    run("ingest", "a", "--max-record-bytes", text)
    assert engine.request.max_record_bytes == size


def test_standard_input_without_a_format_exits_2(run, registry):
    result = run("ingest", input="{}")

    assert result.exit_code == 2
    assert result.stderr == (
        "ddpm: error: standard input: has no suffix that tells its format (name it with --format: avro, json)\n"
    )


def test_a_terminal_as_standard_input_is_said(run, engine, monkeypatch):
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda stream: stream.name == "<stdin>", raising=False)

    assert run("ingest", "--format", "json").stderr == "reading standard input (end with Ctrl+D)\n"
    assert run("ingest", "--format", "json", "a.json").stderr == ""
