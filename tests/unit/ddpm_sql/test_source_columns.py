"""A column's type is the database's word, the user's before it, and else learned."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import types as sql
from sqlalchemy.dialects import mssql, mysql, sqlite

from ddpm_core import ConfigError
from ddpm_sql.source_columns import check_names, columns_of


def entry(name: str, code: int | None = None, precision: int | None = None, scale: int | None = None) -> tuple[Any, ...]:
    return (name, code, None, None, precision, scale, None)


@pytest.mark.parametrize(
    ("oid", "precision", "scale", "wanted"),
    [
        (20, None, None, pa.int64()),
        (1700, 10, 2, pa.decimal128(10, 2)),
        (1700, 65535, 65535, pa.string()),
        (1700, 3, 2046, pa.string()),
        (1700, 50, 2, pa.string()),
        (1184, None, None, pa.timestamp("us", "UTC")),
        (3802, None, None, pa.json_()),
        (1007, None, None, pa.list_(pa.int32())),
        (790, None, None, pa.string()),
        (99999, None, None, pa.string()),
    ],
)
def test_postgres_types_go_by_their_number(oid: int, precision: int | None, scale: int | None, wanted: pa.DataType) -> None:
    [column] = columns_of([entry("x", oid, precision, scale)], family="postgresql", reflected={}, declared=None)
    assert column.type == wanted


@pytest.mark.parametrize(
    ("family", "found", "wanted"),
    [
        ("mysql", mysql.BIGINT(unsigned=True), pa.uint64()),
        ("mysql", mysql.TINYINT(), pa.int8()),
        ("mysql", mysql.TIME(), pa.time64("us")),
        ("mysql", mysql.TIMESTAMP(), pa.timestamp("us", "UTC")),
        ("mysql", mysql.DATETIME(), pa.timestamp("us")),
        ("mysql", mysql.DECIMAL(65, 5), pa.string()),
        ("mysql", mysql.DECIMAL(12, 3), pa.decimal128(12, 3)),
        ("mysql", mysql.FLOAT(), pa.float32()),
        ("mysql", mysql.LONGBLOB(), pa.binary()),
        ("mysql", mysql.SET("x"), pa.string()),
        ("sqlite", sqlite.SMALLINT(), pa.int64()),
        ("sqlite", sqlite.DECIMAL(10, 2), None),
        ("sqlite", sqlite.DATETIME(), pa.timestamp("us")),
        ("sqlite", sqlite.BOOLEAN(), None),
        ("sqlite", sql.NullType(), None),
        ("mssql", mssql.TINYINT(), pa.uint8()),
        ("mssql", mssql.DATETIMEOFFSET(), pa.timestamp("us", "UTC")),
        ("mssql", mssql.DATETIME2(), pa.timestamp("us")),
        ("mssql", mssql.NVARCHAR(10), pa.string()),
        ("oracle", sql.INTEGER(), pa.int64()),
    ],
)
def test_types_of_a_table_go_by_the_catalogue(family: str, found: Any, wanted: pa.DataType | None) -> None:
    [column] = columns_of([entry("x")], family=family, reflected={"x": found}, declared=None)
    assert column.type == wanted


def test_types_of_a_query_in_mysql_go_by_the_protocol() -> None:
    description = [entry("a", 8), entry("b", 246, 14, 3), entry("c", 252), entry("d", 246, 39, 0), entry("e", 7), entry("f", 11)]
    columns = columns_of(description, family="mysql", reflected={}, declared=None)
    assert [c.type for c in columns] == [
        pa.int64(), pa.decimal128(13, 3), None, pa.decimal128(38, 0), pa.timestamp("us", "UTC"), pa.time64("us"),
    ]  # fmt: skip


def test_what_the_user_declared_comes_first() -> None:
    declared = pa.schema([("X", pa.decimal128(20, 4))])
    [column] = columns_of([entry("x", 1700, 65535, 65535)], family="postgresql", reflected={}, declared=declared)
    assert column.type == pa.decimal128(20, 4)


def test_every_column_needs_a_name_of_its_own() -> None:
    with pytest.raises(ConfigError) as caught:
        check_names(["a", "?column?"], "Postgres")
    assert str(caught.value) == "Postgres: column 2 of the query has no name\nGive it one: SELECT … AS name."
    with pytest.raises(ConfigError) as caught:
        check_names(["id", "a", "id"], "Postgres")
    assert str(caught.value) == "Postgres: the query has two columns named 'id'\nGive each a name of its own: SELECT … AS name."
