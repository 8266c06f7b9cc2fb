"""One INSERT whose rows come while it runs, so that DuckDB compresses a row group while the next one is read."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    import duckdb

ROW_GROUP = 122_880
"""Rows that DuckDB keeps and compresses together. Batches of just as many give each of its threads row groups of its own."""

THREADS = 2
"""DuckDB's threads while it runs. They compress, which is most of the work, each a row group; more were not measured."""


class RowStream:
    """Rows for one table, in one statement of the transaction that is open on the connection.

    DuckDB takes them in a thread of this object, in whole row groups: what is put may be in the table only after `finish`. Until then
    the connection must not be used for anything else. Rows that fill no row group need no thread, and are inserted by `finish`.

    Args:
        connection: Where the transaction is open.
        sql: An INSERT that takes its rows from `_ddpm_incoming`.
        schema: The columns of all rows that will be put.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, sql: str, schema: pa.Schema) -> None:
        self.sql = sql
        self.schema = schema
        self._connection = connection
        self._loose: list[pa.RecordBatch] = []
        """Rows that fill no row group yet."""
        self._rows = 0
        """How many these are."""
        self._next: pa.RecordBatch | None = None
        """The row group that DuckDB takes next."""
        self._complete = False
        """Whether no more rows will come."""
        self._ended = False
        """Whether the statement is over, with or without an error."""
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, data: pa.RecordBatch) -> None:
        """Add rows. Waits while DuckDB has enough to do.

        Raises:
            duckdb.Error: The statement has failed. The transaction can only be rolled back.
        """
        self._loose.append(data)
        self._rows += data.num_rows
        while self._rows >= ROW_GROUP:
            self._hand_over(self._cut(ROW_GROUP))

    def finish(self) -> None:
        """Wait until all rows are in the table.

        Raises:
            duckdb.Error: The statement failed. The transaction can only be rolled back.
        """
        if self._thread is None:
            if self._rows:
                self._insert(pa.RecordBatchReader.from_batches(self.schema, self._drained()))
            return
        if self._rows:
            self._hand_over(self._cut(self._rows))
        self._end()
        self._raise_error()
        self._use_threads(1)

    def abandon(self) -> None:
        """End the statement, wherever it is; the transaction is about to be rolled back. Never raises."""
        self._loose, self._rows = [], 0
        if self._thread is not None:
            import duckdb

            with self._changed:
                self._next = None
            self._end()
            self._error = None
            with contextlib.suppress(duckdb.Error):  # What broke is told by the next statement.
                self._use_threads(1)

    def _drained(self) -> Iterator[pa.RecordBatch]:
        """The loose rows as they came: joined, they would be in memory twice."""
        self._rows = 0
        while self._loose:
            yield self._loose.pop(0)

    def _cut(self, rows: int) -> pa.RecordBatch:
        """The first of the loose rows, as one batch."""
        taken: list[pa.RecordBatch] = []
        missing = rows
        while missing:
            first = self._loose[0]
            if first.num_rows > missing:
                self._loose[0] = first.slice(missing)
                first = first.slice(0, missing)
            else:
                del self._loose[0]
            taken.append(first)
            missing -= first.num_rows
        self._rows -= rows
        return taken[0] if len(taken) == 1 else pa.concat_batches(taken)

    def _hand_over(self, batch: pa.RecordBatch) -> None:
        if self._thread is None:
            self._use_threads(THREADS)
            self._thread = threading.Thread(target=self._run, name="ddpm-duckdb", daemon=True)
            self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._next is None)
            if not self._ended:
                self._next = batch
                self._changed.notify_all()
                return
        self._raise_error()
        raise RuntimeError("DuckDB ended an INSERT before it had drawn all of its rows")

    def _run(self) -> None:
        try:
            self._insert(pa.RecordBatchReader.from_batches(self.schema, self._batches()))
        except Exception as error:  # noqa: BLE001 - it is raised again in the thread that puts
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _insert(self, _ddpm_incoming: pa.RecordBatchReader) -> None:
        self._connection.execute(self.sql)  # It finds its rows as the variable of this frame.

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """What DuckDB's threads draw from, one at a time."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._complete or self._next is not None)
                batch, self._next = self._next, None
                self._changed.notify_all()
            if batch is None:
                return
            yield batch

    def _end(self) -> None:
        with self._changed:
            self._complete = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del (
                    error
                )  # An error that its own frames hold would keep the connection, and so the file's lock, until who knows when.

    def _use_threads(self, number: int) -> None:
        with self._connection.cursor() as other:  # A failed statement has ended the transaction of the connection's own.
            other.execute(f"SET threads = {number}")
