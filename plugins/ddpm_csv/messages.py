"""Messages without a header, each one record or several."""

from __future__ import annotations

from io import BytesIO

import pyarrow as pa

from ddpm_core import DataError, Messages, Parsed, Reject
from ddpm_csv.blocks import Block, quotes_are_regular
from ddpm_csv.cells import CellReader, Cells
from ddpm_csv.columns import Columns
from ddpm_csv.delimiter import SAMPLE_BYTES, find_delimiter
from ddpm_csv.dialect import Dialect
from ddpm_csv.header import numbered_names
from ddpm_csv.options import CsvOptions
from ddpm_csv.source_text import Utf8Source, open_source
from ddpm_csv.tokens import scan
from ddpm_csv.types import TEXT


class MessageReader:
    """Reads messages. Dialect and number of columns are what the options say, else what the first message shows.

    Args:
        options: What the user configured.
        columns: The columns of the run.
    """

    def __init__(self, options: CsvOptions, columns: Columns) -> None:
        self._options = options
        self._columns = columns
        self._dialect: Dialect | None = None
        self._reader: CellReader | None = None

    def read(self, messages: Messages) -> Parsed:
        """All rows of these messages. A message lands whole or not at all: its bytes are one dead letter."""
        rejects: dict[int, Reject] = {}
        cells = self._at_once(messages.values)
        origin = None
        if cells is None:
            cells, origin = self._one_by_one(messages.values, rejects)
        names = self._reader.names if self._reader else []
        data, misfits, kept = self._columns.rows(cells, names, quoted=lambda: True)
        rows = list(range(data.num_rows)) if data is not None and kept is None else kept or []
        of_message = rows if origin is None else [origin[row] for row in rows]
        for misfit in misfits:
            index = misfit.index if origin is None else origin[misfit.index]
            rejects.setdefault(index, Reject(index, misfit.reason, misfit.message))
        whole = [place for place, index in enumerate(of_message) if index not in rejects]
        if data is not None and len(whole) < len(of_message):
            data = data.take(pa.array(whole, pa.int64())) if whole else None
        for index, reject in rejects.items():
            reject.raw = messages.values[index]
        return Parsed(
            data,
            len(messages),
            [rejects[index] for index in sorted(rejects)],
            pa.array([of_message[place] for place in whole], pa.int32()),
            raw=messages.values.__getitem__,
            nbytes=messages.nbytes,
        )

    def _at_once(self, values: list[bytes | None]) -> Cells | None:
        """One record in each message, as almost always; None when there may be more to it."""
        reader, dialect = self._reader, self._dialect
        if reader is None or dialect is None or self._options.encoding != "utf-8" or dialect.escape:
            return None
        known = [value for value in values if value and len(value) <= self._options.max_record_bytes]
        text = b"\n".join(known)
        if len(known) < len(values) or not known or text.count(b"\n") >= len(known) or b"\r" in text or b"\xef\xbb\xbf" in text:
            return None
        if not quotes_are_regular(text, dialect):
            return None
        block = Block(text, len(text), 0, Utf8Source(BytesIO(), 1), dialect, None, len(text))
        cells = reader.at_once(block, [TEXT] * len(reader.names))
        return cells if cells is not None and cells.records == len(values) and not cells.rejects else None

    def _one_by_one(self, values: list[bytes | None], rejects: dict[int, Reject]) -> tuple[Cells, list[int]]:
        found: list[Cells] = []
        origin: list[int] = []
        for index, value in enumerate(values):
            try:
                cells = self._cells(value)
            except DataError as error:
                rejects[index] = Reject(index, error.reason, error.message)
                continue
            found.append(cells)
            origin += [index] * cells.records
        if not found:
            return Cells(None, 0, []), origin
        columns = [pa.concat_arrays(parts) for parts in zip(*(cells.columns or () for cells in found), strict=True)]
        return Cells(columns, len(origin), []), origin

    def _cells(self, value: bytes | None) -> Cells:
        """The records of one message.

        Raises:
            DataError: One of them is not well, or there is none.
        """
        if value is None:
            raise DataError("the message has no value (a tombstone)", reason="no_value")
        if len(value) > self._options.max_record_bytes:
            limit = self._options.max_record_bytes
            raise DataError(f"the record has {len(value):,} bytes, more than the {limit:,} allowed", reason="too_large")
        source = open_source(BytesIO(value), 0, self._options.encoding)
        text = b"".join(iter(lambda: source.read(len(value) + 1), b""))
        dialect = self._dialect or self._find_dialect(text)
        found = scan(text, dialect, final=True, patience=len(text), limit=len(text))
        if not found.spans:
            raise DataError("the message holds no record", reason="csv_invalid")
        block = Block(text, len(value), source.at, source, dialect, found, len(text))
        reader = self._reader or self._find_reader(block)
        cells = reader.one_by_one(block)
        if cells.rejects:
            raise DataError(cells.rejects[0].message, reason=cells.rejects[0].reason)
        self._dialect, self._reader = dialect, reader
        return cells

    def _find_dialect(self, text: bytes) -> Dialect:
        options = self._options
        if options.delimiter:
            return Dialect.of(options, options.delimiter.encode())
        line, sample = next(iter(text.splitlines()), b""), text[:SAMPLE_BYTES]
        return Dialect.of(options, find_delimiter(line, sample, options, final=len(sample) == len(text)))

    def _find_reader(self, block: Block) -> CellReader:
        options = self._options
        first = block.dialect.split(block.text(0)) if not (block.found and block.found.bad) else ()
        names = list(options.column_names) or numbered_names(len(first), "the message")
        return CellReader(names, options.nulls, options.quoted_nulls, options.max_record_bytes)
