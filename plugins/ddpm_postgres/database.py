"""A Postgres database for questions: `ddpm query` and `ddpm dlq`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg2
import psycopg2.extensions
import pyarrow as pa

from ddpm_core import (
    ConfigError,
    Database,
    DdpmError,
    LetterSpelling,
    LetterTables,
    RetryableError,
)
from ddpm_postgres import result, session
from ddpm_postgres.errors import of_statement, plain

ROWS = 5000
_SPELLING = LetterSpelling("%s", view="{c}::text")


def open_database(address: str) -> PostgresDatabase:
    """The database at this URL. Connects.

    Raises:
        ConfigError, RetryableError, FatalError: It cannot be reached.
    """
    return PostgresDatabase(address)


class PostgresDatabase(Database):
    """One connection, one statement at a time."""

    def __init__(self, address: str) -> None:
        given = session.parameters(address, connect_timeout=10)
        self._where = session.server_name(given)
        self._connection = session.connect(given, {})

    def query(self, sql: str, *, write: bool = False) -> pa.RecordBatchReader:
        """The statement's result, fetched 5,000 rows at a time as the reader is read. With `write` it is fetched whole.

        Without `write` exactly one statement that returns rows is taken, in a read-only transaction: Postgres itself opens it
        as a cursor, so that nothing can follow a semicolon.
        """
        if not sql.strip():
            raise ConfigError("the statement is empty")
        self._roll_back()
        with self._errors(sql):
            return self._changed(sql) if write else self._streamed(sql)

    @contextlib.contextmanager
    def letter_tables(self, *, write: bool) -> Iterator[LetterTables]:
        self._roll_back()
        with self._errors(""), self._connection.cursor() as cursor:

            def ask(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
                cursor.execute(sql, tuple(values))
                return cursor.fetchall()

            def change(sql: str, values: Sequence[Any]) -> int:
                cursor.execute(sql, tuple(values))
                return int(cursor.rowcount)

            def tables(name: str) -> dict[str, str]:
                found = ask(
                    "SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                    "WHERE c.relname = %s AND c.relkind IN ('r', 'p') AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1",
                    [name],
                )
                return {schema: f"{_quoted(schema)}.{_quoted(name)}" for (schema,) in found}

            cursor.execute("BEGIN" if write else "BEGIN READ ONLY")
            try:
                yield LetterTables(tables(self.dead_letter_table), ask, change, _quoted, _SPELLING, tables(self.position_table))
            except BaseException:
                self._roll_back()
                raise
            cursor.execute("COMMIT")

    def close(self) -> None:
        with contextlib.suppress(psycopg2.Error):
            self._connection.close()

    # Statements.

    def _streamed(self, sql: str) -> pa.RecordBatchReader:
        cursor = self._connection.cursor()
        result.as_text(cursor)
        # Once a query has run in it, the transaction cannot be made read-write any more.
        cursor.execute("BEGIN READ ONLY; SELECT 1")
        query = cursor.mogrify("%s", [sql]).decode()
        body = f"DECLARE ddpm_query refcursor := 'ddpm_query'; BEGIN OPEN ddpm_query FOR EXECUTE {query}; END"
        cursor.execute("DO %s", [body])
        columns = self._next(cursor)
        complete = not columns or len(columns[0]) < ROWS
        schema = result.schema_of(cursor.description or (), columns, complete=complete)
        return pa.RecordBatchReader.from_batches(schema, self._batches(sql, cursor, schema, columns))

    def _batches(self, sql: str, cursor: Any, schema: pa.Schema, columns: list[list[str | None]]) -> Iterator[pa.RecordBatch]:
        with self._errors(sql):
            while columns and columns[0]:
                yield result.batch(schema, columns)
                columns = self._next(cursor) if len(columns[0]) == ROWS else []
            self._roll_back()

    @staticmethod
    def _next(cursor: Any) -> list[list[str | None]]:
        cursor.execute(f"FETCH {ROWS} FROM ddpm_query")
        return _by_column(cursor)

    def _changed(self, sql: str) -> pa.RecordBatchReader:
        with self._connection.cursor() as cursor:
            result.as_text(cursor)
            cursor.execute("BEGIN")
            cursor.execute(sql)
            description = cursor.description
            columns = _by_column(cursor) if description else []
            schema = result.schema_of(description or (), columns, complete=True)
            batches = [result.batch(schema, columns)] if columns and columns[0] else []
            cursor.execute("COMMIT")
        return pa.RecordBatchReader.from_batches(schema, batches)

    def _roll_back(self) -> None:
        """End what an earlier question left open."""
        if self._connection.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_IDLE:
            with contextlib.suppress(psycopg2.Error), self._connection.cursor() as cursor:
                cursor.execute("ROLLBACK")

    @contextlib.contextmanager
    def _errors(self, sql: str) -> Iterator[None]:
        try:
            yield
        except psycopg2.Error as error:
            raise self._plain_error(error, sql) from None
        except (UnicodeError, ValueError) as error:
            raise ConfigError(f"the statement cannot be sent: {error}") from None

    def _plain_error(self, error: psycopg2.Error, sql: str) -> DdpmError:
        ours = of_statement(error, self._where)
        if error.pgcode is None or not sql or (isinstance(ours, RetryableError) and error.pgcode not in _STATEMENT):
            return ours
        if error.pgcode == "42P11":
            return ConfigError(
                f"not one statement that returns rows: {plain(error)}",
                hint="Ask one thing at a time; statements that change something need --write.",
            )
        if error.pgcode == "25006":
            return ConfigError(plain(error), hint="Statements that change something need --write.")
        place = error.diag.internal_position or error.diag.statement_position
        hints = [error.diag.message_hint or "", f"At character {place}: {_around(sql, int(place))}" if place else ""]
        return ConfigError(plain(error), hint=" ".join(hint for hint in hints if hint))


# These are about the environment while rows are written, and about the statement when a person typed one.
_STATEMENT = frozenset({"42P01", "42703", "42P07", "42701", "42P06", "25006"})


def _around(sql: str, position: int) -> str:
    """The statement's text from there on, on one line."""
    return " ".join(sql[position - 1 : position + 39].split())


def _by_column(cursor: Any) -> list[list[str | None]]:
    rows = cursor.fetchall()
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in cursor.description or ()]


def _quoted(name: str) -> str:
    """For statements with parameters, where `%` is special."""
    return session.quote_name(name).replace("%", "%%")
