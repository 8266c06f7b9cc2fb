"""A table as DuckDB's catalog describes it.

The functions of its catalog (`duckdb_tables()` and the like) make DuckDB's own views when one is first asked, 15 ms, and each question
takes one or two: more than a tenth of a small load. So nothing is asked of a table that is not there, or that this transaction has made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import pyarrow as pa

from ddpm_core import ConfigError
from ddpm_duckdb.types import ArrowType, arrow_type, quote

if TYPE_CHECKING:
    import duckdb

Fetch: TypeAlias = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
_HERE = "database_name = current_database() AND schema_name = ? AND table_name = ?"
_ASCII = "translate({}, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')"


class Column(NamedTuple):
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


class Check(NamedTuple):
    """A CHECK constraint: its text, its expression, and the columns in it."""

    text: str
    expression: str
    columns: tuple[str, ...]


class Unique(NamedTuple):
    """Expressions (columns, mostly) whose values together occur once, and those columns where they are nothing else."""

    expressions: tuple[str, ...]
    columns: frozenset[str]


class Reference(NamedTuple):
    """A foreign key: columns here, and the table and columns that must hold their values."""

    columns: tuple[str, ...]
    table: str
    referenced: tuple[str, ...]


class Table(NamedTuple):
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


def spelling(connection: duckdb.DuckDBPyConnection, fetch: Fetch, schema: str, table: str) -> tuple[str, str]:
    """The names as they are stored: DuckDB finds them whatever the case of their ASCII letters, positions are kept by their text."""
    folded = f"{_ASCII.format('schema_name')} = {_ASCII.format('?')}"
    found = fetch(f"SELECT schema_name FROM duckdb_schemas() WHERE database_name = current_database() AND {folded}", [schema])
    if not found:
        return schema, table
    schema = found[0][0]
    if is_missing(connection, schema, table):
        return schema, table
    folded = f"{_ASCII.format('table_name')} = {_ASCII.format('?')}"
    tables = fetch(
        f"SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = ? AND {folded}",
        [schema, table],
    )
    return schema, tables[0][0] if tables else table


def is_missing(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> bool:
    """Whether nothing of this name has been committed. False also where that cannot be told."""
    import duckdb

    with connection.cursor() as other:  # A statement that fails would end the transaction of the connection's own.
        try:
            other.execute(f"SELECT 1 FROM {quote(schema)}.{quote(name)} LIMIT 0")
        except duckdb.CatalogException as error:  # Of a view it may be another table that is missing.
            return f"Table with name {name} does not exist" in str(error)
        except duckdb.Error:
            return False
    return False


def made_table(connection: duckdb.DuckDBPyConnection, schema: str, name: str, comment: str, key: Sequence[str]) -> Table:
    """A table that this transaction has made, with a primary key of these columns if there are any, and nothing else."""
    keyed = {column.encode().lower() for column in key}  # Of bytes, that is of ASCII letters, as in DuckDB.
    columns = tuple(
        Column(column, sql, kind.type, kind.cast, column.encode().lower() not in keyed, None, False)
        for column, (sql, kind) in _types(connection, schema, name).items()
    )
    return Table(columns, comment, (), (Unique(tuple(map(quote, key)), frozenset(key)),) if key else (), ())


def read_table(connection: duckdb.DuckDBPyConnection, fetch: Fetch, schema: str, name: str) -> Table | None:
    """The table, or None when there is none.

    Raises:
        ConfigError: It is a view.
    """
    place = [schema, name]
    found = fetch(f"SELECT coalesce(comment, ''), sql FROM duckdb_tables() WHERE {_HERE}", place)
    if not found:
        if fetch(f"SELECT 1 FROM duckdb_views() WHERE {_HERE.replace('table_name', 'view_name')}", place):
            raise ConfigError(f"{schema}.{name} is a view, and rows go into tables", hint="Name another table with --table")
        return None
    described = _of_generated_columns(fetch, place) if "GENERATED ALWAYS" in found[0][1] else _of_columns(fetch, schema, name)
    columns = _columns(connection, described, schema, name)
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
    return Table(columns, found[0][0], tuple(checks), tuple(uniques), tuple(references), bool(depended_on))


def _columns(
    connection: duckdb.DuckDBPyConnection, described: Sequence[tuple[Any, ...]], schema: str, name: str
) -> tuple[Column, ...]:
    """Of name, type, whether it takes null, default, whether it is generated and from what, for each column."""
    types = _types(connection, schema, name)
    return tuple(
        Column(column, sql, types[column][1].type, types[column][1].cast, nullable, expression if generated else default, generated)
        for column, sql, nullable, default, generated, expression in described
    )


def _types(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> dict[str, tuple[str, ArrowType]]:
    """Each column's type, as DuckDB spells it and as it takes values."""
    empty = connection.execute(f"SELECT * FROM {quote(schema)}.{quote(name)} LIMIT 0")
    return {entry[0]: (str(entry[1]), arrow_type(entry[1])) for entry in empty.description or ()}


def _of_columns(fetch: Fetch, schema: str, name: str) -> list[tuple[Any, ...]]:
    """What `duckdb_columns()` says of a table without generated columns, without looking at every view there is."""
    return fetch(
        'SELECT name, type, NOT "notnull", dflt_value, false, NULL FROM pragma_table_info(?) ORDER BY cid',
        [f"{quote(schema)}.{quote(name)}"],
    )


def _of_generated_columns(fetch: Fetch, place: Sequence[str]) -> list[tuple[Any, ...]]:
    return fetch(
        "SELECT column_name, data_type, is_nullable, column_default, is_generated, generation_expression "
        f"FROM duckdb_columns() WHERE {_HERE} ORDER BY column_index",
        place,
    )
