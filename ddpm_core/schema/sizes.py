"""Which rows of a batch are large: a few bytes of a file can become many in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

_CUT = 8
"""A piece that may have large rows is looked at in so many parts: few looks where they are rare, and not many where all are large."""


def large_rows(batch: pa.RecordBatch, limit: int) -> Iterator[tuple[int, str]]:
    """Rows with more than `limit` bytes in memory, in their order, each with what a reject `too_large` says of it.

    For parsers, of the rows that they have made. Costs next to nothing for a batch that has no more bytes than that itself. Dictionaries
    count in every row, and nulls within lists in none: unpack the ones, and count the others, before. Unions and views do not count:
    pyarrow 26 takes a part of the one for less than nothing or for many times the whole, and of the other for the whole.
    """
    if batch.nbytes <= limit:
        return iter(())
    return _large(batch.select([number for number, field in enumerate(batch.schema) if _counts(field.type)]), 0, limit)


def _counts(t: pa.DataType) -> bool:
    if isinstance(t, pa.BaseExtensionType):
        return _counts(t.storage_type)
    if pa.types.is_union(t) or pa.types.is_string_view(t) or pa.types.is_binary_view(t):
        return False
    return all(_counts(t.field(number).type) for number in range(t.num_fields))


def _large(batch: pa.RecordBatch, first: int, limit: int) -> Iterator[tuple[int, str]]:
    nbytes = batch.nbytes
    if nbytes <= limit:
        return
    if batch.num_rows == 1:
        yield first, f"the row has {nbytes:,} bytes in memory, more than the {limit:,} allowed"
        return
    size = -(-batch.num_rows // _CUT)
    for start in range(0, batch.num_rows, size):
        yield from _large(batch.slice(start, size), first + start, limit)
