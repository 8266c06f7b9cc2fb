"""The sink `postgres`: rows by COPY, refused ones found, upserts, all in the transaction that `TableSink` commits."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import psycopg2
import psycopg2.extensions
import pyarrow as pa
import pyarrow.compute as pc

from ddpm_core import (
    Batch,
    BuildContext,
    Dialect,
    Document,
    FatalError,
    PluginError,
    Refusal,
    Reject,
    RetryableError,
    TableSink,
    TargetTable,
    isolate,
    split_table,
)
from ddpm_postgres import catalog, copy, rights, session
from ddpm_postgres.errors import MISFIT, of_statement, refusal
from ddpm_postgres.options import PostgresOptions
from ddpm_postgres.types import Column, ddl

STAGING = "_ddpm_staging"
SAVEPOINT = "ddpm_rows"
UPSERT_BYTES = 16 << 20
UPSERT_ROWS = 40_000
"""Sorted keys lie the closer together in the index, the more there are of them: existing ones take a fifth less time than 10,000 at once."""
_UNDO_TRY = f"ROLLBACK TO SAVEPOINT {SAVEPOINT}; RELEASE SAVEPOINT {SAVEPOINT}"
_CREATES = re.compile(r'CREATE TABLE IF NOT EXISTS ("(?:[^"]|"")*"\."(?:[^"]|"")*") ')


def build(options: PostgresOptions, context: BuildContext) -> PostgresSink:
    """The sink for these options. Connects to nothing."""
    return PostgresSink(options, context)


class PostgresSink(TableSink):
    """Rows into a Postgres table, exactly once. One connection, one transaction for each round.

    A table without a schema in its name lies in the first schema of the session's search path, as in psql.
    """

    options: PostgresOptions
    refuse_nul = True
    dialect = Dialect(
        name="Postgres",
        placeholder="%s",
        text="text",
        key_text='text COLLATE "C"',
        integer="bigint",
        bytes="bytea",
        json="json",  # Not jsonb, which refuses the escaped NUL of the very rows that are set aside for a NUL.
        timestamp="timestamp with time zone",
        max_name_bytes=63,
    )

    def __init__(self, options: PostgresOptions, context: BuildContext) -> None:
        schema, table = split_table(options.table)
        super().__init__(options, context, schema=schema or "public", table=table)
        self._schema_given = schema is not None
        self._given = session.parameters(options.url.get_secret_value(), connect_timeout=options.connect_timeout)
        self._where = session.server_name(self._given)
        self._connection: psycopg2.extensions.connection | None = None
        self._columns: dict[str, Column] = {}
        self._staged: tuple[str, ...] | None = None
        self._keys_exist = False
        self._rollback_due = False
        self._stays_open = False
        if options.mode == "upsert":
            self.transaction_bytes, self.write_rows = UPSERT_BYTES, UPSERT_ROWS

    # The connection.

    def connect(self) -> None:
        self.disconnect()
        settings = {
            "lock_timeout": f"{round(self.options.lock_timeout * 1000)}ms",
            "idle_in_transaction_session_timeout": f"{session.IDLE_IN_TRANSACTION_SECONDS}s",
        }
        if self.options.statement_timeout is not None:
            settings["statement_timeout"] = f"{round(self.options.statement_timeout * 1000)}ms"
        self._connection = session.connect(self._given, settings)
        if not self._schema_given:
            found = self.fetch("SELECT current_schema()")[0][0] or "public"
            if found != self.schema_name:  # Only now is it known where the table lies: begin again from there.
                super().__init__(self.options, self.context, schema=found, table=self.table_name)

    def make_schema(self) -> None:
        if not self.fetch("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", [self.schema_name]):
            self.fetch(f"CREATE SCHEMA {self.quote(self.schema_name)}")

    def disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._forget_transaction()
        if connection is not None:
            with contextlib.suppress(psycopg2.Error):
                connection.close()

    def begin(self) -> None:
        self._forget_transaction()
        # Deferred constraints are checked row by row too, else their first word would come at COMMIT.
        self.fetch("BEGIN ISOLATION LEVEL READ COMMITTED; SET CONSTRAINTS ALL IMMEDIATE")
        if self.atomic:
            self._stay_open()
        if self._target is None:  # Another process may have made it since.
            self._target_known = False

    def _stay_open(self) -> None:
        """This round takes as long as the run does: the server must not end it for being idle."""
        self.fetch("SET LOCAL idle_in_transaction_session_timeout = 0")
        self._stays_open = True

    def end(self) -> None:
        self._forget_transaction()
        with self._cursor() as cursor:
            cursor.execute("COMMIT")
            # COMMIT of a failed transaction rolls back, and is no error.
            if cursor.statusmessage != "COMMIT":
                raise RetryableError(f"{self._where} rolled the transaction back instead of committing it")

    def undo(self) -> None:
        self._forget_transaction()
        connection = self._connection
        if connection is None or connection.closed:
            return
        try:
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
        except psycopg2.Error:
            self.disconnect()

    def cancel(self) -> None:
        connection = self._connection
        if connection is not None:
            session.break_off(connection, self._given)

    def _forget_transaction(self) -> None:
        self._staged = None
        self._rollback_due = False
        self._stays_open = False

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[psycopg2.extensions.cursor]:
        """A cursor; psycopg2's errors come out as DDPM's."""
        if self._connection is None:
            raise RetryableError(f"there is no connection to {self._where}")
        try:
            with self._connection.cursor() as cursor:
                yield cursor
        except psycopg2.Error as error:
            raise of_statement(error, self._where) from error
        except (UnicodeError, ValueError) as error:
            raise FatalError(f"{self._where} cannot take a text: {error}") from error

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._cursor() as cursor:
            creates = _CREATES.match(sql)
            if creates is not None:
                # IF NOT EXISTS alone asks for the right to create even where there is nothing to create.
                cursor.execute("SELECT to_regclass(%s)", [creates[1].replace("%%", "%")])
                if cursor.fetchone() != (None,):
                    return []
            # Always with parameters: only then is the `%%` of a quoted name read as `%`.
            cursor.execute(sql, tuple(parameters))
            return list(cursor.fetchall()) if cursor.description else []

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        with self._cursor() as cursor:
            cursor.execute(sql, tuple(parameters))
            return cursor.rowcount

    def quote(self, name: str) -> str:
        return session.quote_name(name).replace("%", "%%")

    # The table.

    def describe(self) -> TargetTable | None:
        found = catalog.find_table(self.fetch, self.schema_name, self.table_name)
        if found is None:
            self._columns = {}
            return None
        oid, comment = found
        columns = catalog.columns(self.fetch, oid)
        self._columns = {column.field.name: column for column in columns}
        schema = pa.schema([column.field for column in columns])
        return TargetTable(schema, comment == self.owned_comment, catalog.unique_keys(self.fetch, oid))

    def problems(self) -> list[str]:
        needed = {
            self.table_name: rights.FOR_MODE[self.options.mode],
            # Replacing rows makes their positions void.
            self.position_table: (*rights.FOR_OWN, *(["DELETE"] if self.atomic else [])),
            self.dead_letter_table: rights.FOR_OWN,
        }
        # Without dead letters their table is never made.
        lacking = rights.missing_rights(self.fetch, self.schema_name, needed, optional=[self.dead_letter_table])
        return [*lacking, *super().problems()]

    def expected_schema(self) -> pa.Schema | None:
        """Without the columns that are text to Arrow and something else to Postgres: a number may belong there."""
        declared = {field.name: field for field in self.context.columns or ()}
        fields = [declared.get(f.name) if _is_foreign(f) else f for f in super().expected_schema() or ()]
        known = [field for field in fields if field is not None]
        return pa.schema(known) if known else None

    def lock_out_writers(self) -> None:
        self.fetch(f"LOCK TABLE {self.qualified} IN SHARE ROW EXCLUSIVE MODE")

    def column_type(self, field: pa.Field) -> str:
        return ddl(field)

    # Rows.

    def write(self, batch: Batch) -> list[Reject]:
        if isinstance(batch.src, Document) and batch.src.atomic and not self._stays_open:
            self._enter_round()
            self._stay_open()
        return super().write(batch)

    def insert(self, data: pa.RecordBatch) -> list[Reject]:
        return self._isolated(data, self._insert)

    def upsert(self, data: pa.RecordBatch) -> list[Reject]:
        return self._isolated(data, self._upsert)

    def _isolated(self, data: pa.RecordBatch, attempt: Callable[[pa.RecordBatch], Refusal | None]) -> list[Reject]:
        rejects = isolate(data, attempt)
        if self._rollback_due:
            self._undo_try()
        return rejects

    def _undo_try(self) -> None:
        self._rollback_due = False
        self.fetch(_UNDO_TRY)

    def _insert(self, data: pa.RecordBatch) -> Refusal | None:
        return self._copy(data, self._target_sql, self.table_name)

    def _upsert(self, data: pa.RecordBatch) -> Refusal | None:
        """Straight in while all keys are new, which is twice as fast; from the first one that exists on through staging."""
        if not self._keys_exist:
            refused = self._copy(data, self._target_sql, self.table_name)
            if refused is None or refused.code != "23505":
                return refused
            self._keys_exist = True
        names = tuple(data.schema.names)
        if self._staged != names:
            self._make_staging(names)
        return self._copy(data, f"pg_temp.{STAGING}", STAGING, after=self._merge(names))

    def _make_staging(self, names: tuple[str, ...]) -> None:
        columns = ", ".join(map(session.quote_name, names))
        if self._rollback_due:
            self._undo_try()
        with self._cursor() as cursor:
            cursor.execute(
                f"DROP TABLE IF EXISTS pg_temp.{STAGING}; CREATE TEMPORARY TABLE {STAGING} ON COMMIT DROP AS "
                f"SELECT {columns} FROM {self._target_sql} WITH NO DATA"
            )
        self._staged = names

    def _merge(self, names: tuple[str, ...]) -> str:
        """From staging into the table. COPY kept the order of the keys, so two writers cannot deadlock."""
        key = ", ".join(map(session.quote_name, self.options.key))
        others = [session.quote_name(name) for name in names if name not in self.options.key]
        action = f"UPDATE SET {', '.join(f'{name} = EXCLUDED.{name}' for name in others)}" if others else "NOTHING"
        columns = ", ".join(map(session.quote_name, names))
        return (
            f"INSERT INTO {self._target_sql} ({columns}) SELECT {columns} FROM pg_temp.{STAGING} ON CONFLICT ({key}) DO {action}; "
            f"TRUNCATE pg_temp.{STAGING}; "
        )

    @property
    def _target_sql(self) -> str:
        """The target for `copy_expert` and statements without parameters, where `%` is not special."""
        return f"{session.quote_name(self.schema_name)}.{session.quote_name(self.table_name)}"

    def _copy(self, data: pa.RecordBatch, into: str, table: str, *, after: str = "") -> Refusal | None:
        """Put all of these rows in, or none; in one round trip, savepoint included."""
        ways = {name: column.way for name, column in self._columns.items()}
        encoding = copy.encoding_for(data, ways)
        try:
            return self._copy_as(encoding, data, into, table, after)
        except copy.NotEncodableError as error:
            if encoding == "csv":
                raise PluginError(f"rows for {self.target_name} cannot be encoded: {error}", plugin="postgres") from None
            return self._copy_as("csv", data, into, table, after)

    def _copy_as(self, encoding: copy.Encoding, data: pa.RecordBatch, into: str, table: str, after: str) -> Refusal | None:
        rows = copy.stream(data, {name: column.way for name, column in self._columns.items()}, encoding)
        # The savepoint of a failed try still stands: going back to it makes it the one of this try.
        point = f"ROLLBACK TO SAVEPOINT {SAVEPOINT}" if self._rollback_due else f"SAVEPOINT {SAVEPOINT}"
        columns = ", ".join(map(session.quote_name, data.schema.names))
        sql = f"{point}; COPY {into} ({columns}) FROM STDIN ({copy.OPTIONS[encoding]}); {after}RELEASE SAVEPOINT {SAVEPOINT}"
        if self._connection is None:
            raise RetryableError(f"there is no connection to {self._where}")
        try:
            with session.without_lost_notices(), self._connection.cursor() as cursor:
                cursor.copy_expert(sql, rows, copy.PIECE_BYTES)
        except psycopg2.Error as error:
            self._rollback_due = not self._connection.closed
            if rows.error is not None:
                raise rows.error from None
            refused = refusal(error, table)
            if refused is not None:
                return self._trusted(refused, encoding, data)
            if error.pgcode in MISFIT:
                self._raise_misfit(error)
            raise of_statement(error, self._where) from error
        self._rollback_due = False
        return None

    def _trusted(self, refused: Refusal, encoding: copy.Encoding, data: pa.RecordBatch) -> Refusal:
        """COPY CSV counts lines, and a value may hold line breaks: then the number says nothing."""
        if encoding == "csv" and refused.row is not None and any(map(_breaks_lines, data.columns)):
            return Refusal(refused.code, refused.reason, refused.message, None)
        return refused

    def _raise_misfit(self, error: psycopg2.Error) -> NoReturn:
        """The server could not read the binary form: its columns changed meanwhile, or DDPM is wrong about them."""
        self._undo_try()
        before = self._columns
        self._look_at_target()
        if self._columns != before:
            raise RetryableError(f"the columns of {self.target_name} changed while rows were being written") from error
        raise PluginError(
            f"{self._where} does not understand rows for {self.target_name}: {str(error).splitlines()[0]}",
            plugin="postgres",
            hint="This is a defect of DDPM; please report it together with the table's definition.",
        ) from error


def _is_foreign(field: pa.Field) -> bool:
    return bool(pa.types.is_string(field.type) and field.metadata and b"sql_type" in field.metadata)


def _breaks_lines(column: pa.Array) -> bool:
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if pa.types.is_nested(column.type):
        return True
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type)
    return bool(text and pc.any(pc.match_substring_regex(column.cast(pa.string()), r"[\r\n]")).as_py())
