"""What a group of chunks comes to: where it leads, and what landed of it at several sinks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ddpm_core.engine.chunk import Chunk
from ddpm_core.engine.sink_slot import Landed
from ddpm_core.records import Positions, stream_of


def leading_to(chunks: Sequence[Chunk]) -> Positions:
    """Where the source stands behind these chunks."""
    return {partition: position for chunk in chunks for partition, position in chunk.next.items()}


def lowest(known: Sequence[Positions]) -> Positions:
    """For each partition that every sink knows, the position of the one furthest behind."""
    if not known:
        return {}
    everywhere = set(known[0]).intersection(*known[1:])
    return {p: min((positions[p] for positions in known), key=lambda at: (at.offset, at.finished)) for p in everywhere}


def committed_unseen(before: Sequence[Landed], now: Sequence[Landed]) -> list[Landed]:
    """What an earlier try wrote and this one found to have landed: its COMMIT went through and only the reply was lost."""
    again = {stream for one in now for stream in one.chunk.next}
    return [one for one in before if not again & set(one.chunk.next)]


def add_refusals(landed: list[Landed], more: Sequence[Landed]) -> None:
    """Note what other sinks refused of the same chunks."""
    of_chunk = {id(one.chunk.step): one for one in landed}
    for other in more:
        if other.refusals and id(other.chunk.step) in of_chunk:
            of_chunk[id(other.chunk.step)].refusals += other.refusals
        elif other.refusals:
            landed.append(Landed(other.chunk, 0, other.refusals))


def reasons(landed: Sequence[Landed]) -> Counter[str]:
    """Reason code -> how many records were set aside for it."""
    return Counter(refusal.reject.reason for one in landed for refusal in one.refusals)


def streams(chunk: Chunk) -> set[str]:
    """The partitions that a chunk belongs to, without their generations."""
    return {stream_of(partition) for partition in chunk.next}
