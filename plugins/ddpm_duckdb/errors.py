"""DuckDB's exceptions, as DDPM's: what waiting helps, what it does not, and what to do.

DuckDB takes 50 ms to import. No module of this plugin does so by itself: it is there with the first connection, which is made while the
source is read already.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ddpm_core import ConfigError, DdpmError, FatalError, RetryableError

if TYPE_CHECKING:
    import duckdb

_PID = re.compile(r"\(PID (\d+)\)")
_NO_ROOM = ("No space left on device", "Disk quota exceeded", "File too large")
_NOT_ALLOWED = ("Permission denied", "Read-only file system", "Operation not permitted")


@contextlib.contextmanager
def translated(path: str) -> Iterator[None]:
    """Turns what DuckDB throws inside into an error of DDPM."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise failure(error, path) from error


@contextlib.contextmanager
def translated_query(path: str) -> Iterator[None]:
    """As `translated`, for a statement that a person wrote: where the statement is at fault, DuckDB's own words."""
    import duckdb

    wrong_sql = (
        duckdb.ProgrammingError,
        duckdb.DataError,
        duckdb.NotSupportedError,
        duckdb.ConstraintException,
        duckdb.InvalidInputException,
        duckdb.PermissionException,
    )
    try:
        yield
    except wrong_sql as error:
        said, _, hint = _text(error).partition("\n")
        if "attached in read-only mode" in said:
            said, hint = "the statement would change the database", "Statements that change something need --write."
        raise ConfigError(said, hint=hint) from error
    except duckdb.Error as error:
        raise failure(error, path) from error


def failure(error: duckdb.Error, path: str, *, opening: bool = False) -> DdpmError:
    """The error to raise for one of DuckDB's. What keeps a file from opening is not expected to pass."""
    import duckdb

    text = _text(error)
    pid = _PID.search(text)
    if "Could not set lock" in text:
        owner = f"another process (pid {pid[1]})" if pid else "another process"
        return FatalError(f"{path} is open in {owner}", hint="Close it there, or wait until it is done, and run this again")
    if any(sign in text for sign in _NO_ROOM):
        return RetryableError(f"no room to write {path}: {text}", hint="Free space on its disk; nothing of this round was kept")
    if any(sign in text for sign in _NOT_ALLOWED):
        return FatalError(
            f"{path} cannot be opened or written: {text}", hint="Check who owns the file and its folder, and their modes"
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return FatalError(
            f"DuckDB ran out of memory with {path}: {text}", hint="Raise memory_limit, or give the machine more memory"
        )
    if isinstance(error, duckdb.InterruptException):
        return RetryableError(f"the work on {path} was interrupted")
    if opening:
        return FatalError(f"{path} cannot be opened: {text}")
    if isinstance(error, (duckdb.TransactionException, duckdb.FatalException, duckdb.ConnectionException)):
        return RetryableError(f"DuckDB gave up the transaction in {path}: {text}")
    if isinstance(error, duckdb.IOException):
        return RetryableError(f"{path} cannot be read or written: {text}", hint="Check its disk")
    return FatalError(f"DuckDB refused a statement in {path}: {text}")


def _text(error: duckdb.Error) -> str:
    """What DuckDB says, without its error class, the quoted statement and the stack trace."""
    text = str(error).partition("\n\nLINE ")[0].partition("\n\nStack Trace")[0].partition("\n\nPossible solutions")[0]
    text = re.sub(r"^(?:[A-Z][A-Za-z_]*|INTERNAL|INTERRUPT|FATAL)(?: [A-Za-z]+)* Error: ", "", text)
    return text.partition(" See also https://")[0].strip()
