"""The columns of a run: their types, expected or learned, and blocks of text as rows of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial

import pyarrow as pa

from ddpm_core import Parsed, Reject
from ddpm_csv.blocks import Block
from ddpm_csv.cells import CellReader, Cells
from ddpm_csv.types import NULL, TYPE_NAMES, is_text, type_of, typed, without_nulls

_NAMES_OF_TYPES = {kind: name for name, kind in TYPE_NAMES.items()}


class Columns:
    """The types of columns by their names, for all documents of a run.

    A column has the type that is expected of it, else the one learned from its first values.

    Args:
        nulls: What stands for null.
    """

    def __init__(self, nulls: tuple[str, ...]) -> None:
        self._spelled = nulls
        self._nulls = pa.array(nulls, pa.string())
        self._exactly: dict[str, pa.DataType] = {}
        self._expected: dict[str, pa.DataType] = {}
        self._learned: dict[str, pa.DataType] = {}

    def expect(self, schema: pa.Schema) -> None:
        """The types that columns of these names shall have from now on. Names match exactly, or else when only case differs."""
        folded: dict[str, pa.DataType | None] = {}
        typed_fields = [field for field in schema if field.type != NULL]
        for field in typed_fields:
            folded[field.name.casefold()] = None if field.name.casefold() in folded else field.type
        self._expected = {name: kind for name, kind in folded.items() if kind is not None}
        self._exactly = {field.name: field.type for field in typed_fields}

    def learn(self, cells: Cells, names: list[str]) -> None:
        """Decide the types of columns that have none yet, by all of these values."""
        for name, texts in zip(names, cells.columns or (), strict=bool(cells.columns)):
            if self.type(name) == NULL and texts.null_count < len(texts):
                plain = without_nulls(texts, self._nulls)
                # Nothing but empty texts in quotes: those are values, so this is a column of texts.
                self._learned[name] = pa.string() if plain.null_count == len(plain) else type_of(plain)

    def knows(self, names: list[str]) -> bool:
        """Whether all of these columns have a type."""
        return all(self.type(name) != NULL for name in names)

    def type(self, name: str) -> pa.DataType:
        """What a column holds; null while that is not known."""
        expected = self._exactly.get(name, self._expected.get(name.casefold()))
        return self._learned.get(name, NULL) if expected is None else expected

    def remembered(self, names: list[str]) -> dict[str, str]:
        """The learned types of these columns, for a position."""
        return {name: _NAMES_OF_TYPES[self._learned[name]] for name in names if name in self._learned}

    def recall(self, remembered: Mapping[str, str]) -> None:
        """What was learned when the document was read before, for columns that nothing is known of yet."""
        for name, kind in remembered.items():
            if kind in TYPE_NAMES:
                self._learned.setdefault(name, TYPE_NAMES[kind])

    def step(self, block: Block, reader: CellReader) -> Parsed:
        """A step of the records of a block."""
        cells = reader.read(block, [self.type(name) for name in reader.names])
        data, rejects, record_of = self.rows(cells, reader.names, quoted=cache(partial(block.may_quote, self._spelled)))
        for reject in rejects:
            if reject.raw is None:
                reject.raw, reject.byte_offset = block.raw(reject.index), block.byte_offset(reject.index)
        origin = None if record_of is None else pa.array(record_of, pa.int32())
        return Parsed(data, cells.records, rejects, origin, raw=block.raw, byte_offset=block.byte_offset, nbytes=block.size)

    def rows(
        self, cells: Cells, names: list[str], *, quoted: Callable[[], bool]
    ) -> tuple[pa.RecordBatch | None, list[Reject], list[int] | None]:
        """The rows in their types; all rejects, by record; and row -> record where that is not the same.

        Args:
            cells: The fields.
            names: The columns' names.
            quoted: Whether a text that stands for null may stand in quotes. Asked only where that makes a difference.
        """
        if cells.columns is None:
            return None, cells.rejects, []
        self.learn(cells, names)
        misfits: dict[int, Reject] = {}
        columns = []
        for name, texts in zip(names, cells.columns, strict=True):
            column, rejects = self._typed(texts, name, quoted=quoted)
            columns.append(column)
            for reject in rejects:
                misfits.setdefault(reject.index, reject)
        data = pa.RecordBatch.from_arrays(columns, names=names)
        if not misfits:
            return data, cells.rejects, cells.record_of
        record_of = cells.record_of or list(range(cells.records))
        for row, reject in misfits.items():
            reject.index = record_of[row]
        every = sorted([*cells.rejects, *misfits.values()], key=lambda reject: reject.index)
        kept = [row for row in range(data.num_rows) if row not in misfits]
        return data.take(pa.array(kept, pa.int64())) if kept else None, every, [record_of[row] for row in kept]

    def _typed(self, texts: pa.StringArray, name: str, *, quoted: Callable[[], bool]) -> tuple[pa.Array, list[Reject]]:
        kind = self.type(name)
        if kind == NULL or texts.type == kind:
            return (texts, []) if texts.type == kind else (pa.nulls(len(texts)), [])
        if not is_text(kind) and quoted():
            texts = without_nulls(texts, self._nulls)
        return typed(texts, name, kind)
