"""The sink `duckdb`: Arrow batches into a table, in the transaction that `TableSink` commits."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ddpm_core import BuildContext, Dialect, Reject, RetryableError, TableSink, TargetTable, split_table
from ddpm_duckdb import catalog
from ddpm_duckdb.checks import INCOMING, Checks
from ddpm_duckdb.connection import connect
from ddpm_duckdb.errors import translated
from ddpm_duckdb.options import IN_MEMORY, DuckDbOptions
from ddpm_duckdb.transaction import ROW_GROUP, Transaction
from ddpm_duckdb.types import quote, sql_type

if TYPE_CHECKING:
    import duckdb

TRIM_BYTES = 4 << 20
"""Arrow bytes written between two times that DuckDB's cache is emptied."""

LARGE_BYTES, SMALL_BYTES = 64 << 20, 24 << 20
"""`transaction_bytes` where so many fill a row group, and otherwise.

COMMIT writes what fills a row group straight into the file, and several of them keep several threads busy. What is less goes through
DuckDB's log, is written a second time by a checkpoint, and is in memory up to four times: a large transaction of long rows takes 200 MB
more and is no faster. Upserts are written by one thread.
"""

_OWN_TYPES = {"VARCHAR": pa.string(), "BIGINT": pa.int64(), "BLOB": pa.binary(), "TIMESTAMPTZ": pa.timestamp("us", "UTC")}
"""The column types of DDPM's own tables."""

STATEMENT_ROWS = 65_536
"""`write_rows` where each batch is a statement: one INSERT of four batches takes 5 to 8 % less time than four."""


def build(options: DuckDbOptions, context: BuildContext) -> DuckDbSink:
    """The sink for these options. Opens nothing."""
    return DuckDbSink(options, context)


class DuckDbSink(TableSink):
    """Rows into a table of a DuckDB file, exactly once. One connection, one transaction for each round.

    A table without a schema in its name lies in `main`.
    """

    options: DuckDbOptions
    transaction_bytes = SMALL_BYTES
    write_rows = STATEMENT_ROWS
    dialect = Dialect(
        name="DuckDB",
        placeholder="?",
        text="VARCHAR",
        key_text="VARCHAR",
        integer="BIGINT",
        bytes="BLOB",
        json="VARCHAR",
        timestamp="TIMESTAMPTZ",
    )

    def __init__(self, options: DuckDbOptions, context: BuildContext) -> None:
        schema, table = split_table(options.table)
        super().__init__(options, context, schema=schema or "main", table=table)
        self.transaction_seconds = options.transaction_seconds
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._table: catalog.Table | None = None
        self._checks: dict[tuple[str, ...], Checks] = {}
        self._since_trim = 0
        self._made = False
        """Whether the transaction at hand has made the table."""
        self._transaction: Transaction | None = None

    # The connection.

    def connect(self) -> None:
        self.disconnect()
        self._connection = connect(self.options.path)
        # A run that is one transaction must not be in memory, and an upsert finds its rows by an index.
        keeps = self.options.mode == "append" and self.options.path != IN_MEMORY
        self._transaction = Transaction(self._connection, keeps=keeps)
        # A checkpoint would write the row groups at the ends of large transactions again, with their neighbours, to make fewer of them.
        self.fetch("SET max_vacuum_tasks = 0")
        if self.options.memory_limit:
            self.fetch(f"SET memory_limit = '{self.options.memory_limit}'")
        self.fetch("SET catalog_error_max_schemas = 0")  # A name that is missing is not compared with all that there are.
        schema, table = catalog.spelling(self._connection, self.fetch, self.schema_name, self.table_name)
        if (schema, table) != (self.schema_name, self.table_name):  # Positions are kept by the name as it is stored.
            super().__init__(self.options, self.context, schema=schema, table=table)

    def make_schema(self) -> None:
        self.fetch(f"CREATE SCHEMA IF NOT EXISTS {self.quote(self.schema_name)}")

    def inspect(self) -> None:
        if self.options.path == IN_MEMORY or not Path(self.options.path).exists():
            return  # Connecting would make it.
        super().inspect()

    def disconnect(self) -> None:
        connection, self._connection, self._transaction = self._connection, None, None
        if connection is not None:
            import duckdb

            with contextlib.suppress(duckdb.Error):
                connection.close()

    def begin(self) -> None:
        with translated(self.options.path):
            self._open_transaction().begin()
        self._made = False

    def end(self) -> None:
        with translated(self.options.path):
            self._open_transaction().commit()
        self._made = False
        self._trim()

    def undo(self) -> None:
        if self._connection is None or self._transaction is None:
            return
        import duckdb

        self._made = False
        self._transaction.forget()
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.TransactionException:
            return  # There is none: a COMMIT that fails has rolled back already.
        except duckdb.Error:
            self.disconnect()

    def cancel(self) -> None:
        connection = self._connection
        if connection is not None:
            import duckdb

            with contextlib.suppress(duckdb.Error):
                connection.interrupt()

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        connection = self._open_connection()
        with translated(self.options.path):
            result = connection.execute(sql, list(parameters)) if parameters else connection.execute(sql)
            return result.fetchall() if result.description else []

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        return int(self.fetch(sql, parameters)[0][0])  # DuckDB's result of it is one row with the count.

    def insert_absent(self, table: str, types: Mapping[str, str], columns: Sequence[Sequence[Any]]) -> None:
        # As a parameter, bytes are in memory twenty times.
        kinds = [_OWN_TYPES[name] for name in types.values()]
        data = pa.RecordBatch.from_arrays([pa.array(*pair) for pair in zip(columns, kinds, strict=True)], names=list(types))
        names = ", ".join(map(quote, types))
        self._over(f"INSERT INTO {table} ({names}) SELECT {names} FROM {INCOMING} ON CONFLICT DO NOTHING", data)

    def _open_transaction(self) -> Transaction:
        if self._transaction is None:
            raise RetryableError(f"{self.options.path} is not open")
        return self._transaction

    def _open_connection(self) -> duckdb.DuckDBPyConnection:
        """The connection, for the next statement: all rows that were added are in the table."""
        transaction = self._open_transaction()
        with translated(self.options.path):
            transaction.flush()
        return transaction.connection

    # Names and types.

    def quote(self, name: str) -> str:
        return quote(name)

    def name_problem(self, name: str) -> str:
        try:
            name.encode()
        except UnicodeEncodeError:
            return "it holds half a surrogate pair"
        return super().name_problem(name)

    def column_type(self, field: pa.Field) -> str:
        return sql_type(field.type)

    def can_widen(self, column: str) -> bool:
        table = self._table
        if table is None or table.depended_on:  # DuckDB changes no table that an index or a foreign key depends on,
            return False
        keyed = [names for unique in table.uniques for names in unique.columns]
        return column not in keyed and not table.references  # and no column that a key or a foreign key is made of.

    def mark_owned(self) -> None:
        super().mark_owned()
        self._made = True

    def describe(self) -> TargetTable | None:
        connection, place = self._open_connection(), (self.schema_name, self.table_name)
        with translated(self.options.path):
            if self._made:
                self._table = catalog.made_table(connection, *place, self.owned_comment, self.options.key)
            elif catalog.is_missing(connection, *place):
                self._table = None
            else:
                self._table = catalog.read_table(connection, self.fetch, *place)
        self._checks.clear()
        if self._table is None:
            return None
        keys = tuple(unique.columns for unique in self._table.uniques if unique.columns)
        return TargetTable(self._table.schema(), self._table.comment == self.owned_comment, keys)

    # Rows.

    def insert(self, data: pa.RecordBatch) -> list[Reject]:
        return self._add(data, "")

    def upsert(self, data: pa.RecordBatch) -> list[Reject]:
        key = ", ".join(map(quote, self.options.key))
        others = [quote(name) for name in data.schema.names if name not in self.options.key]
        change = f"UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in others)}" if others else "NOTHING"
        return self._add(data, f" ON CONFLICT ({key}) DO {change}")

    def _add(self, data: pa.RecordBatch, on_conflict: str) -> list[Reject]:
        names = tuple(data.schema.names)
        checks = self._checks.get(names)
        if checks is None and self._table is not None:
            checks = self._checks[names] = Checks(self._table, self.qualified, names, self.options.key)
        asked = checks is None or checks.needed()
        refused = checks.refused(data, self._over) if checks is not None and asked else []
        if refused:
            import pyarrow.compute as pc

            gone = pa.array([reject.index for reject in refused], pa.int64())
            data = data.filter(pc.invert(pc.is_in(pa.arange(0, data.num_rows), gone)))
        if data.num_rows:
            columns = ", ".join(map(quote, names))
            sql = f"INSERT INTO {self.qualified} ({columns}) SELECT {columns} FROM {INCOMING}{on_conflict}"
            if asked or on_conflict or self.atomic:  # The cache of a run that is one transaction is trimmed between statements.
                self.write_rows = STATEMENT_ROWS
                self._over(sql, data)
                self._open_transaction().count(data)
            else:
                self.write_rows = 0
                with translated(self.options.path):
                    self._open_transaction().put(sql, data)
            self._size_rounds(data)
        self._since_trim += data.nbytes
        if self.atomic:
            self._trim()
        return refused

    def _size_rounds(self, data: pa.RecordBatch) -> None:
        """Rounds are large from here on if rows like these fill a row group in one."""
        fill = data.nbytes * ROW_GROUP <= LARGE_BYTES * data.num_rows
        self.transaction_bytes = LARGE_BYTES if fill and self.options.mode != "upsert" else SMALL_BYTES

    def _over(self, sql: str, _ddpm_incoming: pa.RecordBatch) -> list[tuple[Any, ...]]:
        """Run a statement in which `_ddpm_incoming` is this batch: DuckDB finds it as the variable of the calling frame.

        A registered view would do the same, but dropped views keep their data alive until COMMIT, which fills the memory when a run
        is one transaction.
        """
        connection = self._open_connection()
        with translated(self.options.path):
            return connection.execute(sql).fetchall()

    def _trim(self) -> None:
        """Let go of cached blocks: DuckDB would keep what it has written, up to its memory limit, and nothing here reads it again.

        A lower limit evicts them at once. Over another connection, since a statement that fails ends the transaction of its own.
        """
        if self._since_trim < TRIM_BYTES or self._connection is None:
            return
        import duckdb

        self._since_trim = 0
        limit = f"SET memory_limit = '{self.options.memory_limit}'" if self.options.memory_limit else "RESET memory_limit"
        with contextlib.suppress(duckdb.Error), self._connection.cursor() as other:
            try:
                other.execute("SET memory_limit = '16MB'")
            finally:
                other.execute(limit)
