"""The sink `sql`: rows into a table of any database that SQLAlchemy reaches, in the transaction that `TableSink` commits."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from ddpm_core import (
    Batch,
    BuildContext,
    ConfigError,
    Document,
    FatalError,
    Positions,
    Refusal,
    Reject,
    RetryableError,
    TableSink,
    TargetTable,
    isolate,
    split_table,
)
from ddpm_sql.catalog import Table
from ddpm_sql.connect import address, open_engine
from ddpm_sql.errors import failure, refusal, translated
from ddpm_sql.flavors import flavor_of
from ddpm_sql.options import SqlOptions
from ddpm_sql.statement import spelled

GENERATION = 128
"""Bytes of a partition's name that are left for what tells its generations apart."""


def build(options: SqlOptions, context: BuildContext) -> SqlSink:
    """The sink for these options. Opens nothing."""
    return SqlSink(options, context)


class SqlSink(TableSink):
    """Rows into a table, exactly once. One connection, one transaction for each round.

    A table without a schema in its name lies in the connection's default schema: `main`, or the database that the address names.
    """

    options: SqlOptions

    def __init__(self, options: SqlOptions, context: BuildContext) -> None:
        self._to = address(options.url.get_secret_value())
        self._engine = open_engine(
            self._to, connect_timeout=options.connect_timeout, lock_timeout=options.lock_timeout, hide_parameters=True
        )
        self._flavor = flavor_of(self._to, self._engine.dialect)
        self.dialect = self._flavor.dialect
        self.refuse_nul = self._flavor.refuse_nul
        self._given_schema, table = split_table(options.table)
        super().__init__(options, context, schema=self._given_schema or self._flavor.schema_before(self._to.url), table=table)
        self._connection: Connection | None = None
        self._driver: Any = None
        self._table: Table | None = None
        self._own_tables: set[str] = set()
        self._dirty = False
        self._stays_open = False

    # The connection.

    def connect(self) -> None:
        self.disconnect()
        with translated(self._to.where):
            self._connection = connection = self._engine.connect()
            self._driver = connection.connection.dbapi_connection
            self._flavor.connected(connection, atomic=self.atomic)
            schema, table = self._flavor.schema_of(connection, self._given_schema, self.table_name)
            connection.rollback()
        if (schema, table) != (self.schema_name, self.table_name):  # Positions are kept by the name as it is stored.
            super().__init__(self.options, self.context, schema=schema, table=table)

    def make_schema(self) -> None:
        if self._given_schema is None or self._to.family == "sqlite":
            return
        with translated(self._to.where):
            known = self.schema_name in sqlalchemy.inspect(self._open_connection()).get_schema_names()
            self._open_connection().rollback()
        if not known:
            self._execute(f"CREATE SCHEMA {self.quote(self.schema_name)}")
            self.end()

    def inspect(self) -> None:
        if self._to.family == "sqlite" and not Path(self._to.path).exists():
            return  # Connecting would make it.
        super().inspect()

    def disconnect(self) -> None:
        connection, self._connection, self._driver = self._connection, None, None
        self._own_tables.clear()
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def begin(self) -> None:
        self._dirty = self._stays_open = False
        with translated(self._to.where):
            connection = self._open_connection()
            if connection.in_transaction():  # SQLAlchemy begins one for whatever is asked outside.
                connection.rollback()
            connection.begin()
            self._flavor.begun(connection, stays_open=self.atomic)

    def end(self) -> None:
        with translated(self._to.where):
            self._open_connection().commit()

    def undo(self) -> None:
        self._own_tables.clear()
        connection = self._connection
        if connection is None:
            return
        try:
            connection.rollback()
        except Exception:  # noqa: BLE001 - whatever it was, this connection is of no use any more
            self.disconnect()
            return
        if connection.invalidated:
            self.disconnect()

    def cancel(self) -> None:
        """SQLite is interrupted. To MariaDB the connection is cut, and the server rolls back. Others end their statement."""
        driver = self._driver
        if isinstance(driver, sqlite3.Connection):
            with contextlib.suppress(sqlite3.Error):
                driver.interrupt()
            return
        end = getattr(driver, "_sock", None)
        if isinstance(end, socket.socket):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _open_connection(self) -> Connection:
        if self._connection is None:
            raise RetryableError(f"there is no connection to {self._to.where}")
        return self._connection

    # Statements.

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with translated(self._to.where):
            result = self._execute(sql, parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        self._dirty = True
        return int(self._execute(sql, parameters).rowcount)

    def change_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._dirty = True
        with translated(self._to.where):
            self._flavor.many(self._open_connection(), sql, [tuple(map(self._flavor.parameter, row)) for row in rows])

    def _execute(self, sql: str, parameters: Sequence[Any] = ()) -> sqlalchemy.CursorResult[Any]:
        connection = self._open_connection()
        text, values = spelled(sql, [self._flavor.parameter(value) for value in parameters], connection.dialect)
        with translated(self._to.where):
            return connection.exec_driver_sql(text, values)

    def quote(self, name: str) -> str:
        return self._flavor.quote(name)

    def name_problem(self, name: str) -> str:
        return super().name_problem(name) or self._flavor.name_problem(name)

    # The table.

    def make_own_table(self, name: str, columns: str) -> None:
        if name in self._own_tables:
            return
        with translated(self._to.where):  # IF NOT EXISTS alone asks for the right to create, and commits in MariaDB.
            known = sqlalchemy.inspect(self._open_connection()).has_table(name, schema=self.schema_name)
        if not known:
            self.run_ddl([self._flavor.own_table_ddl(f"{self.quote(self.schema_name)}.{self.quote(name)}", columns)])
        self._own_tables.add(name)

    def run_ddl(self, statements: Sequence[str]) -> None:
        """Within the round where the database can. Else outside: before anything of the round is written, or instead of it.

        Raises:
            RetryableError: The round was given up for it; the tables have changed, and it is written again.
            FatalError: It cannot be given up, since the whole run is one.
        """
        if self.dialect.transactional_ddl:
            for statement in statements:
                self._execute(statement)
            return
        again = self._dirty
        if again and (self.atomic or self._stays_open):
            raise FatalError(
                f"{self.target_name} would have to change in the middle of a run that is one transaction, and {self._flavor.title} "
                "commits when a table changes; nothing was kept",
                hint="Declare all columns with --columns, or change the table before: ddpm schema plan shows how.",
            )
        self.undo()
        for statement in statements:
            self._execute(statement)
            self.end()
        if again:
            raise RetryableError(f"{self.target_name} was changed, and the rows of this round are written again", after=0.0)
        self.begin()

    def describe(self) -> TargetTable | None:
        with translated(self._to.where):
            self._table = self._flavor.read_table(
                self._open_connection(), self.schema_name, self.table_name, comment=self.owned_comment
            )
        return TargetTable(self._table.columns, self._table.owned, self._table.keys) if self._table else None

    def expected_schema(self) -> pa.Schema | None:
        """Without the columns that are text to Arrow and something else to the database: a number may belong there."""
        declared = {field.name: field for field in self.context.columns or ()}
        fields = [declared.get(f.name) if b"sql_type" in (f.metadata or {}) else f for f in super().expected_schema() or ()]
        known = [field for field in fields if field is not None]
        return pa.schema(known) if known else None

    def ddl(self, change: Any) -> list[str]:
        fields = getattr(change, "fields", None)
        if fields is not None:
            key = self.options.key
            columns = [self._column_ddl(field) + (" NOT NULL" if field.name in key else "") for field in fields]
            columns += [f"PRIMARY KEY ({', '.join(map(self.quote, key))})"] if key else []
            return self._flavor.make_table(self.qualified, ", ".join(columns), self.owned_comment)
        if hasattr(change, "field"):
            return [self._flavor.add_column(self.qualified, self._column_ddl(change.field))]
        return [self.widen_ddl(change)]

    def mark_owned(self) -> None:
        """Nothing: the statements that make the table mark it."""

    def widen_ddl(self, change: Any) -> str:
        field = self._field_of(change)
        required = self._table is not None and field.name in self._table.required
        return self._flavor.widen(self.qualified, self.quote(field.name), self.column_type(field), nullable=not required) or ""

    def can_widen(self, column: str) -> bool:
        known = self._table is not None and column in self._table.plain
        return known and self._flavor.widen("", "", "", nullable=True) is not None

    def column_type(self, field: pa.Field) -> str:
        return self._flavor.column_type(field, in_key=field.name in self.options.key)

    def lock_out_writers(self) -> None:
        statement = self._flavor.lock_out_writers(self.qualified)
        if statement:
            self._execute(statement)

    # Rows.

    def claim(self, partitions: Sequence[str]) -> Positions:
        pipeline, target, partition, _ = self.dialect.key_sizes
        names = [("pipeline", self.context.pipeline, pipeline), ("table", self.target_name, target)]
        for what, name, size in [*names, *(("partition", name, partition - GENERATION) for name in partitions)]:
            problem = self._flavor.key_problem(name, size)
            if problem:
                raise ConfigError(
                    f"{what} {name!r} {problem}", hint="Positions are kept by this name; use a shorter or plainer one."
                )
        return super().claim(partitions)

    def write(self, batch: Batch) -> list[Reject]:
        if isinstance(batch.src, Document) and batch.src.atomic and not self._stays_open:
            self._enter_round()
            with translated(self._to.where):
                self._flavor.begun(self._open_connection(), stays_open=True)
            self._stays_open = True
        return super().write(batch)

    def insert(self, data: pa.RecordBatch) -> list[Reject]:
        return self._put(data, lambda rows: self._flavor.insert(self._open_connection(), self.qualified, rows))

    def upsert(self, data: pa.RecordBatch) -> list[Reject]:
        key = self.options.key
        others = self._table is not None and any(names != frozenset(key) for names in self._table.keys)
        return self._put(
            data, lambda rows: self._flavor.upsert(self._open_connection(), self.qualified, rows, key, other_keys=others)
        )

    def _put(self, data: pa.RecordBatch, send: Callable[[pa.RecordBatch], None]) -> list[Reject]:
        self._dirty = True
        rejects = self._flavor.unfit(data)
        kept: pa.Array | None = None
        if rejects:
            gone = pa.array([reject.index for reject in rejects], pa.int64())
            numbers = pa.arange(0, data.num_rows)
            kept = numbers.filter(pc.invert(pc.is_in(numbers, gone)))
            data = data.take(kept)
        refused = isolate(data, lambda rows: self._attempt(rows, send)) if data.num_rows else []
        for reject in refused:
            index = reject.index if kept is None else kept[reject.index].as_py()
            rejects.append(Reject(index, reject.reason, reject.message))
        return rejects

    def _attempt(self, rows: pa.RecordBatch, send: Callable[[pa.RecordBatch], None]) -> Refusal | None:
        """Put all of these rows in, or none."""
        with translated(self._to.where):
            savepoint = self._open_connection().begin_nested()
            try:
                send(rows)
            except (SQLAlchemyError, OverflowError, UnicodeError) as error:
                refused = refusal(error)
                if refused is None:
                    raise failure(error, self._to.where) from error
                savepoint.rollback()
                return refused
            savepoint.commit()
        return None
