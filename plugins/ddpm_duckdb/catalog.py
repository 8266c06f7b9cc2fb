"""A table as DuckDB's catalog describes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa

from ddpm_core import ConfigError
from ddpm_duckdb.types import arrow_type, quote

Fetch: TypeAlias = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
_HERE = "database_name = current_database() AND schema_name = ? AND table_name = ?"
_ASCII = "translate({}, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name, sql_type: As DuckDB spells them.
        type: What to hand over for it.
        cast: DuckDB must read that value, and may fail.
        nullable: It takes null.
        filled: The expression that fills it where a row does not; None for null.
        generated: It takes no value.
    """

    name: str
    sql_type: str
    type: pa.DataType
    cast: bool
    nullable: bool
    filled: str | None
    generated: bool


@dataclass(frozen=True, slots=True)
class Check:
    """A CHECK constraint: its text, its expression, and the columns in it."""

    text: str
    expression: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unique:
    """Expressions (columns, mostly) whose values together occur once, and those columns where they are nothing else."""

    expressions: tuple[str, ...]
    columns: frozenset[str]


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key: columns here, and the table and columns that must hold their values."""

    columns: tuple[str, ...]
    table: str
    referenced: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """All that decides whether the table takes a row."""

    columns: tuple[Column, ...]
    comment: str
    checks: tuple[Check, ...]
    uniques: tuple[Unique, ...]
    references: tuple[Reference, ...]
    depended_on: bool = False
    """An index was made on it, besides those of its constraints, or a foreign key points to it."""

    def schema(self) -> pa.Schema:
        """The columns that take values, as Arrow fields."""
        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns if not c.generated])


def spelling(fetch: Fetch, schema: str, table: str) -> tuple[str, str]:
    """The names as they are stored: DuckDB finds them whatever the case of their ASCII letters, positions are kept by their text."""
    folded = f"{_ASCII.format('schema_name')} = {_ASCII.format('?')}"
    found = fetch(f"SELECT schema_name FROM duckdb_schemas() WHERE database_name = current_database() AND {folded}", [schema])
    if not found:
        return schema, table
    schema = found[0][0]
    folded = f"{_ASCII.format('table_name')} = {_ASCII.format('?')}"
    tables = fetch(
        f"SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = ? AND {folded}",
        [schema, table],
    )
    return schema, tables[0][0] if tables else table


def read_table(connection: duckdb.DuckDBPyConnection, fetch: Fetch, schema: str, name: str) -> Table | None:
    """The table, or None when there is none.

    Raises:
        ConfigError: It is a view.
    """
    place = [schema, name]
    found = fetch(f"SELECT coalesce(comment, '') FROM duckdb_tables() WHERE {_HERE}", place)
    if not found:
        if fetch(f"SELECT 1 FROM duckdb_views() WHERE {_HERE.replace('table_name', 'view_name')}", place):
            raise ConfigError(f"{schema}.{name} is a view, and rows go into tables", hint="Name another table with --table")
        return None
    types = {
        entry[0]: entry[1] for entry in connection.execute(f"SELECT * FROM {quote(schema)}.{quote(name)} LIMIT 0").description or ()
    }
    columns = []
    for column, sql, nullable, default, generated, expression in fetch(
        "SELECT column_name, data_type, is_nullable, column_default, is_generated, generation_expression "
        f"FROM duckdb_columns() WHERE {_HERE} ORDER BY column_index",
        place,
    ):
        arrow = arrow_type(types[column])
        filled = expression if generated else default
        columns.append(Column(column, sql, arrow.type, arrow.cast, nullable, filled, generated))
    names = {spelled: column.name for column in columns for spelled in (column.name, quote(column.name))}
    checks, uniques, references = [], [], []
    for kind, text, expression, own, table, referenced in fetch(
        "SELECT constraint_type, constraint_text, expression, constraint_column_names, referenced_table, referenced_column_names "
        f"FROM duckdb_constraints() WHERE {_HERE} ORDER BY constraint_index",
        place,
    ):
        if kind == "CHECK":
            checks.append(Check(text, expression, tuple(own)))
        elif kind in ("PRIMARY KEY", "UNIQUE"):
            uniques.append(Unique(tuple(map(quote, own)), frozenset(own)))
        elif kind == "FOREIGN KEY":
            references.append(Reference(tuple(own), f"{quote(schema)}.{quote(table)}", tuple(referenced)))
    for (expressions,) in fetch(f"SELECT expressions::VARCHAR[] FROM duckdb_indexes() WHERE is_unique AND {_HERE}", place):
        plain = all(expression in names for expression in expressions)
        keyed = frozenset(names[expression] for expression in expressions) if plain else frozenset()
        uniques.append(Unique(tuple(expressions), keyed))
    depended_on = fetch(
        f"SELECT 1 FROM duckdb_indexes() WHERE {_HERE} UNION ALL SELECT 1 FROM duckdb_constraints() "
        "WHERE database_name = current_database() AND constraint_type = 'FOREIGN KEY' AND referenced_table = ? LIMIT 1",
        [*place, name],
    )
    return Table(tuple(columns), found[0][0], tuple(checks), tuple(uniques), tuple(references), bool(depended_on))
