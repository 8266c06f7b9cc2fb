"""Opening a DuckDB file, with words for every way that this fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ddpm_core import ConfigError, FatalError
from ddpm_duckdb.errors import failure
from ddpm_duckdb.options import IN_MEMORY

if TYPE_CHECKING:
    import duckdb

_MAGIC = slice(8, 12)


def connect(path: str, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """A connection in this thread, with one thread of DuckDB's.

    More cost time in statements of one batch each; the COMMIT of a large `Transaction` takes more.

    Raises:
        ConfigError: The path is a folder, no DuckDB file, in a folder that is missing, or, for reading, missing itself.
        FatalError: The file is open in another process, may not be opened, or is broken.
    """
    if path != IN_MEMORY:
        _check(path, read_only=read_only)
    import duckdb

    try:
        connection = duckdb.connect(path, read_only=read_only)
        connection.execute("SET threads = 1")
        connection.execute("SET write_buffer_row_group_count = 1")  # Five of them are 100 MB in a long transaction.
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET autoinstall_known_extensions = false")
    except duckdb.Error as error:
        raise failure(error, path, opening=True) from error
    return connection


def _check(path: str, *, read_only: bool) -> None:
    """What can be said better before DuckDB looks: it would fetch an extension to read a foreign file."""
    file = Path(path)
    try:
        if file.is_dir():
            raise ConfigError(
                f"{path} is a folder, and a DuckDB database is a file", hint=f"Name a file in it: {file / 'ddpm.duckdb'}"
            )
        if not file.exists():
            if read_only:
                raise ConfigError(f"there is no database at {path}", hint="Run ddpm ingest first, or name another one with --db")
            if not file.parent.is_dir():
                raise ConfigError(f"the folder of {path} does not exist", hint=f"mkdir -p {file.parent}")
            return
        if not file.is_file():
            raise ConfigError(f"{path} is not a regular file, and a DuckDB database is one")
        with file.open("rb") as stream:
            head = stream.read(16)
    except OSError as error:
        raise FatalError(f"{path} cannot be opened: {os.strerror(error.errno or 0)}") from error
    if head.startswith(b"SQLite format 3"):
        raise ConfigError(f"{path} is a SQLite database, not a DuckDB file", hint="Name another file, such as ddpm.duckdb")
    if head[_MAGIC] != b"DUCK":
        what = "is empty, which no DuckDB file is" if not head else "is not a DuckDB file"
        raise ConfigError(f"{path} {what}", hint="Name another file, such as ddpm.duckdb")
