"""SQLite: five storage classes, a column takes any of them, and what a column is declared to be is a matter of its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Dialect as SqlAlchemyDialect

from ddpm_core import ConfigError, Dialect, LetterSpelling
from ddpm_sql.catalog import Table
from ddpm_sql.generic import Generic, as_text, is_temporal
from ddpm_sql.statement import PLACEHOLDER

KEPT_DIGITS = 15
"""Digits that SQLite keeps of a number in a column that is declared NUMERIC or DECIMAL."""

_DECLARED = {
    "BOOLEAN": pa.bool_(),
    "BOOL": pa.bool_(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "DATETIME": pa.timestamp("us"),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", "UTC"),
    "JSON": pa.json_(),
}
# SQLite's own rules, in their order: the first word that is part of the declared type decides.
_AFFINITIES = (
    (("INT",), pa.int64()),
    (("CHAR", "CLOB", "TEXT"), pa.string()),
    (("BLOB",), pa.binary()),
    (("REAL", "FLOA", "DOUB"), pa.float64()),
)


class Sqlite(Generic):
    """SQLite. Its statements fail alone, its DDL is transactional, and one process writes at a time."""

    if_not_exists = True
    default_schema = "main"

    def __init__(self, dialect: SqlAlchemyDialect, title: str) -> None:
        super().__init__(dialect, title)
        self._on_conflict = True
        same, find = "{c} = {p} COLLATE NOCASE", "instr({c}, {p})"
        self.letters = LetterSpelling(PLACEHOLDER, same=same, contains=f"{find} > 0", begins=f"{find} = 1")

    def make_dialect(self, *, on_conflict: bool) -> Dialect:
        return Dialect(
            name=self.title,
            placeholder=PLACEHOLDER,
            text="TEXT",
            key_text="TEXT",
            integer="INTEGER",
            bytes="BLOB",
            json="TEXT",
            timestamp="TIMESTAMPTZ",
            now="strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')",
            arrays=False,
        )

    def name_problem(self, name: str) -> str:
        if name.lower().startswith("sqlite_"):
            return "names that begin with sqlite_ are SQLite's own"
        return "it holds half a surrogate pair" if any("\ud800" <= c <= "\udfff" for c in name) else ""

    def key_problem(self, name: str, size: int) -> str:
        return ""

    def schema_of(self, connection: Connection, given: str | None, table: str) -> tuple[str, str]:
        if given is not None and given.lower() != "main":
            raise ConfigError(f"SQLite has no schema {given!r}", hint="Name the table alone, as --table name")
        # SQLite finds tables whatever the case of their ASCII letters; positions are kept by their text.
        found = connection.exec_driver_sql(
            "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE", (table,)
        ).scalar()
        return "main", found or table

    def read_table(self, connection: Connection, schema: str, table: str, *, comment: str) -> Table | None:
        found = connection.exec_driver_sql(
            "SELECT type, sql FROM main.sqlite_schema WHERE name = ? AND type IN ('table', 'view')", (table,)
        ).first()
        if found is None:
            return None
        if found[0] == "view":
            raise ConfigError(f"{schema}.{table} is a view, and rows go into tables", hint="Name another table with --table")
        fields, keyed, rowid = [], {}, False
        for name, declared, required, default, place, hidden in connection.exec_driver_sql(
            "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?, 'main') ORDER BY cid", (table,)
        ):
            if place:
                keyed[name] = declared
            if hidden == 0:
                fields.append(_field(name, declared, nullable=not required or default is not None))
        rowid = len(keyed) == 1 and next(iter(keyed.values())).upper() == "INTEGER"
        if rowid:  # It fills itself.
            fields = [field.with_nullable(True) if field.name in keyed else field for field in fields]
        keys = [frozenset(keyed)] if keyed else []
        for index, partial in connection.exec_driver_sql(
            "SELECT name, partial FROM pragma_index_list(?, 'main') WHERE \"unique\"", (table,)
        ).all():
            names = [row[0] for row in connection.exec_driver_sql("SELECT name FROM pragma_index_info(?, 'main')", (index,))]
            if not partial and None not in names:
                keys.append(frozenset(names))
        owned = (found[1] or "").startswith(self.make_table(self.quote(table), "", comment)[0].removesuffix(")"))
        return Table(pa.schema(fields), owned, tuple(dict.fromkeys(keys)))

    def types(self) -> Sequence[tuple[Any, str]]:
        return (
            (pa.types.is_boolean, "BOOLEAN"),
            (lambda t: t == pa.uint64(), "TEXT"),  # Half of its values would silently become floats.
            (pa.types.is_integer, "INTEGER"),
            (pa.types.is_floating, "REAL"),
            (lambda t: pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_binary_view(t), "BLOB"),
            (pa.types.is_fixed_size_binary, "BLOB"),
            (pa.types.is_date, "DATE"),
            (pa.types.is_time, "TIME"),
            (lambda t: pa.types.is_timestamp(t) and t.tz is not None, "TIMESTAMPTZ"),
            (pa.types.is_timestamp, "DATETIME"),
        )

    def decimal(self, kind: pa.DataType, most: int = 38) -> str:
        return "TEXT"

    def text(self, *, in_key: bool) -> str:
        return "TEXT"

    def make_table(self, name: str, columns: str, comment: str) -> list[str]:
        # SQLite keeps the statement's text, this comment included: the mark goes when the table goes.
        return [f"CREATE TABLE {name} ( /* {comment} */ {columns})" if comment else f"CREATE TABLE {name} ({columns})"]

    def widen(self, table: str, column: str, sql_type: str, *, nullable: bool) -> str | None:
        return None

    def parameter(self, value: Any) -> Any:
        return value.isoformat(" ", "microseconds") if isinstance(value, datetime) else value

    def complaints(self, column: pa.Array) -> list[tuple[pa.Array, str]]:
        kind = column.type
        if pa.types.is_floating(kind):
            return [(pc.is_nan(column), "SQLite would turn NaN into null")]
        if pa.types.is_decimal(kind) and kind.precision > KEPT_DIGITS:
            limit = pa.scalar(Decimal(10**KEPT_DIGITS).scaleb(-kind.scale), pa.decimal256(76, max(kind.scale, 0)))
            beyond = pc.greater_equal(pc.abs(column).cast(limit.type), limit)
            return [(beyond, f"SQLite keeps {KEPT_DIGITS} digits of a number; declare the column TEXT")]
        return super().complaints(column)

    def values(self, column: pa.Array) -> list[Any]:
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8())
        elif is_temporal(column.type) or pa.types.is_decimal(column.type):
            column = as_text(column)
        return super().values(column)


def _field(name: str, declared: str, *, nullable: bool) -> pa.Field:
    upper = re.sub(r"\s*\(.*\)", "", declared.upper()).strip()
    if upper in _DECLARED:
        return pa.field(name, _DECLARED[upper], nullable)
    number = re.fullmatch(r"(?:DECIMAL|NUMERIC)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", declared.upper().strip())
    if number:
        precision, scale = int(number[1]), int(number[2] or 0)
        if 0 < precision <= 38 and scale <= precision:
            return pa.field(name, pa.decimal128(precision, scale), nullable)
    for words, arrow in _AFFINITIES:
        if any(word in upper for word in words):
            return pa.field(name, arrow, nullable)
    return pa.field(name, pa.string(), nullable, {"sql_type": declared or "any"})
