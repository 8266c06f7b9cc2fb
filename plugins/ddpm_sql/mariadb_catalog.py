"""What MariaDB says of a table. From its information schema: SQLAlchemy reads the text of SHOW CREATE TABLE line by line, and a name may hold a line break."""

from __future__ import annotations

import pyarrow as pa
from sqlalchemy.engine import Connection

from ddpm_core import ConfigError
from ddpm_sql.catalog import Table

_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 32, "int": 32, "bigint": 64}
_ARROW = {
    "float": pa.float32(),
    "double": pa.float64(),
    "char": pa.string(),
    "varchar": pa.string(),
    "tinytext": pa.string(),
    "text": pa.string(),
    "mediumtext": pa.string(),
    "longtext": pa.string(),
    "json": pa.json_(),
    "binary": pa.binary(),
    "varbinary": pa.binary(),
    "tinyblob": pa.binary(),
    "blob": pa.binary(),
    "mediumblob": pa.binary(),
    "longblob": pa.binary(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "datetime": pa.timestamp("us"),
    "timestamp": pa.timestamp("us", "UTC"),  # A moment; the session is in UTC.
    "uuid": pa.uuid(),
}


def read_table(connection: Connection, schema: str, table: str, *, comment: str) -> Table | None:
    """The table, or None when there is none.

    Args:
        comment: The comment on a table that DDPM made.

    Raises:
        ConfigError: It is a view.
    """
    place = (schema, table)
    found = connection.exec_driver_sql(
        "SELECT table_type, table_comment FROM information_schema.tables WHERE table_schema = %s AND table_name = %s", place
    ).first()
    if found is None:
        return None
    if found[0] != "BASE TABLE":
        raise ConfigError(f"{schema}.{table} is a view, and rows go into tables", hint="Name another table with --table")
    fields, plain, required = [], set(), set()
    for name, kind, spelled, nullable, default, extra, digits, scale in connection.exec_driver_sql(
        "SELECT column_name, data_type, column_type, is_nullable, column_default, extra, numeric_precision, numeric_scale "
        "FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
        place,
    ):
        does = extra.lower()
        if "generated" in does and "default_generated" not in does:
            continue
        filled = default not in (None, "NULL") or "auto_increment" in does
        if not filled:
            plain.add(name)
        if nullable != "YES":
            required.add(name)
        arrow = _arrow(kind, spelled, digits, scale)
        metadata = None if arrow is not None else {"sql_type": spelled}
        fields.append(pa.field(name, pa.string() if arrow is None else arrow, nullable == "YES" or filled, metadata))
    return Table(pa.schema(fields), found[1] == comment, _keys(connection, schema, table), frozenset(plain), frozenset(required))


def _arrow(kind: str, spelled: str, digits: int | None, scale: int | None) -> pa.DataType | None:
    """The Arrow type with the same values, or None when there is none."""
    if kind in _BITS:
        if spelled == "tinyint(1)":
            return pa.bool_()
        return getattr(pa, f"{'u' if 'unsigned' in spelled else ''}int{_BITS[kind]}")()
    if kind == "decimal":
        digits, scale = int(digits or 0), int(scale or 0)
        return pa.decimal128(digits, scale) if 0 < digits <= 38 and scale <= digits else None
    return _ARROW.get(kind)


def _keys(connection: Connection, schema: str, table: str) -> tuple[frozenset[str], ...]:
    """Of unique indexes on whole columns."""
    parts: dict[str, list[str | None]] = {}
    for index, column, length in connection.exec_driver_sql(
        "SELECT index_name, column_name, sub_part FROM information_schema.statistics "
        "WHERE table_schema = %s AND table_name = %s AND non_unique = 0",
        (schema, table),
    ):
        parts.setdefault(index, []).append(None if length is not None else column)
    # A key on a part of a column, or on an expression, is one that no upsert names, and still one that rows can clash with.
    return tuple(dict.fromkeys(frozenset(name or "" for name in names) for names in parts.values()))
