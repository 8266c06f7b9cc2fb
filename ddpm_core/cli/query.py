"""`ddpm query`: a statement, and its result as a table, CSV or JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ddpm_core.cli.lazy import Command
from ddpm_core.cli.output import count, print_table
from ddpm_core.cli.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_SHOWN = 1000


@click.command(
    cls=Command,
    short_help="Ask a database, and print a table.",
    epilog="""\b
Examples:
  ddpm query 'select event_type, count(*) from events group by 1'
  ddpm query --db postgresql://localhost/shop --format csv - < report.sql > report.csv
""",
)
@click.argument("sql", required=False)
@click.option("--db", metavar="URL|PATH", help="Which database.  [default: ./ddpm.duckdb]")
@click.option("--write", is_flag=True, help="Allow the statement to change the database.")
@click.option(
    "--format",
    "-f",
    "format_",
    type=click.Choice(["table", "csv", "json", "ndjson"]),
    default="table",
    show_default=True,
    help="How to print the result.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json: one array of objects.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"Print at most N rows; 0 is all.  [default: {ROWS_SHOWN} for a table, all for the other formats]",
)
@click.pass_obj
def query(settings: Settings, sql: str | None, db: str | None, write: bool, format_: str, as_json: bool, limit: int | None) -> None:
    """Run SQL and print what it returns. `-` reads the statement from standard input.

    The database refuses any change unless --write is given.
    """
    from ddpm_core.cli.stopping import die_on_ctrl_c
    from ddpm_core.engine.build import open_database

    statement = _statement(sql)
    format_ = "json" if as_json else format_
    if limit is None:
        limit = ROWS_SHOWN if format_ == "table" else 0
    with die_on_ctrl_c():
        database = open_database(db, settings.registry())
        try:
            rows = _Rows(database.query(statement, write=write), limit)
            _PRINTERS[format_](rows)
            settings.say(rows.summary())
        finally:
            database.close()


class _Rows:
    """A result cut off after `limit` rows (0: never), that counts what it gives."""

    def __init__(self, reader: pa.RecordBatchReader, limit: int) -> None:
        self._reader = reader
        self._limit = limit
        self.schema: pa.Schema = reader.schema
        self.given = 0
        self.more = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._reader:
            if self._limit and self.given + batch.num_rows > self._limit:
                self.more = True
                left = self._limit - self.given
                self.given += left
                yield batch.slice(0, left)
                return
            self.given += batch.num_rows
            yield batch

    def summary(self) -> str:
        """The line below the result."""
        if not self.schema.names:
            return "done"
        return f"{count(self.given, 'row')} shown, and there are more: --limit N" if self.more else count(self.given, "row")


def _print_table(rows: _Rows) -> None:
    from ddpm_core.cli.cells import is_number, text_columns

    lines = [line for batch in rows for line in zip(*text_columns(batch), strict=True)]
    if rows.schema.names:
        print_table(rows.schema.names, lines, [is_number(field.type) for field in rows.schema])


def _print_csv(rows: _Rows) -> None:
    import csv

    from ddpm_core.cli.cells import text_columns

    writer = csv.writer(sys.stdout, lineterminator="\n")
    if rows.schema.names:
        writer.writerow(rows.schema.names)
    for batch in rows:
        writer.writerows(zip(*text_columns(batch, null="", escape=False), strict=True))


def _print_json(rows: _Rows) -> None:
    from ddpm_core.cli.cells import dump, json_rows

    separator = "[\n"
    for batch in rows:
        for row in json_rows(batch):
            sys.stdout.write(f"{separator}{dump(row)}")
            separator = ",\n"
    sys.stdout.write("[]\n" if separator == "[\n" else "\n]\n")


def _print_ndjson(rows: _Rows) -> None:
    from ddpm_core.cli.cells import dump, json_rows

    for batch in rows:
        sys.stdout.writelines(f"{dump(row)}\n" for row in json_rows(batch))


_PRINTERS = {"table": _print_table, "csv": _print_csv, "json": _print_json, "ndjson": _print_ndjson}


def _statement(sql: str | None) -> str:
    if sql is None and sys.stdin.isatty():
        raise click.UsageError("Missing argument 'SQL'.")
    if sql is not None and sql != "-":
        if not sql.strip():
            raise click.UsageError("The SQL is empty.")
        return sql
    text = sys.stdin.read()
    if not text.strip():
        raise click.UsageError("There is no SQL on standard input.")
    return text
