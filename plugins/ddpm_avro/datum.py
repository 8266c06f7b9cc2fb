"""One record at a time, in plain Python, trusting nothing: says exactly where a record ends and what is wrong with it.

It is the judge of blocks that the fast decoders refuse, and finds the bytes of single records. Its values are those that
fastavro makes with `physical.fastavro_schema`; whether they are in range is for `logical` to say.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ddpm_avro.schema import Node

MAX_WEIGHTLESS = 1_000_000
"""Items that take no bytes (`array<null>`) in one block: three bytes can otherwise ask for a billion of them."""

MAX_ITEMS = 2_000_000
"""Items of arrays and maps in one block that is read here: in Python each takes a hundred bytes or more, in the block perhaps one."""

_FLOAT = struct.Struct("<f")
_DOUBLE = struct.Struct("<d")


class LostError(Exception):
    """What follows cannot be told apart any more."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(slots=True)
class Datum:
    """One record. `problem` (reason, message) is set when its value is wrong though its end is known."""

    value: Any
    start: int
    end: int
    problem: tuple[str, str] | None


class _Cursor:
    __slots__ = ("at", "data", "items", "problem", "weightless")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at
        self.problem: tuple[str, str] | None = None
        self.weightless = 0
        self.items = 0

    def wrong(self, reason: str, node: Node, what: str) -> None:
        if self.problem is None:
            self.problem = (reason, located(node, what))

    def long(self) -> int:
        result = shift = 0
        while True:
            if self.at >= len(self.data):
                raise LostError("avro_invalid", "the bytes end in the middle of a record")
            byte = self.data[self.at]
            self.at += 1
            result |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
            if shift > 63:
                raise LostError("avro_invalid", "a number is longer than 10 bytes")
        result &= (1 << 64) - 1
        return (result >> 1) ^ -(result & 1)

    def take(self, size: int, node: Node) -> bytes:
        if size < 0:
            raise LostError("avro_invalid", located(node, f"a length of {size:,}"))
        end = self.at + size
        if end > len(self.data):
            raise LostError("avro_invalid", located(node, f"{size:,} bytes announced, {len(self.data) - self.at:,} left"))
        taken = self.data[self.at : end]
        self.at = end
        return taken


def located(node: Node, what: str) -> str:
    """A message that begins with the field it is about."""
    return f"{node.path}: {what}" if node.path else what


Read = Callable[[_Cursor], Any]


class DatumReader:
    """Reads the records of one schema."""

    def __init__(self, node: Node) -> None:
        self._read = _reader(node)

    def read(self, data: bytes, count: int) -> Iterator[Datum]:
        """The first `count` records of a block, one by one.

        Raises:
            LostError: The end of the next record cannot be found.
        """
        cursor = _Cursor(data)
        for _ in range(count):
            start, cursor.problem = cursor.at, None
            value = self._read(cursor)
            yield Datum(value, start, cursor.at, cursor.problem)


def _reader(node: Node) -> Read:
    return _READERS[node.kind](node)


def _null(_: Node) -> Read:
    return lambda _: None


def _boolean(node: Node) -> Read:
    def read(c: _Cursor) -> bytes:
        byte = c.take(1, node)
        if byte > b"\x01":
            c.wrong("avro_invalid", node, f"the byte 0x{byte.hex()} is no boolean")
        return byte

    return read


def _long(_: Node) -> Read:
    return _Cursor.long


def _float(node: Node) -> Read:
    return lambda c: _FLOAT.unpack(c.take(4, node))[0]


def _double(node: Node) -> Read:
    return lambda c: _DOUBLE.unpack(c.take(8, node))[0]


def _bytes(node: Node) -> Read:
    return lambda c: c.take(c.long(), node)


def _fixed(node: Node) -> Read:
    return lambda c: c.take(node.size, node)


def _string(node: Node) -> Read:
    def read(c: _Cursor) -> str:
        raw = c.take(c.long(), node)
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            c.wrong("encoding", node, f"the text is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}")
            return ""

    return read


def _blocks(node: Node, least: int) -> Callable[[_Cursor], Iterator[int]]:
    """Counts of the blocks that an array or map comes in, each item taking at least so many bytes."""

    def read(c: _Cursor) -> Iterator[int]:
        while count := c.long():
            if count < 0:
                count = -count
                c.long()
            if least == 0:
                c.weightless += count
                if c.weightless > MAX_WEIGHTLESS:
                    raise LostError("collection_limit", located(node, f"more than {MAX_WEIGHTLESS:,} items that take no bytes"))
            elif count * least > len(c.data) - c.at:
                raise LostError("avro_invalid", located(node, f"{count:,} items announced in {len(c.data) - c.at:,} bytes"))
            c.items += count
            if c.items > MAX_ITEMS:
                raise LostError("collection_limit", located(node, f"more than {MAX_ITEMS:,} items in one block"))
            yield count

    return read


def _array(node: Node) -> Read:
    item, blocks = _reader(node.children[0]), _blocks(node, node.children[0].least)
    return lambda c: [item(c) for count in blocks(c) for _ in range(count)]


def _map(node: Node) -> Read:
    key, value, blocks = _string(node), _reader(node.children[0]), _blocks(node, 1 + node.children[0].least)

    def read(c: _Cursor) -> dict[str, Any]:
        found: dict[str, Any] = {}
        before = c.problem
        problems: dict[str, tuple[str, str] | None] = {}
        for count in blocks(c):
            for _ in range(count):
                c.problem = before
                name = key(c)
                before, c.problem = c.problem, None
                found[name] = value(c)  # Of entries with one key the last is meant; what was wrong with the others is no matter.
                problems[name] = c.problem
        c.problem = before or next(filter(None, problems.values()), None)
        return found

    return read


def _record(node: Node) -> Read:
    fields = [(f"f{i}", _reader(child)) for i, child in enumerate(node.children)]
    return lambda c: {name: read(c) for name, read in fields}


def _branch(c: _Cursor, node: Node, count: int) -> int:
    index = c.long()
    if not 0 <= index < count:
        raise LostError("avro_invalid", located(node, f"there is no branch {index} in a union of {count}"))
    return index


def _option(node: Node) -> Read:
    read_child, null_at = _reader(node.children[0]), node.null_at
    count = 1 if null_at is None else 2

    def read(c: _Cursor) -> Any:
        return None if _branch(c, node, count) == null_at else read_child(c)

    return read


def _union(node: Node) -> Read:
    branches = [(f"b{i}", _reader(child)) for i, child in enumerate(node.children)]

    def read(c: _Cursor) -> dict[str, Any]:
        name, read_branch = branches[_branch(c, node, len(branches))]
        return {name: read_branch(c)}

    return read


_READERS: dict[str, Callable[[Node], Read]] = {
    "null": _null, "boolean": _boolean, "int": _long, "enum": _long, "long": _long, "float": _float, "double": _double,
    "bytes": _bytes, "string": _string, "fixed": _fixed, "array": _array, "map": _map, "record": _record, "option": _option,
    "union": _union,
}  # fmt: skip
