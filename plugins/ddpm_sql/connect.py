"""Addresses and connections: what every session of DDPM is set to, whichever database it is with."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote as percent_encoded

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from ddpm_core import ConfigError, FatalError
from ddpm_sql.errors import translated

PREFIX = "sql+"
"""`sql+DIALECT://` is any SQLAlchemy URL: for databases whose own scheme means another plugin, or none."""

SUFFIXES = (".sqlite", ".sqlite3")
"""A path that ends so is a SQLite file."""

IDLE_IN_TRANSACTION_SECONDS = 45
"""MariaDB ends a round left alone for so long, so that a frozen process holds no lock that its successor needs."""

_DRIVERS = {"mysql": "pymysql", "mariadb": "pymysql", "mssql": "pymssql", "oracle": "oracledb", "postgresql": "psycopg2"}
_EXTRAS = {"pymysql": "mysql", "pymssql": "mssql"}
_TITLES = {
    "sqlite": "SQLite",
    "mysql": "MySQL",
    "mariadb": "MariaDB",
    "mssql": "SQL Server",
    "oracle": "Oracle",
    "postgresql": "Postgres",
}
_MAGIC = b"SQLite format 3\x00"
_SQL_MODE = "STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"


@dataclass(frozen=True, slots=True)
class Address:
    """A database.

    Attributes:
        url: For SQLAlchemy, with a driver.
        family: `sqlite`, `mysql` (MariaDB too), `mssql`, or the name of another dialect.
        title: What the database is called.
        where: The database as messages name it: never with a password.
    """

    url: URL
    family: str
    title: str
    where: str

    @property
    def path(self) -> str:
        """The file, for SQLite: empty or `:memory:` for a database that is gone at the end."""
        return self.url.database or ""


def address(text: str) -> Address:
    """The database that a user's URL, or the path of a SQLite file, means. `sql+` is left out; a missing driver is filled in.

    Raises:
        ConfigError: It is no such URL. Its text is not repeated, since it may hold a password.
    """
    if "://" not in text and text.endswith(SUFFIXES):
        text = f"sqlite:///{text}"
    try:
        url = make_url(text.removeprefix(PREFIX))
    except (ArgumentError, ValueError, TypeError):
        raise _not_valid() from None
    if (url.host and "@" in url.host) or "@" in (url.database or ""):
        raise _not_valid()  # A part of the password, as in `user:pa/ss@host`; messages would print it.
    if any(unit in text for unit in ("\x00", "\n")) or any("\ud800" <= c <= "\udfff" for c in text):
        raise _not_valid()
    backend, plus, _ = url.drivername.partition("+")
    if not plus and backend in _DRIVERS:
        url = url.set(drivername=f"{backend}+{_DRIVERS[backend]}")
    family = "mysql" if backend == "mariadb" else backend
    title = _TITLES.get(backend, backend)
    if family == "sqlite":
        where = "SQLite in memory" if url.database in (None, "", ":memory:") else f"SQLite file {url.database}"
        return Address(url, family, title, where)
    at = f" at {url.host}" + (f":{url.port}" if url.port else "") if url.host else ""
    return Address(url, family, title, f"{title}{at}" + (f"/{url.database}" if url.database else ""))


def _not_valid() -> ConfigError:
    return ConfigError(
        "the address is not a valid SQLAlchemy URL",
        hint="Write dialect://user:password@host:port/database, or sqlite:///path; special characters in the password as %XX.",
    )


def open_engine(
    to: Address, *, connect_timeout: int = 10, lock_timeout: float = 10.0, read_only: bool = False, **more: Any
) -> Engine:
    """An engine whose connections are set up for DDPM, and closed when they are given back. Connects to nothing.

    Sessions are in UTC, strict, and wait for locks no longer than `lock_timeout`; a transaction begins with the first statement and
    sees what others commit meanwhile (READ COMMITTED). On SQLite it holds the write lock from its beginning.

    Args:
        to: Where.
        connect_timeout: Seconds to wait for a connection.
        lock_timeout: Seconds to wait for a lock of another session.
        read_only: The database refuses every change, as well as it can: SQLite and MariaDB fully. An SQLite file must exist.
        more: For `create_engine`.

    Raises:
        ConfigError: The dialect or its driver is missing. That an SQLite file or its folder is missing, connecting says.
    """
    arguments: dict[str, Any] = {"poolclass": sqlalchemy.NullPool, **more}
    if to.family == "sqlite":
        arguments["creator"] = lambda: _open_sqlite(to, lock_timeout, read_only=read_only)
    elif to.family == "mysql":
        # PyMySQL's own time-out ends when TCP is connected: a server that then says nothing would be waited for without end.
        waits = {"read_timeout": connect_timeout} if to.url.drivername.endswith("+pymysql") else {}
        arguments["connect_args"] = {
            "connect_timeout": connect_timeout, "charset": "utf8mb4", **waits, **arguments.get("connect_args", {})
        }  # fmt: skip
    elif to.url.drivername == "mssql+pymssql":
        arguments["connect_args"] = {"login_timeout": connect_timeout, "appname": "ddpm", **arguments.get("connect_args", {})}
    elif to.url.drivername == "postgresql+psycopg2":
        arguments["connect_args"] = {"connect_timeout": connect_timeout, **arguments.get("connect_args", {})}
    try:
        engine = sqlalchemy.create_engine(to.url, **arguments)
    except NoSuchModuleError:
        raise ConfigError(
            f"SQLAlchemy has no dialect {to.url.drivername.replace('+', '.')!r}",
            hint="Correct the URL's scheme, or install the package that brings this dialect.",
        ) from None
    except ImportError as error:
        raise _no_driver(to, error) from None
    except (ArgumentError, TypeError, ValueError):
        raise _not_valid() from None
    if engine.dialect.is_async:
        raise ConfigError(f"the driver {engine.driver} is asynchronous, and DDPM needs another", hint="Name one: dialect+driver://")
    _set_up_sessions(engine, to, lock_timeout, read_only=read_only)
    return engine


def _no_driver(to: Address, error: ImportError) -> ConfigError:
    driver = to.url.drivername.partition("+")[2] or error.name or "of this dialect"
    extra = _EXTRAS.get(driver)
    what = f"pip install 'ddpm-core[{extra}]'" if extra else f"pip install {driver}"
    return ConfigError(f"the driver {driver} for {_TITLES.get(to.url.get_backend_name(), to.family)} is not installed", hint=what)


def _set_up_sessions(engine: Engine, to: Address, lock_timeout: float, *, read_only: bool) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        with translated(to.where):
            if to.family == "mysql":
                _set_up_mysql(connection, lock_timeout, read_only=read_only)
            elif to.family == "mssql":
                _run(connection, f"SET LOCK_TIMEOUT {round(lock_timeout * 1000)}", "SET XACT_ABORT OFF")
                connection.commit()
            elif to.family == "postgresql":
                settings = [f"SET lock_timeout = {round(lock_timeout * 1000)}", "SET timezone = 'UTC'"]
                _run(connection, *settings, *(["SET default_transaction_read_only = on"] if read_only else []))
                connection.commit()

    if to.family == "sqlite":

        @event.listens_for(engine, "begin")
        def begun(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _set_up_mysql(connection: Any, lock_timeout: float, *, read_only: bool) -> None:
    seconds = max(1, round(lock_timeout))
    _run(
        connection,
        f"SET SESSION sql_mode = '{_SQL_MODE}', time_zone = '+00:00', innodb_lock_wait_timeout = {seconds}, "
        f"lock_wait_timeout = {seconds}, autocommit = 0",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED" + (", READ ONLY" if read_only else ""),
    )
    if hasattr(connection, "_read_timeout"):
        connection._read_timeout = None  # It is connected: from here on a statement may take its time.
    end = getattr(connection, "_sock", None)
    if isinstance(end, socket.socket) and end.family != getattr(socket, "AF_UNIX", None):
        _notice_silence(end)


def _run(connection: Any, *statements: str) -> None:
    cursor = connection.cursor()
    try:
        for statement in statements:
            cursor.execute(statement)
    finally:
        cursor.close()


def _notice_silence(end: socket.socket) -> None:
    """A peer that is gone without a word is noticed within about half a minute."""
    wanted = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in wanted.items():
            if hasattr(socket, name):
                end.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


# SQLite.


def _open_sqlite(to: Address, lock_timeout: float, *, read_only: bool) -> sqlite3.Connection:
    """A connection that begins no transaction by itself: the driver's own way has let statements run outside of one."""
    path = to.path
    _check_file(to, must_exist=read_only)
    with translated(to.where):
        if path in ("", ":memory:"):
            connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        else:
            # Read-write also for reading: only so can a journal that a killed process left be played back.
            uri = f"file:{percent_encoded(os.path.abspath(path))}?mode={'rw' if read_only else 'rwc'}"
            connection = sqlite3.connect(uri, uri=True, timeout=lock_timeout, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA schema_version").fetchone()  # Only now is the file read.
        if read_only:
            connection.execute("PRAGMA query_only = ON")
            connection.set_authorizer(_only_reading)
    return connection


_READING = (
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
    sqlite3.SQLITE_TRANSACTION,
)


def _only_reading(action: int, first: str | None, second: str | None, *_: object) -> int:
    """SQLite asks this of everything a statement would do. A pragma may tell something, and not be set."""
    if action in _READING:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and (second is None or (first or "").endswith(("_info", "_list", "_xinfo"))):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _check_file(to: Address, *, must_exist: bool) -> None:
    """What can be said better before SQLite looks: all it knows is "unable to open database file"."""
    path = to.path
    if path in ("", ":memory:"):
        if must_exist:
            raise ConfigError("a SQLite database in memory holds nothing yet", hint="Name a file: sqlite:///path")
        return
    if path.startswith("file:"):
        raise ConfigError("a SQLite file is named by its path", hint="Write sqlite:///relative/path or sqlite:////absolute/path.")
    file = Path(path)
    try:
        if file.is_dir():
            raise ConfigError(f"{path} is a folder, and a SQLite database is a file", hint=f"Name a file in it: {file / 'ddpm.db'}")
        if not file.exists():
            if must_exist:
                raise ConfigError(
                    f"there is no database at {path}", hint="Correct the path; sqlite:///relative, sqlite:////absolute."
                )
            if not file.parent.is_dir():
                raise ConfigError(f"the folder of {path} does not exist", hint=f"mkdir -p {file.parent}")
            return
        if not file.is_file():
            raise ConfigError(f"{path} is not a regular file, and a SQLite database is one")
        with file.open("rb") as stream:
            head = stream.read(len(_MAGIC))
    except OSError as error:
        raise FatalError(f"{path} cannot be opened: {os.strerror(error.errno or 0)}") from error
    if head and head != _MAGIC:
        raise ConfigError(f"{path} is not a SQLite file", hint="Name another file.")
