"""One connection that reads in one transaction, which changes nothing and in which nothing moves."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy
from sqlalchemy.engine import Connection, CursorResult, Engine

from ddpm_core import ConfigError
from ddpm_sql.connect import Address, address, open_engine
from ddpm_sql.source_failures import reading
from ddpm_sql.source_options import SqlSourceOptions

_SNAPSHOT = {"postgresql": "REPEATABLE READ", "mysql": "REPEATABLE READ", "mssql": "SNAPSHOT"}
# psycopg2 makes Python objects that cannot hold all that Postgres can (infinity becomes the year 9999, an interval loses its months):
# these types come as the server's own text. By OID: numeric; the times and interval; json, jsonb, uuid; then arrays and ranges of such.
_AS_TEXT = (
    1700, 1082, 1083, 1114, 1184, 1186, 1266, 114, 3802, 2950,
    1231, 1182, 1183, 1115, 1185, 1187, 1270, 199, 3807, 2951, 1001, 1028,
    3904, 3906, 3908, 3910, 3912, 3926,
)  # fmt: skip


class Session:
    """Opened, asked, closed; may be opened again after `close`.

    Nothing is ever committed. The server refuses changes where it can: SQLite, Postgres, MySQL, MariaDB, Oracle.
    """

    def __init__(self, options: SqlSourceOptions) -> None:
        self._options = options
        self.place: Address = address(options.url.get_secret_value())
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        self._result: CursorResult[Any] | None = None
        if self.place.family == "postgresql" and self.place.url.get_driver_name() != "psycopg2":
            raise ConfigError("Postgres is read through psycopg2", hint="Leave the driver out of the address: postgresql://…")
        if options.statement_timeout is not None and self.place.family not in ("postgresql", "mysql"):
            raise ConfigError("source.statement_timeout is for Postgres, MySQL and MariaDB; this database is another")

    def open(self) -> None:
        """Connect and begin the transaction.

        Raises:
            ConfigError, FatalError: The address is wrong.
            RetryableError: It does not answer.
        """
        options = self._options
        more: dict[str, Any] = {"connect_args": {"client_encoding": "utf8"}} if self.place.family == "postgresql" else {}
        self._engine = open_engine(
            self.place, connect_timeout=options.connect_timeout, lock_timeout=options.connect_timeout, read_only=True, **more
        )
        with reading(self.place):
            self._connection = self._engine.connect()
            self._begin(self._connection)

    def _begin(self, connection: Connection) -> None:
        family, seconds = self.place.family, self._options.statement_timeout
        level = self._options.isolation.upper() or _SNAPSHOT.get(family, "")
        if family == "sqlite":
            # Bytes that are no UTF-8 would end the query; so they are half a surrogate pair, and cost their row.
            self._driver().text_factory = lambda text: str(text, "utf-8", "surrogateescape")
        elif family == "postgresql":
            import psycopg2.extensions as driver

            driver.register_type(driver.new_type(_AS_TEXT, "DDPM_TEXT", lambda value, _: value), self._driver())
            connection.execution_options(isolation_level=level, postgresql_readonly=True)
            self._run("SET LOCAL timezone = 'UTC'", "SET LOCAL datestyle = 'ISO, YMD'", "SET LOCAL intervalstyle = 'iso_8601'")
            self._run("SET LOCAL extra_float_digits = 1", "SET LOCAL bytea_output = 'hex'")
            if seconds is not None:
                self._run(f"SET LOCAL statement_timeout = {round(seconds * 1000)}")
        elif family == "mysql":
            if seconds is not None:
                maria = bool(getattr(connection.dialect, "is_mariadb", False))
                self._run(
                    f"SET SESSION max_statement_time = {seconds}"
                    if maria
                    else f"SET SESSION max_execution_time = {round(seconds * 1000)}"
                )
            self._run(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}, READ ONLY")
            self._run(
                "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
                if level == "REPEATABLE READ"
                else "START TRANSACTION READ ONLY"
            )
        elif level:
            connection.execution_options(isolation_level=level)
        elif family == "oracle":
            self._run("SET TRANSACTION READ ONLY")

    def _run(self, *statements: str) -> None:
        assert self._connection is not None  # noqa: S101 - open was called
        for statement in statements:
            self._connection.exec_driver_sql(statement).close()

    def _driver(self) -> Any:
        assert self._connection is not None  # noqa: S101 - open was called
        return self._connection.connection.dbapi_connection

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def ask(self, statement: sqlalchemy.Executable) -> tuple[list[Any], Sequence[Any]]:
        """All rows of a small result, and what the driver says of its columns.

        Raises:
            ConfigError: The statement is at fault.
            RetryableError: The connection is lost.
        """
        assert self._connection is not None  # noqa: S101 - open was called
        with reading(self.place, asking=True):
            result = self._connection.execute(statement)
            description: Sequence[Any] = tuple(result.cursor.description or ()) if result.cursor is not None else ()
            rows: list[Any] = list(result.fetchall()) if result.returns_rows else []
            return rows, description

    def stream(self, statement: sqlalchemy.Executable, *, asking: bool = False) -> Sequence[Any]:
        """Begin a result of any size, which stays at the server. Returns what the driver says of its columns.

        Raises:
            ConfigError: With `asking`, the statement is at fault; it is no SELECT.
            RetryableError: The connection is lost.
        """
        assert self._connection is not None  # noqa: S101 - open was called
        with reading(self.place, asking=asking):
            self._result = self._connection.execute(statement, execution_options={"stream_results": True})
            if not self._result.returns_rows or self._result.cursor is None:
                raise ConfigError(f"{self.place.where}: source.query gives no rows; it must be a SELECT")
            return tuple(self._result.cursor.description)

    def fetch(self, rows: int) -> Sequence[Any]:
        """The next rows of what `stream` began; none at its end."""
        assert self._result is not None  # noqa: S101 - stream was called
        with reading(self.place):
            return self._result.fetchmany(rows)

    @contextlib.contextmanager
    def inspecting(self) -> Iterator[sqlalchemy.Inspector]:
        """For what the catalogue says. Types that SQLAlchemy does not know are no reason for a warning: they are learned."""
        assert self._connection is not None  # noqa: S101 - open was called
        with reading(self.place, asking=True), warnings.catch_warnings(action="ignore", category=sqlalchemy.exc.SAWarning):
            yield sqlalchemy.inspect(self._connection)

    def close(self) -> None:
        """Give the connection back, whatever its state; the rest of a result is not waited for. Safe to call again."""
        connection, self._connection, self._result = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(Exception):  # Closing what is broken already says nothing new.
                # Not a rollback first: a driver that streams would read its whole result to the end for it.
                connection.invalidate()
            with contextlib.suppress(Exception):
                connection.close()
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
