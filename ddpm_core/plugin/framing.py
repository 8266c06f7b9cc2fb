"""Cutting a document into payloads, for formats whose author wrote no `parse_document`, and into blocks of lines for those who did.

Memory is bounded whatever the document holds: a block, and the longest line that is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import BinaryIO, Protocol

from ddpm_core.errors import DataError
from ddpm_core.records import Detail, Document, Messages, Position, Reject
from ddpm_core.values import dataclass

BLOCK_BYTES = 2 << 20
"""How much of a stream is read at once."""

BLOCK_LINES = 65_536
"""How many lines a block holds at most, where nothing else is asked for."""

KEPT_BYTES = 1024
"""How much is kept of a line that is too long, at most."""

BOM = b"\xef\xbb\xbf"


class Readable(Protocol):
    """What can be read from: any binary stream."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Whole lines of a document, or the beginning of one line that is too long.

    Attributes:
        data: The lines with their line ends; only the document's last line may lack one. Of a line that is too long: its
            beginning.
        start, end: Where in the document the lines begin, and where the next block does.
        newlines: How many line ends `data` has.
        too_long: Whether this is a line that is too long.
    """

    data: bytes
    start: int
    end: int
    newlines: int
    too_long: bool = False


@dataclass(slots=True)
class Frame:
    """Some payloads of a document, or one record that is too large to keep (then `messages` is empty).

    Attributes:
        messages: The payloads.
        rejects: The record that is too large.
        resume: Where the next frame starts, for `Parsed.resume`.
        byte_offset: Payload -> where in the document it begins.
        nbytes: Bytes of the document in this frame.
    """

    messages: Messages
    rejects: list[Reject]
    resume: Detail | None
    byte_offset: Callable[[int], int | None]
    nbytes: int


def read_fully(stream: Readable, size: int) -> bytes:
    """The next `size` bytes; fewer only at the end, however little the stream gives at a time."""
    block = stream.read(size)
    if len(block) == size or not block:
        return block
    parts, missing = [block], size - len(block)
    while missing and (more := stream.read(missing)):
        parts.append(more)
        missing -= len(more)
    return b"".join(parts)


def cut_blocks(stream: Readable, at: int, *, max_line_bytes: int, max_lines: int = BLOCK_LINES) -> Iterator[LineBlock]:
    """The lines that follow in `stream`, which stands at byte `at` of its document, in blocks of about `BLOCK_BYTES`.

    A block has at most `max_lines` line ends. A byte order mark at the document's beginning is skipped. Of a line longer than
    `max_line_bytes` (its line end not counted) only the beginning is kept, in a block of its own.
    """
    rest, block = b"", read_fully(stream, BLOCK_BYTES)
    ended = len(block) < BLOCK_BYTES
    if at == 0 and block.startswith(BOM):
        at, block = len(BOM), block[len(BOM) :]
    while True:
        whole = len(block) if ended else block.rfind(b"\n") + 1
        if whole:
            data = b"".join((rest, memoryview(block)[:whole]))
            yield from _checked(data, at, max_line_bytes, max_lines)
            at += len(data)
            rest = block[whole:]
        else:
            rest += block
        if ended:
            yield from _checked(rest, at, max_line_bytes, max_lines)
            return
        if len(rest) > max_line_bytes + 1:  # One more, for a carriage return.
            end, block, ended = _skip_line(stream, at + len(rest))
            yield LineBlock(rest[: min(KEPT_BYTES, max_line_bytes)], at, end, 0, too_long=True)
            at, rest = end, b""
        else:
            block = read_fully(stream, BLOCK_BYTES)
            ended = len(block) < BLOCK_BYTES


def _skip_line(stream: Readable, at: int) -> tuple[int, bytes, bool]:
    """Read on to the end of a line. Returns where the next one begins, what has been read of it, and whether that is all."""
    while True:
        block = read_fully(stream, BLOCK_BYTES)
        ended = len(block) < BLOCK_BYTES
        line_end = block.find(b"\n") + 1
        if line_end:
            return at + line_end, block[line_end:], ended
        at += len(block)
        if ended:
            return at, b"", True


def _checked(data: bytes, at: int, max_line_bytes: int, max_lines: int) -> Iterator[LineBlock]:
    """One block of these lines, or several when lines among them are too long or there are too many."""
    if len(data) <= max_line_bytes:
        yield from _blocks(data, at, max_lines)
        return
    begin = end = 0
    for line in data.split(b"\n"):
        start, end = end, min(end + len(line) + 1, len(data))
        if len(line) - line.endswith(b"\r") > max_line_bytes:
            yield from _blocks(data[begin:start], at + begin, max_lines)
            yield LineBlock(line[: min(KEPT_BYTES, max_line_bytes)], at + start, at + end, 0, too_long=True)
            begin = end
    yield from _blocks(data[begin:], at + begin, max_lines)


def _blocks(data: bytes, at: int, max_lines: int) -> Iterator[LineBlock]:
    newlines = data.count(b"\n")
    if newlines > max_lines:
        half = data.rfind(b"\n", 0, len(data) // 2) + 1 or data.find(b"\n", len(data) // 2) + 1
        yield from _blocks(data[:half], at, max_lines)
        yield from _blocks(data[half:], at + half, max_lines)
    elif data:
        yield LineBlock(data, at, at + len(data), newlines)


def cut_lines(document: Document, *, max_record_bytes: int) -> Iterator[Frame]:
    """The lines of a document, without their line ends and without blank ones.

    It starts where `document.start` says, and allows a document that grew to be continued. A last line without a line end is a
    line too; when a grown document continues that line, what was added to it is a reject `line_continued`, since its beginning
    has been taken for a record already. A line longer than `max_record_bytes` is a reject `too_large`.
    """
    at = int(document.start.detail.get("resume", {}).get("byte", 0))
    continued = _seek(document.stream, at)
    offset = document.start.offset
    for block in cut_blocks(document.stream, at, max_line_bytes=max_record_bytes):
        lines = block
        if continued:
            continued = False
            added = block.data.partition(b"\n")[0]
            end = block.end if block.too_long else min(block.start + len(added) + 1, block.end)
            if added.strip():
                yield _refused(document, offset, block.start, end, _continued(added, at))
                offset += 1
            if end == block.end:
                continue
            lines = LineBlock(block.data[end - block.start :], end, block.end, block.newlines - 1)
        if lines.too_long:
            reject = too_large_reject(lines.data, lines.start, lines.end, max_record_bytes)
            yield _refused(document, offset, lines.start, lines.end, reject)
            offset += 1
            continue
        values = [line.removesuffix(b"\r") for line in lines.data.split(b"\n") if line and not line.isspace()]
        if values:
            yield _frame(document, values, offset, _starts(lines), lines)
            offset += len(values)


def read_whole(document: Document, *, max_record_bytes: int) -> Iterator[Frame]:
    """The whole document as one payload; none when it is empty.

    Raises:
        DataError: It is longer than `max_record_bytes`.
    """
    payload = read_fully(document.stream, max_record_bytes + 1)
    if len(payload) > max_record_bytes:
        raise DataError(
            f"{document.name} is larger than {max_record_bytes:,} bytes and this format reads a document as one record",
            reason="too_large",
        )
    if payload:
        yield Frame(_messages(document, [payload], 0, len(payload)), [], None, lambda _: 0, len(payload))


def too_large_reject(beginning: bytes, start: int, end: int, limit: int) -> Reject:
    """The reject that stands for a record that is too large to keep, from byte `start` to `end`, as record 0 of its step."""
    message = f"the record has {end - start:,} bytes, more than the {limit:,} allowed; only its beginning is kept"
    return Reject(0, "too_large", message, raw=beginning, byte_offset=start)


def _continued(added: bytes, at: int) -> Reject:
    message = "the line was taken for complete when the document ended in it; this was added to it later"
    return Reject(0, "line_continued", message, raw=added, byte_offset=at)


def _seek(stream: BinaryIO, at: int) -> bool:
    """Go to byte `at`. True when that is within a line."""
    if not at:
        return False
    stream.seek(at - 1)
    return stream.read(1) != b"\n"


def _starts(block: LineBlock) -> Callable[[int], int | None]:
    """Line that is not blank -> where it begins; found when first asked for."""
    starts: list[int] = []

    def start(record: int) -> int:
        if not starts:
            lines = block.data.split(b"\n")
            every = accumulate((len(line) + 1 for line in lines), initial=block.start)
            starts.extend(at for line, at in zip(lines, every, strict=False) if line and not line.isspace())
        return starts[record]

    return start


def _frame(document: Document, values: list[bytes], offset: int, starts: Callable[[int], int | None], block: LineBlock) -> Frame:
    nbytes = block.end - block.start
    return Frame(_messages(document, values, offset, nbytes), [], _resume(block.end), starts, nbytes)


def _refused(document: Document, offset: int, start: int, end: int, reject: Reject) -> Frame:
    return Frame(_messages(document, [], offset, 0), [reject], _resume(end), lambda _: None, end - start)


def _resume(end: int) -> Detail:
    return {"byte": end, "grows": True}


def _messages(document: Document, values: list[bytes], offset: int, nbytes: int) -> Messages:
    return Messages(
        values=list(values),
        partitions=[document.partition] * len(values),
        offsets=list(range(offset, offset + len(values))),
        first={document.partition: Position(offset)},
        next={document.partition: Position(offset + len(values))},
        nbytes=nbytes,
    )
