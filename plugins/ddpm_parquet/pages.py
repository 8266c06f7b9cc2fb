"""What the headers of a column chunk's pages say: the footer may lie, and pyarrow believes the headers.

https://parquet.apache.org/docs/file-format/data-pages/ and Thrift's compact protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_FIRST_LOOK = 512
_LONGEST_HEADER = 16 << 20  # As in pyarrow: statistics hold whole values.


class PageError(ValueError):
    """Bytes that are no page header."""


class Page(NamedTuple):
    """One page.

    Attributes:
        at: Where its bytes begin, behind the header.
        stored: How many they are.
        size: How many they become, by the header: pyarrow takes so much memory for them.
        values: How many values it has.
        dictionary: Whether it is a dictionary.
        levels: Bytes of its repetition levels, where they stand in front of what is compressed (version 2); None where they are
            part of that and have a length of their own.
        checksum: Of its stored bytes; None where there is none.
    """

    at: int
    stored: int
    size: int
    values: int
    dictionary: bool
    levels: int | None
    checksum: int | None


def pages(stream: BinaryIO, start: int, length: int, values: int) -> Iterator[Page]:
    """The pages of a column chunk, up to the one with the last of so many values, which is where pyarrow stops.

    Raises:
        PageError: A page's header makes no sense.
    """
    at, seen = start, 0
    while seen < values and at < start + length:
        header, size = _header(stream, at, start + length - at)
        page = _page(header, at + size)
        if page is not None:
            yield page
            seen += 0 if page.dictionary else page.values
        at += size + _number(header, 3)


def _header(stream: BinaryIO, at: int, most: int) -> tuple[dict[int, object], int]:
    """The fields of the header that begins there, and how many bytes it has."""
    look = _FIRST_LOOK
    while True:
        stream.seek(at)
        piece = stream.read(min(look, most))
        cursor = _Cursor(piece)
        try:
            return cursor.struct(0), cursor.at
        except IndexError:
            if look >= min(most, _LONGEST_HEADER):
                raise PageError("a page header has no end") from None
            look *= 32


def _page(header: dict[int, object], at: int) -> Page | None:
    kind, size, stored = _number(header, 1), _number(header, 2), _number(header, 3)
    about = header.get({_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}.get(kind, 0))
    if min(size, stored) < 0:
        raise PageError("a page has less than no bytes")
    if kind not in (_DATA, _DICTIONARY, _DATA_V2):
        return None
    values = _number(about, 1) if isinstance(about, dict) else -1
    if values < 0:
        raise PageError("a page has less than no values")
    levels = _number(about, 6) if kind == _DATA_V2 and isinstance(about, dict) else None
    checksum = header.get(4)
    return Page(at, stored, size, values, kind == _DICTIONARY, levels, checksum if isinstance(checksum, int) else None)


def _number(fields: dict[int, object], field: int) -> int:
    value = fields.get(field)
    if not isinstance(value, int):
        raise PageError(f"a page header lacks its field {field}")
    if value >= 1 << 31:  # pyarrow would take its lowest 32 bits, and find other pages than these.
        raise PageError("a page header has a number that is too large")
    return value


class _Cursor:
    """Reads Thrift's compact protocol. `IndexError`: the bytes end too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def struct(self, depth: int) -> dict[int, object]:
        if depth > 8:
            raise PageError("a page header is nested too deep")
        fields: dict[int, object] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            fields[number] = self._value(head & 15, depth)
        return fields

    def _value(self, kind: int, depth: int) -> object:
        match kind:
            case 1 | 2:
                return kind == 1
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._zigzag()
            case 7:
                self._skip(8)
            case 8:
                self._skip(self._varint())
            case 9 | 10:
                self._skip_list(depth)
            case 12:
                return self.struct(depth + 1)
            case _:
                raise PageError(f"a page header has a field of the unknown type {kind}")
        return None  # Nobody asks for it.

    def _skip_list(self, depth: int) -> None:
        head = self._byte()
        for _ in range(self._varint() if head >> 4 == 15 else head >> 4):
            if head & 15 in (1, 2):  # In a list a boolean takes a byte.
                self._skip(1)
            else:
                self._value(head & 15, depth + 1)

    def _byte(self) -> int:
        byte = self._data[self.at]
        self.at += 1
        return byte

    def _skip(self, size: int) -> None:
        self.at += size
        if self.at > len(self._data):
            raise IndexError

    def _varint(self) -> int:
        result = shift = 0
        while True:
            byte = self._byte()
            result |= (byte & 127) << shift
            if byte < 128:
                return result
            shift += 7
            if shift > 63:
                raise PageError("a page header has a number that is too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
