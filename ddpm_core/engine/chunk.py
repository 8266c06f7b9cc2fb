"""What moves through the engine: a piece of a source with its rows, its rejects, and the positions it leads from and to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import field, replace
from typing import TYPE_CHECKING

from ddpm_core.engine.report import DocumentReport
from ddpm_core.records import Batch, Document, Messages, Parsed, Position, Positions, Reject, Rows, stream_of
from ddpm_core.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa


MESSAGE_BYTES = 150
"""What a message costs beside its payload: the objects that hold its value, its partition and its offset."""

REJECT_BYTES = 500
"""The same for one that was refused."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record of a chunk that was rejected, and by whom.

    Attributes:
        record: Its number within the chunk's step.
        reject: Reason and message; its `index` is not used any more.
        stage: `parse`, `process` or `sink`.
        plugin, version: Name of the plugin that judged, and its distribution's version.
        sink: The sink that refused it, or an empty string.
    """

    record: int
    reject: Reject
    stage: str
    plugin: str
    version: str
    sink: str = ""


@dataclass(slots=True)
class Chunk:
    """A piece of a source on its way to the sinks.

    Attributes:
        source: The document, rows or messages that it came from.
        step: What the parser made of it: original bytes and rows, for dead letters.
        batches: The rows that go on, after the processors; may be empty.
        refusals: What parser and processors rejected.
        first, next: Partition -> where this chunk begins, and where the source stands after it.
        document: The document's line in the report, or None for messages.
        ends: It is the last of its document.
        atomic: It must not be committed before its document ends.
        known: How many of its records do not count any more, after trimming.
        held_bytes: What it counts for in the memory budget, until it is released: its bytes as read or as decoded, whichever are more
            (files are compressed), and a byte for each record at least.
    """

    source: Messages | Document | Rows
    step: Parsed
    first: Positions
    next: Positions
    batches: list[Batch] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    document: DocumentReport | None = None
    ends: bool = False
    atomic: bool = False
    known: int = 0
    held_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.held_bytes = max(self.step.nbytes, self.step.data.nbytes if self.step.data is not None else 0)
        if isinstance(self.source, Messages):
            self.held_bytes += MESSAGE_BYTES * self.step.records + REJECT_BYTES * len(self.step.rejects)
        else:  # A column of nulls has no bytes in Arrow.
            self.held_bytes = max(self.held_bytes, self.step.records)

    @property
    def nbytes(self) -> int:
        """Bytes of the source in it, as the parser says."""
        return self.step.nbytes

    @property
    def records(self) -> int:
        """Records of the source in this chunk that count."""
        return self.step.records - self.known

    def let_go(self) -> None:
        """Drop the rows and the bytes they came from: they are written, and only numbers are still needed."""
        self.batches, self.refusals = [], []
        self.step.data = self.step.origin = self.step.raw = self.step.byte_offset = None
        self.step.rejects = []

    def coordinates(self, record: int) -> tuple[str, int]:
        """Partition and offset of a record of the step."""
        if isinstance(self.source, Messages):
            return self.source.partitions[record], self.source.offsets[record]
        partition, position = next(iter(self.first.items()))
        return partition, position.offset + record

    def row_of(self, record: int) -> pa.RecordBatch | None:
        """The parser's first row of this record, or None when it made none."""
        if self.step.data is None:
            return None
        if self.step.origin is None:
            return self.step.data.slice(record, 1) if record < self.step.data.num_rows else None
        import pyarrow.compute as pc

        row = pc.index(self.step.origin, record).as_py()
        return self.step.data.slice(row, 1) if row >= 0 else None

    def after(self, known: Positions) -> Chunk | None:
        """This chunk without what `known` says is there already; None when that is all of it."""
        if all(p not in known or known[p].offset <= self.first[p].offset for p in self.next) and not all(
            _reached(known.get(p), position) for p, position in self.next.items()
        ):
            return self
        if all(_reached(known.get(p), position) for p, position in self.next.items()):
            return None

        def wanted(record: int) -> bool:
            partition, offset = self.coordinates(record)
            return partition in self.next and (partition not in known or offset >= known[partition].offset)

        # A position never goes back: of a partition of which the sink has more than this chunk, nothing is said.
        following = {p: position for p, position in self.next.items() if not _reached(known.get(p), position)}
        return self._keeping(wanted, following)

    def without(self, fenced: AbstractSet[str]) -> Chunk | None:
        """This chunk without the records of these partitions (not generations); None when that is all of it."""
        following = {p: position for p, position in self.next.items() if stream_of(p) not in fenced}
        if len(following) == len(self.next):
            return self
        return self._keeping(lambda record: self.coordinates(record)[0] in following, following) if following else None

    def _keeping(self, wanted: Callable[[int], bool], following: Positions) -> Chunk:
        """These records only, and the positions that they lead to."""
        trimmed = replace(self, next=following, known=sum(not wanted(record) for record in range(self.step.records)))
        trimmed.refusals = [refusal for refusal in self.refusals if wanted(refusal.record)]
        trimmed.batches = [batch for batch in (_keep(batch, wanted) for batch in self.batches) if len(batch)]
        return trimmed


def _reached(known: Position | None, position: Position) -> bool:
    if known is None:
        return False
    return known.offset > position.offset or (known.offset == position.offset and (known.finished or not position.finished))


def _keep(batch: Batch, wanted: Callable[[int], bool]) -> Batch:
    import pyarrow as pa

    rows = [row for row, record in enumerate(_records(batch)) if wanted(record)]
    return batch.take(pa.array(rows, pa.int64()))


def _records(batch: Batch) -> Iterator[int]:
    return iter(range(len(batch)) if batch.origin is None else batch.origin.to_pylist())
