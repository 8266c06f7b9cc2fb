"""The condition of a sink: which rows go there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ddpm_core.expressions.evaluate import Expressions
from ddpm_core.records import Batch, Reject

if TYPE_CHECKING:
    import pyarrow as pa


class Route:
    """Splits batches by a boolean SQL expression. `open`, `split` and `close` belong to one thread.

    Args:
        condition: True for the rows that go to the sink; false and NULL for those that do not.
        where: How messages name the condition, such as `sink logins, when`.
        columns: Types of columns that batches may lack, see `Expressions`.

    Raises:
        ConfigError: The condition is no expression over one row.
    """

    def __init__(self, condition: str, *, where: str = "when", columns: pa.Schema | None = None) -> None:
        where = where.replace("{", "{{").replace("}", "}}")
        self._expressions = Expressions({"when": condition}, where, columns=columns, conditions=True)
        self._is_open = False

    @property
    def metadata(self) -> frozenset[str]:
        """The metadata columns that the condition names; for `BuildContext.shared["metadata"]`, before the source is opened."""
        return self._expressions.metadata

    def open(self) -> None:
        """Called in the thread that calls `split`; the first `split` does it where nobody did.

        Raises:
            ConfigError: The condition reads no column and fails.
        """
        self._expressions.open()
        self._is_open = True

    def split(self, batch: Batch) -> tuple[Batch, list[Reject]]:
        """The rows for which the condition is true, and those for which it cannot be told: reason `when_failed`, stage `process`.

        Raises:
            ConfigError: The condition names a column that is not there, does not fit the columns' types, or is no boolean.
            FatalError: DuckDB itself is broken.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self._is_open:
            self.open()
        judged = self._expressions.run(batch)
        rejects = [Reject(row, "when_failed", why) for row, why in judged.failed.items()]
        verdict = judged.columns["when"]
        if pa.types.is_null(verdict.type):
            return batch.take(pa.array([], pa.int64())), rejects
        if not rejects and verdict.null_count == 0 and pc.all(verdict, min_count=0).as_py():
            return batch, []
        rows = pc.indices_nonzero(verdict).cast(pa.int64())
        return batch.take(rows if judged.rows is None else judged.rows.take(rows)), rejects

    def close(self) -> None:
        """Give everything back. Safe without `open` and when called again."""
        self._expressions.close()
        self._is_open = False
