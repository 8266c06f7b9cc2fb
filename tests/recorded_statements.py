"""A sink that runs nothing and records what it was asked: for what the core says in SQL of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ddpm_core import Dialect

DIALECT = Dialect("Any", "?", "text", 'text collate "C"', "bigint", "blob", "json", "timestamptz")
"""A database with arrays."""
PLAIN = dataclasses.replace(
    DIALECT, key_text="varbinary({})", key_sizes=(10, 20, 30, 40), arrays=False, if_absent="not_exists", from_nothing=" FROM DUAL",
    lock_hint=" WITH (HOLDLOCK)", transactional_ddl=False,
)  # fmt: skip
"""One without, in which making a table commits."""


class Statements:
    """A sink that runs nothing: what was to be changed, with the parameters, as the numbers of columns that went together."""

    def __init__(self, found: int = 1) -> None:
        self.changes: list[tuple[str, list[Any]]] = []
        self.fetched: list[tuple[str, list[Any]]] = []
        self.made: list[str] = []
        self.rows: list[tuple[Any, ...]] = []
        self.taken: list[tuple[Any, ...]] = []
        """The names of those that a claim finds."""
        self.found = found
        self.replayed = 0
        """So many letters are there that were replayed."""

    @property
    def inserts(self) -> list[tuple[str, list[Any]]]:
        return [change for change in self.changes if change[0].startswith("INSERT")]

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        self.fetched.append((sql, list(parameters)))
        return self.taken if sql.startswith("UPDATE") else self.rows

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        self.changes.append((sql, list(parameters)))
        return self.replayed if sql.startswith("UPDATE main._ddpm_dead_letters") else self.found

    def change_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        for parameters in rows:
            self.change(sql, parameters)

    def insert_absent(self, table: str, types: Mapping[str, str], columns: Sequence[Sequence[Any]]) -> None:
        assert len(types) == len(columns)
        self.changes.append((f"INSERT INTO {table}", list(columns)))

    def make_own_table(self, name: str, columns: str) -> None:
        self.made.append(f"{name} ({columns})")

    def quote(self, name: str) -> str:
        return name
