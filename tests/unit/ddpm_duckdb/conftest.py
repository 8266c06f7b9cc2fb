from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ddpm_core import Batch, BuildContext, Position, Reject
from ddpm_duckdb.options import DuckDbOptions
from ddpm_duckdb.sink import DuckDbSink, build


class Target:
    """A DuckDB file, sinks on it, and a plain connection to look at it while no sink has it open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened: list[DuckDbSink] = []

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(self.path) as connection:
            return connection.execute(statement).fetchall()

    def sink(self, table: str = "events", *, columns: pa.Schema | None = None, open_: bool = True, **options: Any) -> DuckDbSink:
        sink = build(DuckDbOptions(path=str(self.path), table=table, **options), BuildContext(columns=columns))
        self.opened.append(sink)
        if open_:
            sink.open()
        return sink

    def land(self, sink: DuckDbSink, *batches: pa.RecordBatch, upto: int = 1, partition: str = "file:a#1") -> list[Reject]:
        """One round of these batches, and its commit."""
        rejects = [reject for data in batches for reject in sink.write(Batch(data))]
        sink.commit({partition: Position(upto, {"rows": upto})}, [])
        return rejects

    def load(self, data: pa.RecordBatch, table: str = "events", **options: Any) -> list[Reject]:
        """A whole run: open, claim, one round, close."""
        sink = self.sink(table, **options)
        sink.claim(["file:a"])
        rejects = self.land(sink, data)
        sink.close()
        return rejects


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    found = Target(tmp_path / "t.duckdb")
    yield found
    for sink in found.opened:
        sink.close()


@pytest.fixture
def open_target(target: Target) -> Iterator[Target]:
    """For tests of what sinks do to a file that stays open: opening it takes longer than that."""
    with duckdb.connect(target.path):
        yield target


@pytest.fixture
def rows() -> Callable[..., pa.RecordBatch]:
    def make(**columns: Any) -> pa.RecordBatch:
        return pa.RecordBatch.from_pydict(columns)

    return make
