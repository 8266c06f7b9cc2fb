"""The sink `duckdb` keeps what every sink promises: the kit that authors of plugins use."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ddpm_core.testing import SinkConformance


class TestDuckDbSink(SinkConformance):
    plugin = "ddpm_duckdb.plugin"
    name = "duckdb"

    @pytest.fixture
    def target_options(self, tmp_path: Path) -> Mapping[str, Any]:
        return {"path": str(tmp_path / "kit.duckdb"), "table": "kit"}

    def read_rows(self, target_options: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [{name: _plain(value) for name, value in row.items()} for row in _read(target_options, "kit")]

    def read_dead_letter_ids(self, target_options: Mapping[str, Any]) -> list[str]:
        return [row["id"] for row in _read(target_options, "_ddpm_dead_letters")]


def _read(target_options: Mapping[str, Any], table: str) -> list[dict[str, Any]]:
    """A connection of its own in this process; from another one DuckDB's file is locked."""
    with duckdb.connect(target_options["path"]) as connection:
        if not connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", [table]).fetchall():
            return []
        rows: list[dict[str, Any]] = connection.sql(f"FROM {table}").to_arrow_table().to_pylist()
        return rows


def _plain(value: Any) -> Any:
    if isinstance(value, pa.MonthDayNano):  # An INTERVAL.
        assert value.months == 0
        return timedelta(days=value.days, microseconds=value.nanoseconds // 1000)
    return value
