"""`ddpm schema plan` prints what ingest would run, and changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from ddpm_core.cli.main import cli


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def run(*args: str, command: tuple[str, ...] = ("schema", "plan")) -> Result:
        return CliRunner().invoke(cli, [*command, *args], catch_exceptions=False, prog_name="ddpm")

    return run


def made(sql: str) -> None:
    with duckdb.connect("ddpm.duckdb") as connection:
        connection.execute(sql)


def columns() -> list[tuple[str, str]]:
    with duckdb.connect("ddpm.duckdb") as connection:
        return [(name, kind) for name, kind, *_ in connection.execute("describe t").fetchall()]


def test_a_missing_table_and_what_later_files_add_to_it(plan) -> None:
    Path("a.json").write_text('{"id": 1, "at": null}\n')
    Path("b.json").write_text('{"id": 2, "note": "x"}\n')
    assert plan("a.json", "b.json", "--table", "t").stdout == (
        "-- t: the table does not exist (a.json)\n"
        'CREATE TABLE "main"."t" ("id" BIGINT);\n'
        "-- t: the data has values of type text in 'note', and the table has no such column (b.json)\n"
        'ALTER TABLE "main"."t" ADD COLUMN "note" VARCHAR;\n'
    )
    assert not Path("ddpm.duckdb").exists()


def test_the_table_of_somebody_else_changes_only_when_asked_to(plan) -> None:
    made("create table t (id integer)")
    Path("t.json").write_text('{"id": 3000000000}\n')
    assert plan("t.json").stdout == "-- t: nothing to change\n"
    assert json.loads(plan("t.json", "--schema", "evolve", "--json").stdout) == [
        {
            "table": "t",
            "changes": [
                {
                    "ddl": 'ALTER TABLE "main"."t" ALTER COLUMN "id" TYPE BIGINT',
                    "why": "column 'id' is integer, and 3000000000 needs bigint",
                    "source": "t.json",
                }
            ],
        }
    ]
    assert columns() == [("id", "INTEGER")]


def test_what_is_planned_is_what_ingest_does(plan) -> None:
    made("create table t (id integer, kept varchar)")
    Path("t.json").write_text('{"id": 1}\n{"id": 3000000000, "more": true}\n')
    assert plan("t.json", "--schema", "evolve").stdout == (
        "-- t: the data has values of type boolean in 'more', and the table has no such column (t.json)\n"
        'ALTER TABLE "main"."t" ADD COLUMN "more" BOOLEAN;\n'
        "-- t: column 'id' is integer, and 3000000000 needs bigint (t.json)\n"
        'ALTER TABLE "main"."t" ALTER COLUMN "id" TYPE BIGINT;\n'
    )
    assert plan("t.json", "--schema", "evolve", command=("ingest",)).exit_code == 0
    assert columns() == [("id", "BIGINT"), ("kept", "VARCHAR"), ("more", "BOOLEAN")]


def test_a_frozen_table_stays_as_it_is_and_the_rows_that_do_not_fit_are_set_aside(plan) -> None:
    Path("a.json").write_text('{"id": 1}\n')
    Path("b.json").write_text('{"id": 2}\n{"id": 3, "more": true}\n')
    assert plan("a.json", "--table", "t", command=("ingest",)).exit_code == 0
    assert plan("b.json", "--table", "t", "--schema", "freeze").stdout == "-- t: nothing to change\n"
    frozen = plan("b.json", "--table", "t", "--schema", "freeze", "--max-reject-share", "100%", command=("ingest",))
    assert frozen.exit_code == 3
    assert "1 rejected (1 unknown_column)" in frozen.stdout
    assert columns() == [("id", "BIGINT")]


def test_all_records_are_looked_at_when_asked(plan) -> None:
    Path("t.json").write_text("".join(f'{{"id": {n}}}\n' for n in range(40_000)) + '{"late": 1}\n')
    assert "late" not in plan("t.json").stdout
    assert "late" in plan("t.json", "--all").stdout


def test_a_file_that_cannot_be_read_is_no_plan(plan) -> None:
    Path("t.avro").write_bytes(b"no avro")
    result = plan("t.avro")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("ddpm: error: ")
