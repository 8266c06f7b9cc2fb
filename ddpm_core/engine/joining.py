"""Batches of several chunks as one, for sinks that write many rows at once for less (`Sink.write_rows`)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

from ddpm_core.records import Batch, Document, Reject


def neighbours(batches: Iterable[Batch], rows: int) -> Iterator[list[Batch]]:
    """The batches in their order, in groups to be written as one: of the same columns, and no more once there are this many rows."""
    group: list[Batch] = []
    count = 0
    for batch in batches:
        if group and (
            count >= rows or _stands_alone(batch) or not batch.data.schema.equals(group[-1].data.schema, check_metadata=True)
        ):
            yield group
            group, count = [], 0
        group.append(batch)
        count += rows if _stands_alone(batch) else len(batch)
    if group:
        yield group


def _stands_alone(batch: Batch) -> bool:
    """A document that lands as a whole: the sink has to see that it is one."""
    return isinstance(batch.src, Document) and batch.src.atomic


def joined(batches: Sequence[Batch]) -> Batch:
    """One batch of all their rows. Of several, it does not say where its rows came from."""
    if len(batches) == 1:
        return batches[0]
    import pyarrow as pa

    return Batch(pa.concat_batches([batch.data for batch in batches]), valid=all(batch.valid for batch in batches))


def parted(rejects: Iterable[Reject], batches: Sequence[Batch]) -> list[list[Reject]]:
    """What was refused of `joined(batches)`, for each batch by its own row numbers."""
    if len(batches) == 1:
        return [list(rejects)]
    found: list[list[Reject]] = [[] for _ in batches]
    ends = [*accumulate(map(len, batches))]
    for reject in rejects:
        owner = bisect_right(ends, reject.index)
        found[owner].append(replace(reject, index=reject.index - ends[owner] + len(batches[owner])))
    return found
