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


def _sqlite(path: str, table: str, columns: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table]).fetchall():
            return []
        return [dict(row) for row in database.execute(f"SELECT {columns} FROM {table}")]
