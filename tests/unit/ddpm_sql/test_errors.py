"""What a driver throws says what is done next: wait, stop, or set the row aside."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pymssql
import pymysql
import pytest
from sqlalchemy.exc import DBAPIError, NoSuchTableError

from ddpm_core import ConfigError, FatalError, RetryableError
from ddpm_sql.errors import failure, refusal, translated, wrong_statement

MY = pymysql.err


def raised(error: Exception, *, lost: bool = False) -> DBAPIError:
    """As SQLAlchemy hands it on."""
    return DBAPIError("SELECT 1", (), error, connection_invalidated=lost)


def sqlite_error(name: str, text: str) -> sqlite3.Error:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (MY.OperationalError(1213, "Deadlock found"), RetryableError, "DB: Deadlock found"),
        (MY.OperationalError(1205, "Lock wait timeout"), RetryableError, "DB: Lock wait timeout\nAnother session holds a lock; see what it does."),
        (MY.OperationalError(1040, "Too many connections"), RetryableError, "DB: Too many connections\nClose other connections, or raise max_connections."),
        (MY.OperationalError(2013, "Lost connection"), RetryableError, "the connection to DB was lost, or cannot be made: Lost connection"),
        (MY.InterfaceError(0, ""), RetryableError, "the connection to DB was lost, or cannot be made: no reason given"),
        (MY.OperationalError(1114, "The table is full"), RetryableError, "DB: The table is full\nMake room on the disk."),
        (MY.OperationalError(1290, "running with --read-only"), RetryableError,
         "DB: running with --read-only\nThe server is read-only; writing goes on when it takes writes again."),
        (MY.ProgrammingError(1146, "no table"), RetryableError, "DB: no table\nIt was changed while rows were being written; it is looked at again."),
        (MY.OperationalError(1142, "INSERT command denied"), FatalError,
         "DB: INSERT command denied\nAsk the owner for the privilege (GRANT), or connect as another user."),
        (MY.IntegrityError(1062, "Duplicate entry"), RetryableError, "DB: Duplicate entry\nAnother process may have written the same."),
        (MY.ProgrammingError(1064, "syntax"), FatalError, "DB: syntax"),
        (sqlite_error("SQLITE_BUSY_SNAPSHOT", "database is locked"), RetryableError, "DB: database is locked\nAnother process writes this file; see which one."),
        (sqlite_error("SQLITE_FULL", "database or disk is full"), RetryableError, "DB: database or disk is full\nMake room on the disk."),
        (sqlite_error("SQLITE_IOERR_WRITE", "disk I/O error"), RetryableError, "DB: disk I/O error\nCheck its disk."),
        (sqlite_error("SQLITE_READONLY_DIRECTORY", "attempt to write"), FatalError, "DB: attempt to write\nCheck who owns the file and its folder, and their modes."),
        (sqlite_error("SQLITE_CORRUPT", "malformed"), FatalError, "DB: malformed\nRestore it from a backup, or name another file."),
        (pymssql.OperationalError((18456, b"Login failed for user 'sa'.DB-Lib error message 20018, severity 14:\nGeneral")), FatalError,
         "DB: Login failed for user 'sa'.General\nCheck the user and the password in the address."),
        (pymssql.OperationalError(1205, b"chosen as the deadlock victim"), RetryableError, "DB: chosen as the deadlock victim"),
        (pymssql.OperationalError((20009, b"Unable to connect")), RetryableError, "DB: Unable to connect\nStart the server, or correct host and port in the address."),
        *((pymssql.OperationalError((number, b"TDS server connection timed out (h)")), RetryableError,
           "DB: TDS server connection timed out (h)\nStart the server, or correct host and port in the address.") for number in (20002, 20003)),
    ],
)  # fmt: skip
def test_errors_of_the_environment_are_waited_for_or_end_the_run(error: Exception, kind: type, text: str) -> None:
    ours = failure(raised(error), "DB")
    assert (type(ours), str(ours)) == (kind, text)


def test_a_lost_connection_is_waited_for_whatever_its_number() -> None:
    ours = failure(raised(MY.ProgrammingError(1064, "gone"), lost=True), "DB")
    assert (type(ours), str(ours)) == (RetryableError, "the connection to DB was lost: gone")
    assert refusal(raised(MY.IntegrityError(1062, "gone"), lost=True)) is None
    assert isinstance(failure(NoSuchTableError("t"), "DB"), RetryableError)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MY.IntegrityError(1062, "x"), "unique_violation"),
        (MY.IntegrityError(1048, "x"), "not_null_violation"),
        (MY.DataError(1406, "x"), "too_long"),
        (MY.DataError(1264, "x"), "out_of_range"),
        (MY.OperationalError(4025, "x"), "check_violation"),
        (MY.OperationalError(1213, "x"), None),
        (MY.OperationalError(2013, "x"), None),
        (sqlite_error("SQLITE_CONSTRAINT_UNIQUE", "x"), "unique_violation"),
        (sqlite_error("SQLITE_CONSTRAINT_VTAB", "x"), "refused"),
        (sqlite_error("SQLITE_BUSY", "x"), None),
        (sqlite_error("SQLITE_FULL", "x"), None),
        (sqlite3.DataError("string or blob too big"), "too_large"),
        (pymssql.IntegrityError(2627, b"x"), "unique_violation"),
        (
            pymssql.IntegrityError(547, b'The INSERT statement conflicted with the FOREIGN KEY constraint "f"'),
            "foreign_key_violation",
        ),
        (pymssql.IntegrityError(547, b"The INSERT statement conflicted with the CHECK constraint"), "check_violation"),
        (pymssql.OperationalError(1205, b"x"), None),
    ],
)
def test_a_row_is_refused_for_its_values_and_for_nothing_else(error: Exception, reason: str | None) -> None:
    found = refusal(raised(error))
    assert (found and found.reason) == reason


def test_two_first_commits_of_one_file_are_told_in_words() -> None:
    error = MY.IntegrityError(1062, "Duplicate entry 'd1d877' for key 'PRIMARY'")
    ours = failure(DBAPIError("INSERT INTO `shop`.`_ddpm_positions` VALUES (%s)", (), error), "DB")
    assert (type(ours), str(ours)) == (
        RetryableError,
        "DB: another ddpm process made the same commit first\nIt is looked at again.",
    )


def test_values_that_a_driver_cannot_send_are_the_rows_fault() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        for value, reason in ((2**70, "out_of_range"), ("\ud800", "invalid_character")):
            with pytest.raises((OverflowError, UnicodeError)) as caught:
                connection.execute("SELECT ?", (value,))
            found = refusal(caught.value)
            assert found is not None
            assert found.reason == reason


def test_only_what_a_driver_throws_is_translated() -> None:
    with pytest.raises(ZeroDivisionError), translated("DB"):
        raise ZeroDivisionError
    with pytest.raises(ConfigError), translated("DB"):
        raise ConfigError("ours")
    with pytest.raises(RetryableError), translated("DB"):
        raise MY.OperationalError(2006, "gone away")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MY.ProgrammingError(1064, "syntax"), "syntax"),
        (MY.ProgrammingError(1146, "no such table"), "no such table"),
        (
            MY.OperationalError(1792, "read only"),
            "the statement would change the database\nStatements that change something need --write.",
        ),
        (MY.OperationalError(1205, "locked"), None),
        (MY.OperationalError(2013, "lost"), None),
        (
            sqlite3.DatabaseError("not authorized"),
            "the statement would change the database\nStatements that change something need --write.",
        ),
    ],
)
def test_a_statement_of_a_person_is_told_in_the_databases_words(error: Any, said: str | None) -> None:
    ours = wrong_statement(raised(error))
    assert (None if ours is None else str(ours)) == said
