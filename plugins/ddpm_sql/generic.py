"""What every database has in common, and what is done where nothing better is known. Others derive from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import types as sql
from sqlalchemy.engine import URL, Connection
from sqlalchemy.engine import Dialect as SqlAlchemyDialect

from ddpm_core import ConfigError, Dialect, LetterSpelling, Reject
from ddpm_sql import catalog
from ddpm_sql.statement import PLACEHOLDER, spelled

KEY_TEXT = 255
"""Characters in a key column of type text, where a key cannot be a text of any length."""


class Generic:
    """A database by SQLAlchemy's means alone. One for each sink; it keeps nothing of a connection.

    Args:
        dialect: SQLAlchemy's, whose quoting and spelling of types is used.
        title: The database, for people.
    """

    refuse_nul: ClassVar[bool] = True
    if_not_exists: ClassVar[bool] = False
    default_schema: ClassVar[str] = ""
    letters: LetterSpelling
    """How dead letters are asked for."""

    def __init__(self, dialect: SqlAlchemyDialect, title: str) -> None:
        self.sa = dialect
        self.title = title
        on_conflict = dialect.name in ("postgresql", "cockroachdb")
        self.dialect = self.make_dialect(on_conflict=on_conflict)
        find = "position({p} in {c})" if on_conflict else "INSTR({c}, {p})"
        self.letters = LetterSpelling(PLACEHOLDER, contains=f"{find} > 0", begins=f"{find} = 1")
        self._on_conflict = on_conflict

    def make_dialect(self, *, on_conflict: bool) -> Dialect:
        """The spelling of what the core says."""
        return Dialect(
            name=self.title,
            placeholder=PLACEHOLDER,
            text=self._spell(sql.Text()),
            key_text="VARCHAR({})",
            integer=self._spell(sql.BigInteger()),
            bytes=self._spell(sql.LargeBinary()),
            json=self._spell(sql.Text()),
            timestamp=self._spell(sql.DateTime(timezone=True)),
            now="CURRENT_TIMESTAMP",
            arrays=False,
            if_absent="on_conflict" if on_conflict else "not_exists",
            from_nothing=" FROM DUAL" if self.sa.name == "oracle" else "",
            key_sizes=(120, 300, 1500, 255),
            transactional_ddl=on_conflict,
        )

    # Names.

    def quote(self, name: str) -> str:
        """An identifier for statements."""
        first, last = self.sa.identifier_preparer.initial_quote, self.sa.identifier_preparer.final_quote
        return f"{first}{name.replace(last, last * 2)}{last}"

    def name_problem(self, name: str) -> str:
        """What is wrong with this name besides what is wrong everywhere, or an empty string."""
        if any("\ud800" <= character <= "\udfff" for character in name):
            return "it holds half a surrogate pair"
        if len(name) > self.sa.max_identifier_length:
            return f"it is {len(name)} characters long, and {self.title} takes {self.sa.max_identifier_length}"
        return ""

    def key_problem(self, name: str, size: int) -> str:
        """Why DDPM's own tables cannot have this as a key, or an empty string."""
        nbytes = len(name.encode("utf-8", "surrogatepass"))
        return f"is {nbytes} bytes long, and {self.title} takes {size} there" if nbytes > size else ""

    # The table.

    def connected(self, connection: Connection, *, atomic: bool) -> None:
        """Look at the server that a new connection is with, and set up what depends on it. Called before any other statement.

        Args:
            atomic: The whole run will be one transaction.
        """

    def schema_before(self, url: URL) -> str:
        """What is taken for the default schema before there is a connection."""
        return self.default_schema or "public"

    def schema_of(self, connection: Connection, given: str | None, table: str) -> tuple[str, str]:
        """Schema and table as the database spells them."""
        return given or connection.dialect.default_schema_name or self.default_schema, table

    def read_table(self, connection: Connection, schema: str, table: str, *, comment: str) -> catalog.Table | None:
        """The table, or None when there is none.

        Args:
            comment: What marks a table as DDPM's own.
        """
        return catalog.read_table(connection, schema, table, comment=comment)

    def column_type(self, field: pa.Field, *, in_key: bool) -> str:
        """The type of a new column.

        Raises:
            ConfigError: The database has none.
        """
        kind = _plain(field.type)
        for fits, made in self.types():
            if fits(kind):
                return made
        if pa.types.is_decimal(kind):
            return self.decimal(kind)
        if _is_text(kind) or isinstance(kind, pa.UuidType):
            return self.text(in_key=in_key)
        if pa.types.is_nested(kind) or isinstance(kind, pa.JsonType):
            return self.json()
        if pa.types.is_duration(kind) or pa.types.is_interval(kind):
            return self.text(in_key=in_key)
        raise ConfigError(
            f"column {field.name!r} has type {kind}, and {self.title} has no type for it",
            hint=f"Declare another: --columns '{field.name}=string'.",
        )

    def types(self) -> Sequence[tuple[Any, str]]:
        """Which Arrow types are which SQL types, by the first test that holds."""
        spell = self._spell
        return (
            (pa.types.is_boolean, spell(sql.Boolean())),
            (lambda t: t in (pa.int8(), pa.int16(), pa.uint8()), spell(sql.SmallInteger())),
            (lambda t: t in (pa.int32(), pa.uint16()), spell(sql.Integer())),
            (lambda t: t in (pa.int64(), pa.uint32()), spell(sql.BigInteger())),
            (lambda t: t == pa.uint64(), spell(sql.Numeric(20, 0))),
            (pa.types.is_floating, spell(sql.Double())),
            (_is_binary, spell(sql.LargeBinary())),
            (pa.types.is_date, spell(sql.Date())),
            (pa.types.is_time, spell(sql.Time())),
            (lambda t: pa.types.is_timestamp(t) and t.tz is not None, spell(sql.DateTime(timezone=True))),
            (pa.types.is_timestamp, spell(sql.DateTime())),
        )

    def decimal(self, kind: pa.DataType, most: int = 38) -> str:
        """The type for decimals; text, exact, for those with too many digits."""
        scale = max(kind.scale, 0)
        digits = max(kind.precision - min(kind.scale, 0), scale)
        return self._spell(sql.Numeric(digits, scale)) if digits <= most else self.text(in_key=False)

    def text(self, *, in_key: bool) -> str:
        """The type for texts of any length; in a key, of a length that an index takes."""
        return self._spell(sql.String(KEY_TEXT) if in_key else sql.Text())

    def json(self) -> str:
        """The type for nested values, which arrive as JSON text."""
        return self.text(in_key=False)

    def make_table(self, name: str, columns: str, comment: str) -> list[str]:
        """The statements that make a table and mark it as DDPM's own, unless `comment` is empty."""
        made = [f"CREATE TABLE {name} ({columns})"]
        return [*made, f"COMMENT ON TABLE {name} IS '{comment}'"] if comment else made

    def add_column(self, table: str, column: str) -> str:
        """The statement that adds a column."""
        return f"ALTER TABLE {table} ADD {column}"

    def widen(self, table: str, column: str, sql_type: str, *, nullable: bool) -> str | None:
        """The statement that gives a column a wider type, or None where that is not done."""
        return f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {sql_type}" if self._on_conflict else None

    def own_table_ddl(self, name: str, columns: str) -> str:
        """The statement that makes one of DDPM's own tables."""
        return f"CREATE TABLE {'IF NOT EXISTS ' if self.if_not_exists else ''}{name} ({columns})"

    # Transactions.

    def begun(self, connection: Connection, *, stays_open: bool) -> None:
        """Statements at the beginning of a transaction; with `stays_open` it takes as long as the run does."""

    def lock_out_writers(self, table: str) -> str:
        """The statement that keeps other writers off the table until COMMIT, or an empty string where there is none."""
        return f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE" if self.sa.name in ("postgresql", "oracle") else ""

    # Rows.

    def parameter(self, value: Any) -> Any:
        """A value of DDPM's own tables as the driver takes it."""
        return value

    def unfit(self, data: pa.RecordBatch) -> list[Reject]:
        """The rows that the database would refuse or change, where it is cheaper or safer to say so before."""
        found: dict[int, Reject] = {}
        for name, column in zip(data.schema.names, data.columns, strict=True):
            for bad, message in self.complaints(column):
                for row in pc.indices_nonzero(pc.fill_null(bad, False)).to_pylist():
                    found.setdefault(row, Reject(row, "out_of_range", f"column {name!r}: {message}"))
        return [found[row] for row in sorted(found)]

    def complaints(self, column: pa.Array) -> list[tuple[pa.Array, str]]:
        """Masks of values that cannot be handed over, each with the reason."""
        if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
            return [(_beyond_years(column), "the year is not between 1 and 9999")]
        return []

    def insert(self, connection: Connection, table: str, data: pa.RecordBatch) -> None:
        """Add these rows, all or none (but for what a savepoint undoes)."""
        columns = ", ".join(map(self.quote, data.schema.names))
        marks = ", ".join([PLACEHOLDER] * data.num_columns)
        self.many(connection, f"INSERT INTO {table} ({columns}) VALUES ({marks})", self._rows(data))

    def upsert(self, connection: Connection, table: str, data: pa.RecordBatch, key: Sequence[str], *, other_keys: bool) -> None:
        """As `insert`, replacing rows with the same key. Columns that the rows lack stay as they are.

        Args:
            other_keys: The table has more unique keys than this one.
        """
        if self._on_conflict:
            self._upsert_on_conflict(connection, table, data, key)
        else:
            self._update_then_insert(connection, table, data, key)

    def _upsert_on_conflict(self, connection: Connection, table: str, data: pa.RecordBatch, key: Sequence[str]) -> None:
        names = data.schema.names
        columns, marks = ", ".join(map(self.quote, names)), ", ".join([PLACEHOLDER] * len(names))
        others = [f"{self.quote(name)} = excluded.{self.quote(name)}" for name in names if name not in key]
        action = f"UPDATE SET {', '.join(others)}" if others else "NOTHING"
        conflict = ", ".join(map(self.quote, key))
        statement = f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT ({conflict}) DO {action}"
        self.many(connection, statement, self._rows(data))

    def _update_then_insert(self, connection: Connection, table: str, data: pa.RecordBatch, key: Sequence[str]) -> None:
        """Row by row, for any database: by the named key and no other."""
        names = data.schema.names
        others = [name for name in names if name not in key]
        same = " AND ".join(f"{self.quote(name)} = {PLACEHOLDER}" for name in key)
        rows = self._rows(data)
        at = [names.index(name) for name in (*others, *key)]
        if others:
            changes = ", ".join(f"{self.quote(name)} = {PLACEHOLDER}" for name in others)
            self.many(connection, f"UPDATE {table} SET {changes} WHERE {same}", [tuple(row[i] for i in at) for row in rows])
        columns, marks = ", ".join(map(self.quote, names)), ", ".join([PLACEHOLDER] * len(names))
        absent = f"SELECT {marks}{self.dialect.from_nothing} WHERE NOT EXISTS (SELECT 1 FROM {table}{self.dialect.lock_hint} WHERE {same})"
        keys = at[len(others) :]
        self.many(connection, f"INSERT INTO {table} ({columns}) {absent}", [(*row, *(row[i] for i in keys)) for row in rows])

    def _rows(self, data: pa.RecordBatch) -> list[tuple[Any, ...]]:
        """The rows as the driver takes them."""
        return list(zip(*(self.values(column) for column in data.columns), strict=True))

    def values(self, column: pa.Array) -> list[Any]:
        """A column's values as the driver takes them."""
        if isinstance(column.type, pa.UuidType):
            return [None if value is None else str(value) for value in column.to_pylist()]
        if isinstance(column.type, pa.BaseExtensionType):
            column = column.storage
        values: list[Any] = column.to_pylist()
        return values

    def many(self, connection: Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once for each of these parameters, which the driver takes as they are."""
        if not rows:
            return
        text, first = spelled(statement, rows[0], connection.dialect)
        if isinstance(first, dict):
            connection.exec_driver_sql(text, [dict(zip(first, row, strict=True)) for row in rows])
        else:
            connection.exec_driver_sql(text, rows)

    def _spell(self, kind: Any) -> str:
        return str(self.sa.type_compiler_instance.process(kind))


def _plain(kind: pa.DataType) -> pa.DataType:
    """Without encodings and unknown extensions."""
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _plain(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType) and not isinstance(kind, (pa.UuidType, pa.JsonType)):
        return _plain(kind.storage_type)
    return kind


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    plain = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    return bool(plain or pa.types.is_fixed_size_binary(kind))


def _beyond_years(column: pa.Array) -> pa.Array:
    """Dates and times that neither Python nor most databases have."""
    low, high = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999)  # noqa: DTZ001
    if pa.types.is_date(column.type):
        return pc.or_(pc.less(column, pa.scalar(low.date(), column.type)), pc.greater(column, pa.scalar(high.date(), column.type)))
    naive = column.cast(pa.timestamp(column.type.unit)) if column.type.tz is not None else column
    if naive.type.unit == "ns":
        return pc.equal(naive, None)  # Nanoseconds in 64 bits begin in 1677 and end in 2262.
    bounds = [pa.scalar(value, pa.timestamp("us")).cast(naive.type, safe=False) for value in (low, high)]
    return pc.or_(pc.less(naive, bounds[0]), pc.greater(naive, bounds[1]))


def not_finite(column: pa.Array) -> pa.Array:
    """NaN and infinities."""
    return pc.invert(pc.is_finite(column))


def as_text(column: pa.Array) -> pa.Array:
    """Dates, times and decimals as ISO and plain text; a time with a zone as that of UTC, with `+00:00` behind it."""
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        return pc.binary_join_element_wise(column.cast(pa.timestamp(column.type.unit)).cast(pa.string()), "+00:00", "")
    return column.cast(pa.string())


def is_temporal(kind: pa.DataType) -> bool:
    """Dates, times and timestamps."""
    return bool(pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_timestamp(kind))
