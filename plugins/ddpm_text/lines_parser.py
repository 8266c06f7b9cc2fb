"""The parser of lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from ddpm_core import BuildContext, Document, LineBlock, Messages, Parsed, Parser, Reject, cut_blocks, too_large_reject
from ddpm_text.columns import not_text, origin_of, usable
from ddpm_text.options import LinesOptions


def build(options: LinesOptions, context: BuildContext) -> LinesParser:
    """The parser for a run."""
    return LinesParser(options, context)


class LinesParser(Parser):
    """Each line is a row, without its line end. A document that grew is continued.

    A line that was the document's last and had no line end has been taken for complete; what a later run finds behind it is a reject
    `line_continued`. A message is a row as it is.
    """

    resumable: ClassVar[bool] = True
    self_describing: ClassVar[bool] = True

    def __init__(self, options: LinesOptions, context: BuildContext) -> None:
        self.max_record_bytes = options.max_record_bytes
        self._batch_rows = context.batch_rows
        self._encoding = options.encoding
        self._skips = options.blank == "skip"
        self._column = options.column

    def expect(self, schema: pa.Schema) -> None:
        """Nothing to learn: a line is text."""

    def parse_messages(self, messages: Messages) -> Parsed:
        values, kept, rejects = usable(messages, self.max_record_bytes)
        column = self._decoded(pa.array(values, pa.large_binary()))
        if column is None:
            indexes = range(len(values)) if kept is None else kept
            bad = {i: reject for i, value in zip(indexes, values, strict=True) if (reject := not_text(value, self._encoding, i))}
            rejects = sorted([*rejects, *bad.values()], key=lambda reject: reject.index)
            kept = [index for index in indexes if index not in bad]
            column = self._decoded(pa.array([messages.values[index] for index in kept], pa.large_binary()))
        return Parsed(
            self._batch(column),
            len(messages),
            rejects,
            origin_of(kept, len(messages)),
            raw=messages.values.__getitem__,
            nbytes=messages.nbytes,
        )

    def parse_document(self, document: Document) -> Iterator[Parsed]:
        at = int(document.start.detail.get("resume", {}).get("byte", 0))
        continued = False
        if at:
            document.stream.seek(at - 1)
            continued = document.stream.read(1) != b"\n"
        blocks = cut_blocks(document.stream, at, max_line_bytes=self.max_record_bytes, max_lines=self._batch_rows - 1 or 1)
        for block in blocks:
            if continued:
                continued = False
                yield self._continued(block)
                rest = _after_first_line(block)
                if rest is None:
                    continue
                yield self._step(rest)
            else:
                yield self._step(block)

    def _step(self, block: LineBlock) -> Parsed:
        parsed = self._too_long(block) if block.too_long else self._lines(block)
        parsed.resume, parsed.nbytes = {"byte": block.end, "grows": True}, block.end - block.start
        return parsed

    def _too_long(self, block: LineBlock) -> Parsed:
        return Parsed(None, 1, [too_large_reject(block.data, block.start, block.end, self.max_record_bytes)])

    def _continued(self, block: LineBlock) -> Parsed:
        """What was added to a line that has landed already."""
        added = block.data.partition(b"\n")[0]
        end = block.end if block.too_long else min(block.start + len(added) + 1, block.end)
        message = "the line was taken for complete when the document ended in it; this was added to it later"
        reject = Reject(0, "line_continued", message, raw=added, byte_offset=block.start)
        rejects = [reject] if added.strip() else []
        return Parsed(None, len(rejects), rejects, resume={"byte": end, "grows": True}, nbytes=end - block.start)

    def _lines(self, block: LineBlock) -> Parsed:
        """All lines at once; line by line only when one of them is no text."""
        lines = _split(block.data)
        column = self._decoded(lines)
        origin, rejects = None, []
        places = _Places(block)
        records = len(lines)
        blank = pc.equal(pc.binary_length(lines), 0) if self._skips else None
        if column is None:
            found = {
                index: reject
                for index, value in enumerate(lines.to_pylist())
                if (reject := not_text(value, self._encoding, index, places.start(index)))
            }
            rejects = [found[index] for index in sorted(found)]
            good = pa.array([index for index in range(records) if index not in found], pa.int64())
            lines, origin = lines.take(good), good.cast(pa.int32())
            blank = blank.take(good) if blank is not None else None
            column = self._decoded(lines)
        filtered = 0
        if blank is not None and (filtered := int(pc.sum(blank).as_py() or 0)):
            wanted = pc.indices_nonzero(pc.invert(blank))
            column = column.take(wanted) if column is not None else None
            origin = wanted.cast(pa.int32()) if origin is None else origin.take(wanted)
        return Parsed(
            self._batch(column),
            records,
            rejects,
            origin,
            raw=places.raw,
            byte_offset=places.start,
            filtered=filtered,
        )

    def _decoded(self, lines: pa.LargeBinaryArray) -> pa.Array | None:
        """These bytes as text; None when some are none."""
        if self._encoding != "utf-8":
            try:
                return pa.array([line.decode(self._encoding) for line in lines.to_pylist()], pa.string())
            except UnicodeDecodeError:
                return None
        text = lines.view(pa.large_string())
        try:
            text.validate(full=True)
        except pa.ArrowInvalid:
            return None
        return text.cast(pa.string())

    def _batch(self, column: pa.Array | None) -> pa.RecordBatch | None:
        return None if column is None or not len(column) else pa.RecordBatch.from_arrays([column], names=[self._column])


class _Places:
    """Where the lines of a block are; found when first asked for."""

    def __init__(self, block: LineBlock) -> None:
        self._block = block
        self._lines: list[bytes] = []
        self._starts: list[int] = []

    def raw(self, line: int) -> bytes:
        """The bytes of a line, without its line end."""
        self._find()
        return self._lines[line].removesuffix(b"\r")

    def start(self, line: int) -> int:
        """Where in the document it begins."""
        self._find()
        return self._starts[line]

    def _find(self) -> None:
        if not self._lines:
            self._lines = self._block.data.split(b"\n")
            self._starts = list(accumulate((len(line) + 1 for line in self._lines), initial=self._block.start))


def _split(data: bytes) -> pa.LargeBinaryArray:
    """The lines without their ends, cut by Arrow: no object is made for any of them."""
    whole = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), 1, [None, pa.array([0, len(data) - data.endswith(b"\n")], pa.int64()).buffers()[1], pa.py_buffer(data)]
    )
    lines = pc.split_pattern(whole, b"\n").flatten()
    if b"\r\n" in data or data.endswith(b"\r"):
        ends = pc.ends_with(lines, b"\r")
        length = pc.subtract(pc.binary_length(lines), ends.cast(pa.int64()))
        return _cut(lines, length)
    return lines


def _cut(lines: pa.LargeBinaryArray, lengths: pa.Array) -> pa.LargeBinaryArray:
    """The lines with a carriage return at the end taken off where there is one."""
    shorter = pc.binary_slice(lines, 0, -1)
    return pc.if_else(pc.less(lengths, pc.binary_length(lines)), shorter, lines)


def _after_first_line(block: LineBlock) -> LineBlock | None:
    first = block.data.find(b"\n") + 1
    if block.too_long or not first or first == len(block.data):
        return None
    return LineBlock(block.data[first:], block.start + first, block.end, block.newlines - 1)
