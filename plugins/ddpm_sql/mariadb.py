"""MariaDB and MySQL: strict sessions, rows as multi-row INSERTs whose text Arrow writes, tables made outside of rounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy.engine import URL, Connection
from sqlalchemy.engine import Dialect as SqlAlchemyDialect

from ddpm_core import ConfigError, Dialect, LetterSpelling, Reject
from ddpm_sql import mariadb_catalog
from ddpm_sql.catalog import Table
from ddpm_sql.connect import IDLE_IN_TRANSACTION_SECONDS
from ddpm_sql.generic import Generic, as_text, is_temporal, not_finite
from ddpm_sql.statement import PLACEHOLDER

STATEMENT_BYTES = 1 << 20
"""About how long an INSERT gets: far below every `max_allowed_packet`, and long enough that the round trip does not count."""

KEY_CHARACTERS = 768
"""InnoDB's indexes take 3,072 bytes, and a character has up to four."""


class MariaDb(Generic):
    """MariaDB, and MySQL 8.

    Making a table or a column commits. Names hold no character beyond U+FFFF; texts compare by their bytes.
    """

    refuse_nul = False
    if_not_exists = True

    def __init__(self, dialect: SqlAlchemyDialect, title: str) -> None:
        super().__init__(dialect, title)
        self.letters = LetterSpelling(
            PLACEHOLDER,
            same="{c} = {p}",
            contains="INSTR(CAST({c} AS BINARY), CAST({p} AS BINARY)) > 0",
            begins="INSTR(CAST({c} AS BINARY), CAST({p} AS BINARY)) = 1",
        )
        self._is_mariadb = True
        self._packet = 16 << 20
        self._idle_limit: int | None = None

    def make_dialect(self, *, on_conflict: bool) -> Dialect:
        return Dialect(
            name=self.title,
            placeholder=PLACEHOLDER,
            text="LONGTEXT",
            key_text="VARBINARY({})",  # Texts would find `a` and `a ` equal, or `a` and `A`.
            integer="BIGINT",
            bytes="LONGBLOB",
            json="LONGTEXT",
            timestamp="DATETIME(6)",
            now="UTC_TIMESTAMP(6)",
            arrays=False,
            if_absent="not_exists",
            from_nothing=" FROM DUAL",
            key_sizes=(255, 390, 2048, 255),
            transactional_ddl=False,
        )

    # Names.

    def name_problem(self, name: str) -> str:
        if any(character > "\uffff" for character in name):
            return f"it holds a character beyond U+FFFF, and {self.title} has none in names"
        if name != name.rstrip(" "):
            return f"it ends with a space, and no name in {self.title} does"
        return super().name_problem(name)

    def connected(self, connection: Connection, *, atomic: bool) -> None:
        self._is_mariadb = bool(getattr(connection.dialect, "is_mariadb", False))
        self._packet = int(connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one())
        self._idle_limit = None
        if atomic:  # So that DELETE keeps others from inserting, and not only from changing what is there.
            connection.exec_driver_sql("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")

    def schema_before(self, url: URL) -> str:
        if not url.database:
            raise ConfigError(f"the address names no database of {self.title}", hint="Add it: mariadb://user@host/database")
        return url.database

    def schema_of(self, connection: Connection, given: str | None, table: str) -> tuple[str, str]:
        schema = given or connection.dialect.default_schema_name or ""
        if int(connection.exec_driver_sql("SELECT @@lower_case_table_names").scalar_one()):
            return schema.lower(), table.lower()  # As the server spells them; positions are kept by their text.
        return schema, table

    # The table.

    def read_table(self, connection: Connection, schema: str, table: str, *, comment: str) -> Table | None:
        return mariadb_catalog.read_table(connection, schema, table, comment=comment)

    @property
    def _collation(self) -> str:
        """Texts are equal when their bytes are, spaces at the end included."""
        return "utf8mb4_nopad_bin" if self._is_mariadb else "utf8mb4_0900_bin"

    def types(self) -> Sequence[tuple[Any, str]]:
        integers = {8: "TINYINT", 16: "SMALLINT", 32: "INT", 64: "BIGINT"}
        return (
            (pa.types.is_boolean, "BOOLEAN"),
            *((lambda t, bits=bits: t == getattr(pa, f"int{bits}")(), name) for bits, name in integers.items()),
            *((lambda t, bits=bits: t == getattr(pa, f"uint{bits}")(), f"{name} UNSIGNED") for bits, name in integers.items()),
            (pa.types.is_floating, "DOUBLE"),
            (lambda t: pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_binary_view(t), "LONGBLOB"),
            (pa.types.is_fixed_size_binary, "LONGBLOB"),
            (pa.types.is_date, "DATE"),
            (pa.types.is_time, "TIME(6)"),
            (pa.types.is_timestamp, "DATETIME(6)"),  # TIMESTAMP ends in 2038.
        )

    def decimal(self, kind: pa.DataType, most: int = 38) -> str:
        scale = max(kind.scale, 0)
        digits = max(kind.precision - min(kind.scale, 0), scale)
        return f"DECIMAL({digits},{scale})" if digits <= 65 and scale <= 30 else "LONGTEXT"

    def column_type(self, field: pa.Field, *, in_key: bool) -> str:
        found = super().column_type(field, in_key=in_key)
        return "VARBINARY(1024)" if in_key and found == "LONGBLOB" else found

    def text(self, *, in_key: bool) -> str:
        return "VARCHAR(255)" if in_key else "LONGTEXT"

    def json(self) -> str:
        return "JSON"

    def make_table(self, name: str, columns: str, comment: str) -> list[str]:
        said = f" COMMENT '{comment}'" if comment else ""
        return [f"CREATE TABLE {name} ({columns}) ENGINE InnoDB CHARACTER SET utf8mb4 COLLATE {self._collation}{said}"]

    def own_table_ddl(self, name: str, columns: str) -> str:
        return f"{super().own_table_ddl(name, columns)} ENGINE InnoDB CHARACTER SET utf8mb4 COLLATE {self._collation}"

    def widen(self, table: str, column: str, sql_type: str, *, nullable: bool) -> str | None:
        return f"ALTER TABLE {table} MODIFY COLUMN {column} {sql_type}{'' if nullable else ' NOT NULL'}"

    # Transactions.

    def begun(self, connection: Connection, *, stays_open: bool) -> None:
        """A round in which nothing happens for long is ended by the server; a round that is a whole run is not."""
        limit = 0 if stays_open else IDLE_IN_TRANSACTION_SECONDS
        if self._is_mariadb and limit != self._idle_limit:
            connection.exec_driver_sql(f"SET SESSION idle_transaction_timeout = {limit}")
            self._idle_limit = limit

    def lock_out_writers(self, table: str) -> str:
        return ""  # The sink's DELETE locks every row and gap, since such a run is REPEATABLE READ.

    # Rows.

    def parameter(self, value: Any) -> Any:
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(timezone.utc).replace(tzinfo=None)  # noqa: UP017
        return value

    def complaints(self, column: pa.Array) -> list[tuple[pa.Array, str]]:
        if pa.types.is_floating(column.type):
            return [(not_finite(column), f"{self.title} has neither NaN nor infinity")]
        return super().complaints(column)

    def unfit(self, data: pa.RecordBatch) -> list[Reject]:
        found = super().unfit(data)
        if data.nbytes * 2 > self._packet:
            sizes = pc.binary_length(_tuples(data))
            known = {reject.index for reject in found}
            for row in pc.indices_nonzero(pc.greater(sizes, self._packet - STATEMENT_BYTES // 2)).to_pylist():
                if row not in known:
                    message = f"the row is {sizes[row].as_py()} bytes long, and max_allowed_packet is {self._packet}"
                    found.append(Reject(row, "too_large", message))
        return sorted(found, key=lambda reject: reject.index)

    def insert(self, connection: Connection, table: str, data: pa.RecordBatch) -> None:
        self._send(connection, table, data, "")

    def upsert(self, connection: Connection, table: str, data: pa.RecordBatch, key: Sequence[str], *, other_keys: bool) -> None:
        if other_keys:  # ON DUPLICATE KEY would take a row with another unique value in common for the same row.
            self._update_then_insert(connection, table, data, key)
            return
        others = [name for name in data.schema.names if name not in key] or key[:1]
        changes = ", ".join(f"{self.quote(name)} = VALUES({self.quote(name)})" for name in others)
        self._send(connection, table, data, f" ON DUPLICATE KEY UPDATE {changes}")

    def _send(self, connection: Connection, table: str, data: pa.RecordBatch, after: str) -> None:
        """Multi-row INSERTs, written column-wise: more than twice as fast as the driver's own, which escapes value by value."""
        into = f"INSERT INTO {table} ({', '.join(map(self.quote, data.schema.names))}) VALUES "
        as_they_are = connection.execution_options(no_parameters=True)
        for rows in _pieces(_tuples(data)):
            as_they_are.exec_driver_sql(f"{into}{b','.join(rows.to_pylist()).decode()}{after}")

    def values(self, column: pa.Array) -> list[Any]:
        if is_temporal(column.type):
            column = as_text(_without_zone(column))
        return super().values(column)


def _without_zone(column: pa.Array) -> pa.Array:
    """A moment as the time of day in UTC, which is the session's zone."""
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        return column.cast(pa.timestamp(column.type.unit))
    return column


def _tuples(data: pa.RecordBatch) -> pa.Array:
    """Each row as `(literal,literal,…)`, in bytes."""
    columns = [literals(column) for column in data.columns]
    row = columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, pa.scalar(b",", pa.large_binary()))
    return pc.binary_join_element_wise(pa.scalar(b"(", pa.large_binary()), row, pa.scalar(b")", pa.large_binary()), _NOTHING)


def _pieces(rows: pa.Array) -> Iterator[pa.Array]:
    """Consecutive rows of about `STATEMENT_BYTES` each."""
    if len(rows) == 0:
        return
    ends = pc.cumulative_sum(pc.add(pc.binary_length(rows).cast(pa.int64()), 1))
    start = 0
    for end in pc.run_end_encode(pc.divide(pc.subtract(ends, 1), STATEMENT_BYTES)).run_ends.to_pylist():
        yield rows.slice(start, end - start)
        start = end


_NOTHING = pa.scalar(b"", pa.large_binary())


def literals(column: pa.Array) -> pa.Array:
    """A column's values as SQL literals, in bytes (large_binary), `NULL` among them."""
    kind = column.type
    if isinstance(kind, pa.UuidType):
        column = pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
    elif isinstance(kind, pa.BaseExtensionType):
        column = column.storage
    kind = column.type
    if pa.types.is_boolean(kind):
        text = column.cast(pa.int8()).cast(pa.large_string()).cast(pa.large_binary())
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        text = column.cast(pa.large_string()).cast(pa.large_binary())
    elif pa.types.is_decimal(kind):
        text = _quoted(column.cast(pa.string()).cast(pa.large_binary()), b"'")  # As a number it could be taken for a double.
    elif is_temporal(kind):
        text = _quoted(as_text(_without_zone(column)).cast(pa.large_binary()), b"'")
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        text = _quoted(_hex(column), b"x'")
    else:
        escaped = pc.replace_substring(pc.replace_substring(column.cast(pa.large_binary()), b"\\", b"\\\\"), b"'", b"\\'")
        text = _quoted(escaped, b"'")
    return pc.coalesce(text, pa.scalar(b"NULL", pa.large_binary()))


def _quoted(text: pa.Array, opening: bytes) -> pa.Array:
    return pc.binary_join_element_wise(pa.scalar(opening, pa.large_binary()), text, pa.scalar(b"'", pa.large_binary()), _NOTHING)


def _hex(column: pa.Array) -> pa.Array:
    """Bytes as hexadecimal digits: all of them in one go, the offsets doubled."""
    large = column.take(pa.arange(0, len(column))).cast(pa.large_binary())  # Without what lies before and behind a slice.
    _, offsets, data = large.buffers()
    starts = pa.Array.from_buffers(pa.int64(), len(large) + 1, [None, offsets], offset=large.offset)
    digits = (data.to_pybytes() if data is not None else b"").hex().encode()
    doubled = pc.multiply(starts, 2).buffers()[1]
    text = pa.Array.from_buffers(pa.large_binary(), len(large), [None, doubled, pa.py_buffer(digits)])
    return pc.if_else(column.is_valid(), text, pa.scalar(None, pa.large_binary()))
