"""The kit accepts what is right: a small reference plugin of every kind passes all of it."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kit_reference.parts import STORES

from ddpm_core import ConfigError
from ddpm_core.testing import (
    Content,
    FormatCapabilities,
    FormatConformance,
    MemoryStore,
    ProcessorCapabilities,
    ProcessorConformance,
    Sample,
    SinkCapabilities,
    SinkConformance,
    SourceCapabilities,
    SourceConformance,
    Step,
)

NUMBERS = itertools.count()


class TestFormat(FormatConformance):
    plugin = "kit_reference.plugin"
    name = "kit_lines"
    capabilities = FormatCapabilities(keeps_neighbours=True, streams=True)
    samples = (
        Sample("one\ntwo\n\nthree ä\n".encode(), [{"text": "one"}, {"text": "two"}, {"text": "three ä"}]),
        Sample(b"one\n\xff\ntwo\n", [{"text": "one"}, {"text": "two"}], rejects=[(1, "not_text")]),
    )


class TestDocuments(SourceConformance):
    plugin = "kit_reference.plugin"
    name = "kit_list"
    capabilities = SourceCapabilities(missing={"there": False})

    @pytest.fixture
    def content(self) -> Content:
        documents = {"b.txt": b"second", "a.txt": b"first", "empty": b""}
        return Content({"documents": documents}, documents=documents)


class TestMessages(SourceConformance):
    plugin = "kit_reference.plugin"
    name = "kit_list"

    @pytest.fixture
    def content(self) -> Content:
        messages = {"t/0": [b"a", b"b", None, b"d", b"e"], "t/1": [b"x", b"y"]}
        return Content({"messages": messages}, messages=list(messages.values()))

    def add_to(self, content: Content) -> Content:
        messages = {"t/0": [*content.messages[0], b"f"], "t/1": list(content.messages[1]), "t/2": [b"new"]}
        return Content({"messages": messages}, messages=list(messages.values()))


TABLES: dict[str, list[dict[str, Any]]] = {"b": [{"n": n} for n in range(5)], "a": [{"n": 7, "t": "x"}], "empty": []}


class TestRows(SourceConformance):
    plugin = "kit_reference.plugin"
    name = "kit_rows"

    @pytest.fixture
    def content(self) -> Content:
        return Content({"tables": TABLES}, rows=TABLES)


class TestRowsWithoutAnEnd(SourceConformance):
    plugin = "kit_reference.plugin"
    name = "kit_rows"

    @pytest.fixture
    def content(self) -> Content:
        return Content({"tables": TABLES, "lasting": True}, rows=TABLES)

    def add_to(self, content: Content) -> Content:
        tables = {name: [*rows, {"n": 9}] for name, rows in TABLES.items()}
        return Content({"tables": tables, "lasting": True}, rows=tables)


class TestRowsOfOneTransaction(SourceConformance):
    plugin = "kit_reference.plugin"
    name = "kit_rows"

    @pytest.fixture
    def content(self) -> Content:
        tables = {name: rows for name, rows in TABLES.items() if rows}
        return Content({"tables": tables, "atomic": True}, rows=tables)


class TestProcessor(ProcessorConformance):
    plugin = "kit_reference.plugin"
    name = "kit_double"
    capabilities = ProcessorCapabilities()
    steps = (
        Step([{"n": 1}, {"n": -2}, {"n": 3}], becomes=[{"n": 1, "twice": 2}, {"n": 3, "twice": 6}], rejects=[(1, "negative")]),
        Step([{"n": 4}], becomes=[{"n": 4, "twice": 8}]),
    )


class TestSink(SinkConformance):
    plugin = "kit_reference.plugin"
    name = "kit_memory"
    capabilities = SinkCapabilities(fills={"gather": 250})

    @pytest.fixture
    def target_options(self) -> Mapping[str, Any]:
        number = next(NUMBERS)
        STORES[number] = MemoryStore()
        return {"store": number}

    def read_rows(self, target_options: Mapping[str, Any]) -> list[dict[str, Any]]:
        return STORES[target_options["store"]].rows

    def read_dead_letter_ids(self, target_options: Mapping[str, Any]) -> list[str]:
        return [letter.id for letter in STORES[target_options["store"]].dead_letters]


class TestTableSink(SinkConformance):
    """`TableSink` is enough for a database that is neither of the bundled ones, and lacks comments, `now()` and arrays."""

    plugin = "kit_reference.plugin"
    name = "kit_sqlite"
    capabilities = SinkCapabilities(types=("integers", "text"))

    @pytest.fixture
    def target_options(self, tmp_path: Path) -> Mapping[str, Any]:
        return {"path": str(tmp_path / "kit.sqlite"), "table": "t"}

    def read_rows(self, target_options: Mapping[str, Any]) -> list[dict[str, Any]]:
        return _sqlite(target_options["path"], "t", "*")

    def read_dead_letter_ids(self, target_options: Mapping[str, Any]) -> list[str]:
        return [row["id"] for row in _sqlite(target_options["path"], "_ddpm_dead_letters", "id")]


def test_a_sink_that_writes_a_format_gets_it_from_the_kit_as_from_the_engine() -> None:
    STORES[-1] = MemoryStore()
    assert TestSink().build_sink({"store": -1, "format": "json"}).full
    with pytest.raises(ConfigError, match="there is no format 'nonsense'"):
        TestSink().build_sink({"store": -1, "format": "nonsense"})


def _sqlite(path: str, table: str, columns: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table]).fetchall():
            return []
        return [dict(row) for row in database.execute(f"SELECT {columns} FROM {table}")]
