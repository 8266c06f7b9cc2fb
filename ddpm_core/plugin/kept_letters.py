"""Dead letters in the tables that sinks keep them in, for `ddpm dlq`: one way for every database."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from itertools import islice
from typing import Any, Literal

from ddpm_core.errors import ConfigError
from ddpm_core.plugin.database import Database, DeadLetterFilter
from ddpm_core.plugin.dead_letters import DeadLetterStore
from ddpm_core.plugin.letter_rows import DEAD_LETTER_COLUMNS, letter_of, letter_value
from ddpm_core.plugin.names import split_table
from ddpm_core.records import DeadLetter, letter_partition
from ddpm_core.values import dataclass

PAGE = 500
"""So many letters are asked for, and so many ids named in a statement, at a time."""

_VERDICT = ("stage", "reason", "message", "plugin", "plugin_version", "sink", "attempts")
"""The columns that another attempt changes."""


@dataclass(frozen=True, slots=True)
class LetterSpelling:
    """How a database spells the questions that a `DeadLetterFilter` asks. `{c}` stands for the column, `{p}` for the parameter.

    Attributes:
        placeholder: A parameter.
        same: The column is this text.
        contains: This text is somewhere in the column.
        begins: The column begins with this text.
        view: The column `view` as text.
        first: Where the limit stands: `LIMIT n OFFSET m`, or `TOP (n)` at the beginning and `OFFSET m ROWS FETCH NEXT n ROWS ONLY`.
    """

    placeholder: str
    same: str = "{c} = {p}"
    contains: str = "position({p} in {c}) > 0"
    begins: str = "starts_with({c}, {p})"
    view: str = "{c}"
    first: Literal["limit", "top"] = "limit"


@dataclass(frozen=True, slots=True)
class LetterTables:
    """The tables of dead letters of a database, within a transaction.

    Attributes:
        tables: Schema -> the table of dead letters in it, quoted for statements.
        positions: Schema -> the table of positions in it, quoted, where there is one.
        ask: Runs a query and returns its rows. Parameters are texts, bytes, integers, and times with a zone, which is UTC.
        change: Runs a statement that changes rows and returns how many it found.
        quote: Quotes an identifier.
        spelling: The database's.
    """

    tables: Mapping[str, str]
    ask: Callable[[str, Sequence[Any]], Iterable[Sequence[Any]]]
    change: Callable[[str, Sequence[Any]], int]
    quote: Callable[[str], str]
    spelling: LetterSpelling
    positions: Mapping[str, str]


class KeptLetters(DeadLetterStore):
    """The dead letters of every schema of a database, as a store. Each call is a transaction of its own.

    Args:
        connect: Opens the database that they are in.
    """

    def __init__(self, connect: Callable[[], Database]) -> None:
        self._connect = connect
        self._known: Database | None = None

    def open(self) -> None:
        self._known = self._connect()

    def close(self) -> None:
        known, self._known = self._known, None
        if known is not None:
            known.close()

    @property
    def _database(self) -> Database:
        if self._known is None:
            self.open()
        assert self._known is not None  # noqa: S101 - open has made it
        return self._known

    def find(self, wanted: DeadLetterFilter) -> Iterator[DeadLetter]:
        with self._database.letter_tables(write=False) as tables:
            found = [_Pages(tables, schema, wanted) for schema in tables.tables]
            merged = heapq.merge(*found, key=lambda letter: letter.created_at, reverse=True)
            yield from islice(merged, wanted.limit or None)

    def append(self, letters: Sequence[DeadLetter]) -> None:
        """What became of letters that are here, and the others beside those of their schema."""
        if not letters:
            return
        with self._database.letter_tables(write=True) as tables:
            for letter in letters:
                self._keep(tables, letter)

    def mark_replayed(self, letters: Sequence[DeadLetter]) -> None:
        with self._database.letter_tables(write=True) as tables:
            for time in {letter.replayed_at for letter in letters}:
                given = time or datetime.now(timezone.utc)  # noqa: UP017
                ids = [letter.id for letter in letters if letter.replayed_at == time]
                set_ = f"SET {tables.quote('replayed_at')} = {tables.spelling.placeholder}"
                for table in tables.tables.values():
                    for some, condition in _in_pieces(tables, "id", ids):
                        tables.change(f"UPDATE {table} {set_} WHERE {condition}", [given, *some])

    def purge(self, letters: Sequence[DeadLetter]) -> int:
        """With the positions of those that were replayed: nothing can be sent through again that is not there."""
        gone = 0
        with self._database.letter_tables(write=True) as tables:
            for table in tables.tables.values():
                for some, condition in _in_pieces(tables, "id", [letter.id for letter in letters]):
                    gone += tables.change(f"DELETE FROM {table} WHERE {condition}", some)
            # A letter that was made of another one shares its position, which must stay as long as the other may be there.
            replayed = [letter_partition(letter) for letter in letters if letter.replayed_at and "/" not in letter.id]
            for table in tables.positions.values():
                for some, condition in _in_pieces(tables, "partition", replayed):
                    tables.change(f"DELETE FROM {table} WHERE {condition}", some)
        return gone

    def _keep(self, tables: LetterTables, letter: DeadLetter) -> None:
        quote, p = tables.quote, tables.spelling.placeholder
        news = ", ".join(f"{quote(name)} = {p}" for name in _VERDICT)
        values = [letter_value(letter, name) for name in _VERDICT]
        for table in tables.tables.values():
            if tables.change(f"UPDATE {table} SET {news} WHERE {quote('id')} = {p}", [*values, letter.id]):
                return
        into = _table_for(tables, letter)
        names = ", ".join(map(quote, DEAD_LETTER_COLUMNS))
        row = [letter_value(letter, name) for name in DEAD_LETTER_COLUMNS]
        tables.change(f"INSERT INTO {into} ({names}) VALUES ({', '.join([p] * len(row))})", row)


class _Pages:
    """The letters of one table, newest first, asked for page by page."""

    def __init__(self, tables: LetterTables, schema: str, wanted: DeadLetterFilter) -> None:
        self._tables = tables
        self._table = tables.tables[schema]
        self._wanted = wanted
        self._conditions, self._values = _conditions(wanted, schema, tables.quote, tables.spelling)

    def __iter__(self) -> Iterator[DeadLetter]:
        size = min(PAGE, self._wanted.limit or PAGE)
        at = 0
        while True:
            page = list(self._tables.ask(self._statement(size, at), self._values))
            yield from map(letter_of, page)
            at += len(page)
            if len(page) < size or at == self._wanted.limit:
                return

    def _statement(self, size: int, at: int) -> str:
        quote, spelling = self._tables.quote, self._tables.spelling
        columns = ", ".join(spelling.view.format(c=quote(name)) if name == "view" else quote(name) for name in DEAD_LETTER_COLUMNS)
        top, end = "", f" LIMIT {size}" + (f" OFFSET {at}" if at else "")
        if spelling.first == "top":
            top, end = ("", f" OFFSET {at} ROWS FETCH NEXT {size} ROWS ONLY") if at else (f"TOP ({size}) ", "")
        order = f"{quote('created_at')} DESC, {quote('source')}, {quote('record_offset')}, {quote('id')}"
        where = f" WHERE {' AND '.join(self._conditions)}" if self._conditions else ""
        return f"SELECT {top}{columns} FROM {self._table}{where} ORDER BY {order}{end}"


def _conditions(
    wanted: DeadLetterFilter, schema: str, quote: Callable[[str], str], spelling: LetterSpelling
) -> tuple[list[str], list[Any]]:
    questions: list[tuple[str, str, Any]] = []
    if wanted.table:
        given, table = split_table(wanted.table)
        questions.append((spelling.same, "target", f"{given or schema}.{table}"))
    for template, column, text in (
        (spelling.same, "reason", wanted.reason),
        (spelling.contains, "source", wanted.source),
        (spelling.begins, "id", wanted.id),
        (spelling.same, "stage", wanted.stage),
        (spelling.same, "sink", wanted.sink),
        ("{c} = {p}", "pipeline", wanted.pipeline),
        ("{c} >= {p}", "created_at", wanted.since),
        ("{c} < {p}", "created_at", wanted.until),
    ):
        if text:
            questions.append((template, column, text))
    conditions = [template.format(c=quote(column), p=spelling.placeholder) for template, column, _ in questions]
    if wanted.replayed is not None:
        conditions.append(f"{quote('replayed_at')} IS {'NOT ' if wanted.replayed else ''}NULL")
    return conditions, [text for _, _, text in questions]


def _in_pieces(tables: LetterTables, column: str, values: Sequence[str]) -> Iterator[tuple[Sequence[str], str]]:
    """These values in pieces, each with the condition that the column is one of them."""
    for start in range(0, len(values), PAGE):
        some = values[start : start + PAGE]
        yield some, f"{tables.quote(column)} IN ({', '.join([tables.spelling.placeholder] * len(some))})"


def _table_for(tables: LetterTables, letter: DeadLetter) -> str:
    """The table beside the letter's target, else the only one there is."""
    beside = [table for schema, table in tables.tables.items() if letter.target.startswith(f"{schema}.")]
    known = beside or list(tables.tables.values())
    if not known:
        raise ConfigError("the table of dead letters is gone", hint="Its letters were read from it a moment ago: was it dropped?")
    return known[0]
