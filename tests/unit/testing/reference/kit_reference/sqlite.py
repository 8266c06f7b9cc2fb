"""A third database on `TableSink`: SQLite, which has no schemas, no comments, no `now()` and no arrays."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import pyarrow as pa
from pydantic import Field

from ddpm_core import BuildContext, Dialect, FatalError, Reject, RetryableError, TableOptions, TableSink, TargetTable

ARROW = {"INTEGER": pa.int64(), "REAL": pa.float64(), "TEXT": pa.string(), "BLOB": pa.binary()}
OURS = "_ddpm_tables"


class SqliteOptions(TableOptions):
    path: str = Field(description="The file")


def build(options: SqliteOptions, context: BuildContext) -> SqliteSink:
    return SqliteSink(options, context, schema="main", table=options.table)


class SqliteSink(TableSink):
    options: SqliteOptions
    dialect = Dialect(
        name="SQLite",
        placeholder="?",
        text="TEXT",
        key_text="TEXT",
        integer="INTEGER",
        bytes="BLOB",
        json="TEXT",
        timestamp="TEXT",
        now="CURRENT_TIMESTAMP",
        arrays=False,
    )
    _database: sqlite3.Connection | None = None

    def connect(self) -> None:
        self.disconnect()
        self._database = sqlite3.connect(self.options.path, isolation_level=None, timeout=0, check_same_thread=False)
        self.fetch(f"CREATE TABLE IF NOT EXISTS {OURS} (name TEXT PRIMARY KEY)")

    def disconnect(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def begin(self) -> None:
        self.fetch("BEGIN")

    def end(self) -> None:
        self.fetch("COMMIT")

    def undo(self) -> None:
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.rollback()

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        if self._database is None:
            raise RetryableError(f"{self.options.path} is not open")
        plain = [value.isoformat() if isinstance(value, datetime) else value for value in parameters]
        try:
            return self._database.execute(sql, plain).fetchall()
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise (RetryableError if "locked" in str(error) else FatalError)(f"{self.options.path}: {error}") from error

    def quote(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def describe(self) -> TargetTable | None:
        found = self.fetch('SELECT name, type, "notnull", pk FROM pragma_table_info(?)', [self.table_name])
        if not found:
            return None
        columns = pa.schema([pa.field(name, ARROW[kind], nullable=not required) for name, kind, required, _ in found])
        key = frozenset(name for name, _, _, place in found if place)
        owned = bool(self.fetch(f"SELECT 1 FROM {OURS} WHERE name = ?", [self.table_name]))
        return TargetTable(columns, owned, (key,) if key else ())

    def mark_owned(self) -> None:
        self.fetch(f"INSERT INTO {OURS} VALUES (?)", [self.table_name])

    def column_type(self, field: pa.Field) -> str:
        if pa.types.is_integer(field.type) or pa.types.is_boolean(field.type):
            return "INTEGER"
        if pa.types.is_floating(field.type):
            return "REAL"
        return "BLOB" if pa.types.is_binary(field.type) else "TEXT"

    def insert(self, data: pa.RecordBatch) -> list[Reject]:
        return self._add(data, "INSERT")

    def upsert(self, data: pa.RecordBatch) -> list[Reject]:
        return self._add(data, "INSERT OR REPLACE")

    def _add(self, data: pa.RecordBatch, verb: str) -> list[Reject]:
        names = ", ".join(map(self.quote, data.schema.names))
        statement = f"{verb} INTO {self.qualified} ({names}) VALUES ({', '.join('?' * data.num_columns)})"
        refused = []
        for number, row in enumerate(data.to_pylist()):
            try:
                self.fetch(statement, list(row.values()))
            except sqlite3.IntegrityError as error:
                refused.append(Reject(number, "constraint", str(error)))
        return refused
