"""Addresses: what they mean, and what is said when they mean nothing, never with a password."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from ddpm_core import ConfigError, DdpmError, FatalError, RetryableError
from ddpm_sql.connect import address, open_engine
from ddpm_sql.errors import translated


@pytest.mark.parametrize(
    ("text", "driver", "family", "where"),
    [
        ("sqlite:///a/b.db", "sqlite", "sqlite", "SQLite file a/b.db"),
        ("sqlite:////a/b.db", "sqlite", "sqlite", "SQLite file /a/b.db"),
        ("a/b.sqlite", "sqlite", "sqlite", "SQLite file a/b.sqlite"),
        ("sqlite://", "sqlite", "sqlite", "SQLite in memory"),
        ("mysql://me:secret@host:33/shop", "mysql+pymysql", "mysql", "MySQL at host:33/shop"),
        ("mysql://me:secret/x@host/shop", "mysql+pymysql", "mysql", "MySQL at host/shop"),
        ("mariadb://me@host/shop", "mariadb+pymysql", "mysql", "MariaDB at host/shop"),
        ("mariadb+mysqldb://me@host/shop", "mariadb+mysqldb", "mysql", "MariaDB at host/shop"),
        ("mssql://sa:p%40ss@host/shop", "mssql+pymssql", "mssql", "SQL Server at host/shop"),
        ("sql+postgresql://me@host/shop", "postgresql+psycopg2", "postgresql", "Postgres at host/shop"),
        ("sql+duckdb+x://host", "duckdb+x", "duckdb", "duckdb at host"),
    ],
)
def test_an_address_means_a_database(text: str, driver: str, family: str, where: str) -> None:
    found = address(text)
    assert (found.url.drivername, found.family, found.where) == (driver, family, where)
    assert "secret" not in found.where


@pytest.mark.parametrize("text", ["", "nothing", "sqlite:///a\x00b", "mysql://h:port/x", "sqlite:///\ud800"])
def test_what_is_no_address_is_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        address(text)
    assert str(refused.value) == (
        "the address is not a valid SQLAlchemy URL\n"
        "Write dialect://user:password@host:port/database, or sqlite:///path; special characters in the password as %XX."
    )


def told(text: str, **options: Any) -> DdpmError:
    to = address(text)
    with pytest.raises(DdpmError) as caught, translated(to.where):
        open_engine(to, **options).connect()
    return caught.value


def test_an_unknown_dialect_is_named() -> None:
    assert str(told("sql+nosuch://host/x")) == (
        "SQLAlchemy has no dialect 'nosuch'\nCorrect the URL's scheme, or install the package that brings this dialect."
    )


@pytest.mark.parametrize(
    ("url", "module", "said"),
    [
        ("mysql://h/x", "pymysql", "the driver pymysql for MySQL is not installed\npip install 'ddpm-core[mysql]'"),
        ("mssql://h/x", "pymssql", "the driver pymssql for SQL Server is not installed\npip install 'ddpm-core[mssql]'"),
        ("oracle://h/x", "oracledb", "the driver oracledb for Oracle is not installed\npip install oracledb"),
    ],
)
def test_a_missing_driver_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch, url: str, module: str, said: str) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == module and not (rest and rest[-1]):  # Not SQLAlchemy's own module of that name.
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert str(told(url)) == said


def test_an_asynchronous_driver_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.dialects.sqlite import pysqlite

    monkeypatch.setattr(pysqlite.dialect, "is_async", True)
    assert str(told("sqlite://")) == "the driver pysqlite is asynchronous, and DDPM needs another\nName one: dialect+driver://"


def test_a_file_that_cannot_be_a_database_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, and long enough")
    (tmp_path / "empty.db").touch()
    folder = f"sqlite:///{tmp_path}"
    assert str(told(f"{folder}/text.db")) == f"{tmp_path}/text.db is not a SQLite file\nName another file."
    assert str(told(folder)) == f"{tmp_path} is a folder, and a SQLite database is a file\nName a file in it: {tmp_path}/ddpm.db"
    assert str(told(f"{folder}/no/x.db")) == f"the folder of {tmp_path}/no/x.db does not exist\nmkdir -p {tmp_path}/no"
    assert str(told(f"{folder}/new.db", read_only=True)) == (
        f"there is no database at {tmp_path}/new.db\nCorrect the path; sqlite:///relative, sqlite:////absolute."
    )
    assert str(told("sqlite:///file:x?uri=true")) == (
        "a SQLite file is named by its path\nWrite sqlite:///relative/path or sqlite:////absolute/path."
    )
    open_engine(address(f"{folder}/empty.db")).connect().close()
    assert not (tmp_path / "new.db").exists()


def test_a_broken_file_is_a_clear_end(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\x00" + b"\xff" * 4096)
    error = told(f"sqlite:///{tmp_path}/broken.db")
    assert isinstance(error, FatalError)
    assert error.message.startswith(f"SQLite file {tmp_path}/broken.db: ")


def test_a_name_that_cannot_be_resolved_is_waited_for() -> None:
    error = told("mysql://me:secret@no-such-host.invalid/x", connect_timeout=1)
    assert isinstance(error, RetryableError)
    assert "secret" not in str(error)
