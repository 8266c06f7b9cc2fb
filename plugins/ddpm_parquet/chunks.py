"""The column chunks of a row group, by what the footer says of them and by what their pages do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from ddpm_core import DataError
from ddpm_parquet.errors import AGAIN
from ddpm_parquet.pages import Page, PageError, pages
from ddpm_parquet.reader import FileMetaData

_WIDTH = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8}
_UNPACKED_BY_PREFIX = "DELTA_BYTE_ARRAY"


@dataclass(slots=True)
class Chunk:
    """One column of one row group.

    Attributes:
        rows: Rows in the row group.
        values: Values in it; more than rows for columns within lists.
        width: Bytes of a value in memory; for texts the longest known, 0 when nothing is known.
        encoded: Bytes of its pages, decompressed.
        stored: Bytes in the file.
        pages: Its pages that hold values.
        dictionaries: Its other pages; pyarrow refuses a column with more than one of them.
        largest_page: What pyarrow needs for one page; of a dictionary it keeps a copy.
        max_level: How many lists its values are within.
        prefixed: Whether texts may be stored without what they share with the one before.
    """

    path: str
    rows: int
    values: int
    width: int
    encoded: int
    stored: int
    pages: list[Page]
    dictionaries: list[Page]
    largest_page: int
    codec: str
    max_level: int
    text: bool
    prefixed: bool

    @property
    def repeated(self) -> bool:
        """Whether its values are within lists."""
        return self.max_level > 0

    @property
    def in_a_row(self) -> float:
        """Bytes that a row may have in memory; of lists, a row of mean length."""
        return self.width * max(self.values / self.rows, 1.0)


def value_width(metadata: FileMetaData, column: int, physical_type: str) -> int:
    """Bytes of a value in memory; 0 for texts, which have no width of their own."""
    if physical_type == "BYTE_ARRAY":
        return 0
    return _WIDTH.get(physical_type) or max(int(metadata.schema.column(column).length), 1)


def expanded(metadata: FileMetaData) -> tuple[int, int]:
    """How many bytes all values of a file need in memory, texts left out, and how many the columns have in the file."""
    needed = stored = 0
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for number in range(row_group.num_columns):
            column = row_group.column(number)
            needed += max(column.num_values, 0) * value_width(metadata, number, column.physical_type)
            stored += max(column.total_compressed_size, 0)
    return needed, stored


def chunks_of(name: str, stream: BinaryIO, metadata: FileMetaData, group: int) -> list[Chunk]:
    """The columns of a row group. Reads the headers of all of its pages.

    Raises:
        DataError: With reason `parquet_invalid`: a header makes no sense, or the footer contradicts itself.
    """
    return [_chunk(name, stream, metadata, group, number) for number in range(metadata.row_group(group).num_columns)]


def _chunk(name: str, stream: BinaryIO, metadata: FileMetaData, group: int, number: int) -> Chunk:
    row_group = metadata.row_group(group)
    column, declared = row_group.column(number), metadata.schema.column(number)
    path, rows, values = column.path_in_schema, row_group.num_rows, column.num_values
    if declared.max_repetition_level == 0 and values != rows:
        raise _damaged(name, f"column {path!r} of row group {group + 1} has {values:,} values in {rows:,} rows")
    start, dictionary = column.data_page_offset, column.dictionary_page_offset
    if column.has_dictionary_page and dictionary is not None and 0 < dictionary < start:
        start = dictionary
    try:
        found = list(pages(stream, start, column.total_compressed_size, values))
    except PageError as error:
        raise _damaged(name, f"column {path!r} of row group {group + 1}: {error}") from error
    held = [page for page in found if not page.dictionary]
    return Chunk(
        path=path,
        rows=max(rows, 1),
        values=max(values, sum(page.values for page in held)),
        width=value_width(metadata, number, column.physical_type),
        encoded=max(sum(page.size for page in found), 1),
        stored=max(column.total_compressed_size, 1),
        pages=held,
        dictionaries=[page for page in found if page.dictionary],
        largest_page=max((page.size * (2 if page.dictionary else 1) for page in found), default=0),
        codec=column.compression,
        max_level=declared.max_repetition_level,
        text=column.physical_type == "BYTE_ARRAY",
        prefixed=_UNPACKED_BY_PREFIX in column.encodings,
    )


def _damaged(name: str, what: str) -> DataError:
    return DataError(f"{name} is damaged: {what}", reason="parquet_invalid", hint=AGAIN)
