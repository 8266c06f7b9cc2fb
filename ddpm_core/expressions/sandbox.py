"""A DuckDB that can calculate and nothing else: expressions come from files that people share."""

from __future__ import annotations

import re

import duckdb

MEMORY_LIMIT = "512MB"

_LOCKED_DOWN = (
    "SET threads = 1",  # More cost time at batches of this size.
    f"SET memory_limit = '{MEMORY_LIMIT}'",
    "SET temp_directory = ''",
    "SET TimeZone = 'UTC'",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET allow_persistent_secrets = false",
    "SET python_enable_replacements = false",  # A table's name is no variable of this process.
    "SET enable_external_access = false",
    "SET disabled_filesystems = 'LocalFileSystem'",
    "SET lock_configuration = true",
)


def sandbox() -> duckdb.DuckDBPyConnection:
    """A database in memory, for the thread that calls.

    It has no files, no network, no extensions but those built in, no disk to spill to, a limit on memory, and none of this can be changed by
    a statement. What is not bounded: a single value (`repeat('x', 3000000000)`) is built before DuckDB counts it, and takes its time.
    """
    connection = duckdb.connect(":memory:")
    for statement in _LOCKED_DOWN:
        connection.execute(statement).complete()
    return connection


def words(error: BaseException) -> str:
    """What DuckDB says, on one line, without its error class, the quoted statement and what it would advise at a prompt."""
    text = str(error)
    for tail in (
        "\n\nLINE ",
        "\n\nStack Trace",
        "\n\nPossible solutions",
        "\n\tCandidate functions",
        " Use TRY(",
        "\nDatabase is launched",
    ):
        text = text.partition(tail)[0]
    text = re.sub(r"^(?:[A-Z][A-Za-z]*)(?: [A-Za-z]+)* Error: ", "", text)
    return " ".join(text.split())
