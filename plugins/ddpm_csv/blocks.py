"""Cutting a document into blocks of whole records, without looking at each record where that is provably not needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from ddpm_core import BLOCK_BYTES, KEPT_BYTES
from ddpm_csv.dialect import Dialect, occurs
from ddpm_csv.source_text import Utf8Source
from ddpm_csv.tokens import Scan, Span, scan

_EVERY = 1 << 62
_FEW_BYTES = 4096
"""So few are read faster one record after the other."""

_LONG_LINE = 1 << 16
_LINE_END = re.compile(rb"[\r\n]")


@dataclass
class Block:
    """Whole records of a document, as UTF-8.

    Attributes:
        data: The records with their line ends; only the document's last one may lack it.
        size: How many bytes of the source these are.
        start: Where in the source `data` begins.
        source: Knows how the source spells a text.
        dialect: How records are written.
        found: Its records where they were looked for one by one: then some are not well, or might not be. None: all are well,
            and each quote opens, closes or is doubled within a field.
        patience: As in `scan`.
        too_long: How many bytes the record has that is too long to be held; `data` is its beginning. 0: there is no such thing.
    """

    data: bytes
    size: int
    start: int
    source: Utf8Source
    dialect: Dialect
    found: Scan | None
    patience: int
    too_long: int = 0
    quoted: bool = field(init=False)

    def __post_init__(self) -> None:
        self.quoted = bool(self.dialect.quote) and self.dialect.quote in self.data

    @property
    def end(self) -> int:
        """Where in the source the next block begins."""
        return self.start + self.size

    @property
    def ends_line(self) -> bool:
        """Whether a line end stands at its end; only the document's last block may lack it."""
        return not self.too_long and self.data.endswith((b"\n", b"\r"))

    def may_quote(self, texts: tuple[str, ...]) -> bool:
        """Whether one of these texts may stand in quotes as a field."""
        quote = self.dialect.quote
        if not self.quoted or self.dialect.escape:
            return self.quoted
        return any(quote + text.encode() + quote in self.data for text in texts)

    @cached_property
    def spans(self) -> list[Span]:
        """Where each record begins and ends in `data`, without its line end."""
        found = self.found or scan(self.data, self.dialect, final=True, patience=len(self.data), limit=_EVERY)
        return found.spans

    def text(self, record: int) -> bytes:
        """The record as UTF-8."""
        begin, end = self.spans[record]
        return self.data[begin:end]

    @property
    def beginning(self) -> bytes:
        """What is kept of a record that is too long, as the source has it."""
        whole = self.data.decode("utf-8", "ignore") if self.source.codec != "utf-8" else None
        return self.data if whole is None else whole.encode(self.source.codec, "ignore")

    def raw(self, record: int) -> bytes:
        """The record's bytes in the source."""
        return self.source.original(self.text(record))

    def byte_offset(self, record: int) -> int:
        """Where in the source the record begins."""
        return self._starts[record]

    @cached_property
    def _starts(self) -> list[int]:
        starts, at, before = [], self.start, 0
        for begin, _ in self.spans:
            at += self.source.size(self.data[before:begin])
            starts.append(at)
            before = begin
        return starts


class BlockCutter:
    """Reads a document ahead, and cuts blocks of records off it.

    Args:
        source: The text that follows.
        dialect: How it is written.
        max_record_bytes: Records longer than this are not held.
        rows: How many records a block has at most.
        size: About how many bytes it has.
    """

    def __init__(self, source: Utf8Source, dialect: Dialect, *, max_record_bytes: int, rows: int, size: int = BLOCK_BYTES) -> None:
        self._source = source
        self._dialect = dialect
        self._limit = max_record_bytes
        self._rows = rows
        self._size = max(size, 16)
        self._ahead = b""
        self._ended = False
        self._at = source.at

    def blocks(self) -> Iterator[Block]:
        """The blocks, one after the other."""
        size = self._size
        while self._fill(size):
            end, found = self._cut(size, self._rows)
            if end:
                yield self._take(end, found)
            elif min(size, len(self._ahead)) > self._limit:
                yield self._too_long(min(size, len(self._ahead)))
            else:
                size += self._size
                continue
            size = self._size

    def peek(self, size: int) -> Block | None:
        """About `size` bytes of records, without taking them; None where a single record is larger, or there is none."""
        self._fill(size)
        end, found = self._cut(size, _EVERY)
        return self._block(end, found) if end else None

    def first_line(self) -> bytes:
        """The next line that is not blank, and more lines where it ends within quotes; without taking it. Of a long one its beginning."""
        while self._fill(self._size) and (blank := len(self._ahead) - len(self._ahead.lstrip(b"\r\n"))):
            self._skip(blank)
        lines = self._ahead[:_LONG_LINE].splitlines(keepends=True)
        found = b""
        for line in lines:
            found += line
            if not self._dialect.quote or found.count(self._dialect.quote) % 2 == 0:
                return found
        return lines[0] if lines else b""

    def skip_first_line(self) -> None:
        """Leave out what `first_line` returns."""
        self._skip(len(self.first_line()))

    def beginning(self, size: int) -> tuple[bytes, bool]:
        """The text that follows, at most `size` bytes of it, and whether it is all; without taking it."""
        self._fill(size)
        return self._window(size)

    def use(self, dialect: Dialect) -> None:
        """From now on records are written like that."""
        self._dialect = dialect

    def next_record(self) -> Block | None:
        """The next record in a block of its own, or None where there is none. It may be too long."""
        size = self._size
        while self._fill(size):
            window, final = self._window(size)
            found = scan(window, self._dialect, final=final, patience=self._limit, limit=1)
            if found.spans:
                return self._take(found.end, found)
            if found.end:
                self._skip(found.end)
            elif len(window) > self._limit:
                return self._too_long(len(window))
            else:
                size = max(size + self._size, min(2 * size, self._limit + 1))
        return None

    def skip_line(self) -> None:
        """Leave out what stands before the next line end, and the line end."""
        size = self._size
        while self._fill(size) and b"\n" not in self._ahead and not self._ended:
            size += self._size
        self._skip(self._ahead.find(b"\n") + 1 or len(self._ahead))

    def skip_open_line(self) -> bytes:
        """As `skip_line`, where a line was taken for complete that is not. Returns the beginning of what was left out."""
        self._fill(self._size)
        begin = self._ahead[:KEPT_BYTES]
        self.skip_line()
        return begin.partition(b"\n")[0].rstrip(b"\r")

    @property
    def at(self) -> int:
        """Where in the source the next block begins."""
        return self._at

    def _fill(self, size: int) -> bool:
        """Whether there is anything; more than `size` bytes of it, where there are so many."""
        if len(self._ahead) <= size and not self._ended:
            parts, missing = [self._ahead], size + 1 - len(self._ahead)
            while missing > 0 and not self._ended:
                part = self._source.read(max(missing, self._size))
                self._ended = not part
                parts.append(part)
                missing -= len(part)
            self._ahead = b"".join(parts)
        return bool(self._ahead)

    def _cut(self, size: int, rows: int) -> tuple[int, Scan | None]:
        """Where in what was read ahead a block ends, and its records where they had to be looked for; 0: not within `size`."""
        window, final = self._window(size)
        exactly = (
            len(window) > self._limit
            or (final and len(window) < _FEW_BYTES)
            or bool(self._dialect.escape and self._dialect.escape in window)
        )
        if not exactly:
            end = _last_line_end(window, rows, final)
            if end and quotes_are_regular(window[:end], self._dialect):
                return end, None
            before, end = end, _outside_quotes(window, self._dialect.quote, end)
            if end and end != before and quotes_are_regular(window[:end], self._dialect):
                return end, None
            if not end and not final:
                return 0, None
        found = scan(window, self._dialect, final=final, patience=self._limit, limit=rows)
        return found.end, found

    def _window(self, size: int) -> tuple[bytes, bool]:
        """At most so much of what was read ahead, and whether nothing follows."""
        if len(self._ahead) <= size:
            return self._ahead, self._ended
        return self._ahead[:size], False

    def _block(self, end: int, found: Scan | None) -> Block:
        data = self._ahead[:end]
        return Block(data, self._source.size(data), self._at, self._source, self._dialect, found, self._limit)

    def _take(self, end: int, found: Scan | None) -> Block:
        block = self._block(end, found)
        self._ahead, self._at = self._ahead[end:], block.end
        return block

    def _skip(self, end: int) -> None:
        self._at += self._source.size(self._ahead[:end])
        self._ahead = self._ahead[end:]

    def _too_long(self, size: int) -> Block:
        """A record whose line goes on after `size` bytes."""
        start, beginning = self._at, self._ahead[: min(KEPT_BYTES, self._limit)]
        while size < len(self._ahead) and self._ahead[size] & 0xC0 == 0x80:  # Not within a character.
            size += 1
        self._skip(size)
        while not (line_end := _LINE_END.search(self._ahead)) and not self._ended:
            self._skip(len(self._ahead))
            self._fill(self._size)
        stop = line_end.start() if line_end else len(self._ahead)
        too_long = self._at + self._source.size(self._ahead[:stop]) - start
        self._skip(stop)
        return Block(beginning, self._at - start, start, self._source, self._dialect, Scan(), self._limit, too_long)


def quotes_are_regular(data: bytes, dialect: Dialect) -> bool:
    """Whether each quote opens a field, closes one, or is doubled in one that is in quotes: then nothing needs a closer look."""
    if not dialect.quote or dialect.quote not in data:
        return True
    return occurs(dialect.regular, data)


def _last_line_end(window: bytes, rows: int, final: bool) -> int:
    """The end of the last line with at most `rows` lines up to there, at least of the first line; 0: no line ends here."""
    line_end = _line_end_of(window)
    end = len(window) if final else window.rfind(line_end) + 1
    while (lines := window.count(line_end, 0, end)) > rows:
        end = window.rfind(line_end, 0, end * rows // lines) + 1 or window.find(line_end) + 1
    return end


def _line_end_of(window: bytes) -> bytes:
    return b"\n" if b"\n" in window else b"\r"


def _outside_quotes(window: bytes, quote: bytes, end: int) -> int:
    """The last line end up to `end` with an even number of quotes before it, else the first one behind it; 0: there is none."""
    if not quote or quote not in window:
        return end
    line_end = _line_end_of(window)
    odd = window.count(quote, 0, end) % 2
    start = end
    while end and odd:  # It is within quotes: back to the last line end before the quote that opened.
        opening = window.rfind(quote, 0, end)
        closer = window.rfind(line_end, 0, opening) + 1
        odd = (odd + window.count(quote, closer, end)) % 2
        end = closer
    while not end and 0 < start < len(window):  # So few rows that all of them are one record's beginning.
        closing = window.find(quote, start)  # Before `start` their number is odd.
        following = window.find(line_end, closing) + 1 if closing >= 0 else 0
        if not following or window.count(quote, start, following) % 2:
            return following
        start = following
    return end
