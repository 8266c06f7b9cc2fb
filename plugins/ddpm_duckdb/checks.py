"""Which rows a table would refuse, found before they are written.

DuckDB has no savepoints, and one refused row ends the transaction with everything written in it. So a table with constraints is asked
first, column-wise, in the same transaction: casts, CHECK, foreign keys, unique values that are there already or twice in the batch.
(`ON CONFLICT DO NOTHING` would also find the last, but with two unique indexes DuckDB 2.0 takes time in the square of the rows.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa

from ddpm_core import Reject
from ddpm_duckdb.catalog import Check, Column, Reference, Table, Unique
from ddpm_duckdb.types import quote

INCOMING = "_ddpm_incoming"
"""What statements call the batch. `RowsOver` gives it to DuckDB."""

RowsOver: TypeAlias = Callable[[str, pa.RecordBatch], list[tuple[Any, ...]]]
"""Runs a statement in which `_ddpm_incoming` is the given batch."""

Values: TypeAlias = Sequence[Any]
_LONGEST = 100


class _Question(NamedTuple):
    """A statement that gives the rows to refuse, each with some of its values; the reason; and the message for those values."""

    sql: str
    reason: str
    say: Callable[[Values], str]


class Checks:
    """The checks of one table, for rows with the given columns.

    Args:
        table: The table.
        target: Its name, quoted.
        columns: The columns that the rows have.
        key: The key of an upsert; rows that have theirs in common replace each other. Empty for an append.
    """

    def __init__(self, table: Table, target: str, columns: Iterable[str], key: Iterable[str] = ()) -> None:
        self._table = table
        self._target = target
        self._columns = tuple(columns)
        self._key = tuple(key)
        self._uniques = [unique for unique in table.uniques if not self._key or unique.columns != frozenset(self._key)]
        given = set(self._columns)
        self._casts = [column for column in table.columns if column.cast and column.name in given]
        self._lacking = [c for c in table.columns if c.name not in given and not c.nullable and c.filled is None]

    def needed(self) -> bool:
        """False when the table takes every row that has its types."""
        return bool(self._casts or self._lacking or self._table.checks or self._uniques or self._table.references)

    def refused(self, data: pa.RecordBatch, run: RowsOver) -> list[Reject]:
        """The rows that the table would refuse, each once, by row number."""
        if self._lacking:
            message = f"column {self._lacking[0].name!r} must not be null"
            return [Reject(row, "null_value", message) for row in range(data.num_rows)]
        numbered, number = _with_numbers(data)
        rows = f"(SELECT {number} AS {_own('row')}, {self._typed()} FROM {INCOMING})"
        found: dict[int, Reject] = {}
        for question in self._questions(rows, number):
            for row, *values in run(question.sql, numbered):
                found.setdefault(row, Reject(row, question.reason, question.say(values)))
        groups = [(unique, run(self._twice(unique, rows), numbered)) for unique in self._uniques]
        _refuse_later_ones(groups, found)
        return [found[row] for row in sorted(found)]

    def _typed(self) -> str:
        """Every column with the value it would have in the table; null where it cannot be made."""
        given = set(self._columns)
        parts = []
        for column in self._table.columns:
            if column.name not in given:
                parts.append(f"CAST({column.filled or 'NULL'} AS {column.sql_type}) AS {quote(column.name)}")
            elif column.cast:
                parts.append(f"TRY_CAST({quote(column.name)} AS {column.sql_type}) AS {quote(column.name)}")
            else:
                parts.append(f"CAST({quote(column.name)} AS {column.sql_type}) AS {quote(column.name)}")
        return ", ".join(parts)

    def _questions(self, rows: str, number: str) -> Iterator[_Question]:
        for column in self._casts:
            yield _of_cast(column, number)
        for check in self._table.checks:
            yield _of_check(check, rows)
        for unique in self._uniques:
            yield self._of_unique(unique, rows)
        for reference in self._table.references:
            yield _of_reference(reference, rows)

    def _of_unique(self, unique: Unique, rows: str) -> _Question:
        def say(values: Values) -> str:
            return f"the table has a row{_with(unique.expressions, values)} already, and takes one only"

        return _Question(self._there_already(unique, rows), "unique_violation", say)

    def _keyed(self, unique: Unique, rows: str, *more: str) -> str:
        """The unique values of these rows, under names of their own."""
        keys = [f"TRY({expression}) AS {_own(f'k{i}')}" for i, expression in enumerate(unique.expressions)]
        same = [f"{quote(name)} AS {_own(f's{i}')}" for i, name in enumerate(self._key)]
        return f"(SELECT {', '.join([*more, *keys, *same])} FROM {rows})"

    def _there_already(self, unique: Unique, rows: str) -> str:
        incoming = self._keyed(unique, rows, _own("row"))
        there = self._keyed(unique, self._target)
        keys = [_own(f"k{i}") for i in range(len(unique.expressions))]
        joined = " AND ".join(f"t.{k} = b.{k}" for k in keys)
        if self._key:  # An upsert may keep the values of the row that it replaces.
            joined += " AND NOT (" + " AND ".join(f"t.{_own(f's{i}')} = b.{_own(f's{i}')}" for i in range(len(self._key))) + ")"
        values = ", ".join(_shown(f"b.{k}") for k in keys)
        return f"SELECT b.{_own('row')}, {values} FROM {incoming} b SEMI JOIN {there} t ON {joined}"

    def _twice(self, unique: Unique, rows: str) -> str:
        """The rows of this batch that share their values, as lists of row numbers."""
        keys = [_own(f"k{i}") for i in range(len(unique.expressions))]
        present = " AND ".join(f"{k} IS NOT NULL" for k in keys)
        row = _own("row")
        return (
            f"SELECT list({row} ORDER BY {row}), {', '.join(map(_shown, keys))} FROM {self._keyed(unique, rows, row)} WHERE {present} "
            f"GROUP BY {', '.join(keys)} HAVING count(*) > 1"
        )


def _of_cast(column: Column, number: str) -> _Question:
    def say(values: Values) -> str:
        return f"column {column.name!r} is {_short(column.sql_type)}, which {values[0]!r} is not"

    name = quote(column.name)
    sql = f"SELECT {number}, {_shown(name)} FROM {INCOMING} WHERE {name} IS NOT NULL AND TRY_CAST({name} AS {column.sql_type}) IS NULL"
    return _Question(sql, "type_mismatch", say)


def _of_check(check: Check, rows: str) -> _Question:
    def say(values: Values) -> str:
        return f"{_short(check.text)} does not hold{_with(check.columns, values)}"

    shown = ", ".join([_own("row"), *(_shown(quote(name)) for name in check.columns)])
    return _Question(f"SELECT {shown} FROM {rows} WHERE TRY(({check.expression}) IS NOT FALSE) IS NOT TRUE", "check_violation", say)


def _of_reference(reference: Reference, rows: str) -> _Question:
    def say(values: Values) -> str:
        return f"table {reference.table} has no row{_with(reference.referenced, values)}"

    pairs = list(zip(reference.columns, reference.referenced, strict=True))
    joined = " AND ".join(f"r.{quote(there)} = b.{quote(here)}" for here, there in pairs)
    present = " AND ".join(f"b.{quote(name)} IS NOT NULL" for name in reference.columns)
    shown = ", ".join([f"b.{_own('row')}", *(_shown(f"b.{quote(name)}") for name in reference.columns)])
    sql = f"SELECT {shown} FROM {rows} b WHERE {present} AND NOT EXISTS (SELECT 1 FROM {reference.table} r WHERE {joined})"
    return _Question(sql, "foreign_key_violation", say)


def _refuse_later_ones(groups: list[tuple[Unique, list[tuple[Any, ...]]]], found: dict[int, Reject]) -> None:
    """Of rows that share their values the first stays that is not refused for something else, in the order of the rows."""
    shared: dict[int, list[int]] = {}
    texts: list[str] = []
    number = count()
    for unique, rows_and_values in groups:
        for rows, *values in rows_and_values:
            group = next(number)
            texts.append(_with(unique.expressions, values))
            for row in rows:
                shared.setdefault(row, []).append(group)
    taken: set[int] = set()
    for row in sorted(shared):
        if row in found:
            continue
        clash = next((group for group in shared[row] if group in taken), None)
        if clash is None:
            taken.update(shared[row])
        else:
            found[row] = Reject(row, "unique_violation", f"an earlier row came{texts[clash]} too, and the table takes one only")


def _with_numbers(data: pa.RecordBatch) -> tuple[pa.RecordBatch, str]:
    """The batch with its row numbers, and the name of their column."""
    name = next(name for name in (f"_ddpm_number{i}" for i in count()) if name not in {n.lower() for n in data.schema.names})
    return data.append_column(name, pa.arange(0, data.num_rows)), name


def _own(name: str) -> str:
    """A name for use inside a statement, which no column is likely to have."""
    return f'"_ddpm {name}"'


def _shown(expression: str) -> str:
    return f"left(CAST({expression} AS VARCHAR), {_LONGEST})"


def _with(names: Iterable[str], values: Values) -> str:
    parts = [f"{_plain(name)} = {'null' if value is None else value}" for name, value in zip(names, values, strict=True)]
    return f" with {', '.join(parts)}" if parts else ""


def _plain(expression: str) -> str:
    """A quoted column as its name; any other expression as it is."""
    is_column = len(expression) > 1 and expression[0] == expression[-1] == '"' and '"' not in expression[1:-1]
    return expression[1:-1] if is_column else expression


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
