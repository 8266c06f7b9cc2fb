"""Rows chosen by their key, for upserts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

import pyarrow as pa

from ddpm_core.errors import ConfigError
from ddpm_core.records import Reject
from ddpm_core.schema import kernels as pc
from ddpm_core.schema.complaint import shown
from ddpm_core.schema.outcome import rows_where
from ddpm_core.schema.types import kind, sql_name
from ddpm_core.values import dataclass

_ROW = "row"


@dataclass(slots=True)
class Chosen:
    """One row for each key.

    Attributes:
        data: The last row of each key, sorted by key.
        rejects: The rows whose key is null somewhere; `index` is the row number that came in.
        rows: Row of `data` -> row that came in (int64).
    """

    data: pa.RecordBatch
    rejects: list[Reject] = field(default_factory=list)
    rows: pa.Int64Array = field(default_factory=lambda: pa.array([], pa.int64()))

    def row(self, i: int) -> int:
        """The row number that came in."""
        return int(self.rows[i].as_py())


def last_of_each_key(data: pa.RecordBatch, key: Sequence[str]) -> Chosen:
    """Of the rows with the same key only the last; sorted by key, so that two writers meet the keys in the same order.

    -0.0 is the key 0.0, as in SQL. Texts sort by their bytes. Where the batch has no such column, every row lacks its key.

    Raises:
        ConfigError: A key column's type cannot be compared.
    """
    rejects: dict[int, Reject] = {}
    missing = [name for name in key if data.schema.get_field_index(name) < 0]
    for row in range(data.num_rows if missing else 0):
        rejects[row] = Reject(row, "null_key", f"column {shown(missing[0])} is part of the key, and the row has none")
    if missing:
        return Chosen(data.slice(0, 0), list(rejects.values()))
    columns = [_comparable(data.column(name), name) for name in key]
    for name, column in zip(key, columns, strict=True):
        if column.null_count:
            for row in rows_where(column.is_null()):
                rejects.setdefault(row, Reject(row, "null_key", f"column {shown(name)} is part of the key and must not be null"))
    names = [str(number) for number in range(len(columns))]
    table = pa.table([*columns, pa.arange(0, data.num_rows)], names=[*names, _ROW])
    if rejects:
        table = table.filter(pc.invert(pc.is_in(table[_ROW], pa.array(list(rejects), pa.int64()))))
    last = table.group_by(names, use_threads=False).aggregate([(_ROW, "max")])
    order = pc.sort_indices(last, sort_keys=[(name, "ascending") for name in names])
    rows = last[f"{_ROW}_max"].take(order).combine_chunks()
    if isinstance(rows, pa.ChunkedArray):
        rows = pa.concat_arrays(rows.chunks) if rows.num_chunks else pa.array([], pa.int64())
    return Chosen(data.take(rows), [rejects[row] for row in sorted(rejects)], rows)


def _comparable(column: pa.Array, name: str) -> pa.Array:
    """The column in a type that Arrow can group and sort by, equal where the database finds it equal."""
    match kind(column.type):
        case "uuid":
            return column.storage
        case "float":
            wide = (column.cast(pa.float32()) if column.type == pa.float16() else column).cast(pa.float64())
            return pc.if_else(pc.equal(wide, 0.0), pa.scalar(0.0), wide)
        case "bool":
            return column.cast(pa.int8())
        case "json" | "list" | "struct" | "map" | "union" | "interval" | "null" | "other":
            raise ConfigError(f"column {name!r} is of type {sql_name(column.type)}, which cannot be a key")
    return column
