"""How DDPM's own statements are spelled, and what it asks of a sink to run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from ddpm_core.values import dataclass

AT_ONCE = 1_000
"""So many names are in a statement: databases without arrays take that many parameters."""


class Statements(Protocol):
    """What the ledger asks of its sink. Every statement runs in the transaction that is open."""

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement that changes rows and return how many it found, changed or not."""

    def change_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement that changes rows once for each of these parameters."""

    def insert_absent(self, table: str, types: Mapping[str, str], columns: Sequence[Sequence[Any]]) -> None:
        """Insert rows, given column by column, but for those whose key is there."""

    def make_own_table(self, name: str, columns: str) -> None:
        """Make one of DDPM's own tables, beside the target, if it is missing."""

    def quote(self, name: str) -> str:
        """An identifier for statements."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a database spells what DDPM says.

    Attributes:
        name: For messages, such as `Postgres`.
        placeholder: A parameter in a statement: `?` or `%s`.
        text, key_text, integer, bytes, json, timestamp: Column types of DDPM's own tables. `key_text` compares by bytes; `{}` in it is
            the most bytes that the column must take, as `key_sizes` says.
        max_name_bytes: The longest identifier, in UTF-8 bytes, or None.
        now: The expression for the present time.
        arrays: A parameter may be a list, and `unnest` of several of them gives rows. Dead letters go through `insert_absent` then, and
            otherwise through `change_many`.
        if_absent: How a row is inserted unless its key is there: by `ON CONFLICT DO NOTHING`, or by `WHERE NOT EXISTS`. Of two
            sessions that insert the same key at once the second must wait for the first, and find the row or get an error.
        from_nothing: What follows a SELECT that reads no table, such as ` FROM DUAL`.
        lock_hint: What follows a table's name in `WHERE NOT EXISTS`, so that the key is locked before it is found absent.
        key_sizes: The most bytes in a pipeline's, target's and partition's name and in a dead letter's id, where an index has a limit.
        transactional_ddl: A table that is made in a transaction goes with its rollback. Without, making one commits: then DDPM's own
            tables are made when nothing is written yet.
    """

    name: str
    placeholder: str
    text: str
    key_text: str
    integer: str
    bytes: str
    json: str
    timestamp: str
    max_name_bytes: int | None = None
    now: str = "now()"
    arrays: bool = True
    if_absent: Literal["on_conflict", "not_exists"] = "on_conflict"
    from_nothing: str = ""
    lock_hint: str = ""
    key_sizes: tuple[int, int, int, int] = (0, 0, 0, 0)
    transactional_ddl: bool = True


class Spelling:
    """Pieces of DDPM's own statements, as one sink spells them.

    Args:
        sink: Says how names are quoted.
        dialect: The database's spelling of the rest.
    """

    def __init__(self, sink: Statements, dialect: Dialect) -> None:
        self.quote = sink.quote
        self._dialect = dialect

    def equal(self, column: str) -> str:
        """That a column is a parameter; in an UPDATE, that it becomes one."""
        return f"{self.quote(column)} = {self._dialect.placeholder}"

    def now(self, column: str) -> str:
        """That a column becomes the present time."""
        return f"{self.quote(column)} = {self._dialect.now}"

    def among(self, column: str, values: Sequence[str]) -> tuple[str, list[Any]]:
        """The condition that a column is one of these, and its parameters."""
        p = self._dialect.placeholder
        if self._dialect.arrays:
            return f"{self.quote(column)} IN (SELECT unnest({p}::{self._dialect.text}[]))", [list(values)]
        return f"{self.quote(column)} IN ({', '.join([p] * len(values))})", list(values)

    def insert_if_absent(self, table: str, columns: Sequence[str], key: Sequence[str], *, stamped: str = "") -> tuple[str, bool]:
        """An INSERT of one row unless its key is there; and whether the key's values are parameters once more, behind all others.

        Args:
            table: Quoted, with its schema.
            columns: Those that are parameters.
            key: Those of them that tell a row.
            stamped: One more column, which gets the present time.
        """
        d, q = self._dialect, self.quote
        values = ", ".join([*[d.placeholder] * len(columns), *([d.now] if stamped else [])])
        into = f"INSERT INTO {table} ({', '.join(map(q, [*columns, *([stamped] if stamped else [])]))})"
        if d.if_absent == "on_conflict":
            return f"{into} VALUES ({values}) ON CONFLICT DO NOTHING", False
        same = " AND ".join(self.equal(name) for name in key)
        return f"{into} SELECT {values}{d.from_nothing} WHERE NOT EXISTS (SELECT 1 FROM {table}{d.lock_hint} WHERE {same})", True
