"""What goes wrong while reading, as DDPM's errors: the statement is at fault, the environment, or a row."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from typing import Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ddpm_core import ConfigError, DdpmError, FatalError, RetryableError
from ddpm_sql.connect import Address
from ddpm_sql.errors import failure, plain, wrong_statement

_READ_ONLY = "the query would change the database, and a source only reads"
_LOGIN = re.compile(
    r"password authentication failed|no password supplied|authentication failed|does not exist|no pg_hba\.conf entry|not permitted to log in"
)
_PG_RETRY = ("08", "40", "53", "55", "57", "58")
_PG_GRANT = "42501"
_PG_CANCELLED, _PG_READ_ONLY = "57014", "25006"
_MYSQL_TOO_LONG = (1969, 3024)


@contextlib.contextmanager
def reading(place: Address, *, asking: bool = False) -> Iterator[None]:
    """Turns what SQLAlchemy or a driver throws inside into an error of DDPM, without the password.

    Args:
        place: The database.
        asking: The statement is the user's and runs for the first time: where it is at fault, that is a `ConfigError`.
    """
    try:
        yield
    except DdpmError:
        raise
    except Exception as error:
        if not isinstance(error, (SQLAlchemyError, sqlite3.Error)) and not _of_driver(error):
            raise
        raise _without_secret(_translated(error, place.where, asking=asking), place) from None


def _translated(error: BaseException, where: str, *, asking: bool) -> DdpmError:
    own = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    state = getattr(own, "pgcode", None)
    if type(own).__module__.partition(".")[0] == "psycopg2":
        return _of_postgres(error, own, state, where, asking=asking)
    number = own.args[0] if own.args else None
    if number in _MYSQL_TOO_LONG:
        return _too_long(where, plain(error))
    wrong = wrong_statement(error)
    if wrong is None:
        return failure(error, where)
    if "--write" in wrong.hint:
        return ConfigError(f"{where}: {_READ_ONLY}")
    return _wrong(where, wrong.message, asking=asking)


def _of_postgres(error: BaseException, own: Any, state: str | None, where: str, *, asking: bool) -> DdpmError:
    text = (own.diag.message_primary if getattr(own, "diag", None) else None) or plain(error)
    text = re.sub(r"^connection to server (at|on socket) .*? failed: (FATAL: +)?", "", text)
    if state == _PG_CANCELLED:
        return _too_long(where, text)
    if state == _PG_READ_ONLY:
        return ConfigError(f"{where}: {_READ_ONLY}")
    if state == _PG_GRANT:
        return FatalError(f"{where}: {text}", hint="Ask the owner for the privilege (GRANT SELECT), or connect as another user.")
    if state is None and _LOGIN.search(text):
        return FatalError(
            f"cannot connect to {where}: {text}", hint="Check the user, the password and the database in the address."
        )
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if lost or state is None or state[:2] in _PG_RETRY or state == "25P03":
        return RetryableError(f"the connection to {where} was lost, or cannot be made: {text}")
    return _wrong(where, text, asking=asking)


def _wrong(where: str, text: str, *, asking: bool) -> DdpmError:
    if asking:
        return ConfigError(f"{where}: {text}", hint="Correct source.query, source.table or source.cursor.")
    return FatalError(f"{where}: {text}", hint="The query failed at one of its rows. What was committed before stays.")


def _too_long(where: str, text: str) -> FatalError:
    return FatalError(
        f"{where}: {text}",
        hint="The query was cancelled, or took longer than allowed: see source.statement_timeout and its indexes.",
    )


def _without_secret(error: DdpmError, place: Address) -> DdpmError:
    """Drivers repeat what they were given; none is known to repeat a password, and none shall."""
    secret = str(place.url.password or "")
    if len(secret) < 3 or secret not in str(error):
        return error
    error.message, error.hint = error.message.replace(secret, "***"), error.hint.replace(secret, "***")
    error.args = (error.message,)
    return error


def _of_driver(error: Exception) -> bool:
    """PEP 249: every driver's errors derive from one called Error."""
    return any(base.__name__ == "Error" and not base.__module__.startswith(("builtins", "shutil")) for base in type(error).__mro__)
