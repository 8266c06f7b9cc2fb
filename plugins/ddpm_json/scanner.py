"""Finding where JSON values end, without decoding them."""

from __future__ import annotations

import re
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

Layout = Literal["lines", "array", "objects", "end"]
"""How a document holds its records: one a line; elements of one array; objects in a row; and what follows the array's end."""

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_NESTING = 6
"""Values nested deeper than this are found by `ValueEnd`."""


def _balanced(depth: int) -> bytes:
    """A pattern for what stands between two brackets, with brackets nested so deep. Possessive, so never quadratic."""
    within = rb'[^{}\[\]"]++|' + _STRING
    for _ in range(depth):
        within = rb'[^{}\[\]"]++|' + _STRING + rb"|\{(?:" + within + rb")*+\}|\[(?:" + within + rb")*+\]"
    return within


_OBJECT = rb"\{(?:" + _balanced(_NESTING) + rb")*+\}"
_ARRAY = rb"\[(?:" + _balanced(_NESTING) + rb")*+\]"

ELEMENT = re.compile(rb'(?:[^{}\[\]",]++|' + _STRING + rb"|" + _OBJECT + rb"|" + _ARRAY + rb")*+(?=[,\]])", re.DOTALL)
"""An element of an array, up to the comma or bracket that ends it."""

OBJECT = re.compile(_OBJECT, re.DOTALL)
"""An object."""

_TOKEN = re.compile(rb'\\.|["{}\[\],]|\\\Z', re.DOTALL)
_TOKEN_BUT_COMMAS = re.compile(rb'\\.|["{}\[\]]|\\\Z', re.DOTALL)
"""Commas end elements of arrays only, and a list of numbers has many."""

_ESCAPED = (rb"\\", rb"\"", rb"\{", rb"\}", rb"\[", rb"\]")
"""Backslashes first: those that are left then escape what follows."""

_NEITHER_BRACKET_NOR_QUOTE = bytes(set(range(256)) - set(b'{}[]"'))
_STEPS = bytes.maketrans(b"{[}]", b"\x01\x01\xff\xff")
"""Brackets as what they do to the depth, in 8 bits: 1 or -1."""

_NEAR = 4 << 10
_FAR = 64 << 10
"""So many bytes are looked at token by token, since most values end there; and then so many are passed over at once, as long as the
value cannot end within them. That is some ten times as fast."""


class ValueEnd:
    """Looks for the end of one value in a text that comes in pieces, whatever its size and its depth.

    Brackets are counted, not matched with each other: whether the value is JSON is found out when it is decoded. It takes the
    same time for a byte wherever it stands, and no memory for brackets that are open.
    """

    def __init__(self, layout: Layout) -> None:
        self._array = layout == "array"
        self._depth = 0
        self._in_string = False
        self._skip = 0

    def feed(self, piece: bytes, at: int = 0) -> int:
        """Look on in `piece` from `at`. Returns where the value ends in it, or -1 when it does not.

        An element of an array ends before the comma or bracket that follows it; an object in a row ends with its bracket.
        """
        size = _NEAR
        while at < len(piece):
            at, self._skip = at + self._skip, 0
            stop = min(at + size, len(piece))
            if size == _NEAR or not self._passed(piece[at:stop]):
                found = self._look(piece, at, stop)
                if found >= 0:
                    return found
            at, size = stop, _FAR
        return -1

    def _passed(self, text: bytes) -> bool:
        """Whether the value goes on throughout this text, which then is behind us."""
        brackets, in_string, skip = _outside(text, self._in_string)
        steps = brackets.translate(_STEPS)
        closing = steps.count(0xFF)
        if closing >= self._depth and self._depth + _lowest(steps) <= 0:
            return False
        self._depth += len(steps) - 2 * closing
        self._in_string, self._skip = in_string, skip
        return True

    def _look(self, piece: bytes, at: int, stop: int) -> int:
        """Look token by token between these places."""
        for token in (_TOKEN if self._array else _TOKEN_BUT_COMMAS).finditer(piece, at, stop):
            byte = piece[token.start()]
            if byte == ord("\\"):
                self._skip = int(token.end() - token.start() == 1)
            elif byte == ord('"'):
                self._in_string = not self._in_string
            elif self._in_string:
                continue
            elif byte in b"{[":
                self._depth += 1
            elif not self._depth:
                if self._array and byte in b",]":
                    return token.start()
            elif byte in b"}]":
                self._depth -= 1
                if not self._array and not self._depth:
                    return token.end()
        return -1


def left_open(text: bytes) -> bytes:
    """What is open at the end of this text, innermost: `"`, a bracket, or nothing."""
    found, in_string, at, skip = [], False, 0, 0
    while at < len(text):
        brackets, in_string, skip = _outside(text[at + skip : at + _FAR], in_string)
        found.append(brackets)
        at += _FAR
    if in_string:
        return b'"'
    depth = 0
    for byte in reversed(b"".join(found)):
        depth += 1 if byte in b"{[" else -1
        if depth > 0:
            return bytes([byte])
    return b""


def _outside(text: bytes, in_string: bool) -> tuple[bytes, bool, int]:
    """The brackets that stand outside strings, whether the text ends within a string, and how many bytes after it are escaped.

    Args:
        text: A piece of a text.
        in_string: Whether it begins within a string.
    """
    if b"\\" in text:
        for escaped in _ESCAPED:
            text = text.replace(escaped, b"")
    # Two quotes next to each other, or with nothing between that counts, change nothing for what follows.
    parts = text.translate(None, _NEITHER_BRACKET_NOR_QUOTE).replace(b'""', b"").split(b'"')
    return b"".join(parts[in_string::2]), in_string ^ (len(parts) % 2 == 0), int(text.endswith(b"\\"))


def _lowest(steps: bytes) -> int:
    """The least depth on the way, the beginning included, seen from there."""
    if not steps:
        return 0
    array = pa.Array.from_buffers(pa.int8(), len(steps), [None, pa.py_buffer(steps)])
    return min(0, int(pc.min(pc.cumulative_sum(array.cast(pa.int32()))).as_py()))
