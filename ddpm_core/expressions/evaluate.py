"""Expressions over batches: all rows at once, and where one row fails, all others nevertheless."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from ddpm_core.expressions.check import checked
from ddpm_core.expressions.feed import Feed
from ddpm_core.expressions.statement import Statement
from ddpm_core.records import Batch
from ddpm_core.values import dataclass


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What became of a batch.

    Attributes:
        columns: Name -> values, for each expression in their order, without the rows that failed.
        rows: The rows of the batch that these are (int64), or None when they are all of them.
        failed: Row of the batch -> which expression failed on it and why, in row order.
    """

    columns: dict[str, pa.Array]
    rows: pa.Int64Array | None
    failed: dict[int, str]


class Expressions:
    """SQL expressions, each one value for each row of a batch.

    Made in any thread; `open`, `run` and `close` belong to one. All see the batch as it came in, and the metadata columns that they name.
    They run in a DuckDB that is locked down: no files, no network, no extensions, bounded memory. The time zone is UTC; `now()` is when
    the statement over the batch began, and a division by zero is an error. Nothing of this runs before `open`.

    Args:
        expressions: Name -> expression.
        where: How messages name an expression; `{}` stands for its name in quotes.
        columns: Types of columns that batches may lack because none of their records has them; they are NULL then. A column that
            was in an earlier batch is treated like this without being declared.
        conditions: Each must be a boolean.

    Raises:
        ConfigError: With every text that is no single expression, or needs more than one row to be judged.
    """

    def __init__(
        self, expressions: Mapping[str, str], where: str, *, columns: pa.Schema | None = None, conditions: bool = False
    ) -> None:
        self._expressions = checked(expressions, where)
        self._feed = Feed(self._expressions, where, columns, own=not conditions)
        self._where = where
        self._conditions = conditions
        self._statement: Statement | None = None

    @property
    def names(self) -> list[str]:
        """What the expressions are called."""
        return [expression.name for expression in self._expressions]

    @property
    def metadata(self) -> frozenset[str]:
        """The metadata columns that are named. The source must know them before it opens: `BuildContext.shared["metadata"]`."""
        return frozenset[str]().union(*(expression.metadata for expression in self._expressions))

    def open(self) -> None:
        """Called once, in the thread that calls `run`.

        Raises:
            ConfigError: An expression that reads no column fails, and would fail for every row.
        """
        self._statement = Statement(self._where, conditions=self._conditions)
        self._statement.try_constants(self._expressions)

    def run(self, batch: Batch) -> Evaluated:
        """The values for each row, and the rows for which an expression fails. The batch stays as it was.

        Raises:
            ConfigError: An expression names a column that is not there, or does not fit the columns' types.
            FatalError: DuckDB itself is broken.
        """
        if self._statement is None:
            raise RuntimeError("run was called without open")
        fed = self._feed.pick(batch)
        failed = dict(fed.unreadable)
        computed = [expression for expression in self._expressions if expression.name not in fed.own]
        columns = dict(fed.own)
        if computed:
            data, numbers = fed.data(len(batch)), None
            if failed:
                numbers = _others(len(batch), failed)
                data = data.take(numbers)
            self._statement.prepare(computed, data.schema)
            arrays, culprits = self._statement.run(data)
            failed |= culprits if numbers is None else {numbers[row].as_py(): why for row, why in culprits.items()}
            columns |= zip((expression.name for expression in computed), arrays, strict=True)
        rows = _others(len(batch), failed) if failed else None
        if rows is not None:
            columns |= {name: column.take(rows) for name, column in fed.own.items()}
        return Evaluated({e.name: columns[e.name] for e in self._expressions}, rows, dict(sorted(failed.items())))

    def close(self) -> None:
        """Give DuckDB back. Safe without `open` and when called again."""
        if self._statement is not None:
            self._statement.close()
            self._statement = None


def _others(count: int, failed: Mapping[int, str]) -> pa.Int64Array:
    """The rows that did not fail."""
    return pa.array([row for row in range(count) if row not in failed], pa.int64())
