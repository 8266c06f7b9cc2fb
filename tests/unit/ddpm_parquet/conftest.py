"""Making Parquet files, and reading them with the parser under test."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddpm_core import BuildContext, DataError, Document, Parsed, Position
from ddpm_parquet.options import ParquetOptions
from ddpm_parquet.parser import build


class Reading:
    """All steps of a document, and the error that ended it."""

    def __init__(self, data: bytes | Any, start: Position | None = None, batch_rows: int = 65_536, **options: Any) -> None:
        stream = io.BytesIO(data) if isinstance(data, bytes) else data
        parser = build(ParquetOptions(**options), BuildContext(batch_rows=batch_rows))
        self.steps: list[Parsed] = []
        self.error: DataError | None = None
        try:
            self.steps.extend(parser.parse_document(Document("f.parquet", "p#1", stream, start or Position(0))))
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
    """`written(table, **options)`: the bytes of a Parquet file, with checksums."""

    def write(table: pa.Table, **options: Any) -> bytes:
        stream = io.BytesIO()
        pq.write_table(table, stream, **{"write_page_checksum": True, **options})
        return stream.getvalue()

    return write
