"""The sink `sql` keeps what every sink promises: on a real MariaDB, and by its general means on a real Postgres."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg2
import psycopg2.extras
import pyarrow as pa
import pymysql.cursors
import pytest

from ddpm_core import Batch, RetryableError
from ddpm_core.testing import TYPE_FAMILIES, SinkCapabilities, SinkConformance
from ddpm_core.testing.sink_target import Build, Target, land, some_rows, stacked
from tests.mariadb import MariaDbServer

# MariaDB may have to be installed first, which counts for the first test.
pytestmark = pytest.mark.timeout(1800)


class TestMariaDbSink(SinkConformance):
    plugin = "ddpm_sql.plugin"
    name = "sql"
    # MariaDB has neither NaN nor names with characters beyond U+FFFF: test_sql_sink.py tells what becomes of them.
    capabilities = SinkCapabilities(types=tuple(family for family in TYPE_FAMILIES if family != "floats"), hostile_columns=False)

    @pytest.fixture
    def target_options(self, mariadb_server: MariaDbServer, mariadb_database: str) -> Mapping[str, Any]:
        self.server, self.database = mariadb_server, mariadb_database
        return {"url": mariadb_server.url(mariadb_database), "table": "kit"}

    def read_rows(self, target_options: Mapping[str, Any]) -> list[dict[str, Any]]:
        return self._read("SELECT * FROM kit")

    def read_dead_letter_ids(self, target_options: Mapping[str, Any]) -> list[str]:
        return [row["id"].decode() for row in self._read("SELECT id FROM _ddpm_dead_letters")]

    def expected(self, data: pa.RecordBatch) -> list[dict[str, Any]]:
        return [{name: _stored(name, value, data.schema) for name, value in row.items()} for row in super().expected(data)]

    def test_a_further_column_lands(self, build: Build, target_options: Target) -> None:
        """In the middle of a round the round is given up, since making a column commits; written again it lands."""
        wide = [some_rows(n, n + 2).append_column(f"more{n}", pa.array([n, None], pa.int64())) for n in (2, 4)]
        sink = build()
        sink.write(Batch(some_rows(0, 2)))
        with pytest.raises(RetryableError, match=r"kit was changed, and the rows of this round are written again$") as given_up:
            sink.write(Batch(wide[0]))
        assert given_up.value.after == 0
        sink.rollback()
        assert self.read_rows(target_options) == []
        sink.write(Batch(some_rows(0, 2)))
        land(sink, wide[0], 4)
        land(sink, wide[1], 6)
        self.holds(target_options, stacked(some_rows(0, 2), *wide))

    def _read(self, sql: str) -> list[dict[str, Any]]:
        connection = self.server.connect(self.database, cursorclass=pymysql.cursors.DictCursor)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return [_times(row) for row in cursor.fetchall()]
        except pymysql.ProgrammingError as error:
            if error.args[0] != 1146:  # There is no such table.
                raise
            return []
        finally:
            connection.close()


class TestPostgresByGeneralMeans(SinkConformance):
    plugin = "ddpm_sql.plugin"
    name = "sql"

    @pytest.fixture
    def target_options(self, postgres_database: str) -> Mapping[str, Any]:
        self.address = postgres_database
        return {"url": f"sql+{postgres_database}", "table": "kit"}

    def read_rows(self, target_options: Mapping[str, Any]) -> list[dict[str, Any]]:
        return self._read("SELECT * FROM kit")

    def read_dead_letter_ids(self, target_options: Mapping[str, Any]) -> list[str]:
        return [row["id"] for row in self._read("SELECT id FROM _ddpm_dead_letters")]

    def expected(self, data: pa.RecordBatch) -> list[dict[str, Any]]:
        rows = super().expected(data)
        return [{name: _stored(name, value, data.schema, zoned=True) for name, value in row.items()} for row in rows]

    def _read(self, sql: str) -> list[dict[str, Any]]:
        connection = psycopg2.connect(self.address, cursor_factory=psycopg2.extras.RealDictCursor)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET timezone = 'UTC'")
                cursor.execute(sql)
                return [{name: _plain(value) for name, value in row.items()} for row in cursor.fetchall()]
        except psycopg2.errors.UndefinedTable:
            return []
        finally:
            connection.close()


def _plain(value: Any) -> Any:
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, Decimal) and value.as_tuple().exponent == 0:
        return int(value)
    return value


def _times(row: dict[str, Any]) -> dict[str, Any]:
    """PyMySQL reads a TIME as the timedelta since midnight, and knows no booleans."""
    midnight = datetime(2000, 1, 1)  # noqa: DTZ001
    return {
        name: (midnight + value).time()
        if isinstance(value, timedelta)
        else value
        if name != "bool" or value is None
        else bool(value)
        for name, value in row.items()
    }


def _stored(name: str, value: Any, schema: pa.Schema, *, zoned: bool = False) -> Any:
    """Nested values are JSON text, durations ISO text, and MariaDB's moments times in UTC."""
    kind = schema.field(name).type
    if value is None:
        return None
    if pa.types.is_nested(kind):
        return json.dumps(dict(value) if pa.types.is_map(kind) else value, separators=(",", ":"))
    if pa.types.is_duration(kind):
        return f"PT{re.sub(r'[.]?0+$', '', f'{value.total_seconds():.6f}')}S"
    if isinstance(value, datetime) and not zoned:
        return value.replace(tzinfo=None)
    return value
