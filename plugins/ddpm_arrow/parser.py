"""The parser of Arrow IPC files and streams."""

from __future__ import annotations

import io
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from typing import BinaryIO, ClassVar, cast

import pyarrow as pa

from ddpm_arrow.cursor import Cursor
from ddpm_arrow.errors import invalid, translated
from ddpm_arrow.feed import Feed
from ddpm_arrow.file_form import FileForm
from ddpm_arrow.limits import Limits
from ddpm_arrow.magic import form_of
from ddpm_arrow.message import Message
from ddpm_arrow.options import ArrowOptions
from ddpm_arrow.pacing import pace
from ddpm_arrow.plain import plain_batch, plain_dictionaries
from ddpm_arrow.schema_checks import check_columns
from ddpm_arrow.stream_form import StreamForm
from ddpm_arrow.validity import BrokenError, is_all_text, set_aside, too_large
from ddpm_core import BuildContext, Document, Messages, Parsed, Parser, WholeMessages, read_fully

_Messages = Callable[[Cursor], Iterator[Message]]


def build(options: ArrowOptions, context: BuildContext) -> ArrowParser:
    """The parser for a run."""
    return ArrowParser(options, context)


class ArrowParser(Parser):
    """Reads one record batch after the other, cut into steps; a record is a row.

    `resume` is the batch and the row in it where the next step starts.
    """

    resumable: ClassVar[bool] = True
    self_describing: ClassVar[bool] = True

    def __init__(self, options: ArrowOptions, context: BuildContext) -> None:
        self._max_bytes = options.max_batch_bytes
        self._max_expansion = options.max_expansion
        self._max_record_bytes = options.max_record_bytes
        self._context = context
        self._messages = WholeMessages(self, options.max_message_bytes)

    def expect(self, schema: pa.Schema) -> None:
        """Nothing to learn: the document says what its columns are."""

    def parse_messages(self, messages: Messages) -> Parsed:
        return self._messages.parse_messages(messages)

    def parse_document(self, document: Document) -> Iterator[Parsed]:
        beginning = read_fully(document.stream, 8)
        limits = Limits(document.name, self._max_bytes, self._max_expansion)
        if form_of(document.name, beginning) == "stream":
            stream_form = StreamForm(document.name, document.stream, beginning, limits)
            yield from self._steps(document, stream_form.messages, limits)
            return
        if not document.stream.seekable():
            document = replace(document, stream=cast("BinaryIO", _Rejoined(beginning, document.stream)))
        stream = document.seekable()
        try:
            yield from self._steps(document, FileForm(document.name, stream, limits).messages, limits)
        finally:
            if stream is not document.stream:
                stream.close()

    def _steps(self, document: Document, messages: _Messages, limits: Limits) -> Iterator[Parsed]:
        name, cursor = document.name, Cursor(document.start)
        feed = Feed(messages(cursor))
        with translated(name):
            reader = pa.ipc.open_stream(feed)
            check_columns(name, reader.schema)
        while True:
            with translated(name, lambda: f" in record batch {max(cursor.batch, 0) + 1}"):
                batch = _next(reader)
            if batch is None:
                return
            where = f" in record batch {cursor.batch + 1}"
            for step in self._steps_of(name, batch, cursor, feed, limits):
                if step.data is not None:
                    limits.check_rows(step.data.nbytes, feed.taken, where)
                yield step
            cursor.passed()

    def _steps_of(self, name: str, batch: pa.RecordBatch, cursor: Cursor, feed: Feed, limits: Limits) -> Iterator[Parsed]:
        number, rows, nbytes = cursor.batch, batch.num_rows, feed.nbytes
        where = f" in record batch {number + 1}"
        try:
            all_text = is_all_text(batch)
        except BrokenError as error:
            raise invalid(name, str(error), where) from None
        with translated(name, lambda: where):
            at_once, large = pace(batch, self._context, limits, self._max_record_bytes, feed.taken, where)
            batch = plain_dictionaries(batch)
        for row, end in _cuts(cursor.rows, rows, at_once, large):
            if row in large:
                data, origin, rejects = None, None, too_large(large, range(row, end), self._max_record_bytes)
            else:
                with translated(name, lambda: where):
                    data, origin, rejects = set_aside(plain_batch(batch.slice(row, end - row)), self._max_record_bytes, all_text)
            yield Parsed(
                data=data,
                records=end - row,
                rejects=rejects,
                origin=origin,
                valid=all_text,
                resume={"batch": number + 1, "row": 0} if end == rows else {"batch": number, "row": end},
                nbytes=nbytes * end // rows - nbytes * row // rows,
            )


def _cuts(first: int, rows: int, at_once: int, apart: Container[int]) -> Iterator[tuple[int, int]]:
    """Where each step begins and ends: at most so many rows, and never one of those that stand apart together with another."""
    while first < rows:
        end = min(first + at_once, rows)
        if apart:
            end = next((row for row in range(first, end) if (row in apart) != (first in apart)), end)
        yield first, end
        first = end


class _Rejoined(io.RawIOBase):
    """A stream that cannot seek and whose first bytes have been read already."""

    def __init__(self, beginning: bytes, stream: BinaryIO) -> None:
        super().__init__()
        self._beginning = beginning
        self._stream = stream

    def read(self, size: int | None = -1, /) -> bytes:
        if not self._beginning:
            return self._stream.read(-1 if size is None else size)
        got, self._beginning = self._beginning, b""
        return got


def _next(reader: pa.RecordBatchReader) -> pa.RecordBatch | None:
    try:
        return reader.read_next_batch()
    except StopIteration:
        return None
