"""Making Arrow files and streams, and reading them with the parser under test."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from ddpm_arrow.options import ArrowOptions
from ddpm_arrow.parser import build
from ddpm_core import BuildContext, DataError, Document, Parsed, Position


class Reading:
    """All steps of a document, and the error that ended it."""

    def __init__(
        self,
        data: bytes | Any,
        start: Position | None = None,
        batch_rows: int = 65_536,
        batch_bytes: int = 2 << 20,
        **options: Any,
    ) -> None:
        stream = io.BytesIO(data) if isinstance(data, bytes) else data
        parser = build(ArrowOptions(**options), BuildContext(batch_rows=batch_rows, batch_bytes=batch_bytes))
        self.steps: list[Parsed] = []
        self.error: DataError | None = None
        try:
            self.steps.extend(parser.parse_document(Document("f.arrow", "p#1", stream, start or Position(0))))
        except DataError as error:
            self.error = error

    @property
    def batches(self) -> list[pa.RecordBatch]:
        return [step.data for step in self.steps if step.data is not None]

    @property
    def table(self) -> pa.Table:
        assert self.error is None, self.error
        return pa.Table.from_batches(self.batches)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for batch in self.batches for row in batch.to_pylist()]


@pytest.fixture
def reading() -> type[Reading]:
    return Reading


@pytest.fixture
def written() -> Callable[..., bytes]:
    """`written(table, stream=False, rows=None, **options)`: the bytes of an Arrow file or stream, so many rows in a batch."""

    def write(table: pa.Table, *, stream: bool = False, rows: int | None = None, **options: Any) -> bytes:
        sink = io.BytesIO()
        make = pa.ipc.new_stream if stream else pa.ipc.new_file
        with make(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
            writer.write_table(table, max_chunksize=rows)
        return sink.getvalue()

    return write
