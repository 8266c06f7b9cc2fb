"""Where the records of a piece of a document are: asked for only when one of them is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

from ddpm_json.decode import WHITESPACE

Span = tuple[int, int]


class Records:
    """The records of a piece of a document, found when first asked for.

    Args:
        data: The bytes that hold them.
        start: Where in the document `data` begins; None where records have no place in a document.
        find: Finds where in `data` each record begins and ends.
    """

    def __init__(self, data: bytes, start: int | None, find: Callable[[], Sequence[Span]]) -> None:
        self.data = data
        self.start = start
        self._find = find
        self._spans: Sequence[Span] | None = None

    @classmethod
    def of_lines(cls, data: bytes, start: int) -> Records:
        """The lines that are not blank."""
        return _Lines(data, start, lambda: line_spans(data))

    @classmethod
    def at(cls, data: bytes, start: int | None, spans: Sequence[Span]) -> Records:
        """The records that stand there."""
        return cls(data, start, lambda: spans)

    @property
    def spans(self) -> Sequence[Span]:
        """Where each record begins and ends in `data`."""
        if self._spans is None:
            self._spans = self._find()
        return self._spans

    def raws(self) -> list[bytes]:
        """The bytes of all records."""
        return [self.data[begin:end] for begin, end in self.spans]

    def raw(self, record: int) -> bytes:
        """The record's bytes."""
        begin, end = self.spans[record]
        return self.data[begin:end]

    def byte_offset(self, record: int) -> int | None:
        """Where in the document the record begins."""
        return None if self.start is None else self.start + self.spans[record][0]


class _Lines(Records):
    def raws(self) -> list[bytes]:
        return [text for line in self.data.split(b"\n") if (text := line.strip(WHITESPACE))]


def line_spans(data: bytes) -> list[Span]:
    """The lines that are not blank, without white space around them."""
    lines = data.split(b"\n")
    spans = []
    for line, start in zip(lines, accumulate((len(line) + 1 for line in lines), initial=0), strict=False):
        text = line.strip(WHITESPACE)
        if text:
            begin = start + (0 if len(text) == len(line) else line.index(text[:1]))
            spans.append((begin, begin + len(text)))
    return spans
