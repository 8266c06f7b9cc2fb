"""The processor `map`: columns from SQL expressions."""

from __future__ import annotations

import pyarrow as pa

from ddpm_core import Batch, BuildContext, Expressions, Processed, Processor, Reject
from ddpm_transforms.options import MapOptions


def build(options: MapOptions, context: BuildContext) -> MapProcessor:
    """The processor. It tells the source which metadata its expressions name.

    Raises:
        ConfigError: With every text that is no expression over one row.
    """
    expressions = Expressions(options.columns, "processor map, column {}", columns=context.columns)
    context.shared.setdefault("metadata", set()).update(expressions.metadata)
    return MapProcessor(expressions, only=options.only)


class MapProcessor(Processor):
    """Puts the values of expressions into columns: in the place of a column of that name, else behind all others.

    A row on which an expression fails is rejected with the reason `map_failed`. Columns that no expression names are not touched, and keep
    their types.
    """

    def __init__(self, expressions: Expressions, *, only: bool) -> None:
        self._expressions = expressions
        self._only = only

    def open(self) -> None:
        self._expressions.open()

    def process(self, batch: Batch) -> Processed:
        made = self._expressions.run(batch)
        rejects = [Reject(row, "map_failed", why) for row, why in made.failed.items()]
        good = batch if made.rows is None else batch.take(made.rows)
        if made.rows is not None and not len(good):
            return Processed(None, rejects)
        columns = {} if self._only else dict(zip(batch.data.schema.names, good.data.columns, strict=True))
        columns |= made.columns
        fields = [self._field(batch.data.schema, name, column) for name, column in columns.items()]
        schema = pa.schema(fields, batch.data.schema.metadata)
        return Processed(good.replace(pa.record_batch(list(columns.values()), schema=schema)), rejects)

    def _field(self, schema: pa.Schema, name: str, column: pa.Array) -> pa.Field:
        """A column that stays keeps what is said about it."""
        place = schema.get_field_index(name)
        kept = place >= 0 and name not in self._expressions.names
        return schema.field(place) if kept else pa.field(name, column.type)

    def close(self) -> None:
        self._expressions.close()
