"""Cutting one array, or objects in a row, into records: exactly, and by a guess that the decoder proves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ddpm_core import BLOCK_BYTES, KEPT_BYTES, DataError, read_fully
from ddpm_json.decode import WHITESPACE
from ddpm_json.scanner import ELEMENT, OBJECT, Layout, ValueEnd

Span = tuple[int, int]

_SEPARATOR = {"array": re.compile(rb"\}[ \t\n\r]*,[ \t\n\r]*\{"), "objects": re.compile(rb"\}[ \t\n\r]*\{")}
_NEIGHBOURS = 512
"""How far before a bracket the end of the object before it is looked for."""

_GARBAGE = re.compile(rb"[^{\[\n]+")
_BLANK = re.compile(rb"[ \t\n\r]*+")


@dataclass(frozen=True, slots=True)
class Piece:
    """Some records of a document.

    Attributes:
        data: The bytes that hold them.
        start: Where in the document `data` begins.
        end: Where in the document the next record may begin.
        spans: Where in `data` each record begins and ends.
        layout: What follows at `end`.
    """

    data: bytes
    start: int
    end: int
    spans: list[Span]
    layout: Layout


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A record that is too large to keep.

    Attributes:
        beginning: What is kept of it.
        start, stop: Where in the document it begins and ends.
        end, layout: As in `Piece`.
    """

    beginning: bytes
    start: int
    stop: int
    end: int
    layout: Layout


@dataclass(frozen=True, slots=True)
class Guess:
    """Objects that have been cut wherever two seem to meet.

    `text` has a line for each. When it decodes to just as many objects, every cut was right: a line that ends with `}` before a
    line that begins with `{` is JSON only where one document ends and the next begins, and never within a string.
    """

    text: bytes
    rows: int
    data: bytes
    consumed: int
    layout: Layout

    def spans(self, layout: Layout) -> list[Span]:
        """Where in `data` each object begins and ends, once the guess has proved right."""
        cuts = [(cut.start() + 1, cut.end() - 1) for cut in _SEPARATOR[layout].finditer(self.data)]
        return list(zip([0, *(begin for _, begin in cuts)], [*(end for end, _ in cuts), len(self.data)], strict=True))


class ElementCutter:
    """Reads a document ahead, a block at a time, and cuts records off it.

    Call `fill`; while it says there is something, either `guess` and `accept`, or `exact`.

    Attributes:
        at: Where in the document the next record may begin.
        layout: `array` or `objects`, and `end` after the end of the array.
    """

    def __init__(self, name: str, stream: BinaryIO, head: bytes, at: int, layout: Layout, *, first: bool, limit: int, rows: int):
        self._name = name
        self._stream = stream
        self._buffer = head
        self._ended = False
        self._first = first
        self._limit = limit
        self._kept = min(KEPT_BYTES, limit)
        self._rows = rows
        self._search: tuple[ValueEnd, int] | None = None
        self.at = at
        self.layout: Layout = layout

    def fill(self) -> bool:
        """Read on until there is a block in hand. False at the document's end.

        Raises:
            DataError: The document ends where more must follow, or goes on where it must end.
        """
        while True:
            self._drop(_blank(self._buffer, 0))
            if self._buffer and self.layout == "end":
                raise DataError(f"{self._name} goes on after the end of its array, at byte {self.at:,}", reason="json_invalid")
            if self._ended or len(self._buffer) >= BLOCK_BYTES:
                break
            self._read()
        if not self._buffer and self.layout == "array":
            raise self._truncated("its array is not closed")
        return bool(self._buffer)

    def guess(self) -> Guess | None:
        """The objects in hand, cut where two seem to meet. None where there is no such place, or some may be too large."""
        limit = len(self._buffer)
        if limit > self._limit:
            return None
        while (guess := self._guess(limit)) is not None and guess.rows > self._rows:
            limit = len(guess.data) * self._rows // guess.rows
        return guess

    def accept(self, guess: Guess) -> tuple[int, Layout]:
        """Go on after what was guessed, which has proved right. Returns where that is, and what follows there."""
        self._advance(guess.consumed, guess.layout)
        return self.at, self.layout

    def exact(self, enough: int) -> Iterator[Piece | TooLarge]:
        """The records that are complete in what is in hand; when there is none, one that is too large.

        Args:
            enough: So many bytes of records are enough for this time.

        Raises:
            DataError: The document ends within a record.
        """
        spans, at, layout = self._elements(enough) if self.layout == "array" else self._objects(enough)
        if spans:
            data, start, end = self._buffer[:at], self.at, self.at + at
            self._advance(at, layout)
            yield from self._pieces(data, start, end, spans, layout)
        elif at:
            self._advance(at, layout)
        elif self._ended:
            raise self._truncated("it ends within a record")
        elif len(self._buffer) > self._limit:
            yield self._too_large()
        else:
            self._read()

    # Guessing.

    def _guess(self, limit: int) -> Guess | None:
        if not self._buffer.startswith(b"{"):
            return None
        if self._ended and limit == len(self._buffer):
            found = self._guess_end()
            if found:
                return self._cut(*found)
        at = limit
        for _ in range(16):
            at = self._buffer.rfind(b"{", 0, at)
            if at <= 0:
                return None
            before = self._buffer[max(0, at - _NEIGHBOURS) : at].rstrip(WHITESPACE)
            if self.layout == "array":
                if not before.endswith(b","):
                    continue
                before = before[:-1].rstrip(WHITESPACE)
            if before.endswith(b"}"):
                return self._cut(max(0, at - _NEIGHBOURS) + len(before), at, self.layout)
        return None

    def _guess_end(self) -> tuple[int, int, Layout] | None:
        text = self._buffer.rstrip(WHITESPACE)
        consumed, layout = len(text), self.layout
        if layout == "array":
            if not text.endswith(b"]"):
                return None
            text, layout = text[:-1].rstrip(WHITESPACE), "end"
        return (len(text), consumed, layout) if text.endswith(b"}") else None

    def _cut(self, end: int, consumed: int, layout: Layout) -> Guess:
        data = self._buffer[:end]
        text, cuts = _SEPARATOR[self.layout].subn(b"}\n{", data)
        return Guess(text, cuts + 1, data, consumed, layout)

    # Cutting exactly.

    def _elements(self, enough: int) -> tuple[list[Span], int, Layout]:
        """Where records stand, how far they reach with what separates them, and what follows there."""
        spans: list[Span] = []
        buffer, at = self._buffer, 0
        while at < enough:
            begin = _blank(buffer, at)
            end = self._end(ELEMENT, begin)
            if end < 0:
                break
            closing = buffer[end] == ord("]")
            if not (closing and end == begin and self._first and not spans):
                spans.append((begin, begin + len(buffer[begin:end].rstrip(WHITESPACE))))
            at = end + 1
            if closing:
                return spans, at, "end"
        return spans, at, "array"

    def _objects(self, enough: int) -> tuple[list[Span], int, Layout]:
        spans: list[Span] = []
        buffer, at = self._buffer, 0
        while at < enough:
            begin = _blank(buffer, at)
            end = self._end(OBJECT, begin)
            if end < 0:
                break
            spans.append((begin, begin + len(buffer[begin:end].rstrip(WHITESPACE))))
            at = end
        return spans, at, "objects"

    def _end(self, usual: re.Pattern[bytes], begin: int) -> int:
        """Where the record that begins here ends, or -1 when that is not known yet.

        Args:
            usual: Matches records that are not nested too deep.
            begin: Where it begins in what is in hand.
        """
        if begin or self._search is None:
            match = usual.match(self._buffer, begin)
            if match:
                return match.end()
            garbage = _GARBAGE.match(self._buffer, begin) if self.layout == "objects" else None
            if garbage:
                return garbage.end() if garbage.end() < len(self._buffer) or self._ended else -1
        return self._search_end(begin)

    def _search_end(self, begin: int = 0) -> int:
        """Look for the end with `ValueEnd`; for the first record's only where nobody looked yet."""
        end, searched = (ValueEnd(self.layout), begin) if begin or self._search is None else self._search
        found = end.feed(self._buffer, searched)
        self._search = None if begin or found >= 0 else (end, len(self._buffer))
        return found

    def _pieces(self, data: bytes, start: int, end: int, spans: list[Span], layout: Layout) -> Iterator[Piece | TooLarge]:
        """Pieces of at most so many records, and the too large ones by themselves."""
        pending: list[Span] = []

        def piece(next_begin: int | None) -> Piece:
            stop, after = (end, layout) if next_begin is None else (start + next_begin, self._layout_within(layout))
            return Piece(data, start, stop, pending, after)

        for number, (begin, stop) in enumerate(spans):
            following = spans[number + 1][0] if number + 1 < len(spans) else None
            if stop - begin > self._limit:
                if pending:
                    yield piece(begin)
                    pending = []
                after, stands = (layout, end) if following is None else (self._layout_within(layout), start + following)
                yield TooLarge(data[begin : begin + self._kept], start + begin, start + stop, stands, after)
                continue
            pending.append((begin, stop))
            if len(pending) == self._rows and following is not None:
                yield piece(following)
                pending = []
        if pending:
            yield piece(None)

    @staticmethod
    def _layout_within(layout: Layout) -> Layout:
        return "array" if layout == "end" else layout

    def _too_large(self) -> TooLarge:
        """Read on to the end of the record in hand, keeping its beginning only."""
        beginning, start = self._buffer[: self._kept], self.at
        found = self._search_end()
        while found < 0:
            self.at += len(self._buffer)
            self._buffer = read_fully(self._stream, BLOCK_BYTES)
            if not self._buffer:
                raise self._truncated("it ends within a record", start)
            self._search = self._search and (self._search[0], 0)
            found = self._search_end()
        stop, layout = self.at + found, self.layout
        if layout == "array":
            layout = "end" if self._buffer[found] == ord("]") else "array"
            found += 1
        self._advance(found, layout)
        return TooLarge(beginning, start, stop, self.at, layout)

    def _advance(self, consumed: int, layout: Layout) -> None:
        self._drop(consumed)
        self.layout, self._first = layout, False

    def _read(self) -> None:
        block = read_fully(self._stream, BLOCK_BYTES)
        self._ended = not block
        self._buffer += block

    def _drop(self, consumed: int) -> None:
        if consumed:
            self._buffer = self._buffer[consumed:]
            self._search = None
            self.at += consumed

    def _truncated(self, what: str, at: int | None = None) -> DataError:
        where = self.at if at is None else at
        return DataError(f"{self._name} is cut off: {what}, at byte {where:,}", reason="json_truncated", hint=_CUT_OFF)


_CUT_OFF = "What came before has been read. Get the complete document and read it again."


def _blank(buffer: bytes, at: int) -> int:
    """Where the white space at `at` ends."""
    match = _BLANK.match(buffer, at)
    return match.end() if match else at
