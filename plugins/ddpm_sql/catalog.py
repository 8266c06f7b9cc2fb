"""What a database says of a table, by SQLAlchemy's inspector, as Arrow fields. SQLite and MariaDB are asked in their own ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy
from sqlalchemy import types as sql
from sqlalchemy.dialects import mssql
from sqlalchemy.engine import Connection, Inspector

from ddpm_core import ConfigError


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        columns: Those that can be written, in their order. What the database fills by itself counts as nullable.
        owned: DDPM made it.
        keys: The column sets that are unique.
        plain: The columns without a default: their type can be changed by naming nothing but the new one and whether it takes null.
        required: The columns that are declared NOT NULL.
    """

    columns: pa.Schema
    owned: bool
    keys: tuple[frozenset[str], ...]
    plain: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()


def read_table(connection: Connection, schema: str, table: str, *, comment: str) -> Table | None:
    """The table, or None when there is none.

    Args:
        comment: The comment on a table that DDPM made.

    Raises:
        ConfigError: It is a view.
    """
    inspector = sqlalchemy.inspect(connection)
    if not inspector.has_table(table, schema=schema):
        return None
    if table in inspector.get_view_names(schema=schema):
        raise ConfigError(f"{schema}.{table} is a view, and rows go into tables", hint="Name another table with --table")
    fields, plain, required = [], set(), set()
    for column in inspector.get_columns(table, schema=schema):
        identity: Any = column.get("identity") or {}
        if column.get("computed") or identity.get("always"):
            continue
        filled = column.get("default") is not None or column.get("autoincrement") is True or bool(identity)
        name: str = column["name"]
        fields.append(field_of(name, column["type"], nullable=filled or column["nullable"], dialect=connection.dialect))
        if not filled:
            plain.add(name)
        if not column["nullable"]:
            required.add(name)
    return Table(
        pa.schema(fields), _comment(inspector, schema, table) == comment, _keys(inspector, schema, table),
        frozenset(plain), frozenset(required),
    )  # fmt: skip


def _comment(inspector: Inspector, schema: str, table: str) -> str:
    try:
        return inspector.get_table_comment(table, schema=schema)["text"] or ""
    except NotImplementedError:
        return ""


def _keys(inspector: Inspector, schema: str, table: str) -> tuple[frozenset[str], ...]:
    """Of whole unique indexes on whole columns."""
    found = [inspector.get_pk_constraint(table, schema=schema)["constrained_columns"]]
    found += (
        [constraint["column_names"] for constraint in inspector.get_unique_constraints(table, schema=schema) or ()]
        if _has_unique_constraints(inspector)
        else []
    )
    for index in inspector.get_indexes(table, schema=schema):
        options = index.get("dialect_options", {})
        partial = any(name.endswith(("_where", "_length")) and value for name, value in options.items())
        if index["unique"] and not partial and not index.get("expressions") and None not in index["column_names"]:
            found.append([str(name) for name in index["column_names"]])
    return tuple(dict.fromkeys(frozenset(names) for names in found if names))


def _has_unique_constraints(inspector: Inspector) -> bool:
    return inspector.dialect.name != "mssql"  # Its unique constraints are among its indexes; SQLAlchemy cannot list them.


def field_of(name: str, kind: Any, *, nullable: bool, dialect: sqlalchemy.Dialect) -> pa.Field:
    """A column as an Arrow field. What Arrow has no type for is text that the database reads; the metadata has its own name."""
    arrow = arrow_of(kind)
    if arrow is not None:
        return pa.field(name, arrow, nullable)
    try:
        spelled = str(kind.compile(dialect=dialect))
    except sqlalchemy.exc.CompileError:
        spelled = type(kind).__name__
    return pa.field(name, pa.string(), nullable, {"sql_type": spelled})


def arrow_of(kind: Any) -> pa.DataType | None:
    """The Arrow type with the values of an SQL type, or None when there is none."""
    if isinstance(kind, sql.Enum):
        return None
    for fits, arrow in _ARROW:
        if isinstance(kind, fits):
            return arrow(kind) if callable(arrow) else arrow
    return None


def _integer(kind: Any) -> pa.DataType:
    bits = next((bits for fits, bits in _WIDTHS if isinstance(kind, fits)), 32)
    unsigned = isinstance(kind, mssql.TINYINT)
    return getattr(pa, f"{'u' if unsigned else ''}int{bits}")()


_WIDTHS: tuple[tuple[Any, int], ...] = (
    (mssql.TINYINT, 8),
    (sql.SmallInteger, 16),
    (sql.BigInteger, 64),
)


def _number(kind: Any) -> pa.DataType | None:
    if isinstance(kind, mssql.MONEY | mssql.SMALLMONEY):
        return pa.decimal128(19 if isinstance(kind, mssql.MONEY) else 10, 4)
    precision, scale = kind.precision, kind.scale or 0
    return pa.decimal128(precision, scale) if precision and 0 <= scale <= precision <= 38 else None


def _float(kind: Any) -> pa.DataType:
    return pa.float32() if isinstance(kind, sql.REAL) else pa.float64()


def _timestamp(kind: Any) -> pa.DataType:
    if isinstance(kind, mssql.SMALLDATETIME) or type(kind) is mssql.DATETIME:
        return pa.timestamp("ms")  # More digits it refuses.
    zoned = getattr(kind, "timezone", False) or isinstance(kind, mssql.DATETIMEOFFSET)
    return pa.timestamp("us", "UTC") if zoned else pa.timestamp("us")


_ARROW: tuple[tuple[Any, Any], ...] = (
    ((sql.Boolean, mssql.BIT), pa.bool_()),
    ((mssql.ROWVERSION, mssql.SQL_VARIANT, mssql.XML), lambda _: None),
    (sql.Integer, _integer),
    (sql.Float, _float),
    ((sql.Numeric, mssql.MONEY, mssql.SMALLMONEY), _number),
    (sql.Uuid, pa.uuid()),
    (mssql.UNIQUEIDENTIFIER, pa.uuid()),
    (sql.JSON, pa.json_()),
    (sql.String, pa.string()),
    (sql._Binary, pa.binary()),
    (sql.Date, pa.date32()),
    (sql.Time, pa.time64("us")),
    (mssql.TIME, pa.time64("us")),
    ((sql.DateTime, mssql.DATETIMEOFFSET), _timestamp),
)
