"""A transaction whose rows stay as they are until COMMIT, which compresses them on several cores, straight into the file.

Left to itself, DuckDB compresses a row group when it is full, in the thread that filled it, and begins with the first when the second is
read; the last, partial one waits for all others. A checkpoint makes a task of each, and nothing is in the log before.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    import duckdb

ROW_GROUP = 122_880
"""Rows that DuckDB keeps and compresses together."""

STATEMENT_BYTES = 4 << 20
"""Rows that are worth an INSERT, which takes a millisecond or two besides them. The last one before COMMIT keeps a core waiting."""

MOST_BYTES = 96 << 20
"""Rows that may stay uncompressed. A transaction is larger only where a document lands whole or not at all."""

THREADS = min(4, os.cpu_count() or 1)
"""What COMMIT compresses with. A round has about four row groups."""

# The default of 16 MB makes a long load half as fast again, and its checkpoints hold more memory than the log that they shorten.
_LOG_BYTES = "28MB"


class Transaction:
    """What is open on one connection, from `begin` to `commit`.

    Args:
        connection: With one thread of DuckDB's.
        keeps: Whether rows stay uncompressed until COMMIT; otherwise DuckDB does as it is used to.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, *, keeps: bool) -> None:
        self.connection = connection
        self._keeps = keeps
        self._waiting: list[pa.RecordBatch] = []
        """Rows that are not worth a statement yet."""
        self._waiting_bytes = 0
        self._sql = ""
        """The INSERT that they wait for."""
        self._rows = self._bytes = 0
        """What was added since `begin`."""
        self._early = True
        """Whether DuckDB compresses row groups when they are full, as it does where nobody says anything."""
        self.connection.execute(f"SET checkpoint_threshold = '{_LOG_BYTES}'")
        # What a checkpoint within COMMIT writes need not be in the log as well.
        self.connection.execute("SET auto_checkpoint_skip_wal_threshold = 0")

    def begin(self) -> None:
        """BEGIN.

        Raises:
            duckdb.Error: As all methods here do.
        """
        self.forget()
        self._compress_early(not self._keeps)
        self.connection.execute("BEGIN")

    def put(self, sql: str, data: pa.RecordBatch) -> None:
        """Add rows by this INSERT, which takes them from `_ddpm_incoming`: now, or before the next `flush` is over."""
        if self._waiting and (sql != self._sql or data.schema != self._waiting[0].schema):
            self.flush()
        self._sql = sql
        self._waiting.append(data)
        self._waiting_bytes += _size(data)
        self.count(data)
        if self._waiting_bytes >= STATEMENT_BYTES:
            self.flush()

    def count(self, data: pa.RecordBatch) -> None:
        """These rows are in the transaction. Called for those that a statement of their own has added."""
        before = self._bytes
        self._rows += data.num_rows
        self._bytes += _size(data)
        if self._keeps and before <= MOST_BYTES < self._bytes:
            self._compress_early(True)

    def flush(self) -> None:
        """All rows that were put are in the table."""
        if self._waiting:
            schema = self._waiting[0].schema
            self._insert(pa.RecordBatchReader.from_batches(schema, self._drained()))

    def commit(self) -> None:
        """COMMIT. What fills a row group is compressed by several threads, and is in the file and not in the log."""
        self.flush()
        if not self._keeps or self._rows < ROW_GROUP:
            self.connection.execute("COMMIT")
            return
        self._compress_early(False)
        self.connection.execute(f"SET threads = {THREADS}")
        self.connection.execute("SET checkpoint_threshold = '0B'")
        try:
            self.connection.execute("COMMIT")
        finally:
            import duckdb

            with contextlib.suppress(duckdb.Error):  # Where it cannot be used any more, its COMMIT says why.
                self.connection.execute("SET threads = 1")
                self.connection.execute(f"SET checkpoint_threshold = '{_LOG_BYTES}'")

    def forget(self) -> None:
        """The transaction is over, or will be: what waits is not to land any more. Asks the connection nothing."""
        self._waiting = []
        self._waiting_bytes = self._rows = self._bytes = 0

    def _compress_early(self, early: bool) -> None:
        if self._early != early:
            self.connection.execute(f"SET enable_optimistic_write = {early}")
            self._early = early

    def _insert(self, _ddpm_incoming: pa.RecordBatchReader) -> None:
        self.connection.execute(self._sql)  # It finds its rows as the variable of this frame.

    def _drained(self) -> Iterator[pa.RecordBatch]:
        """The rows as they came: joined, they would be in memory twice."""
        self._waiting_bytes = 0
        while self._waiting:
            yield self._waiting.pop(0)


def _size(data: pa.RecordBatch) -> int:
    """Bytes that rows have in DuckDB: Arrow has booleans in bits, and nulls of no type nowhere."""
    return int(max(data.nbytes, data.num_rows * data.num_columns))
