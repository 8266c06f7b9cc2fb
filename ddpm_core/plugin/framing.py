"""Cutting a document into payloads, for formats whose author wrote no `parse_document`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from ddpm_core.errors import DataError
from ddpm_core.records import Detail, Document, Messages, Position, Reject

BLOCK_BYTES = 4 << 20
"""How much of a stream is read at once."""


@dataclass(slots=True)
class Frame:
    """Some payloads of a document. `messages` come first, `rejects` are numbered after them.

    A record too large to keep is a reject, which is why `messages` may hold fewer records than the frame consumed.
    """

    messages: Messages
    rejects: list[Reject]
    resume: Detail | None
    byte_offset: Callable[[int], int | None]
    nbytes: int


def cut_lines(document: Document, *, max_record_bytes: int) -> Iterator[Frame]:
    """The lines of a document, without their line ends and without blank ones, in frames of about `BLOCK_BYTES`.

    It starts where `document.start` says and allows a document that grew to be continued. A last line without a newline is a
    line too. A line longer than `max_record_bytes` is a reject `too_large` whose bytes are its beginning.
    """
    stream = document.stream
    at = int(document.start.detail.get("resume", {}).get("byte", 0))
    if at:
        stream.seek(at)
    offset = document.start.offset
    rest = b""
    too_large_at: int | None = None  # Where a line begins that is being skipped, its kept beginning in `rest`.
    while True:
        block = stream.read(BLOCK_BYTES)
        if too_large_at is not None:
            line_end = block.find(b"\n")
            if line_end < 0 and block:
                at += len(block)
                continue
            at += line_end + 1 if block else 0
            reject = _too_large(rest[:1024], too_large_at, max_record_bytes)
            yield _frame(document, [], [], [reject], offset, at, at - too_large_at)
            offset, rest, too_large_at = offset + 1, b"", None
            block = block[line_end + 1 :] if block else b""
            if not block and line_end < 0:
                return
        data = rest + block
        if not block:
            cut = len(data)
        else:
            cut = data.rfind(b"\n") + 1
        lines, starts = [], []
        position = at
        for line in data[:cut].split(b"\n"):
            stripped = line.strip()
            if stripped and len(stripped) <= max_record_bytes:
                lines.append(stripped)
                starts.append(position)
            elif stripped:
                yield _frame(document, lines, starts, [], offset, position, position - at)
                offset += len(lines)
                reject = _too_large(stripped[:1024], position, max_record_bytes)
                end = min(position + len(line) + 1, at + cut)
                yield _frame(document, [], [], [reject], offset, end, len(line) + 1)
                offset, lines, starts = offset + 1, [], []
            position += len(line) + 1
        rest = data[cut:]
        consumed = at + cut
        if lines:
            yield _frame(document, lines, starts, [], offset, consumed, consumed - at)
            offset += len(lines)
        at = consumed
        if not block:
            return
        if len(rest) > max_record_bytes:
            too_large_at = at
            at += len(rest)


def read_whole(document: Document, *, max_record_bytes: int) -> Iterator[Frame]:
    """The whole document as one payload; none when it is empty.

    Raises:
        DataError: It is longer than `max_record_bytes`.
    """
    payload = document.stream.read(max_record_bytes + 1)
    if len(payload) > max_record_bytes:
        raise DataError(
            f"{document.name} is larger than {max_record_bytes:,} bytes and this format reads a document as one record",
            reason="too_large",
        )
    if payload:
        yield _frame(document, [payload], [0], [], 0, len(payload), len(payload), resume=None)


def _too_large(beginning: bytes, at: int, limit: int) -> Reject:
    message = f"the record is longer than {limit:,} bytes; only its beginning is kept"
    return Reject(0, "too_large", message, raw=beginning, byte_offset=at)


def _frame(
    document: Document,
    lines: list[bytes],
    starts: list[int],
    rejects: list[Reject],
    offset: int,
    end: int,
    nbytes: int,
    resume: Detail | None = ...,  # type: ignore[assignment]
) -> Frame:
    if resume is ...:
        resume = {"byte": end, "grows": True}
    messages = Messages(
        values=list(lines),
        partitions=[document.partition] * len(lines),
        offsets=list(range(offset, offset + len(lines))),
        first={document.partition: Position(offset)},
        next={document.partition: Position(offset + len(lines) + len(rejects))},
        nbytes=nbytes,
    )
    return Frame(messages, rejects, resume, starts.__getitem__ if starts else lambda _: None, nbytes)
