"""What expressions read of a batch."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import field

import pyarrow as pa

from ddpm_core.errors import ConfigError, Problem
from ddpm_core.expressions.check import SQL_VALUES, Expression, named
from ddpm_core.expressions.metadata import METADATA, OF_DOCUMENTS, metadata_column
from ddpm_core.records import Batch
from ddpm_core.values import dataclass


@dataclass(slots=True)
class Fed:
    """What is read of one batch.

    Attributes:
        columns: Name -> column, for DuckDB.
        own: Expression's name -> column, for expressions that are nothing but a column: it stays as it is, whatever its type.
        unreadable: Row -> why it has no metadata that an expression reads.
    """

    columns: dict[str, pa.Array] = field(default_factory=dict)
    own: dict[str, pa.Array] = field(default_factory=dict)
    unreadable: dict[int, str] = field(default_factory=dict)

    def data(self, rows: int) -> pa.RecordBatch:
        """As a batch with that many rows, even where nothing is read."""
        columns = self.columns or {"nothing": pa.nulls(rows)}
        return pa.record_batch(list(columns.values()), list(columns))


class Feed:
    """Picks what the expressions read. Used from one thread, for one batch after the other.

    Args:
        expressions: What reads.
        where: How messages name an expression; `{}` stands for its column.
        declared: Columns that the user declared, or None.
        own: Whether expressions that are nothing but a column keep it as it is.
    """

    def __init__(self, expressions: Sequence[Expression], where: str, declared: pa.Schema | None, *, own: bool) -> None:
        self._expressions = expressions
        self._where = where
        self._may_be_own = own
        self._types: dict[str, pa.DataType] = {} if declared is None else {column.name: column.type for column in declared}
        """Of columns that a batch may lack, because none of its records has them: declared, or seen before."""

    def pick(self, batch: Batch) -> Fed:
        """The columns that are read.

        Raises:
            ConfigError: Names every column that is not there, with the nearest one that is.
        """
        fed = Fed()
        problems: list[Problem] = []
        for expression in self._expressions:
            if self._is_own(expression, batch, fed):
                continue
            where = self._where.format(repr(expression.name))
            for name in expression.columns:
                if not self._put(name, expression, batch, fed):
                    problems.append(_unknown(name, where, batch))  # noqa: PERF401 - what is there is put in meanwhile
        if problems or (problems := _same_but_case(fed.columns)):
            raise ConfigError(problems)
        return fed

    def _is_own(self, expression: Expression, batch: Batch, fed: Fed) -> bool:
        if not self._may_be_own or expression.column is None or expression.column in METADATA:
            return False
        name = self._real_name(expression.column, batch.data.schema)
        if name is None:
            return False
        fed.own[expression.name] = self._column(name, batch.data)
        return True

    def _put(self, name: str, expression: Expression, batch: Batch, fed: Fed) -> bool:
        """Put the column in that a name means; False where there is none."""
        if name in METADATA:
            if name in fed.columns:
                return True
            made = metadata_column(name, batch)
            if made is not None:
                fed.columns[name], unreadable = made
                fed.unreadable |= {row: f"{named(expression)} failed: {why}" for row, why in unreadable.items()}
                return True
        real = self._real_name(name, batch.data.schema)
        if real is None:
            return name.lower() in SQL_VALUES
        column = self._column(real, batch.data)
        fed.columns[real] = column.cast(pa.float32()) if pa.types.is_float16(column.type) else column  # DuckDB has no such floats.
        return True

    def _real_name(self, name: str, schema: pa.Schema) -> str | None:
        """The column that a name means: the very one, else the only one that differs in case, as in SQL."""
        known = list(dict.fromkeys([*schema.names, *self._types]))
        if name in known:
            return name
        same = [column for column in known if column.lower() == name.lower()]
        return same[0] if len(same) == 1 else None

    def _column(self, name: str, data: pa.RecordBatch) -> pa.Array:
        place = data.schema.get_field_index(name)
        if place < 0:
            return pa.nulls(data.num_rows, self._types[name])
        self._types[name] = data.schema.field(place).type
        return data.column(place)


def _unknown(name: str, where: str, batch: Batch) -> Problem:
    if name in METADATA:
        of = "a document" if name in OF_DOCUMENTS else "a message"
        return Problem(
            where, f"{name} is not known here", f"it is a fact about {of}, and the source of these rows does not give it"
        )
    names = batch.data.schema.names
    same = [column for column in names if column.lower() == name.lower()]
    if len(same) > 1:
        return Problem(where, f"{name!r} may be any of {', '.join(map(repr, same))}", "SQL does not tell them apart")
    near = difflib.get_close_matches(name, [*names, *METADATA], n=1)
    hint = f"did you mean {near[0]!r}?" if near else "declare it under columns, if the first rows may lack it"
    return Problem(where, f"there is no column {name!r}", hint)


def _same_but_case(columns: dict[str, pa.Array]) -> list[Problem]:
    seen: dict[str, str] = {}
    pairs = [(seen.setdefault(name.lower(), name), name) for name in columns]
    return [
        Problem("", f"the columns {one!r} and {other!r} differ only in case, and SQL does not tell them apart")
        for one, other in pairs
        if one != other
    ]
