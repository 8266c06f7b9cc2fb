"""Steps of a useful size, where rows have to be read a few at a time because one of them might be very long."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa


def gathered(batches: Iterator[pa.RecordBatch], rows: int, nbytes: int) -> Iterator[pa.RecordBatch]:
    """The same rows, in batches of at most so many rows, and of about so many bytes in memory where single ones are smaller."""
    held: list[pa.RecordBatch] = []
    count = size = 0
    try:
        for batch in batches:
            if held and (count + batch.num_rows > rows or size + batch.nbytes > nbytes):
                yield _joined(held)
                held, count, size = [], 0, 0
            held.append(batch)
            count += batch.num_rows
            size += batch.nbytes
    except Exception:
        if held:  # What was read before it went wrong stays.
            yield _joined(held)
        raise
    if held:
        yield _joined(held)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)
