"""A database for questions: `ddpm query` and `ddpm dlq`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy
from sqlalchemy.engine import Connection, CursorResult, Engine
from sqlalchemy.exc import SQLAlchemyError

from ddpm_core import ConfigError, Database, DdpmError, LetterTables
from ddpm_sql import result
from ddpm_sql.connect import address, open_engine
from ddpm_sql.errors import failure, translated, wrong_statement
from ddpm_sql.flavors import flavor_of
from ddpm_sql.statement import spelled

ROWS = 5_000


def open_database(text: str) -> SqlDatabase:
    """The database at this URL. Connects to nothing yet.

    Raises:
        ConfigError: It is no URL, or its driver is missing.
    """
    return SqlDatabase(text)


class SqlDatabase(Database):
    """The connection is made by the first question.

    Without `write` the database refuses changes: SQLite and MariaDB by themselves, Postgres too. For others the transaction is rolled
    back, which undoes what a transaction can.
    """

    def __init__(self, text: str) -> None:
        self._to = address(text)
        self._engines: dict[bool, Engine] = {}
        self._connection: Connection | None = None

    def query(self, sql: str, *, write: bool = False) -> pa.RecordBatchReader:
        """The statement's result, fetched 5,000 rows at a time as the reader is read. With `write` it is fetched whole.

        The types of columns are those of the first 5,000 rows.
        """
        if not sql.strip():
            raise ConfigError("the statement is empty")
        if any("\ud800" <= character <= "\udfff" for character in sql):
            raise ConfigError("the statement holds half a surrogate pair, which no text can")
        connection = self._connect(write=write)
        with self._errors():
            # Without parameters, so that `%` and `:` are what they are.
            found = connection.execution_options(no_parameters=True, stream_results=not write).exec_driver_sql(sql)
            if not found.returns_rows:
                if write:
                    connection.commit()
                return pa.RecordBatchReader.from_batches(pa.schema([]), [])
            if not write:
                return self._streamed(found)
            columns = _by_column(found, found.fetchall())
            connection.commit()
        schema = result.schema_of(list(found.keys()), columns, complete=True)
        return pa.RecordBatchReader.from_batches(schema, [result.batch(schema, columns)])

    @contextlib.contextmanager
    def letter_tables(self, *, write: bool) -> Iterator[LetterTables]:
        connection = self._connect(write=write)
        flavor = flavor_of(self._to, connection.dialect)

        def run(sql: str, values: Sequence[Any]) -> CursorResult[Any]:
            text, parameters = spelled(sql, [flavor.parameter(value) for value in values], connection.dialect)
            return connection.exec_driver_sql(text, parameters)

        def ask(sql: str, values: Sequence[Any]) -> list[Sequence[Any]]:
            return [tuple(row) for row in run(sql, values)]

        def change(sql: str, values: Sequence[Any]) -> int:
            return int(run(sql, values).rowcount)

        def tables(name: str) -> dict[str, str]:
            schemas = [schema for schema in self._schemas(connection) if self._has_table(connection, name, schema)]
            return {schema: f"{flavor.quote(schema)}.{flavor.quote(name)}" for schema in schemas}

        with translated(self._to.where):
            kept, positions = tables(self.dead_letter_table), tables(self.position_table)
            yield LetterTables(kept, ask, change, flavor.quote, flavor.letters, positions)
            if write:
                connection.commit()  # When the block raises, the connection's next use or its end rolls back.

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    # How.

    def _streamed(self, found: CursorResult[Any]) -> pa.RecordBatchReader:
        columns = _by_column(found, found.fetchmany(ROWS))
        complete = not columns or len(columns[0]) < ROWS
        schema = result.schema_of(list(found.keys()), columns, complete=complete)
        return pa.RecordBatchReader.from_batches(schema, self._batches(found, schema, columns))

    def _batches(self, found: CursorResult[Any], schema: pa.Schema, columns: list[list[Any]]) -> Iterator[pa.RecordBatch]:
        with self._errors():
            while columns and columns[0]:
                yield result.batch(schema, columns)
                columns = _by_column(found, found.fetchmany(ROWS)) if len(columns[0]) == ROWS else []

    def _connect(self, *, write: bool) -> Connection:
        self.close()
        with translated(self._to.where):
            if write not in self._engines:
                self._engines[write] = open_engine(self._to, read_only=not write, hide_parameters=True)
            self._connection = self._engines[write].connect()
        return self._connection

    def _schemas(self, connection: Connection) -> list[str]:
        if self._to.family == "sqlite":
            return ["main"]
        if self._to.family == "mysql" and self._to.url.database:
            return [self._to.url.database]
        return sorted(sqlalchemy.inspect(connection).get_schema_names())

    @staticmethod
    def _has_table(connection: Connection, name: str, schema: str) -> bool:
        return bool(sqlalchemy.inspect(connection).has_table(name, schema=schema))

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DdpmError:
            raise
        except SQLAlchemyError as error:
            raise (wrong_statement(error) or failure(error, self._to.where)) from None
        except (UnicodeError, ValueError) as error:
            raise ConfigError(f"the statement cannot be sent: {error}") from None


def _by_column(found: CursorResult[Any], rows: Sequence[Any]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in found.keys()]  # noqa: SIM118
