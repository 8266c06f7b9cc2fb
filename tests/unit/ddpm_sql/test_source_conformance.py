"""The source keeps what the contract of a source promises, with a cursor and without."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ddpm_core.testing import Content, SourceCapabilities, SourceConformance


def fill(path: Path, rows: list[dict[str, Any]]) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE IF NOT EXISTS events (at INTEGER, id INTEGER PRIMARY KEY, name TEXT)")
        database.executemany("INSERT INTO events VALUES (:at, :id, :name)", rows)
    database.close()


ROWS = [{"at": n // 3, "id": n, "name": f"number {n}"} for n in range(20)]
MORE = [{"at": 100, "id": n, "name": "later"} for n in range(20, 25)]


class Events(SourceConformance):
    plugin = "ddpm_sql.plugin"
    name = "sql"
    reads: ClassVar[Mapping[str, Any]] = {}

    @pytest.fixture
    def content(self, tmp_path: Path) -> Content:
        self.path = tmp_path / "shop.db"
        fill(self.path, ROWS)
        url = f"sqlite:///{self.path}"
        what = self.reads.get("table", "query")
        return Content({"url": url, "fetch_rows": 4, **self.reads}, rows={f"{what} at SQLite file {self.path}": ROWS})


class TestATableWithACursor(Events):
    reads: ClassVar[Mapping[str, Any]] = {"table": "events", "cursor": "at"}
    capabilities = SourceCapabilities(missing={"url": "sqlite:////nowhere/at/all.db", "table": "events", "cursor": "at"})

    def add_to(self, content: Content) -> Content:
        fill(self.path, MORE)
        return Content(content.options, rows={name: [*ROWS, *MORE] for name in content.rows})


class TestAQueryWithACursorOfTwoColumns(Events):
    reads: ClassVar[Mapping[str, Any]] = {"query": "SELECT at, id, name FROM events -- all of them", "cursor": "at,id"}

    def add_to(self, content: Content) -> Content:
        fill(self.path, MORE)
        return Content(content.options, rows={name: [*ROWS, *MORE] for name in content.rows})


class TestATableWithoutACursor(Events):
    reads: ClassVar[Mapping[str, Any]] = {"table": "events"}
    capabilities = SourceCapabilities(resumes=False)


class TestAQueryWithoutACursor(Events):
    reads: ClassVar[Mapping[str, Any]] = {"query": "SELECT * FROM events ORDER BY id;"}
    capabilities = SourceCapabilities(resumes=False)
