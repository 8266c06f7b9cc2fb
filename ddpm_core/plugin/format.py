"""The contract of a format: bytes to batches, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

from ddpm_core.errors import DataError, PluginError
from ddpm_core.plugin.framing import cut_lines, read_whole
from ddpm_core.records import Document, Messages, Parsed, Position, Reject

if TYPE_CHECKING:
    import pyarrow as pa

    from ddpm_core.schema.rows import RowBuilder

Row = Mapping[str, Any]


class Parser(ABC):
    """Turns bytes into batches, and sets aside what it cannot decode.

    An author overrides the one method that is natural; the base class makes the others of it:

    - `parse_payload`: one payload in, rows out, as dicts. The shortest; Python's speed.
    - `parse_messages`: many payloads in, one batch out. For formats whose records stand alone.
    - `parse_document`: a stream in, batches out. For formats with a header, a footer or blocks.

    All are called from one thread. A parser is made once for each run and may learn (a schema, say) from what it sees.
    """

    framing: ClassVar[Literal["lines", "whole"]] = "lines"
    """How a document is cut into payloads where only `parse_payload` or `parse_messages` is written: at each newline, or not."""

    resumable: ClassVar[bool] = False
    """Whether `parse_document` honours `document.start`. If not, it gets a start of 0 and the engine drops what is known.
    Set by itself where the base class' own `parse_document` does the framing; False where a class writes its own and does not say."""

    self_describing: ClassVar[bool] = False
    """Whether `expect` tells it nothing, since documents of the format say themselves what their columns are. Such a document may be begun
    before the target is known, and then be dropped and begun again."""

    max_record_bytes: int = 16 << 20
    """A payload longer than this is set aside unread, with reason `too_large`."""

    empty_message: ClassVar[str] = ""
    """Why a message that is a document without any record is set aside, with reason `no_rows`; empty where there is nothing wrong with it."""

    _rows: RowBuilder | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "resumable" in cls.__dict__:
            return
        if "parse_document" in cls.__dict__:  # What it inherits was said of another one.
            cls.resumable = False
        elif cls.parse_document is Parser.parse_document:
            cls.resumable = cls.framing == "lines"

    def expect(self, schema: pa.Schema) -> None:
        """The columns that the target has or the user declared. Called before the first parse; may be called again.

        A hint: it lets a parser read decimal digits exactly, say. The sink casts whatever the parser makes to the target's types.
        """
        self._builder().expect(schema)

    def parse_payload(self, payload: bytes) -> Row | Iterable[Row]:
        """The rows of one payload: a dict, or several.

        Raises:
            DataError: The payload cannot be decoded; it becomes a dead letter with the error's reason and message.
        """
        raise PluginError(f"{type(self).__name__} overrides none of parse_payload, parse_messages, parse_document")

    def parse_messages(self, messages: Messages) -> Parsed:
        """All rows of these messages. A message that cannot be decoded goes into `rejects`, its neighbours stay.

        Formats that override only `parse_document` get each message as a document of its own.
        """
        if type(self).parse_document is not Parser.parse_document and type(self).parse_payload is Parser.parse_payload:
            return self._messages_as_documents(messages)
        rows: list[Row] = []
        origin: list[int] = []
        filtered = 0
        rejects: list[Reject] = []
        for index, value in enumerate(messages.values):
            if value is None:
                rejects.append(Reject(index, "no_value", "the message has no value (a tombstone)"))
                continue
            try:
                got = self.parse_payload(value)
                more = [got] if isinstance(got, Mapping) else list(got)
            except DataError as error:
                rejects.append(Reject(index, error.reason, error.message, raw=value))
                continue
            filtered += not more
            rows.extend(more)
            origin.extend([index] * len(more))
        built = self._builder().build(rows)
        data, kept = built.data, [origin[row] for row in built.kept]
        refused = {origin[r.index]: r for r in reversed(built.rejects)}
        if refused and not refused.keys().isdisjoint(kept):  # A payload lands whole or not at all: its bytes are one dead letter.
            data, kept = _without(data, kept, refused.keys())
        rejects += [Reject(index, r.reason, r.message) for index, r in sorted(refused.items())]
        return Parsed(
            data=data,
            records=len(messages),
            rejects=rejects,
            origin=_int32(kept),
            raw=messages.values.__getitem__,
            nbytes=messages.nbytes,
            filtered=filtered,
        )

    def parse_document(self, document: Document) -> Iterator[Parsed]:
        """The steps of one document, from `document.start` on. Each step should hold at most about 2 MB or 16,384 rows.

        Called once for each document and read to its end, or abandoned when the run stops. The stream stays open.

        Raises:
            DataError: The document cannot be read on from here. The steps before stay.
        """
        cut = cut_lines if self.framing == "lines" else read_whole
        for frame in cut(document, max_record_bytes=self.max_record_bytes):
            parsed = self.parse_messages(frame.messages)
            parsed.rejects += frame.rejects
            parsed.records += len(frame.rejects)
            parsed.resume, parsed.byte_offset, parsed.nbytes = frame.resume, frame.byte_offset, frame.nbytes
            yield parsed

    def _messages_as_documents(self, messages: Messages) -> Parsed:
        import pyarrow as pa

        tables: list[pa.Table] = []
        schema = pa.schema([])
        origin: list[int] = []
        rejects: list[Reject] = []
        filtered = 0
        for index, value in enumerate(messages.values):
            if value is None:
                rejects.append(Reject(index, "no_value", "the message has no value (a tombstone)"))
                continue
            name = f"{messages.partitions[index]}@{messages.offsets[index]}"
            document = Document(name, name, BytesIO(value), Position(0), len(value))
            try:
                steps = list(self.parse_document(document))
            except DataError as error:
                rejects.append(Reject(index, error.reason, error.message, raw=value))
                continue
            bad = next((reject for step in steps for reject in step.rejects), None)
            if bad is not None:  # A message lands whole or not at all: its bytes are one dead letter.
                rejects.append(Reject(index, bad.reason, bad.message, raw=value))
                continue
            found = [pa.Table.from_batches([step.data]) for step in steps if step.data is not None]
            try:
                schema = pa.unify_schemas([schema, *(table.schema for table in found)])
            except pa.ArrowException as error:
                rejects.append(Reject(index, "type_mismatch", f"its columns clash with earlier ones: {error}", raw=value))
                continue
            rows = sum(table.num_rows for table in found)
            if not rows and self.empty_message:
                rejects.append(Reject(index, "no_rows", self.empty_message, raw=value))
                continue
            tables += found
            filtered += not rows
            origin.extend([index] * rows)
        data = None
        if origin:
            data = pa.concat_tables(tables, promote_options="default").combine_chunks().to_batches()[0]
        return Parsed(
            data=data,
            records=len(messages),
            rejects=rejects,
            origin=_int32(origin),
            raw=messages.values.__getitem__,
            nbytes=messages.nbytes,
            filtered=filtered,
        )

    def _builder(self) -> RowBuilder:
        if self._rows is None:
            from ddpm_core.schema.rows import RowBuilder

            self._rows = RowBuilder()
        return self._rows


class DocumentWriter(ABC):
    """Writes one document of a format, batch by batch."""

    @abstractmethod
    def write(self, data: pa.RecordBatch) -> None:
        """Append these rows. The schema is the one that the writer was made with.

        Raises:
            DataError: A row cannot be written. None of these rows is in the document then: sinks find the culprit by writing halves.
        """

    @abstractmethod
    def close(self) -> None:
        """Write what a complete document ends with. The stream stays open. Safe to call again."""


class Serializer(ABC):
    """Turns batches into bytes."""

    @abstractmethod
    def serialize_rows(self, data: pa.RecordBatch) -> list[bytes]:
        """One payload for each row: for messages.

        Raises:
            DataError: A row cannot be written in this format.
        """

    @abstractmethod
    def document_writer(self, stream: BinaryIO, schema: pa.Schema) -> DocumentWriter:
        """A writer of one document with these columns into `stream`: for files.

        Raises:
            DataError: A column's type cannot be written in this format.
        """


def _without(data: pa.RecordBatch, origin: list[int], refused: Collection[int]) -> tuple[pa.RecordBatch, list[int]]:
    """The rows that come from other payloads."""
    import pyarrow as pa

    rows = [row for row, payload in enumerate(origin) if payload not in refused]
    return data.take(pa.array(rows, pa.int64())), [origin[row] for row in rows]


def _int32(values: list[int]) -> pa.Int32Array:
    import pyarrow as pa

    return pa.array(values, pa.int32())
