"""The sink `sql` keeps on SQLite what every sink promises: the kit that authors of plugins use."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ddpm_core.testing import TYPE_FAMILIES, SinkCapabilities, SinkConformance


class TestSqliteSink(SinkConformance):
    plugin = "ddpm_sql.plugin"
    name = "sql"
    # SQLite has no NaN: such rows are refused, which test_sqlite.py tells.
    capabilities = SinkCapabilities(types=tuple(family for family in TYPE_FAMILIES if family != "floats"))

    @pytest.fixture
    def target_options(self, tmp_path: Path) -> Mapping[str, Any]:
        return {"url": f"sqlite:///{tmp_path}/kit.db", "table": "kit"}

    def read_rows(self, target_options: Mapping[str, Any]) -> list[dict[str, Any]]:
        return _read(target_options, "SELECT * FROM kit")

    def read_dead_letter_ids(self, target_options: Mapping[str, Any]) -> list[str]:
        return [row["id"] for row in _read(target_options, "SELECT id FROM _ddpm_dead_letters")]

    def expected(self, data: pa.RecordBatch) -> list[dict[str, Any]]:
        nested = {field.name for field in data.schema if pa.types.is_nested(field.type)}
        maps = {field.name for field in data.schema if pa.types.is_map(field.type)}
        return [
            {
                name: _stored(name, dict(value) if name in maps and value is not None else value, nested)
                for name, value in row.items()
            }
            for row in super().expected(data)
        ]


def _read(target_options: Mapping[str, Any], sql: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(str(target_options["url"]).removeprefix("sqlite:///"))) as connection:
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(sql)]
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return []


def _stored(name: str, value: Any, nested: set[str]) -> Any:
    """What SQLite has for it: dates, times, decimals and what is beyond 64 bits are text, nested values JSON text."""
    if value is None:
        return None
    if name in nested:
        return json.dumps(value, separators=(",", ":"))
    match value:
        case datetime():
            return value.isoformat(" ", "microseconds")
        case time():
            return value.isoformat("microseconds")
        case date():
            return value.isoformat()
        case Decimal():
            return f"{value:.9f}"
        case bool():
            return int(value)
        case int() if name == "uint64":
            return str(value)
    if name == "duration":
        seconds = f"{value.total_seconds():.6f}".rstrip("0").rstrip(".")
        return f"PT{seconds}S"
    return value
