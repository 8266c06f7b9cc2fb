"""The statements that the source runs. Values go in as the driver's parameters, and compare as the database compares them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from ddpm_core import split_table
from ddpm_sql.cursor import Mark
from ddpm_sql.source_options import SqlSourceOptions

RANK = "ddpm_rank"
"""The column that tells ties: the database's own idea of equality, numbered."""


class Statements:
    """What to ask of the table or query of these options."""

    def __init__(self, options: SqlSourceOptions) -> None:
        self._options = options
        self._from: sa.FromClause
        if options.table:
            schema, name = split_table(options.table)
            self._from = sa.table(name, schema=schema)
        else:
            self._from = _text(options.query).columns(sa.column("x")).subquery("ddpm_query")

    def everything(self) -> sa.Executable:
        """All rows in the order in which they come: the user's query as it stands."""
        if self._options.query:
            return _text(self._options.query)
        return sa.select(*self._asked()).select_from(self._from)

    def no_rows(self) -> sa.Executable:
        """The columns alone."""
        return sa.select(*self._asked()).select_from(self._from).where(sa.literal_column("1") == sa.literal_column("0"))

    def any_null(self) -> sa.Executable:
        """One row if a cursor column is null somewhere."""
        return sa.select(sa.literal_column("1").label("found")).select_from(self._from).where(self._null()).limit(1)

    def count_nulls(self) -> sa.Executable:
        """How many rows have a null in a cursor column."""
        return sa.select(sa.func.count().label("found")).select_from(self._from).where(self._null())

    def ends(self) -> sa.Executable:
        """The least and the greatest value of the first cursor column."""
        first: Any = sa.column(self._options.cursor[0])
        return sa.select(sa.func.min(first).label("least"), sa.func.max(first).label("greatest")).select_from(self._from)

    def behind(
        self, names: Sequence[str], mark: Mark | None, *, start: Any = None, until: Any = None, ranked: bool
    ) -> sa.Executable:
        """The rows behind a mark, in the cursor's order.

        Args:
            names: The columns wanted.
            mark: Rows up to it and equal to it are left out.
            start, until: Where there is no mark, rows with less in the first cursor column are left out; always those with more.
            ranked: Add `RANK`.
        """
        cursor: list[Any] = [sa.column(name) for name in self._options.cursor]
        wanted: list[Any] = [sa.column(name) for name in names]
        if ranked:
            wanted.append(sa.func.dense_rank().over(order_by=cursor).label(RANK))
        conditions: list[Any] = []
        if mark is not None:
            conditions.append(_greater(mark))
        elif start is not None:
            conditions.append(cursor[0] >= _value("start", start))
        if until is not None:
            conditions.append(cursor[0] <= _value("until", until))
        if self._options.cursor_nulls == "skip":
            conditions += [column.is_not(None) for column in cursor]
        return sa.select(*wanted).select_from(self._from).where(*conditions).order_by(*cursor)

    def _asked(self) -> list[Any]:
        return [sa.column(name) for name in self._options.columns] or [sa.literal_column("*")]

    def _null(self) -> Any:
        return sa.or_(*(sa.column(name).is_(None) for name in self._options.cursor))


def _greater(mark: Mark) -> Any:
    """(a, b) > (x, y) for every dialect. The first condition is implied; by it an index on the first column is used."""
    columns: list[Any] = [sa.column(name) for name in mark.columns]
    values = [_value(f"mark_{number}", value) for number, value in enumerate(mark.values)]
    *before, last = zip(columns, values, strict=True)
    greater: Any = last[0] > last[1]
    for column, value in reversed(before):
        greater = sa.or_(column > value, sa.and_(column == value, greater))
    return sa.and_(columns[0] >= values[0], greater) if before else greater


def _value(name: str, value: Any) -> Any:
    """A parameter as the driver takes it: SQLAlchemy's own casts would make another type of some."""
    return sa.bindparam(name, value, type_=sa.types.NullType())


def _text(query: str) -> sa.TextClause:
    """The user's query as it stands: a `:name` in it is no parameter, and a comment at its end does not swallow what follows."""
    return sa.text(query.strip().rstrip("; \t\r\n").replace(":", r"\:") + "\n")
