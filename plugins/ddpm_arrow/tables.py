"""Reading the tables of a FlatBuffer that nobody has verified: anything out of bounds is `MalformedError`, never a crash.

Only what the limits need is read this way; the columns are pyarrow's matter. https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator


class MalformedError(Exception):
    """These bytes are no such FlatBuffer."""


class Table:
    """A table within `data` that begins at byte `at`. Fields are counted from 0, in the order of the schema."""

    def __init__(self, data: bytes | memoryview, at: int) -> None:
        self._data = data
        self.at = at
        self._vtable = at - self._read("<i", at)
        self._vtable_bytes = self._read("<H", self._vtable)

    @classmethod
    def root(cls, data: bytes | memoryview) -> Table:
        """The table that the FlatBuffer is."""
        return cls(data, unpack("<I", data, 0))

    def number(self, field: int, kind: str) -> int:
        """A number, by `struct`'s letter for its type; 0 where the field is absent."""
        where = self._where(field)
        return self._read(f"<{kind}", where) if where else 0

    def table(self, field: int) -> Table | None:
        """Another table, or None where the field is absent."""
        where = self._where(field)
        return Table(self._data, where + self._read("<I", where)) if where else None

    def structs(self, field: int, layout: str) -> Iterator[tuple[int, ...]]:
        """The items of a vector of structs; none where the field is absent."""
        where = self._where(field)
        if not where:
            return
        start = where + self._read("<I", where)
        size = struct.calcsize(layout) * self._read("<I", start)
        items = bytes(self._data[start + 4 : start + 4 + size])
        if len(items) < size:
            raise MalformedError("a list that is longer than what holds it")
        yield from struct.iter_unpack(layout, items)

    def _where(self, field: int) -> int:
        slot = 4 + 2 * field
        if slot + 2 > self._vtable_bytes:
            return 0
        offset = self._read("<H", self._vtable + slot)
        return self.at + offset if offset else 0

    def _read(self, layout: str, at: int) -> int:
        return unpack(layout, self._data, at)


def unpack(layout: str, data: bytes | bytearray | memoryview, at: int) -> int:
    """The number at byte `at`.

    Raises:
        MalformedError: It is out of bounds.
    """
    if at < 0:  # `struct` would count it from the end.
        raise MalformedError("an offset that leads out of it")
    try:
        return int(struct.unpack_from(layout, data, at)[0])
    except struct.error:
        raise MalformedError("an offset that leads out of it") from None
