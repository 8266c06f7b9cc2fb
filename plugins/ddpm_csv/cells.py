"""The fields of a block as columns of text: by pyarrow.csv where all quotes are regular, else one record after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv

from ddpm_core import KEPT_BYTES, DataError, Reject, too_large_reject
from ddpm_csv.blocks import Block
from ddpm_csv.source_text import BOM
from ddpm_csv.types import FALSE, READ_EXACTLY, READ_PLAINLY, TEXT, TRUE, are_exact, are_plain

_LONG = 1 << 20
"""The fields of a record with more bytes are counted before they are held."""


@dataclass(slots=True)
class Cells:
    """The fields of a block.

    Attributes:
        columns: The fields of each column as text, or in the column's type already; null where they say so. None: there is no row.
        records: How many records the block has.
        rejects: Those that are no rows, in their order.
        record_of: Row -> record; None where each record is a row.
    """

    columns: list[pa.Array] | None
    records: int
    rejects: list[Reject]
    record_of: list[int] | None = None


@dataclass(frozen=True, slots=True)
class CellReader:
    """Reads the fields of blocks.

    Args:
        names: The names of the columns.
        nulls: What stands for null.
        quoted_nulls: Whether it does in quotes too.
        max_record_bytes: How long a record may be.
    """

    names: list[str]
    nulls: tuple[str, ...]
    quoted_nulls: bool
    max_record_bytes: int

    def read(self, block: Block, types: Sequence[pa.DataType] = ()) -> Cells:
        """The fields of a block, by the fastest way that is right.

        Args:
            block: The records.
            types: What the columns hold, where that is known. Those that pyarrow.csv reads exactly come in their type.
        """
        cells = None
        if block.found is None:
            cells = self.in_types(block, types) if types else None
            if cells is None and is_utf8(block.data):  # A value does not fit, or a record has too many fields.
                cells = self.at_once(block, [TEXT] * len(self.names), uneven=True)
        return self.one_by_one(block) if cells is None else cells

    def in_types(self, block: Block, types: Sequence[pa.DataType]) -> Cells | None:
        """By pyarrow.csv, values in their types where it takes only what the rules take; None when there is any doubt."""
        there = READ_PLAINLY if are_plain(block.data, block.dialect) else READ_EXACTLY
        cells = self.at_once(block, [kind if kind in there else TEXT for kind in types])
        if cells is None or cells.columns is None:
            return None
        return cells if all(are_exact(column) for column in cells.columns if column.type == pa.float64()) else None

    def at_once(self, block: Block, kinds: Sequence[pa.DataType], *, uneven: bool = False) -> Cells | None:
        """By pyarrow.csv, without the GIL; None when there is any doubt.

        Args:
            block: The records.
            kinds: What to read the columns as.
            uneven: Whether to set records aside that have too few fields or too many; the block must be UTF-8 then.
        """
        found: list[tuple[int, int]] = []

        def leave_out(row: pa.csv.InvalidRow) -> str:
            found.append((row.number - 1, row.actual_columns))
            return "skip"

        if block.data.startswith(BOM):  # pyarrow leaves it out, wherever in the document the block is.
            return None
        # Without a line end after it pyarrow 26 takes an empty last field for one in quotes.
        data = block.data if block.ends_line else block.data + b"\n"
        try:
            table = pa.csv.read_csv(
                pa.py_buffer(data),
                read_options=pa.csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=self.names),
                parse_options=pa.csv.ParseOptions(
                    delimiter=block.dialect.delimiter.decode(),
                    quote_char=block.quoted and block.dialect.quote.decode(),
                    newlines_in_values=block.quoted,
                    invalid_row_handler=leave_out if uneven else None,
                ),
                convert_options=pa.csv.ConvertOptions(
                    column_types=dict(zip(self.names, kinds, strict=True)),
                    true_values=TRUE,
                    false_values=FALSE,
                    null_values=self.nulls,
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=self.quoted_nulls,
                    check_utf8=True,
                ),
            )
        except pa.ArrowException:  # Also bytes that are no UTF-8, and nothing but blank lines.
            return None
        rejects = [self._uneven(block, record, fields) for record, fields in found]
        records = table.num_rows + len(rejects)
        if not table.num_rows:
            return Cells(None, records, rejects)
        skipped = {reject.index for reject in rejects}
        record_of = [record for record in range(records) if record not in skipped] if rejects else None
        return Cells([column.combine_chunks() for column in table.columns], records, rejects, record_of)

    def one_by_one(self, block: Block) -> Cells:
        """Each record by itself, which finds out what is wrong with those that are not well."""
        if block.too_long:
            reject = too_large_reject(block.beginning, block.start, block.start + block.too_long, self.max_record_bytes)
            return Cells(None, 1, [reject])
        rows: list[list[str | None]] = []
        record_of: list[int] = []
        rejects: list[Reject] = []
        bad = block.found.bad if block.found else {}
        for record in range(len(block.spans)):
            try:
                rows.append(self._row(block, record, bad.get(record, "")))
            except DataError as error:
                rejects.append(self._reject(block, record, error))
            else:
                record_of.append(record)
        if not rows:
            return Cells(None, len(block.spans), rejects)
        columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
        return Cells(columns, len(block.spans), rejects, record_of if rejects else None)

    def _row(self, block: Block, record: int, problem: str) -> list[str | None]:
        text = block.text(record)
        if len(text) > self.max_record_bytes:
            raise DataError("", reason="too_large")
        if problem:
            raise DataError(f"not CSV: {problem}", reason="csv_invalid")
        block.source.decode(text)
        number = block.dialect.count(text) if len(text) > _LONG else 0
        fields = block.dialect.split(text) if number in (0, len(self.names)) else []
        number = number or len(fields)
        if number != len(self.names):
            raise DataError(self._complaint(number), reason="field_count")
        return [self._value(field.decode(), quoted) for field, quoted in fields]

    def _value(self, text: str, quoted: bool) -> str | None:
        return None if text in self.nulls and (self.quoted_nulls or not quoted) else text

    def _reject(self, block: Block, record: int, error: DataError) -> Reject:
        start = block.byte_offset(record)
        if error.reason == "too_large":
            raw = block.raw(record)
            reject = too_large_reject(raw[:KEPT_BYTES], start, start + len(raw), self.max_record_bytes)
            reject.index = record
            return reject
        return Reject(record, error.reason, error.message, block.raw(record), start)

    def _uneven(self, block: Block, record: int, fields: int) -> Reject:
        return Reject(record, "field_count", self._complaint(fields), block.raw(record), block.byte_offset(record))

    def _complaint(self, fields: int) -> str:
        return f"the record has {fields:,} field{'s' if fields > 1 else ''}, and there are {len(self.names):,} columns"


def is_utf8(data: bytes) -> bool:
    """Whether these bytes are text."""
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False
