"""`ddpm validate` finds every mistake of all files at once, and runs nothing that a file names."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from ddpm_core.cli.main import cli

GOOD = """\
name: good
source: {files: {paths: data/}}
format: json
sinks:
  - duckdb: {path: lake.duckdb, table: events}
  - stdout
"""


@pytest.fixture
def ddpm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> Result:
        return CliRunner().invoke(cli, args, catch_exceptions=False, prog_name="ddpm")

    return run


def test_a_good_file_is_said_so_with_what_its_sinks_guarantee(ddpm) -> None:
    Path("p.yaml").write_text(GOOD)
    done = ddpm("validate", "p.yaml")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "p.yaml: ok: good reads files into duckdb (exactly once) and stdout (at least once)\n"


def test_all_mistakes_of_all_files_are_told_at_once(ddpm) -> None:
    Path("a.yaml").write_text(GOOD.replace("good", "a").replace("table:", "tabel:").replace("json", "jsom"))
    Path("b.yaml").write_text("a: [")
    Path("c.yaml").write_text(GOOD)
    done = ddpm("validate", "a.yaml", "missing.yaml", "b.yaml", "c.yaml")
    assert done.exit_code == 2
    assert done.stdout == "c.yaml: ok: good reads files into duckdb (exactly once) and stdout (at least once)\n"
    installed = "arrow, avro, csv, custom, json, lines, parquet, raw"
    lines = done.stderr.splitlines()
    assert lines[:4] == [
        f"ddpm: error: a.yaml:3: format: there is no format 'jsom' (Did you mean 'json'? Installed: {installed}.)",
        "ddpm: error: a.yaml:5: sinks[0].duckdb: sink duckdb (ddpm-core 0.1.0) needs the option 'table'",
        "ddpm: error: a.yaml:5: sinks[0].duckdb.tabel: sink duckdb (ddpm-core 0.1.0) has no such option (did you mean 'table'?)",
        "ddpm: error: there is no file missing.yaml",
    ]
    assert lines[4].startswith("ddpm: error: b.yaml:")
    assert len(lines) == 5


def test_two_files_of_one_name_are_a_mistake(ddpm) -> None:
    for name in ("a.yaml", "b.yaml"):
        Path(name).write_text(GOOD)
    done = ddpm("validate", "a.yaml", "b.yaml", "a.yaml")
    assert done.exit_code == 2
    assert done.stderr == (
        "ddpm: error: b.yaml: name: 'good' is the name of a.yaml too (positions are kept under it: choose another name)\n"
    )


@pytest.mark.parametrize("live", [(), ("--live",)])
def test_no_code_that_a_file_names_is_run(ddpm, live) -> None:
    Path("data").mkdir()
    Path("data/a.json").write_text("{}\n")
    Path("evil.py").write_text("open('was-run', 'w')\ndef parse(payload): return None\n")
    Path("p.yaml").write_text(GOOD.replace("format: json", "format: {custom: {function: 'evil.py:parse'}}"))
    done = ddpm("validate", "p.yaml", *live)
    assert done.exit_code == 0, done.stderr
    assert not Path("was-run").exists()


def test_live_looks_and_leaves_everything_as_it_is(ddpm) -> None:
    Path("data").mkdir()
    Path("data/a.json").write_text("{}\n")
    with duckdb.connect("lake.duckdb") as connection:
        connection.execute("create table events (a int, b text)")
    Path("p.yaml").write_text(GOOD + "  - files: {path: out/}\ndead_letter: {file: {path: letters.ndjson}}\n")
    before = sorted(Path().rglob("*"))
    done = ddpm("validate", "--live", "p.yaml")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == [
        "p.yaml: source files: reachable",
        "p.yaml: sink duckdb: reachable, the table has 2 columns; exactly once",
        "p.yaml: sink stdout: cannot be looked at without opening it, and was not; at least once",
        "p.yaml: sink files: cannot be looked at without opening it, and was not; exactly once",
        "p.yaml: dead_letter: reachable",
    ]
    assert sorted(Path().rglob("*")) == before


def test_live_tells_every_part_that_cannot_be_used(ddpm) -> None:
    Path("p.yaml").write_text(GOOD + "  - postgres: {url: 'postgresql://u@127.0.0.1:1/x', table: t}\n")
    done = ddpm("validate", "--live", "p.yaml")
    assert done.exit_code == 1
    lines = done.stderr.splitlines()
    assert lines[0] == "ddpm: error: p.yaml: source files: data/: no such file"
    assert lines[1].startswith("ddpm: error: p.yaml: sink postgres: cannot connect to Postgres at 127.0.0.1:1/x: ")
    assert lines[-1] == "p.yaml: 2 parts cannot be used"
    assert "p.yaml: sink duckdb: reachable; exactly once\n" in done.stdout


def test_live_tells_declared_columns_that_the_table_cannot_take(ddpm) -> None:
    Path("data").mkdir()
    Path("data/a.json").write_text("{}\n")
    with duckdb.connect("lake.duckdb") as connection:
        connection.execute("create table events (a int, b text)")
    Path("p.yaml").write_text(GOOD + "columns: {a: boolean, c: text}\n")
    done = ddpm("validate", "--live", "p.yaml")
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        (
            "ddpm: error: p.yaml: sink duckdb: column 'a' is declared boolean, and the table has integer: no value fits; "
            "column 'c' is declared, and the table has no such column"
        ),
        "p.yaml: 1 part cannot be used",
    ]


def test_live_exits_with_1_where_only_the_environment_fails(ddpm) -> None:
    Path("data").mkdir()
    Path("data/a.json").write_text("{}\n")
    Path("p.yaml").write_text(GOOD + "  - postgres: {url: 'postgresql://u@127.0.0.1:1/x', table: t}\n")
    done = ddpm("validate", "--live", "p.yaml")
    assert done.exit_code == 1


def test_a_password_is_in_no_line(ddpm, monkeypatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:canary@127.0.0.1:1/x")
    Path("p.yaml").write_text(GOOD + "  - postgres: {url: '${DATABASE_URL}', table: t, mode: upsert}\n")
    assert "canary" not in ddpm("--debug", "validate", "p.yaml").output
    Path("p.yaml").write_text(GOOD + "  - postgres: {url: '${DATABASE_URL}', table: t}\n")
    done = ddpm("validate", "--live", "p.yaml")
    assert done.exit_code > 0
    assert "canary" not in done.output
