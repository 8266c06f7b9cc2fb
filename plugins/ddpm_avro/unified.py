"""Rows of several schemas as rows of one batch."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from ddpm_avro.logical import Bad
from ddpm_avro.promotion import widened, wider
from ddpm_core import DataError


class Columns:
    """The columns of a run so far, unified by name. Without a reader's schema rows of all writers' schemas share a table.

    A column that a schema lacks is null in its rows. Numbers become wider where a later schema needs it; any other clash rejects the
    rows of the later schema.
    """

    def __init__(self) -> None:
        self._types: dict[str, pa.DataType] = {}

    def add(self, schema: pa.Schema) -> None:
        """Take these columns in.

        Raises:
            DataError: `type_mismatch`: one of them was of another type before. None is taken in then.
        """
        found: dict[str, pa.DataType] = {}
        for column in schema:
            before = self._types.get(column.name)
            made = column.type if before is None else wider(before, column.type)
            if made is None:
                raise DataError(
                    f"column {column.name!r} is {column.type} in its schema, and {before} in earlier messages",
                    reason="type_mismatch",
                    hint="Give a reader_schema.",
                )
            found[column.name] = made
        self._types |= found

    def as_wide(self, data: pa.RecordBatch) -> tuple[pa.RecordBatch, Bad]:
        """These rows with the types that their columns have by now, and which of them do not fit; those are still among them."""
        if all(self._types[column.name] == column.type for column in data.schema):
            return data, {}
        columns, bad = [], Bad()
        for name, column in zip(data.schema.names, data.columns, strict=True):
            made, wrong = widened(column, self._types[name], "type_mismatch", name)
            columns.append(made)
            bad = wrong | bad
        return pa.RecordBatch.from_arrays(columns, names=data.schema.names), bad


def put_together(parts: Sequence[pa.RecordBatch], rows: Sequence[int]) -> pa.RecordBatch:
    """One batch of all parts, whose columns of one name have one type, in the order that `rows` gives."""
    if len(parts) == 1:
        return parts[0]
    tables = [pa.Table.from_batches([part]) for part in parts]
    table = pa.concat_tables(tables, promote_options="default")
    order = sorted(range(len(rows)), key=rows.__getitem__)
    batches = table.take(pa.array(order, pa.int64())).combine_chunks().to_batches()
    return batches[0]
