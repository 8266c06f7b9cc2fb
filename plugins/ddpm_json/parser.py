"""The parser of the format `json`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, ClassVar

import pyarrow as pa

from ddpm_core import (
    BLOCK_BYTES,
    BuildContext,
    Document,
    LineBlock,
    Messages,
    Parsed,
    Parser,
    cut_blocks,
    read_fully,
    too_large_reject,
)
from ddpm_json.arrow_reader import is_aligned
from ddpm_json.decode import WHITESPACE, is_object, is_truncated
from ddpm_json.elements import ElementCutter, Guess, TooLarge
from ddpm_json.layout import find_layout, may_be_one_line, refuse_others
from ddpm_json.messages import read_messages
from ddpm_json.options import JsonOptions
from ddpm_json.reader import RecordReader
from ddpm_json.records import Records
from ddpm_json.scanner import Layout

LEARN_BYTES = 512 << 10
"""How much the columns are learned from: enough to tell a column's usual type, and little enough to take no time."""


class JsonParser(Parser):
    """Reads NDJSON, one array of objects, one document, or objects in a row; which, the document's first lines tell.

    Only NDJSON may grow and be continued. The others resume at the record where they stood.
    """

    resumable: ClassVar[bool] = True

    def __init__(self, options: JsonOptions, context: BuildContext) -> None:
        self.max_record_bytes = options.max_record_bytes
        self._options = options
        self._batch_rows = context.batch_rows
        self._reader = RecordReader(self._builder(), options.max_depth)

    def expect(self, schema: pa.Schema) -> None:
        self._reader.expect(schema)

    def parse_messages(self, messages: Messages) -> Parsed:
        return read_messages(self._reader, messages, self._options)

    def parse_document(self, document: Document) -> Iterator[Parsed]:
        resume = document.start.detail.get("resume", {})
        at, layout = int(resume.get("byte", 0)), resume.get("layout")
        head, begin = b"", 0
        if at:
            document.stream.seek(at)
        else:
            head, whole = self._head(document.stream)
            refuse_others(document.name, head)
            layout, begin = find_layout(head, whole=whole)
        if layout == "lines":
            yield from self._lines(document, head, at, resume.get("seen"))
        else:
            stands = at or begin
            cutter = ElementCutter(
                document.name,
                document.stream,
                head[stands - at :],
                stands,
                layout,
                first=not at,
                limit=self.max_record_bytes,
                rows=self._batch_rows,
            )
            yield from self._elements(cutter, at)

    def _head(self, stream: BinaryIO) -> tuple[bytes, bool]:
        """The document's first block, and as much more as its first line may need. Whether that is all."""
        head = b""
        while len(head) <= self.max_record_bytes:
            block = read_fully(stream, BLOCK_BYTES)
            head += block
            if len(block) < BLOCK_BYTES:
                return head, True
            if b"\n" in block or not may_be_one_line(head):
                break
        return head, False

    # One object on each line.

    def _lines(self, document: Document, head: bytes, at: int, seen: int | None) -> Iterator[Parsed]:
        """Steps of lines. `seen`: where the document ended within a record when it was read before."""
        stream = _Rejoined(head, document.stream)
        blocks = cut_blocks(stream, at, max_line_bytes=self.max_record_bytes, max_lines=self._batch_rows)
        for block in chain.from_iterable(map(self._to_learn_from, blocks)):
            if block.end == seen:
                return  # Nothing but the half record that was set aside before.
            resume = block.end
            if block.too_long:
                reject = too_large_reject(block.data, block.start, block.end, self.max_record_bytes)
                parsed = Parsed(None, 1, [reject])
            else:
                parsed, resume = self._line_block(block)
            seen_too = {"seen": block.end} if resume < block.end else {}
            parsed.resume = {"byte": resume, "layout": "lines", "grows": True, **seen_too}
            parsed.nbytes = block.end - block.start
            yield parsed

    def _to_learn_from(self, block: LineBlock) -> Iterator[LineBlock]:
        """The block itself; while no columns are known, its first lines by themselves, since learning takes the careful way."""
        cut = block.data.find(b"\n", LEARN_BYTES) + 1
        if self._reader.learned or block.too_long or not cut or cut == len(block.data):
            yield block
            return
        first, middle = block.data[:cut], block.start + cut
        newlines = first.count(b"\n")
        yield LineBlock(first, block.start, middle, newlines)
        yield LineBlock(block.data[cut:], middle, block.end, block.newlines - newlines)

    def _line_block(self, block: LineBlock) -> tuple[Parsed, int]:
        """The step of these lines, and where the next one begins."""
        data = block.data
        records = Records.of_lines(data, block.start)
        if not data.strip(WHITESPACE):
            return Parsed(None, 0, raw=records.raw, byte_offset=records.byte_offset), block.end
        lines = block.newlines + (not data.endswith(b"\n"))
        if self._reader.arrow.ready and is_aligned(data, lines):
            parsed = self._reader.fast(data, lines, records)
            if parsed is not None:
                return parsed, block.end
        parsed = self._reader.careful(records, several=True)
        return parsed, _next_record(parsed, block)

    # One array, or objects in a row.

    def _elements(self, cutter: ElementCutter, at: int) -> Iterator[Parsed]:
        while cutter.fill():
            for parsed, end, after in self._cut_steps(cutter):
                parsed.resume, parsed.nbytes = {"byte": end, "layout": after}, end - at
                at = end
                yield parsed

    def _cut_steps(self, cutter: ElementCutter) -> Iterator[tuple[Parsed, int, Layout]]:
        """The next steps, where each one ends, and what follows there."""
        guess = cutter.guess() if self._reader.arrow.ready else None
        if guess is not None:
            parsed = self._reader.fast(guess.text, guess.rows, _guessed(guess, cutter))
            if parsed is not None:
                yield parsed, *cutter.accept(guess)
                return
        for piece in cutter.exact(BLOCK_BYTES if self._reader.learned else LEARN_BYTES):
            if isinstance(piece, TooLarge):
                reject = too_large_reject(piece.beginning, piece.start, piece.stop, self.max_record_bytes)
                yield Parsed(None, 1, [reject]), piece.end, piece.layout
            else:
                records = Records.at(piece.data, piece.start, piece.spans)
                yield self._reader.careful(records, several=False), piece.end, piece.layout


class _Rejoined:
    """A stream whose beginning has been read already."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        if not self._head:
            return self._stream.read(size)
        got, self._head = self._head[:size], self._head[size:]
        return got


def _next_record(parsed: Parsed, block: LineBlock) -> int:
    """Where to go on: after these lines, but at the beginning of a last one that lacks its line end and is no record.

    A file that is still being written ends in half a record. That is set aside, so that nothing is lost silently, and read
    again as a whole when the file has grown.
    """
    last_line = block.start + block.data.rfind(b"\n") + 1
    last = next((reject for reject in parsed.rejects if reject.index == parsed.records - 1), None)
    if last is None or last.raw is None or last.byte_offset is None or not last_line <= last.byte_offset < block.end:
        return block.end
    truncated = is_truncated(last.raw)
    if truncated and last.reason in ("json_invalid", "encoding"):
        last.reason, last.message = "json_truncated", f"the document ends within the record: {last.message}"
    return block.end if is_object(last.raw) and not truncated else last.byte_offset


def _guessed(guess: Guess, cutter: ElementCutter) -> Records:
    layout = cutter.layout
    return Records(guess.data, cutter.at, lambda: guess.spans(layout))


def build(options: JsonOptions, context: BuildContext) -> JsonParser:
    """The parser for a run."""
    return JsonParser(options, context)
