"""What is asked of a session before the first row is read: which columns there are, whether the cursor fits, where it begins and ends."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from ddpm_core import ConfigError, split_table
from ddpm_sql.cursor import ADVICE
from ddpm_sql.source_columns import ResultColumn, check_names, columns_of
from ddpm_sql.source_options import SqlSourceOptions
from ddpm_sql.source_session import Session
from ddpm_sql.source_statement import Statements

PROVEN_TIMES = ("sqlite", "postgresql", "mysql")
"""Where a time comes back from the driver with all its digits. SQL Server keeps seven, Oracle nine, and Python six."""


class Questions:
    """Asked in the order of the methods, each once after a session was opened.

    Every method raises `ConfigError` where the options do not fit what is there, and `RetryableError` when the connection is lost.
    """

    def __init__(self, options: SqlSourceOptions, session: Session, declared: pa.Schema | None) -> None:
        self._options = options
        self._session = session
        self._declared = declared
        self._statements = Statements(options)
        self._where = session.place.where
        self._family = session.place.family
        self._catalogue: Mapping[str, Any] = {}

    def catalogue(self) -> None:
        """Look up the table. Before a result is begun: not every driver can ask anything meanwhile."""
        if not self._options.table:
            return
        schema, table = split_table(self._options.table)
        with self._session.inspecting() as inspector:
            if not inspector.has_table(table, schema):
                names = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
                raise ConfigError(f"{self._where} has no table {self._options.table!r}", hint=_near(table, names))
            self._catalogue = {str(column["name"]): column for column in inspector.get_columns(table, schema)}
        for name in self._options.columns:
            if name not in self._catalogue:
                raise ConfigError(
                    f"table {self._options.table} of {self._where} has no column {name!r}", hint=_near(name, list(self._catalogue))
                )

    def columns(self, description: Sequence[Any] | None = None) -> list[ResultColumn]:
        """The columns of the table or query.

        Args:
            description: What the driver said of the result, if it has been begun; else it is asked.
        """
        if description is None:
            _, description = self._session.ask(self._statements.no_rows())
        check_names([str(entry[0]) for entry in description], self._where)
        types = {name: found["type"] for name, found in self._catalogue.items()}
        columns = columns_of(description, family=self._family, reflected=types, declared=self._declared)
        self._check_cursor(columns)
        return columns

    def nulls(self) -> int:
        """How many rows have a null in the cursor and are left out."""
        not_null = {name for name, found in self._catalogue.items() if not found.get("nullable", True)}
        if set(self._options.cursor) <= not_null or not self._session.ask(self._statements.any_null())[0]:
            return 0
        count = int(self._session.ask(self._statements.count_nulls())[0][0][0])
        if self._options.cursor_nulls == "skip":
            return count
        names = " or ".join(self._options.cursor)
        raise ConfigError(
            f"{self._where}: {names} is null in {count:,} row{'' if count == 1 else 's'}, which a cursor never reaches",
            hint="Give them a value (coalesce in source.query), or leave them out: -o source.cursor_nulls=skip",
        )

    def bounds(self) -> tuple[Any, Any]:
        """`source.start` as the database compares it, and the greatest value of the first cursor column that `source.lag` allows."""
        if not self._options.start and not self._options.lag:
            return None, None
        least, greatest = self._session.ask(self._statements.ends())[0][0]
        if greatest is None:
            return None, None
        start = self._options.start or None
        if start is not None and self._family != "postgresql":  # Which takes the type of a literal from the column.
            start = _like(least, start, self._options.cursor[0])
        return start, self._until(greatest) if self._options.lag else None

    def _check_cursor(self, columns: Sequence[ResultColumn]) -> None:
        known = {column.name: column for column in columns}
        for name in self._options.cursor:
            if name not in known:
                what = "source.columns leaves out the" if self._options.columns else "there is no"
                raise ConfigError(f"{self._where}: {what} cursor column {name!r}", hint=_near(name, list(known)))
            kind = known[name].type
            if kind is not None and pa.types.is_floating(kind):
                raise ConfigError(
                    f"{self._where}: cursor column {name!r} is a float, by which no position can be kept", hint=ADVICE
                )
            if kind is not None and pa.types.is_timestamp(kind) and self._family not in PROVEN_TIMES:
                raise ConfigError(coarse(name), hint=COARSE)

    def _until(self, greatest: Any) -> Any:
        name, lag = self._options.cursor[0], self._options.lag
        if isinstance(greatest, int) and not isinstance(greatest, bool):
            return greatest - math.ceil(lag)
        if isinstance(greatest, datetime):
            return greatest - timedelta(seconds=lag)
        if isinstance(greatest, date):
            return greatest - timedelta(days=math.ceil(lag / 86_400))
        if isinstance(greatest, str) and self._family == "postgresql":
            try:
                return (datetime.fromisoformat(greatest) - timedelta(seconds=lag)).isoformat(" ")
            except ValueError:
                pass
        raise ConfigError(f"source.lag needs integers or times in the first cursor column, and {name!r} holds {greatest!r:.60}")


COARSE = "Name an integer column, or its text in source.query: convert(varchar(33), updated_at, 126) as updated."


def coarse(name: str) -> str:
    """Why a time is no cursor here."""
    return f"cursor column {name!r} is a time with more digits than Python's, so a position by it would not be exact"


def _like(example: Any, text: str, name: str) -> Any:
    """The text as a value of the example's type."""
    readers: list[tuple[type, Any]] = [
        (int, int), (datetime, datetime.fromisoformat), (date, date.fromisoformat), (Decimal, Decimal), (bytes, bytes.fromhex),
    ]  # fmt: skip
    for kind, read in readers:
        if isinstance(example, kind):
            try:
                return read(text)
            except (ValueError, InvalidOperation):
                raise ConfigError(f"source.start is {text!r}, and {name!r} holds values such as {example}") from None
    return text


def _near(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"There are: {', '.join(sorted(names)[:20])}" if names else ""
