"""A source made of lists, with markers among the data for what should happen there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, BinaryIO, TypeAlias, cast

from ddpm_core.plugin.source import Source
from ddpm_core.records import Assigned, Document, EndOfSource, Item, Messages, Parsed, Position, Positions, Rows, Skipped
from ddpm_core.testing.streams import PieceStream, SimulatedCrash
from ddpm_core.values import dataclass


@dataclass(slots=True)
class Crash:
    """A marker among the data of a `ListSource`: when it is reached, `error` is raised. Once: the next run passes it."""

    error: BaseException = field(default_factory=lambda: SimulatedCrash("the source crashed here"))
    fired: bool = False

    def fire(self) -> None:
        """Raise, the first time."""
        if not self.fired:
            self.fired = True
            raise self.error


@dataclass(slots=True)
class Call:
    """A marker: when it is reached, `what` is called. Each time; it may wait for something, or stop the run."""

    what: Callable[[], None]

    def fire(self) -> None:
        self.what()


@dataclass(frozen=True, slots=True)
class Pause:
    """A marker: `read` returns None once. In a document it does nothing."""

    def fire(self) -> None:
        pass


Marker: TypeAlias = Crash | Call | Pause


@dataclass(slots=True)
class ListDocument:
    """A document of a `ListSource`.

    Attributes:
        name: Its name; its partition is `list:NAME`, its rows are committed under `list:NAME#GENERATION`.
        content: Its bytes, or pieces of them with markers in between. One `read` of the stream returns at most one piece.
        generation: Another one is another content under the same name.
        atomic: As in `Document`.
        seekable: Whether its stream can seek. Without, it always starts at 0.
    """

    name: str
    content: bytes | Sequence[bytes | Marker]
    generation: str = "1"
    atomic: bool = False
    seekable: bool = True

    @property
    def partition(self) -> str:
        return f"list:{self.name}"

    def document(self, known: Position | None) -> Document | Skipped:
        """What a run that knows this position reads of it."""
        if known is not None and known.finished:
            return Skipped(self.name, "finished")
        pieces: Sequence[bytes | Marker] = [self.content] if isinstance(self.content, bytes) else self.content
        size = sum(len(piece) for piece in pieces if isinstance(piece, bytes))
        start = known if known is not None and self.seekable else Position(0)
        return Document(
            name=self.name,
            partition=f"{self.partition}#{self.generation}",
            stream=cast(BinaryIO, PieceStream(pieces, seekable=self.seekable)),
            start=start,
            size=size if self.seekable else None,
            detail={"generation": self.generation},
            atomic=self.atomic,
            note="new" if start.offset == 0 else f"resumed at record {start.offset:,}",
        )


@dataclass(slots=True)
class ListRows:
    """Rows that a `ListSource` has decoded itself.

    Attributes:
        name: Their name; their partition is `list:NAME`, they are committed under `list:NAME#GENERATION`.
        rows: Them, with markers in between.
        per_step: How many of them a step has.
        generation, atomic: As in `ListDocument`.
        lasting: As in `Rows`.
    """

    name: str
    rows: Sequence[Mapping[str, Any] | Marker]
    per_step: int = 2
    generation: str = "1"
    atomic: bool = False
    lasting: bool = False

    @property
    def partition(self) -> str:
        return f"list:{self.name}"

    def decoded(self, known: Position | None) -> Rows | Skipped:
        """What a run that knows this position reads of them."""
        if known is not None and known.finished:
            return Skipped(self.name, "finished")
        start = known if known is not None and not self.atomic else Position(0)
        return Rows(
            name=self.name,
            partition=f"{self.partition}#{self.generation}",
            steps=lambda: self._steps(start.detail.get("resume", {}).get("place", 0)),
            start=start,
            detail={"generation": self.generation},
            atomic=self.atomic,
            note="new" if start.offset == 0 else f"resumed at record {start.offset:,}",
            lasting=self.lasting,
        )

    def _steps(self, place: int) -> Iterator[Parsed]:
        """The steps from a place in the list on. A step ends before a marker."""
        import pyarrow as pa

        while place < len(self.rows):
            step: list[Mapping[str, Any]] = []
            for row in self.rows[place : place + self.per_step]:
                if not isinstance(row, Mapping):
                    break
                step.append(row)
            if step:
                place += len(step)
                yield Parsed(pa.RecordBatch.from_pylist([dict(row) for row in step]), len(step), resume={"place": place})
            else:
                cast(Marker, self.rows[place]).fire()
                place += 1


class ListSource(Source):
    """Documents, rows or messages from lists, in their order, with markers between them for what should happen there.

    Args:
        items: Documents and rows, read one after the other, with markers in between.
        messages: Partition -> its payloads (None is a tombstone), with markers in between; offsets count payloads from 0.
        per_read: How many messages one `read` returns at most.
        endless: After the last item `read` returns None instead of `EndOfSource`.

    Attributes:
        calls: The names of the methods in the order in which they were called, but for `read`.
        sought: The positions passed to each `seek`.
        committed: The positions passed to each `commit`.
    """

    def __init__(
        self,
        items: Sequence[ListDocument | ListRows | Marker] = (),
        *,
        messages: Mapping[str, Sequence[bytes | Marker | None]] | None = None,
        per_read: int = 100,
        endless: bool = False,
    ) -> None:
        self.items = items
        self.messages = dict(messages or {})
        self.per_read = per_read
        self.endless = endless
        self.calls: list[str] = []
        self.sought: list[Positions] = []
        self.committed: list[Positions] = []
        self._open = False
        self._awaiting_seek = False
        self._assigned = False
        self._known: Positions = {}
        self._next_item = 0
        self._cursor: dict[str, int] = {}
        self._offset: dict[str, int] = {}
        self._paused: set[str] = set()

    @classmethod
    def of_documents(cls, contents: Mapping[str, bytes | Sequence[bytes | Marker]], **more: Any) -> ListSource:
        """A source of these documents: name -> bytes, or pieces of bytes with markers in between."""
        return cls([ListDocument(name, content) for name, content in contents.items()], **more)

    @classmethod
    def of_messages(
        cls, payloads: Sequence[bytes | Marker | None], *, partition: str = "list/0", per_read: int = 100, endless: bool = False
    ) -> ListSource:
        """A source of one partition."""
        return cls(messages={partition: payloads}, per_read=per_read, endless=endless)

    @property
    def partitions(self) -> list[str]:
        """All it has."""
        documents = [item.partition for item in self.items if isinstance(item, ListDocument | ListRows)]
        return [*dict.fromkeys(documents), *self.messages]

    def open(self) -> None:
        self.calls.append("open")
        self._open, self._assigned, self._awaiting_seek = True, False, False
        self._next_item = 0
        self._cursor = dict.fromkeys(self.messages, 0)
        self._offset = dict.fromkeys(self.messages, 0)
        self._paused.clear()

    def seek(self, positions: Positions) -> None:
        self.calls.append("seek")
        if not self._awaiting_seek:
            raise RuntimeError("seek was called although nothing was assigned")
        self.sought.append(dict(positions))
        self._known = dict(positions)
        self._awaiting_seek = False
        for partition in self.messages:
            if partition in positions:
                self._skip(partition, positions[partition].offset)

    def read(self, timeout: float) -> Item | None:
        if not self._open:
            raise RuntimeError("read was called on a source that is not open")
        if not self._assigned:
            self._assigned = self._awaiting_seek = True
            return Assigned(self.partitions)
        if self._awaiting_seek:
            return None
        if self._next_item < len(self.items):
            item = self.items[self._next_item]
            self._next_item += 1
            if not isinstance(item, ListDocument | ListRows):
                return item.fire()
            known = self._known.get(f"{item.partition}#{item.generation}")
            return item.document(known) if isinstance(item, ListDocument) else item.decoded(known)
        left = [name for name, values in self.messages.items() if self._cursor[name] < len(values)]
        ready = [name for name in left if name not in self._paused]
        if ready:
            return self._messages(min(ready, key=lambda name: self._cursor[name]))
        return None if left or self.endless else EndOfSource()

    def pause(self, partitions: Sequence[str]) -> None:
        self.calls.append("pause")
        self._paused.update(partitions)

    def resume(self, partitions: Sequence[str]) -> None:
        self.calls.append("resume")
        self._paused.difference_update(partitions)

    def commit(self, positions: Positions) -> None:
        self.calls.append("commit")
        self.committed.append(dict(positions))

    def close(self) -> None:
        self.calls.append("close")
        self._open = False

    def _skip(self, partition: str, offset: int) -> None:
        """Move to the payload of this offset; markers before it have had their time."""
        values = self.messages[partition]
        while self._offset[partition] < offset and self._cursor[partition] < len(values):
            if isinstance(values[self._cursor[partition]], bytes | None):
                self._offset[partition] += 1
            self._cursor[partition] += 1

    def _messages(self, partition: str) -> Messages | None:
        """Payloads up to the next marker; the marker itself when it is next."""
        values: list[bytes | None] = []
        first = self._offset[partition]
        for value in self.messages[partition][self._cursor[partition] :]:
            if not isinstance(value, bytes | None):
                if not values:
                    self._cursor[partition] += 1
                    return value.fire()
                break
            if len(values) == self.per_read:
                break
            values.append(value)
        self._cursor[partition] += len(values)
        self._offset[partition] += len(values)
        return Messages(
            values=values,
            partitions=[partition] * len(values),
            offsets=list(range(first, first + len(values))),
            first={partition: Position(first)},
            next={partition: Position(first + len(values))},
            nbytes=sum(len(value) for value in values if value),
        )
