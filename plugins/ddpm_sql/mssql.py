"""SQL Server: T-SQL where it differs. Not run against a server: see README.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Dialect as SqlAlchemyDialect

from ddpm_core import Dialect, LetterSpelling
from ddpm_sql.generic import Generic, as_text, is_temporal, not_finite
from ddpm_sql.statement import PLACEHOLDER, spelled

MOST_ROWS = 1_000
"""Rows in one VALUES."""
MOST_PARAMETERS = 2_000
"""SQL Server takes 2,100 in a statement."""


class Mssql(Generic):
    """SQL Server, by pymssql or another driver of SQLAlchemy's."""

    default_schema = "dbo"

    def __init__(self, dialect: SqlAlchemyDialect, title: str) -> None:
        super().__init__(dialect, title)
        find = "CHARINDEX({p} COLLATE Latin1_General_100_BIN2, {c} COLLATE Latin1_General_100_BIN2)"
        self.letters = LetterSpelling(PLACEHOLDER, contains=f"{find} > 0", begins=f"{find} = 1", first="top")

    def make_dialect(self, *, on_conflict: bool) -> Dialect:
        return Dialect(
            name=self.title,
            placeholder=PLACEHOLDER,
            text="NVARCHAR(MAX)",
            key_text="NVARCHAR({}) COLLATE Latin1_General_100_BIN2",
            integer="BIGINT",
            bytes="VARBINARY(MAX)",
            json="NVARCHAR(MAX)",
            timestamp="DATETIMEOFFSET(6)",
            now="SYSDATETIMEOFFSET()",
            arrays=False,
            if_absent="not_exists",
            lock_hint=" WITH (UPDLOCK, HOLDLOCK)",  # Without them two sessions both find the key absent.
            key_sizes=(80, 257, 450, 255),
        )

    def name_problem(self, name: str) -> str:
        if self.sa.driver == "pymssql" and "%" in name:
            return "it holds a percent sign, which pymssql takes for a parameter"
        return super().name_problem(name)

    def key_problem(self, name: str, size: int) -> str:
        if name != name.rstrip(" "):
            return f"ends with a space, and {self.title} finds it equal to the same without"
        return super().key_problem(name, size)

    # The table.

    def types(self) -> Sequence[tuple[Any, str]]:
        return (
            (pa.types.is_boolean, "BIT"),
            (lambda t: t == pa.uint8(), "TINYINT"),
            (lambda t: t in (pa.int8(), pa.int16()), "SMALLINT"),
            (lambda t: t in (pa.int32(), pa.uint16()), "INT"),
            (lambda t: t in (pa.int64(), pa.uint32()), "BIGINT"),
            (lambda t: t == pa.uint64(), "DECIMAL(20,0)"),
            (pa.types.is_floating, "FLOAT(53)"),
            (lambda t: pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_binary_view(t), "VARBINARY(MAX)"),
            (pa.types.is_fixed_size_binary, "VARBINARY(MAX)"),
            (pa.types.is_date, "DATE"),
            (pa.types.is_time, "TIME(6)"),
            (lambda t: pa.types.is_timestamp(t) and t.tz is not None, "DATETIMEOFFSET(6)"),
            (pa.types.is_timestamp, "DATETIME2(6)"),
            (lambda t: isinstance(t, pa.UuidType), "UNIQUEIDENTIFIER"),
        )

    def decimal(self, kind: pa.DataType, most: int = 38) -> str:
        scale = max(kind.scale, 0)
        digits = max(kind.precision - min(kind.scale, 0), scale)
        return f"DECIMAL({digits},{scale})" if digits <= most else "NVARCHAR(MAX)"

    def text(self, *, in_key: bool) -> str:
        return "NVARCHAR(255) COLLATE Latin1_General_100_BIN2" if in_key else "NVARCHAR(MAX)"

    def column_type(self, field: pa.Field, *, in_key: bool) -> str:
        found = super().column_type(field, in_key=in_key)
        return "VARBINARY(900)" if in_key and found == "VARBINARY(MAX)" else found

    def make_table(self, name: str, columns: str, comment: str) -> list[str]:
        # The comment goes when the table goes. Bound to the name as the server resolves it.
        made = [f"CREATE TABLE {name} ({columns})"]
        if comment:
            schema, _, table = name.partition("].[")
            parts = [schema.removeprefix("["), table.removesuffix("]")]
            schema, table = (part.replace("]]", "]").replace("'", "''") for part in parts)
            made.append(
                f"EXECUTE sp_addextendedproperty N'MS_Description', N'{comment}', N'SCHEMA', N'{schema}', N'TABLE', N'{table}'"
            )
        return made

    def own_table_ddl(self, name: str, columns: str) -> str:
        # A clustered index takes 900 bytes, any other 1,700.
        return super().own_table_ddl(name, columns.replace(" PRIMARY KEY", " PRIMARY KEY NONCLUSTERED"))

    def widen(self, table: str, column: str, sql_type: str, *, nullable: bool) -> str | None:
        return f"ALTER TABLE {table} ALTER COLUMN {column} {sql_type}{' NULL' if nullable else ' NOT NULL'}"

    def lock_out_writers(self, table: str) -> str:
        return f"SELECT TOP (0) 1 FROM {table} WITH (TABLOCK, UPDLOCK, HOLDLOCK)"

    # Rows.

    def parameter(self, value: Any) -> Any:
        return value.isoformat(" ", "microseconds") if hasattr(value, "hour") else value

    def complaints(self, column: pa.Array) -> list[tuple[pa.Array, str]]:
        if pa.types.is_floating(column.type):
            return [(not_finite(column), f"{self.title} has neither NaN nor infinity")]
        return super().complaints(column)

    def insert(self, connection: Connection, table: str, data: pa.RecordBatch) -> None:
        columns = ", ".join(map(self.quote, data.schema.names))
        self._in_pieces(connection, data, f"INSERT INTO {table} ({columns}) VALUES ", "")

    def upsert(self, connection: Connection, table: str, data: pa.RecordBatch, key: Sequence[str], *, other_keys: bool) -> None:
        names = [self.quote(name) for name in data.schema.names]
        others = [self.quote(name) for name in data.schema.names if name not in key]
        same = " AND ".join(f"t.{self.quote(name)} = s.{self.quote(name)}" for name in key)
        update = f" WHEN MATCHED THEN UPDATE SET {', '.join(f't.{name} = s.{name}' for name in others)}" if others else ""
        values = ", ".join(f"s.{name}" for name in names)
        self._in_pieces(
            connection,
            data,
            f"MERGE INTO {table} WITH (HOLDLOCK) AS t USING (VALUES ",
            f") AS s ({', '.join(names)}) ON {same}{update} WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) VALUES ({values});",
        )

    def _in_pieces(self, connection: Connection, data: pa.RecordBatch, before: str, after: str) -> None:
        """As many rows in a statement as the server takes: pymssql has a round trip for each."""
        rows = self._rows(data)
        one = f"({', '.join([PLACEHOLDER] * data.num_columns)})"
        size = max(1, min(MOST_ROWS, MOST_PARAMETERS // data.num_columns))
        for start in range(0, len(rows), size):
            piece = rows[start : start + size]
            statement = f"{before}{', '.join([one] * len(piece))}{after}"
            text, parameters = spelled(statement, [value for row in piece for value in row], connection.dialect)
            connection.exec_driver_sql(text, parameters)

    def values(self, column: pa.Array) -> list[Any]:
        # Text: pymssql would send datetimes with three digits of a second.
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8())
        elif is_temporal(column.type) or pa.types.is_decimal(column.type):
            column = as_text(column)
        elif pa.types.is_floating(column.type):  # As numbers, those of all rows in a VALUES would first become one decimal type.
            column = column.cast(pa.float64()).cast(pa.string())
        return super().values(column)
