"""How many rows of a row group may be read at once, so that memory stays flat whatever the file claims or hides.

A few bytes can stand for gigabytes: run lengths make rows of nothing, a dictionary holds a text once that every row repeats, a list
column puts a million values into a row. The footer's sizes are those of encoded pages and say nothing of that; and they may be lies,
so the pages' own headers are looked at, which is what pyarrow goes by.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import BinaryIO

from ddpm_core import BuildContext, DataError
from ddpm_parquet.chunks import Chunk, chunks_of
from ddpm_parquet.dictionaries import longest_text
from ddpm_parquet.lists import rows_beginning
from ddpm_parquet.options import ParquetOptions
from ddpm_parquet.pages import Page
from ddpm_parquet.reader import FileMetaData

_REFUSED_FROM = 4
"""Steps. What needs less is read, however little of the file it takes."""


class Pacer:
    """Decides for one file. Made when its footer has been read."""

    def __init__(self, name: str, stream: BinaryIO, metadata: FileMetaData, options: ParquetOptions, context: BuildContext) -> None:
        self._name = name
        self._stream = stream
        self._metadata = metadata
        self._options = options
        self._context = context
        self._harmless = _REFUSED_FROM * options.max_step_bytes

    def refuse_expansion(self, needed: int, stored: int) -> None:
        """Stop when so many bytes in memory have come of so many in the file. Called for the whole file, and with each step.

        Raises:
            DataError: With reason `decompressed_size`.
        """
        if needed > self._harmless and needed > self._options.max_expansion * max(stored, 1):
            raise self._bomb(f"{self._name} has {stored:,} bytes and becomes more than {needed:,} in memory")

    def rows_at_once(self, group: int) -> int:
        """Rows of this row group that one read may take; at least 1.

        Raises:
            DataError: With reason `decompressed_size`: a row of it alone may need too much, or a page. With `parquet_invalid`:
                a page's header makes no sense.
        """
        chunks = chunks_of(self._name, self._stream, self._metadata, group)
        if not chunks:
            return self._context.batch_rows
        for chunk in chunks:
            self._refuse_bomb(group, chunk, chunk.largest_page, self._harmless)
        limits = [float(self._context.batch_rows), self._rows_of_lists(group, chunks)]
        self._measure_texts(group, chunks)
        rows = chunks[0].rows
        for chunk in chunks:
            self._refuse_bomb(group, chunk, int(chunk.in_a_row) if chunk.text else 0, self._options.max_step_bytes)
        mean = sum(max(chunk.encoded / rows, 0 if chunk.text else chunk.in_a_row) for chunk in chunks)
        worst = sum(chunk.in_a_row for chunk in chunks)
        stored = sum(chunk.stored for chunk in chunks) / rows
        limits += [
            self._context.batch_bytes / max(stored, 1e-9),
            self._options.max_step_bytes / 2 / max(mean, 1e-9),
            self._options.max_step_bytes / max(worst, 1e-9),
            self._rows_of_dense_texts(chunks),
        ]
        return max(int(min(limits)), 1)

    def _refuse_bomb(self, group: int, chunk: Chunk, needed: int, harmless: int) -> None:
        """What no number of rows makes smaller: a page, and the values of a row."""
        if needed > harmless and needed > self._options.max_expansion * chunk.stored:
            raise self._bomb(
                f"{self._name}: column {chunk.path!r} of row group {group + 1} has {chunk.stored:,} bytes in the file and "
                f"needs {needed:,} in memory"
            )

    def _bomb(self, message: str) -> DataError:
        hint = "It looks made to exhaust memory; if it is not, raise the option max_expansion."
        return DataError(message, reason="decompressed_size", hint=hint)

    def _rows_of_lists(self, group: int, chunks: list[Chunk]) -> float:
        """Rows that may be read at once though all values of a page may belong to one of them.

        Raises:
            DataError: With reason `decompressed_size`: one row may need too much.
        """
        lists = [chunk for chunk in chunks if chunk.repeated]
        if sum(chunk.values * max(chunk.width, 4) for chunk in lists) <= self._harmless:
            return float("inf")
        room = self._harmless / len(lists)
        limit = float("inf")
        for chunk in lists:
            width = max(chunk.width, 4)
            if chunk.values * width <= room:
                continue
            pages_at_once = room / (max([1, *(page.values for page in chunk.pages)]) * width) - 1
            enough = self._context.batch_rows / pages_at_once + 1 if pages_at_once > 0 else chunk.rows
            longest, fewest = self._pages_of_rows(chunk, int(enough))
            if longest * width > self._harmless:
                raise DataError(
                    f"{self._name}: a single row of column {chunk.path!r} in row group {group + 1} may have {longest:,} values",
                    reason="decompressed_size",
                    hint="A row must fit into memory; if there is enough of it, raise the option max_step_bytes.",
                )
            # So many rows lie in so many pages of that many values, and one more that they begin in.
            limit = min(limit, max(room / (longest * width) - 1, 0) * fewest)
        return max(limit, 1.0)

    def _pages_of_rows(self, chunk: Chunk, enough: int) -> tuple[int, int]:
        """The values in the page that has most, together with the pages that only go on with its last row; and the fewest rows
        that begin in any such group of pages, counted up to `enough`."""
        longest = values = 0
        fewest: int | None = None
        rows = 0
        for page in chunk.pages:
            begin = rows_beginning(self._stream, page, chunk.codec, chunk.max_level, enough)
            if begin and rows:
                longest, fewest = max(longest, values), rows if fewest is None else min(fewest, rows)
                values = rows = 0
            values += page.values
            rows += begin
        return max(longest, values), max(min(rows, rows if fewest is None else fewest), 1)

    def _rows_of_dense_texts(self, chunks: list[Chunk]) -> float:
        """Rows that may be read at once where the longest texts of a column stand together: the mean says nothing of those."""
        whole = sum(chunk.encoded for chunk in chunks)
        limit = float("inf")
        for chunk in chunks:
            if chunk.text and chunk.values:
                room = self._options.max_step_bytes / 2 * chunk.encoded / whole
                limit = min(limit, _fewest_values(chunk.pages, room) * chunk.rows / chunk.values)
        return limit

    def _measure_texts(self, group: int, chunks: list[Chunk]) -> None:
        """Learn the longest text of the columns whose texts could get too large together.

        That is the longest of the dictionary. Texts that are not in a dictionary take the room in memory that they take in the page;
        but one that is stored without what it shares with the text before it may be as long as its page.
        """
        at_once = min(chunks[0].rows, self._context.batch_rows)
        texts = [chunk for chunk in chunks if chunk.text and chunk.values]
        if sum(chunk.encoded * max(chunk.values / chunk.rows, 1.0) for chunk in texts) * at_once <= self._options.max_step_bytes:
            return
        for chunk in texts:
            if chunk.prefixed:
                chunk.width = chunk.largest_page
            elif len(chunk.dictionaries) > 1:  # The worst that they allow; to unpack them all could take hours.
                chunk.width = chunk.encoded
            elif chunk.dictionaries:
                (dictionary,) = chunk.dictionaries
                # Each text has its length in front of it. Where the rest is little, the dictionary need not be read; where it is less
                # than nothing, the header lies.
                chunk.width = dictionary.size - 4 * dictionary.values
                if chunk.width < 0 or chunk.in_a_row * at_once * len(texts) > self._options.max_step_bytes:
                    chunk.width = longest_text(self._stream, dictionary, chunk.codec)


def _fewest_values(pages: list[Page], room: float) -> float:
    """How many values in a row may be read wherever one begins, so that they have so many bytes, or a page more. Infinite where all may.

    Of a page that has more by itself it is as many as have so many bytes on average.
    """
    full = [page for page in pages if page.values]
    sizes = [0, *accumulate(page.size for page in full)]
    values = [0, *accumulate(page.values for page in full)]
    fewest = float("inf")
    for begin, page in enumerate(full):
        end = bisect_right(sizes, sizes[begin] + room) - 1
        if end == len(full):
            break
        fewest = min(fewest, values[end] - values[begin] if end > begin else page.values * room / page.size)
    return fewest
