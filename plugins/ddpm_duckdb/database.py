"""A DuckDB file as `ddpm query` and `ddpm dlq` read it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ddpm_core import ConfigError, Database, LetterSpelling, LetterTables
from ddpm_duckdb.connection import connect
from ddpm_duckdb.errors import translated, translated_query
from ddpm_duckdb.options import path_of
from ddpm_duckdb.types import quote

if TYPE_CHECKING:
    import duckdb

BATCH_ROWS = 10_000
_SPELLING = LetterSpelling("?", same="lower({c}) = lower({p})", contains="contains({c}, {p})")


def open_database(address: str) -> DuckDbDatabase:
    """The database at a path or a `duckdb:` URL. Opens nothing.

    Raises:
        ConfigError: The address names no file.
    """
    try:
        return DuckDbDatabase(path_of(address))
    except ValueError as error:
        raise ConfigError(f"{address!r} is no address of a DuckDB file: {error}") from error


class DuckDbDatabase(Database):
    """The connection is made by the first question. Without `write` DuckDB opens the file for reading only."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._writes = False

    def query(self, sql: str, *, write: bool = False) -> pa.RecordBatchReader:
        if any("\ud800" <= character <= "\udfff" for character in sql):
            raise ConfigError("the statement holds half a surrogate pair, which no text can")
        connection = self._connect(write=write)
        import duckdb

        with translated_query(self._path):
            kinds = [statement.expected_result_type for statement in connection.extract_statements(sql)]
            result = connection.sql(sql)
            if result is None or kinds[-1] == [duckdb.ExpectedResultType.NOTHING]:
                if result is not None:
                    result.fetchall()  # A column `Success` without rows.
                return pa.RecordBatchReader.from_batches(pa.schema([]), [])
            reader = result.to_arrow_reader(BATCH_ROWS)
            return pa.RecordBatchReader.from_batches(reader.schema, self._batches(reader))

    def _batches(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        """A statement may fail in the middle of its result; Arrow then throws DuckDB's words."""
        with translated_query(self._path):
            try:
                yield from reader
            except (pa.ArrowException, OSError) as error:
                raise ConfigError(str(error).partition("\n")[0]) from error

    @contextlib.contextmanager
    def letter_tables(self, *, write: bool) -> Iterator[LetterTables]:
        import duckdb

        connection = self._connect(write=write)

        def tables(name: str) -> dict[str, str]:
            schemas = connection.execute(
                "SELECT schema_name FROM duckdb_tables() WHERE database_name = current_database() AND table_name = ?", [name]
            ).fetchall()
            return {schema: f"{quote(schema)}.{quote(name)}" for (schema,) in schemas}

        def ask(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
            # Through Arrow: Python values of TIMESTAMPTZ would need pytz.
            found = connection.sql(sql, params=list(values)).to_arrow_table()
            return list(zip(*(column.to_pylist() for column in found.columns), strict=True))

        def change(sql: str, values: Sequence[Any]) -> int:
            return int(connection.execute(sql, list(values)).fetchall()[0][0])

        with translated(self._path):
            connection.execute("BEGIN")
            try:
                yield LetterTables(tables(self.dead_letter_table), ask, change, quote, _SPELLING, tables(self.position_table))
            except BaseException:
                with contextlib.suppress(duckdb.Error):
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connect(self, *, write: bool) -> duckdb.DuckDBPyConnection:
        if self._connection is None or self._writes != write:
            self.close()
            self._connection, self._writes = connect(self._path, read_only=not write), write
            with translated(self._path):
                # A name that is no table must not become a variable of this program.
                self._connection.execute("SET python_enable_replacements = false")
        return self._connection
