"""A table that was dropped is filled anew, from all files, and by nobody twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from ddpm_core import Batch, BuildContext, Position, TableSink
from ddpm_core.engine.build import build_sink, open_database, sink_for
from ddpm_core.registry import Registry

LANDED = {"rows": 1, "finished": True}


class Runs:
    """One process after the other on one database."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._registry = Registry.discover()
        self._before: TableSink | None = None

    def opened(self) -> TableSink:
        self.end()
        plugin = sink_for(self._address, self._registry)
        sink = build_sink(plugin, {plugin.spec.address: self._address, "table": "t"}, BuildContext(pipeline="ingest"))
        assert isinstance(sink, TableSink)
        self._before = sink
        sink.open()
        return sink

    def end(self) -> None:
        if self._before is not None:
            self._before.close()

    def drop(self) -> None:
        self.end()
        database = open_database(self._address, self._registry)
        database.query("DROP TABLE t", write=True).read_all()
        database.close()


@pytest.fixture(params=["duckdb", "sqlite"])
def runs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Runs]:
    made = Runs(str(tmp_path / "x.duckdb") if request.param == "duckdb" else f"sqlite:///{tmp_path / 'x.sqlite'}")
    yield made
    made.end()


def land(sink: TableSink, *names: str) -> None:
    """A row of each of these files."""
    assert sink.write(Batch(pa.record_batch({"name": list(names)}))) == []
    sink.commit({f"file:{name}#1": Position(1, LANDED) for name in names}, [])


def test_all_files_of_a_table_that_was_dropped_land_again_though_claimed_one_after_the_other(runs: Runs) -> None:
    sink = runs.opened()
    sink.claim(["file:a", "file:b", "file:empty"])
    land(sink, "a", "b")
    nothing = {"file:empty#1": Position(0, {"rows": 0, "finished": True})}
    sink.commit(nothing, [])
    runs.drop()
    sink = runs.opened()
    assert sink.claim(["file:a"]).keys() <= {"file:a"}
    land(sink, "a")
    assert "file:b#1" not in sink.claim(["file:b"]), "its row was in the table that was dropped"
    land(sink, "b")
    found = sink.claim(["file:a", "file:b", "file:empty"])
    assert {name: position.offset for name, position in found.items() if "#" in name} == {
        "file:a#1": 1,
        "file:b#1": 1,
        "file:empty#1": 0,
    }
    assert sorted(sink.fetch(f"SELECT name FROM {sink.qualified}")) == [("a",), ("b",)]


def test_a_table_that_is_dropped_a_second_time_is_filled_a_second_time(runs: Runs) -> None:
    for _ in range(3):
        sink = runs.opened()
        for name in ("a", "b", "c"):
            assert f"file:{name}#1" not in sink.claim([f"file:{name}"])
            land(sink, name)
        runs.drop()
