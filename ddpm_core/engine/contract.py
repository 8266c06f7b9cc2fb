"""What the engine holds plugins to: what they hand over is looked at once for each piece, before anything of it is counted or written.

A plugin that breaks its contract stops the run, by name, with the positions where they were. Passed on, what it did would show
elsewhere: as a row that is missing, as a dead letter with the bytes of another record, as the fault of another plugin. Nothing here
looks at single records in Python but the rejects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ddpm_core.engine.blame import blame
from ddpm_core.errors import PluginError
from ddpm_core.plugin.processor import Processed
from ddpm_core.plugin.specs import Plugin, ProcessorSpec, SinkSpec, SourceSpec
from ddpm_core.records import Batch, Document, Messages, Parsed, Position, Positions, Reject, Rows, stream_of

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

FEW = 8
"""Partitions in one piece of messages."""

STEPS_WITHOUT_PROGRESS = 10_000
"""So many steps in a row that consume nothing are a parser that does not come forward."""


def broken(plugin: Plugin[Any], what: str, hint: str = "") -> PluginError:
    """The error that says what a plugin did against its contract, and whose it is."""
    return PluginError(
        f"{plugin.owner} broke its contract: {what}",
        plugin=plugin.spec.name,
        distribution=f"{plugin.distribution} {plugin.version}",
        hint=hint or "What was committed before stays. Report it to the plugin's author.",
    )


def of_type(plugin: Plugin[Any], who: str, value: Any, wanted: type[T], hint: str = "") -> T:
    """The value that `who` gave, if it is of this type."""
    if isinstance(value, wanted):
        return value
    raise broken(plugin, f"{who} gave {_kind(value)}, not {_article(wanted.__name__)}", hint)


# Parsers.


def steps(
    plugin: Plugin[Any], parse: Callable[[], Iterable[Parsed]], *, resumes: bool, method: str = "parse_document"
) -> Iterator[Parsed]:
    """The checked steps of a document, or of rows that a source has decoded itself.

    Args:
        plugin: Whose they are.
        parse: Begins them.
        resumes: A step's end may be committed, and the next run goes on there.
        method: What begins them, for messages.
    """
    made = blame(plugin, parse)
    if not hasattr(made, "__iter__"):
        raise broken(plugin, f"{method} gave {_kind(made)}, not an iterator of Parsed", "Yield each step.")
    found = blame(plugin, lambda: iter(made))
    idle = 0
    while (step := blame(plugin, lambda: next(found, _END))) is not _END:
        check_step(plugin, step, method)
        if resumes and step.records and not step.resume:
            raise broken(
                plugin,
                "it is resumable, and a step of it does not say where the next one starts",
                "Set `resume` in each Parsed, or `resumable = False`.",
            )
        idle = 0 if step.records or step.nbytes else idle + 1
        if idle >= STEPS_WITHOUT_PROGRESS:
            raise broken(plugin, f"{idle:,} steps in a row consumed nothing")
        yield step


_END: Any = object()


def check_step(plugin: Plugin[Any], step: Parsed, method: str, *, records: int | None = None) -> None:
    """One step of a parser; its callbacks name the plugin from here on.

    Args:
        records: How many it was given to parse, where that is known.
    """
    of_type(plugin, method, step, Parsed)
    for name in ("records", "nbytes", "filtered"):
        if _not_a_count(getattr(step, name)):
            raise broken(plugin, f"{method} gave {name}={getattr(step, name)!r}, which is no count")
    if records is not None and step.records != records:
        raise broken(plugin, f"{method} was given {records:,} messages and accounts for {step.records:,}")
    if step.data is not None:
        _check_rows(plugin, method, step.data, step.origin, step.records)
    _check_rejects(plugin, method, step.rejects, step.records, "records of the step")
    _check_conserved(plugin, method, step)
    if step.resume is not None:
        _check_detail(plugin, f"the resume of {method}", step.resume)
    if step.raw is not None:
        step.raw = partial(_asked, plugin, step.raw, bytes, "raw")
    if step.byte_offset is not None:
        step.byte_offset = partial(_asked, plugin, step.byte_offset, int, "byte_offset")


def _check_conserved(plugin: Plugin[Any], method: str, step: Parsed) -> None:
    """Every record is in a row, in a reject, or counted as filtered: what is in none would be lost without a trace."""
    rows = 0 if step.data is None else step.data.num_rows
    if step.origin is None and rows == step.records and not step.rejects and not step.filtered:
        return
    import pyarrow as pa
    import pyarrow.compute as pc

    origin = pa.arange(0, rows) if step.origin is None else step.origin
    rejected = pa.array([reject.index for reject in step.rejects], pa.int32())
    kept = pc.count_distinct(pa.chunked_array([origin.cast(pa.int32()) if rows else rejected.slice(0, 0), rejected])).as_py()
    if kept + step.filtered != step.records:
        raise broken(
            plugin,
            f"{method} gave {step.records:,} records, of which {kept:,} are in its rows and rejects and {step.filtered:,} in `filtered`",
            "Every record is the origin of a row, a Reject, or counted in `filtered`.",
        )


def _asked(plugin: Plugin[Any], call: Callable[[int], T | None], wanted: type[T], name: str, record: int) -> T | None:
    """What a callback of the step says of a record."""
    found = blame(plugin, lambda: call(record))
    return None if found is None else of_type(plugin, name, found, wanted)


# Processors.


def check_processed(plugin: Plugin[ProcessorSpec], processed: Processed, given: Batch, records: int) -> None:
    """What a processor made of a batch whose step has so many records."""
    of_type(plugin, "process", processed, Processed, "Return Processed(batch, rejects).")
    _check_rejects(plugin, "process", processed.rejects, len(given), "rows of the batch")
    batch = processed.batch
    if batch is None:
        return
    of_type(plugin, "process", batch, Batch)
    _check_rows(plugin, "process", batch.data, batch.origin, records)
    if batch.origin is None and (given.origin is not None or len(batch) != len(given)):
        raise broken(
            plugin, "process gave a batch that does not say which record each row came from", "Use batch.take or batch.replace."
        )


# Sinks.


def check_refused(plugin: Plugin[SinkSpec], rejects: list[Reject], batch: Batch) -> None:
    """What a sink says it did not take of a batch."""
    if rejects is None:
        raise broken(plugin, "write gave None, not a list of Reject", "Return [] when every row is in.")
    _check_rejects(plugin, "write", rejects, len(batch), "rows of the batch")
    if len({reject.index for reject in rejects}) != len(rejects):
        raise broken(plugin, "write refused a row twice")


def check_claimed(plugin: Plugin[SinkSpec], positions: Positions) -> None:
    """What a sink says it has."""
    _check_positions(plugin, "claim", positions)


# Sources.


class HandedOut:
    """What a source has handed out since its partitions were assigned: each record of a partition once, in order.

    A source that counts from 0 in each piece would lose all pieces but the first: their records look as if they had landed before.
    """

    def __init__(self, plugin: Plugin[SourceSpec]) -> None:
        self._plugin = plugin
        self._assigned: set[str] = set()
        self._next: dict[str, int] = {}
        self._documents: set[str] = set()

    def assigned(self, partitions: Sequence[str]) -> None:
        """These begin again, where the sinks stand."""
        if isinstance(partitions, str) or not all(isinstance(partition, str) for partition in partitions):
            raise broken(self._plugin, f"Assigned({partitions!r}) is no list of names")
        self._assigned.update(partitions)
        again = set(partitions)
        self._next = {name: at for name, at in self._next.items() if not {name, stream_of(name)} & again}
        self._documents = {name for name in self._documents if not {name, stream_of(name)} & again}

    def document(self, document: Document | Rows) -> None:
        """A document is about to be read."""
        self._owned(document.partition)
        if document.partition in self._documents:
            raise broken(
                self._plugin,
                f"it handed out {document.name} as {document.partition}, which has been read already",
                "Each document needs a partition or a generation of its own.",
            )
        self._documents.add(document.partition)
        _check_positions(self._plugin, "Document.start", {document.partition: document.start})
        _check_detail(self._plugin, "Document.detail", document.detail)

    def messages(self, messages: Messages) -> None:
        """Messages are about to be parsed."""
        count, plugin = len(messages.values), self._plugin
        if len(messages.partitions) != count or len(messages.offsets) != count:
            raise broken(
                plugin,
                f"Messages has {count:,} values, {len(messages.partitions):,} partitions and {len(messages.offsets):,} offsets",
            )
        _check_positions(plugin, "Messages.first", messages.first)
        _check_positions(plugin, "Messages.next", messages.next)
        lowest, highest = _ends(messages)
        if not set(highest) <= set(messages.first) or set(messages.first) != set(messages.next):
            raise broken(plugin, "Messages.first and Messages.next do not name the partitions of its messages")
        for partition, first in messages.first.items():
            self._owned(partition)
            following = messages.next[partition].offset
            reached = self._next.get(partition, 0)
            if first.offset < reached:
                raise broken(
                    plugin,
                    f"partition {partition} went back to offset {first.offset:,} after {reached:,}",
                    "Offsets of a partition grow from one Messages to the next.",
                )
            begins, ends = lowest.get(partition, first.offset), highest.get(partition, following - 1)
            if following < first.offset or (partition in highest and not first.offset <= begins <= ends < following):
                raise broken(
                    plugin,
                    f"partition {partition} has the offsets {begins:,} to {ends:,} in Messages from {first.offset:,} to {following:,}",
                    "`first` is the first message's offset, `next` the one after the last.",
                )
            self._next[partition] = following

    def _owned(self, partition: str) -> None:
        if partition not in self._assigned and stream_of(partition) not in self._assigned:
            raise broken(
                self._plugin, f"it handed out partition {partition}, which it has not assigned", "Return Assigned([...]) first."
            )


def _ends(messages: Messages) -> tuple[dict[str, int], dict[str, int]]:
    """Partition -> the offset of its first message, and of its last one."""
    partitions, offsets = messages.partitions, messages.offsets
    names = set(partitions)
    if len(names) <= FEW:  # Looking each one up is quicker than an entry for every message.
        behind = partitions[::-1]
        last = len(partitions) - 1
        return {name: offsets[partitions.index(name)] for name in names}, {
            name: offsets[last - behind.index(name)] for name in names
        }
    # The last entry of a key wins, from either side.
    return dict(zip(reversed(partitions), reversed(offsets), strict=True)), dict(zip(partitions, offsets, strict=True))


# What all have in common.


def _check_rows(plugin: Plugin[Any], method: str, data: pa.RecordBatch, origin: pa.Int32Array | None, records: int) -> None:
    """The rows are a record batch, and each comes from one of `records` records."""
    import pyarrow as pa

    of_type(plugin, method, data, pa.RecordBatch, "A table becomes batches with `table.combine_chunks().to_batches()`.")
    rows = data.num_rows
    if origin is None:
        if rows > records:
            raise broken(
                plugin, f"{method} gave {rows:,} rows of {records:,} records without saying which row is whose", "Set `origin`."
            )
        return
    if not isinstance(origin, pa.Array) or origin.type != pa.int32() or origin.null_count:
        raise broken(plugin, f"{method} gave an origin that is {_kind(origin)}, not an Arrow array of int32 without nulls")
    if len(origin) != rows:
        raise broken(plugin, f"{method} gave {rows:,} rows and an origin for {len(origin):,}")
    if rows:
        import pyarrow.compute as pc

        found = pc.min_max(origin).as_py()
        if found["min"] < 0 or found["max"] >= records:
            outside = found["min"] if found["min"] < 0 else found["max"]
            raise broken(plugin, f"{method} gave a row of record {outside:,}, and there are {records:,} records, from 0")


def _check_rejects(plugin: Plugin[Any], method: str, rejects: Sequence[Reject], count: int, of_what: str) -> None:
    of_type(plugin, method, rejects, list)
    for reject in rejects:
        of_type(plugin, f"{method} in its rejects", reject, Reject)
        if _not_a_count(reject.index) or reject.index >= count:
            raise broken(plugin, f"{method} rejected number {reject.index!r} of {count:,} {of_what}, counted from 0")
        if not isinstance(reject.reason, str) or not isinstance(reject.message, str) or not isinstance(reject.raw, bytes | None):
            raise broken(plugin, f"{method} gave a Reject whose reason and message are not text, or whose raw is not bytes")


def _check_positions(plugin: Plugin[Any], who: str, positions: Positions) -> None:
    of_type(plugin, who, positions, dict)
    for name, position in positions.items():
        if not isinstance(name, str) or not isinstance(position, Position) or _not_a_count(position.offset):
            raise broken(plugin, f"{who} gave {name!r}: {position!r}, not the name of a partition and its Position")
        _check_detail(plugin, f"a position of {who}", position.detail)


def _check_detail(plugin: Plugin[Any], who: str, detail: Mapping[str, Any]) -> None:
    """Positions are kept as JSON: what is none would fail at COMMIT, as the sink's fault."""
    of_type(plugin, who, detail, Mapping)  # type: ignore[type-abstract]
    if not detail:
        return
    try:
        json.dumps(dict(detail))
    except (TypeError, ValueError, RecursionError) as error:
        raise broken(plugin, f"{who} cannot be kept as JSON: {error}") from error


def _not_a_count(value: Any) -> bool:
    return not isinstance(value, int) or isinstance(value, bool) or value < 0


def _kind(value: Any) -> str:
    return "None" if value is None else _article(type(value).__name__)


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
