"""The nouns that travel between plugins and engine.

A record's way: a `Source` hands out `Messages`, a `Document`, or `Rows` that it has decoded itself; a `Parser` makes `Parsed` steps
of what is undecoded; the engine wraps each step into a `Chunk`; processors and sinks see its `Batch`. Whatever cannot go on is a `Reject`, and becomes a `DeadLetter`.

Nothing here imports pyarrow at run time: plugins' light modules may import this one.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from ddpm_core.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa

Detail: TypeAlias = Mapping[str, Any]
"""JSON-compatible facts that travel with a position; only who wrote a key reads it."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition stands.

    Attributes:
        offset: The next record wanted; 0 is the first one of the partition.
        detail: What else is needed to go on there. The source's keys say which content this is (`file`), the parser's key
            `resume` says where in it the record starts, the engine's keys are `rows` (rows landed so far) and `finished`.
    """

    offset: int
    detail: Detail = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """True when the partition has an end and it has been committed."""
        return bool(self.detail.get("finished"))


Positions: TypeAlias = dict[str, Position]
"""Partition -> where it stands. What sinks keep, and what the engine compares.

A partition whose content can be replaced (a file) has generations, named `partition#generation`. Claiming the partition
returns the positions of all its generations; rows are committed under a generation's name.
"""


def stream_of(partition: str) -> str:
    """The partition that a generation belongs to: the name up to the last `#`; a name without one is its own.

    Not for a bare partition, whose own name may contain a `#` (a path may).
    """
    return partition.rpartition("#")[0] or partition


@dataclass(slots=True)
class Messages:
    """Undecoded messages in columns: plain lists of equal length, no client's objects.

    Without any message it moves positions over what is none, such as the markers of transactions.

    Attributes:
        values: The payloads; None is a tombstone.
        partitions: The partition of each message.
        offsets: The offset of each message within its partition.
        first: Partition -> position of the first message held here.
        next: Partition -> position after the last message held here.
        keys, headers, timestamps: As the source has them (timestamps in milliseconds since 1970, UTC), or None where they were not asked for.
        nbytes: Payload bytes held, for the engine's memory budget.
        letters: The dead letters that these messages are, where they are sent through again; each keeps its own coordinates.
    """

    values: list[bytes | None]
    partitions: list[str]
    offsets: list[int]
    first: Positions
    next: Positions
    keys: list[bytes | None] | None = None
    headers: list[list[tuple[str, bytes]] | None] | None = None
    timestamps: list[int] | None = None
    nbytes: int = 0
    letters: list[DeadLetter] | None = None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(slots=True)
class Document:
    """One undecoded stream with a name: a file, standard input, an object, a request body.

    Attributes:
        name: What to call it in front of people: the path as the user gave it.
        partition: The generation its rows are committed under.
        stream: Its bytes. The parser reads it and never closes it.
        start: Where to go on. A parser that is not resumable gets offset 0 and an empty detail.
        size: Bytes in all, or None when that cannot be known.
        detail: The source's keys for every position of this document.
        atomic: Commit once, at its end (standard input, which cannot be read twice).
        note: Why it is read and from where, for the log and the summary: `new`, `resumed at record 12,000`, …
    """

    name: str
    partition: str
    stream: BinaryIO
    start: Position = field(default_factory=lambda: Position(0))
    size: int | None = None
    detail: Detail = field(default_factory=dict)
    atomic: bool = False
    note: str = "new"

    def seekable(self) -> BinaryIO:
        """The stream itself if it can seek, else a temporary file on disk with all of it (for formats with a footer).

        Who gets another stream than `self.stream` closes it.
        """
        if self.stream.seekable():
            return self.stream
        spool = tempfile.TemporaryFile(prefix="ddpm-")  # noqa: SIM115 - the caller closes it
        shutil.copyfileobj(self.stream, spool, 1 << 20)
        spool.seek(0)
        return spool


@dataclass(slots=True)
class Rows:
    """A stream of rows that its source has decoded already: the result of a query. Treated as a `Document` that needs no parser.

    Attributes:
        name: What to call it in front of people.
        partition: The generation its rows are committed under.
        steps: Begins the steps from `start` on; called once. Each step's `resume` says where the next one starts, unless `atomic`.
            What it raises means the same as in `Parser.parse_document`.
        start: Where to go on.
        detail: The source's keys for every position of these rows.
        atomic: Commit once, at its end (a query whose rows have no order, and which can therefore not be resumed).
        note: As in `Document`.
        lasting: Its end is no end: the next run goes on behind it (an incremental query), so it is never marked as finished.
    """

    name: str
    partition: str
    steps: Callable[[], Iterator[Parsed]]
    start: Position = field(default_factory=lambda: Position(0))
    detail: Detail = field(default_factory=dict)
    atomic: bool = False
    note: str = "new"
    lasting: bool = False
    size: int | None = None


@dataclass(slots=True)
class Reject:
    """A record or a row that cannot go on. Who made it fills in the first four fields; the engine adds the rest.

    Attributes:
        index: Which one. From a parser: the record's number within the step, from 0. From a processor or sink: the row of the
            batch that it was given.
        reason: Stable code in snake case, such as `json_invalid`; users filter by it and tests assert it.
        message: What is wrong, with the values and both types where types clash.
        raw: The record's original bytes, where the maker has them at hand.
        row: The row as an Arrow IPC stream, for a record that has no bytes of its own and is in no batch either.
        byte_offset: Where in the document the record begins, where known.
    """

    index: int
    reason: str
    message: str
    raw: bytes | None = None
    byte_offset: int | None = None
    row: bytes | None = None


@dataclass(slots=True)
class Parsed:
    """One step of a parser's way through a document, or all of some messages.

    Conservation: every one of `records` is the origin of at least one row, or in `rejects`, or counted in `filtered`. The engine
    checks it.

    Attributes:
        data: The rows, or None when the step has none.
        records: How many records of the source this step consumed.
        rejects: The records that could not be decoded; `index` counts within this step.
        origin: Row of `data` -> record within this step (int32). None means row i is record i.
        resume: Where the *next* step starts, for a resumable parser: JSON-compatible and opaque to all others. `{"grows": true}`
            in it says that a longer file with the same beginning may be continued here.
        raw: record within this step -> its original bytes, or None where a record has none of its own. Called only when a row
            of the step is refused later, until the step has been committed.
        byte_offset: record within this step -> where in the document it begins, or None.
        nbytes: Bytes of the source that this step consumed, for progress and the memory budget.
        filtered: How many of the records the format's own rules left out, without a row and without a reject.
        valid: Whether `data.validate(full=True)` has passed. Otherwise sinks look at every text again, which may be no UTF-8.
    """

    data: pa.RecordBatch | None
    records: int
    rejects: list[Reject] = field(default_factory=list)
    origin: pa.Int32Array | None = None
    resume: Detail | None = None
    raw: Callable[[int], bytes | None] | None = None
    byte_offset: Callable[[int], int | None] | None = None
    nbytes: int = 0
    filtered: int = 0
    valid: bool = False


@dataclass(slots=True)
class Batch:
    """Rows on their way through processors into sinks.

    Attributes:
        data: The rows.
        origin: Row -> record of the step it came from (int32); None means row i is record i.
        src: What the rows were parsed from.
        first_record: The number of the step's first record in its document; None for messages, which have their own offsets.
        valid: As in `Parsed`; no longer so once a processor has had the rows.
    """

    data: pa.RecordBatch
    origin: pa.Int32Array | None = None
    src: Messages | Document | Rows | None = None
    first_record: int | None = None
    valid: bool = False

    def __len__(self) -> int:
        return int(self.data.num_rows)

    def record(self, row: int) -> int:
        """The record within the step that this row came from."""
        return row if self.origin is None else int(self.origin[row].as_py())

    def take(self, rows: pa.Array) -> Batch:
        """A batch of just these rows (an integer array of row numbers), origins kept."""
        import pyarrow as pa

        if pa.types.is_null(rows.type):  # An empty list without a type.
            rows = rows.cast(pa.int64())
        origin = rows.cast(pa.int32()) if self.origin is None else self.origin.take(rows)
        return Batch(self.data.take(rows), origin, self.src, self.first_record, self.valid)

    def replace(self, data: pa.RecordBatch) -> Batch:
        """The same rows with other columns: origins stay. The number of rows must be the same."""
        return Batch(data, self.origin, self.src, self.first_record)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that was set aside, with all that is needed to understand it and to send it through again.

    Attributes:
        id: The same for the same record of the same content on its way to the same table, so that it is kept once.
        pipeline: Which pipeline set it aside; for `ddpm ingest` it is `ingest`.
        source: Document or topic, as people call it.
        partition, offset: Its source coordinates; `offset` is the record's number from 0.
        byte_offset: Where in the document it begins, where known.
        stage: `parse`, `process` or `sink`.
        reason, message: Why.
        plugin, plugin_version: Whose judgement it was: the plugin's name and its distribution's version.
        sink: The sink that refused it, or an empty string.
        payload: Its original bytes; for a row that has none of its own, the row as an Arrow IPC stream.
        payload_kind: `bytes` or `arrow`, telling which; `none` for a message without a value, a tombstone.
        view: The row as JSON, where `payload_kind` is `arrow`; else None.
        attempts: How often it was tried.
        created_at: When, in UTC.
        target: The table it was meant for; filled in by the sink that keeps it.
        format: The format that the payload is in, by its name; empty for rows, and where it is not known.
        key, headers, timestamp: Of the message that it was, where the source gave them; `timestamp` as in `Messages`.
        replayed_at: When it got through after all, in UTC; None while it is open.
    """

    id: str
    pipeline: str
    source: str
    partition: str
    offset: int
    byte_offset: int | None
    stage: str
    reason: str
    message: str
    plugin: str
    plugin_version: str
    sink: str
    payload: bytes
    payload_kind: str
    view: str | None
    attempts: int
    created_at: datetime
    target: str = field(default="", compare=False)
    format: str = ""
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] | None = None
    timestamp: int | None = None
    replayed_at: datetime | None = None


LETTER_PARTITIONS = "dead-letter:"
"""What the names of all partitions of dead letters begin with."""


def letter_partition(letter: DeadLetter) -> str:
    """The generation that a dead letter is sent again under: its row in a sink's positions says that it landed there.

    Letters from one part of a source are generations of one partition, so that a thousand of them are claimed in a few statements. The
    name is made of what never changes of a letter. Those that were made of a letter that several sinks refused are named `id/…`, and
    share its partition.
    """
    part = hashlib.blake2b(letter.partition.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{LETTER_PARTITIONS}{part}/{letter.offset >> 14}#{letter.id.partition('/')[0]}"


# What `Source.read` returns besides Messages and Document.


@dataclass(frozen=True, slots=True)
class Assigned:
    """These partitions are this source's now. The engine claims them at the sinks and answers with `Source.seek`."""

    partitions: Sequence[str]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A document that was not read, with the reason and what to do about it, for the log and the summary."""

    name: str
    note: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A document that could not be opened. The others go on; the run ends with exit code 1."""

    name: str
    error: Exception


@dataclass(frozen=True, slots=True)
class EndOfSource:
    """There is nothing more to read."""


Item: TypeAlias = Messages | Document | Rows | Assigned | Skipped | Failed | EndOfSource
"""All that a source may return from `read`."""
