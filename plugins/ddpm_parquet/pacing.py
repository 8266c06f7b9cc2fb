"""How many rows of a row group may be read at once, so that memory stays flat whatever the file claims or hides.

A few bytes can stand for gigabytes: run lengths make rows of nothing, a dictionary holds a text once that every row repeats, a list
column puts a million values into a row. The footer's sizes are those of encoded pages and say nothing of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ddpm_core import BuildContext, DataError
from ddpm_parquet.options import ParquetOptions

_WIDTH = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8}
_UNPACKED_BY_PREFIX = "DELTA_BYTE_ARRAY"
_PREFIX_ROWS = 1024


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One column of one row group.

    Attributes:
        rows: Rows in the row group.
        values: Values in it; more than rows for columns within lists.
        width: Bytes of a value in memory; for texts the longest known, 0 when nothing is known.
        encoded: Bytes of its pages, decompressed, as the footer has it.
        stored: Bytes in the file.
    """

    path: str
    rows: int
    values: int
    width: int
    encoded: int
    stored: int
    repeated: bool
    text: bool
    prefixed: bool

    @property
    def in_a_row(self) -> float:
        """Bytes that a row may have in memory; of lists, a row of mean length."""
        return self.width * max(self.values / self.rows, 1.0)


class Pacer:
    """Decides for one file. Made when its footer has been read."""

    def __init__(
        self, name: str, stream: BinaryIO, metadata: pq.FileMetaData, options: ParquetOptions, context: BuildContext
    ) -> None:
        self._name = name
        self._stream = stream
        self._metadata = metadata
        self._options = options
        self._context = context

    def rows_at_once(self, group: int) -> int:
        """Rows of this row group that one read may take; at least 1.

        Raises:
            DataError: With reason `decompressed_size`: a row of it alone may need too much, or a page.
        """
        chunks = self._chunks(group)
        if not chunks:
            return self._context.batch_rows
        longest = self._longest_texts(group, chunks)
        chunks = [replace(chunk, width=longest.get(chunk.path, 0)) if chunk.text else chunk for chunk in chunks]
        for chunk in chunks:
            self._refuse_bomb(group, chunk)
        rows = chunks[0].rows
        mean = sum(max(chunk.encoded / rows, 0 if chunk.text else chunk.in_a_row) for chunk in chunks)
        worst = sum(chunk.in_a_row for chunk in chunks)
        stored = sum(chunk.stored for chunk in chunks) / rows
        limits = [
            self._context.batch_rows,
            self._context.batch_bytes / max(stored, 1e-9),
            self._options.max_step_bytes / 2 / max(mean, 1e-9),
            self._options.max_step_bytes / max(worst, 1e-9),
        ]
        if any(chunk.prefixed for chunk in chunks):
            limits.append(_PREFIX_ROWS)
        return max(int(min(limits)), 1)

    def _chunks(self, group: int) -> list[_Chunk]:
        row_group = self._metadata.row_group(group)
        rows = max(row_group.num_rows, 1)
        chunks = []
        for number in range(row_group.num_columns):
            column, declared = row_group.column(number), self._metadata.schema.column(number)
            text = column.physical_type == "BYTE_ARRAY"
            width = 0 if text else _WIDTH.get(column.physical_type, max(declared.length, 1))
            chunks.append(
                _Chunk(
                    path=column.path_in_schema,
                    rows=rows,
                    values=max(column.num_values, 0),
                    width=width,
                    encoded=max(column.total_uncompressed_size, column.total_compressed_size, 0),
                    stored=max(column.total_compressed_size, 1),
                    repeated=declared.max_repetition_level > 0,
                    text=text,
                    prefixed=_UNPACKED_BY_PREFIX in column.encodings,
                )
            )
        return chunks

    def _refuse_bomb(self, group: int, chunk: _Chunk) -> None:
        """What no number of rows makes smaller: a page, and the values of a row."""
        needed: float = chunk.encoded
        if chunk.repeated:
            needed = max(needed, chunk.in_a_row if chunk.text else chunk.width * chunk.values)
        if needed > 4 * self._options.max_step_bytes and needed > self._options.max_expansion * chunk.stored:
            raise DataError(
                f"{self._name}: column {chunk.path!r} of row group {group + 1} has {chunk.stored:,} bytes in the file and "
                f"needs {int(needed):,} in memory",
                reason="decompressed_size",
                hint="It looks made to exhaust memory; if it is not, raise the option max_expansion.",
            )

    def _longest_texts(self, group: int, chunks: list[_Chunk]) -> dict[str, int]:
        """Column -> its longest dictionary entry, in bytes, for the columns whose texts could get too large together.

        Read as dictionaries, the first row brings the whole dictionary and unpacks none of it. Texts that are not in a dictionary
        take the room in memory that they take in the page.
        """
        at_once = min(chunks[0].rows, self._context.batch_rows)
        texts = [chunk for chunk in chunks if chunk.text and chunk.values]
        if sum(chunk.encoded * max(chunk.values / chunk.rows, 1.0) for chunk in texts) * at_once <= self._options.max_step_bytes:
            return {}
        paths = [chunk.path for chunk in texts]
        file = pq.ParquetFile(
            self._stream,
            metadata=self._metadata,
            read_dictionary=paths,
            buffer_size=64 << 10,
            pre_buffer=False,
            page_checksum_verification=True,
            arrow_extensions_enabled=False,  # The json type would come unpacked.
        )
        batches = file.iter_batches(batch_size=1, row_groups=[group], columns=paths, use_threads=False)
        first = next(iter(batches), None)
        found = [] if first is None else [leaf for column in first.columns for leaf in _leaves(column)]
        if len(found) != len(texts):  # Counted with the worst that its pages allow.
            return {chunk.path: chunk.encoded for chunk in texts}
        return {chunk.path: _longest(leaf) for chunk, leaf in zip(texts, found, strict=True)}


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    """The arrays without children within this one, in the order of Parquet's columns."""
    kind = array.type
    if pa.types.is_struct(kind):
        for number in range(kind.num_fields):
            yield from _leaves(array.field(number))
    elif pa.types.is_map(kind):
        yield from _leaves(array.keys)
        yield from _leaves(array.items)
    elif pa.types.is_nested(kind):
        yield from _leaves(array.values)
    else:
        yield array


def _longest(leaf: pa.Array) -> int:
    if not pa.types.is_dictionary(leaf.type):
        return 0
    return int(pc.max(pc.binary_length(leaf.dictionary)).as_py() or 0)
