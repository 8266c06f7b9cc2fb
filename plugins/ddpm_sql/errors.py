"""What SQLAlchemy and the drivers throw, turned into DDPM's errors: wait, stop, or set the row aside.

The driver's own number decides where it has one (SQLite, MariaDB and MySQL, SQL Server); else the class that every driver must have (PEP 249).
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from typing import Any

from sqlalchemy.exc import DBAPIError, NoSuchTableError, SQLAlchemyError

from ddpm_core import ConfigError, DdpmError, FatalError, Refusal, RetryableError

MAX_MESSAGE = 1000

_LOGIN = "Check the user and the password in the address."
_GRANT = "Ask the owner for the privilege (GRANT), or connect as another user."
_REACH = "Start the server, or correct host and port in the address."
_LOCK = "Another session holds a lock; see what it does."
_CHANGED = "It was changed while rows were being written; it is looked at again."
_ROOM = "Make room on the disk."

_REFUSED: dict[str, dict[Any, str]] = {
    "sqlite": {
        "SQLITE_CONSTRAINT_UNIQUE": "unique_violation",
        "SQLITE_CONSTRAINT_PRIMARYKEY": "unique_violation",
        "SQLITE_CONSTRAINT_ROWID": "unique_violation",
        "SQLITE_CONSTRAINT_NOTNULL": "not_null_violation",
        "SQLITE_CONSTRAINT_CHECK": "check_violation",
        "SQLITE_CONSTRAINT_FOREIGNKEY": "foreign_key_violation",
        "SQLITE_CONSTRAINT_DATATYPE": "invalid_text",
        "SQLITE_CONSTRAINT_TRIGGER": "refused",
        "SQLITE_CONSTRAINT": "refused",
        "SQLITE_MISMATCH": "invalid_text",
        "SQLITE_TOOBIG": "too_large",
    },
    "mysql": {
        1048: "not_null_violation", 1364: "not_null_violation", 1062: "unique_violation", 1586: "unique_violation",
        1451: "foreign_key_violation", 1452: "foreign_key_violation", 3819: "check_violation", 4025: "check_violation",
        1406: "too_long", 1264: "out_of_range", 1690: "out_of_range", 1441: "out_of_range", 1292: "invalid_text", 1366: "invalid_text",
        1265: "invalid_text", 1411: "invalid_text", 1416: "invalid_text", 1644: "refused", 3140: "invalid_text", 4038: "invalid_text",
        1300: "invalid_character", 1118: "too_large", 1301: "too_large", 1367: "invalid_text",
    },
    "mssql": {
        515: "not_null_violation", 2601: "unique_violation", 2627: "unique_violation", 547: "check_violation", 2628: "too_long",
        8152: "too_long", 220: "out_of_range", 232: "out_of_range", 8115: "out_of_range", 1007: "out_of_range", 241: "invalid_text",
        242: "out_of_range", 245: "invalid_text", 8114: "invalid_text", 8169: "invalid_text", 511: "too_large", 50000: "refused",
    },
}  # fmt: skip

_OWN_TABLES = "_ddpm_"
"""What the names of DDPM's tables of positions and claims begin with."""

_UNREACHABLE = ("Unable to connect", "TDS server connection")
"""What the driver of SQL Server says when there is nobody, or nobody who answers."""

_RETRY: dict[str, dict[Any, str]] = {
    "sqlite": {
        "SQLITE_BUSY": "Another process writes this file; see which one.",
        "SQLITE_LOCKED": "Another process writes this file; see which one.",
        "SQLITE_FULL": _ROOM,
        "SQLITE_IOERR": "Check its disk.",
        "SQLITE_INTERRUPT": "",
        "SQLITE_SCHEMA": _CHANGED,
        "SQLITE_PROTOCOL": "",
    },
    "mysql": {
        1205: _LOCK, 1213: "", 3572: _LOCK, 1040: "Close other connections, or raise max_connections.",
        1203: "Close other connections, or raise max_user_connections.", 1226: "Close other connections, or raise the user's limit.",
        2003: _REACH, 2002: _REACH, 2005: "Correct the host in the address, or see why its name cannot be resolved.", 1053: "", 1927: "",
        1021: _ROOM, 1114: _ROOM, 1041: "", 1037: "", 1317: "", 3024: "", 1969: "", 4031: "", 1290: "The server is read-only; writing goes on when it takes writes again.",
        1836: "The server is read-only; writing goes on when it takes writes again.", 1146: _CHANGED, 1054: _CHANGED, 1136: _CHANGED, 1050: "", 1060: "", 1305: "", 1020: "",
    },
    "mssql": {
        1205: "", 1222: _LOCK, 9002: _ROOM, 1105: _ROOM, 701: "", 20009: _REACH, 20003: "", 20006: "", 20017: "", 20047: "", 3906: "",
        208: _CHANGED, 207: _CHANGED, 2714: "", 2705: "", 4060: "", 40613: "", 40197: "", 40501: "", 10928: "", 10929: "", 3930: "",
    },
}  # fmt: skip
del _RETRY["mssql"][4060]

_FATAL: dict[str, dict[Any, str]] = {
    "sqlite": {
        "SQLITE_READONLY": "Check who owns the file and its folder, and their modes.",
        "SQLITE_CANTOPEN": "Check who owns the file and its folder, and their modes.",
        "SQLITE_PERM": "Check who owns the file and its folder, and their modes.",
        "SQLITE_AUTH": "",
        "SQLITE_NOTADB": "Name another file.",
        "SQLITE_CORRUPT": "Restore it from a backup, or name another file.",
    },
    "mysql": {
        1045: _LOGIN, 1698: _LOGIN, 1130: "The server must allow this user from this host.", 1049: "Create the database, or correct its name in the address.",
        1044: _GRANT, 1142: _GRANT, 1143: _GRANT, 1227: _GRANT, 1370: _GRANT, 1251: "", 1153: "Raise max_allowed_packet on the server.",
    },
    "mssql": {18456: _LOGIN, 18452: _LOGIN, 4060: "Create the database, or correct its name in the address.", 229: _GRANT, 230: _GRANT, 262: _GRANT},
}  # fmt: skip


@contextlib.contextmanager
def translated(where: str) -> Iterator[None]:
    """Turns what SQLAlchemy or a driver throws inside into an error of DDPM.

    Args:
        where: The database, for messages.
    """
    try:
        yield
    except DdpmError:
        raise
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise failure(error, where) from error
    except Exception as error:
        if not _of_driver(error):
            raise
        raise failure(error, where) from error


def failure(error: BaseException, where: str) -> DdpmError:
    """What to raise when something failed that has nothing to do with a row's values.

    Args:
        error: SQLAlchemy's, or the driver's own.
        where: The database, for messages.
    """
    if isinstance(error, NoSuchTableError):
        return RetryableError(f"{where}: there is no table {error}", hint=_CHANGED)
    if isinstance(error, SQLAlchemyError) and not isinstance(error, DBAPIError):
        return FatalError(f"{where}: {_first_line(error)}")
    own = _original(error)
    kind, number, text = _kind(own), _number(own), _text(own)
    if kind == "mssql" and text.startswith(_UNREACHABLE):  # pymssql does not always say the number of these, or another one.
        return RetryableError(f"{where}: {text}", hint=_REACH)
    for key in _keys(number):
        if key in _RETRY.get(kind, {}):
            return RetryableError(f"{where}: {text}", hint=_RETRY[kind][key])
        if key in _FATAL.get(kind, {}):
            return FatalError(f"{where}: {text}", hint=_FATAL[kind][key])
    if any(key in _REFUSED.get(kind, {}) for key in _keys(number)) or "Integrity" in type(own).__name__:
        # Not a row, or it would have been asked for its refusal: one of DDPM's own tables, or a constraint that is looked at later.
        if isinstance(error, DBAPIError) and _OWN_TABLES in (error.statement or "")[:200]:  # Values stand behind.
            return RetryableError(f"{where}: another ddpm process made the same commit first", hint="It is looked at again.")
        return RetryableError(f"{where}: {text}", hint="Another process may have written the same.")
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return RetryableError(f"the connection to {where} was lost: {text}")
    if _class_of(own) in ("OperationalError", "InterfaceError") and (kind not in _RETRY or _lost(kind, number)):
        return RetryableError(f"the connection to {where} was lost, or cannot be made: {text}")
    return FatalError(f"{where}: {text}")


def refusal(error: BaseException) -> Refusal | None:
    """What is wrong with a row, or None when the error is not about a row's values."""
    own = _original(error)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return None
    kind, text = _kind(own), _text(own)
    if isinstance(own, (OverflowError, UnicodeError)):  # The driver could not send it.
        return Refusal("", "out_of_range" if isinstance(own, OverflowError) else "invalid_character", text)
    if kind in _REFUSED:
        number = _number(own)
        reason = next((_REFUSED[kind][key] for key in _keys(number) if key in _REFUSED[kind]), None)
        if reason is None and isinstance(own, sqlite3.DataError):
            reason = "too_large"
        if number == 547 and "FOREIGN KEY" in text.upper():
            reason = "foreign_key_violation"
        return None if reason is None else Refusal(str(number or ""), reason, text)
    name = _class_of(own)
    if name == "IntegrityError":
        return Refusal("", _reason_of_state(own), text)
    return Refusal("", _reason_of_state(own), text) if name == "DataError" else None


def plain(error: BaseException) -> str:
    """The database's own message, for people who typed a statement."""
    return _text(_original(error))


def wrong_statement(error: BaseException) -> ConfigError | None:
    """For a statement that a person wrote: the error where the statement is at fault, None where the environment is."""
    own = _original(error)
    kind, number = _kind(own), _number(own)
    if number in ("SQLITE_AUTH", "SQLITE_READONLY") or number == 1792:
        return ConfigError("the statement would change the database", hint="Statements that change something need --write.")
    if any(key in table.get(kind, {}) for table in (_RETRY, _FATAL) for key in _keys(number)) and number not in (
        1146,
        1054,
        208,
        207,
        1142,
        229,
    ):
        return None
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if lost or (_class_of(own) in ("OperationalError", "InterfaceError") and (kind not in _RETRY or _lost(kind, number))):
        return None
    return ConfigError(plain(error))


def _original(error: BaseException) -> BaseException:
    own = error.orig if isinstance(error, DBAPIError) else error
    return own if own is not None else error


def _of_driver(error: Exception) -> bool:
    """PEP 249: every driver's errors derive from one called Error."""
    return any(
        base.__name__ == "Error" and base.__module__.partition(".")[0] not in ("builtins", "shutil") for base in type(error).__mro__
    )


def _kind(own: BaseException) -> str:
    module = type(own).__module__.partition(".")[0]
    return {"sqlite3": "sqlite", "pymysql": "mysql", "MySQLdb": "mysql", "mysql": "mysql", "pymssql": "mssql"}.get(module, module)


def _class_of(own: BaseException) -> str:
    wanted = (
        "IntegrityError",
        "DataError",
        "OperationalError",
        "InterfaceError",
        "ProgrammingError",
        "NotSupportedError",
        "InternalError",
    )
    return next((base.__name__ for base in type(own).__mro__ if base.__name__ in wanted), "")


def _number(own: BaseException) -> Any:
    """The driver's own code: a name for SQLite, a number for the others, or None."""
    if isinstance(own, sqlite3.Error):
        return _by_text(str(own)) or getattr(own, "sqlite_errorname", None)
    first = own.args[0] if own.args else None
    if isinstance(first, tuple) and first:
        first = first[0]
    return first if isinstance(first, int) else None


def _by_text(text: str) -> str | None:
    return "SQLITE_AUTH" if text in ("not authorized", "access prohibited") or "is prohibited" in text else None


def _keys(number: Any) -> list[Any]:
    """The code, then what it is a kind of: `SQLITE_BUSY` for `SQLITE_BUSY_SNAPSHOT`."""
    if not isinstance(number, str):
        return [number]
    parts = number.split("_")
    return [number, "_".join(parts[:2])]


def _lost(kind: str, number: Any) -> bool:
    if kind == "mysql":
        return number is None or number == 0 or 2000 <= number < 2100
    return kind == "mssql" and (number is None or number >= 20000)


def _reason_of_state(own: BaseException) -> str:
    state = str(getattr(own, "pgcode", None) or getattr(own, "sqlstate", None) or "")
    known = {
        "23502": "not_null_violation",
        "23503": "foreign_key_violation",
        "23505": "unique_violation",
        "23514": "check_violation",
    }
    return known.get(state, {"22001": "too_long", "22003": "out_of_range", "22008": "out_of_range"}.get(state, "refused"))


def _text(own: BaseException) -> str:
    """The message without the driver's number and wrappings."""
    args: tuple[Any, ...] = own.args
    if args and isinstance(args[0], tuple):
        args = args[0]
    said = args[1] if len(args) > 1 and isinstance(args[0], int) else (args[0] if args else type(own).__name__)
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    # FreeTDS appends its own words to the server's.
    text = re.sub(r"DB-Lib error message \d+, severity \d+:\s*", "", text)
    return _first_line(text)


def _first_line(text: object) -> str:
    lines = [line.strip() for line in str(text).strip().splitlines() if line.strip()]
    return (lines or ["no reason given"])[0][:MAX_MESSAGE]
