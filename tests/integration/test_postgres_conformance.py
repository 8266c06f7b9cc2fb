"""The sink `postgres` keeps what every sink promises: the kit that authors of plugins use, on a real server."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import psycopg2
import psycopg2.extras
import pyarrow as pa
import pytest

from ddpm_core.testing import SinkConformance


class TestPostgresSink(SinkConformance):
    plugin = "ddpm_postgres.plugin"
    name = "postgres"

    @pytest.fixture
    def target_options(self, postgres_database: str) -> Mapping[str, Any]:
        return {"url": postgres_database, "table": "kit"}

    def read_rows(self, target_options: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [{name: _plain(value) for name, value in row.items()} for row in _read(target_options, "SELECT * FROM kit")]

    def read_dead_letter_ids(self, target_options: Mapping[str, Any]) -> list[str]:
        return [row["id"] for row in _read(target_options, "SELECT id FROM _ddpm_dead_letters")]

    def expected(self, data: pa.RecordBatch) -> list[dict[str, Any]]:
        maps = {field.name for field in data.schema if pa.types.is_map(field.type)}
        rows = super().expected(data)
        return [{k: dict(v) if k in maps and v is not None else v for k, v in row.items()} for row in rows]


def _read(target_options: Mapping[str, Any], sql: str) -> list[Any]:
    connection = psycopg2.connect(target_options["url"], cursor_factory=psycopg2.extras.RealDictCursor)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET timezone = 'UTC'")
            cursor.execute(sql)
            return list(cursor.fetchall())
    except psycopg2.errors.UndefinedTable:
        return []
    finally:
        connection.close()


def _plain(value: Any) -> Any:
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, Decimal) and value == value.to_integral_value() and value.as_tuple().exponent == 0:
        return int(value)  # uint64 lies in numeric(20,0).
    return value
