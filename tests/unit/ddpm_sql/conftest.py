from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ddpm_core import Batch, BuildContext, Position, Reject
from ddpm_sql.options import SqlOptions
from ddpm_sql.sink import SqlSink, build


class SqliteTarget:
    """A SQLite file, sinks on it, and a plain connection to look at it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
        self.opened: list[SqlSink] = []

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        import contextlib
        import sqlite3

        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(statement).fetchall()

    def sink(self, table: str = "events", *, columns: pa.Schema | None = None, open_: bool = True, **options: Any) -> SqlSink:
        sink = build(SqlOptions(url=self.url, table=table, **options), BuildContext(columns=columns))
        self.opened.append(sink)
        if open_:
            sink.open()
        return sink

    def land(self, sink: SqlSink, *batches: pa.RecordBatch, upto: int = 1, partition: str = "file:a#1") -> list[Reject]:
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
def sqlite_target(tmp_path: Path) -> Iterator[SqliteTarget]:
    found = SqliteTarget(tmp_path / "t.db")
    yield found
    for sink in found.opened:
        sink.close()


@pytest.fixture
def rows() -> Callable[..., pa.RecordBatch]:
    def make(**columns: Any) -> pa.RecordBatch:
        return pa.RecordBatch.from_pydict(columns)

    return make
