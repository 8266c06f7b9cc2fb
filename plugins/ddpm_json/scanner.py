"""Finding where JSON values end, without decoding them."""

from __future__ import annotations

import re
from typing import Literal

Layout = Literal["lines", "array", "objects", "end"]
"""How a document holds its records: one a line; elements of one array; objects in a row; and what follows the array's end."""

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_NESTING = 6
"""Values nested deeper than this are found by `ValueEnd`, at a tenth of the speed."""


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


class ValueEnd:
    """Looks for the end of one value in a text that comes in pieces, whatever its size and its depth.

    Brackets are counted, not matched with each other: whether the value is JSON is found out when it is decoded.

    Attributes:
        open: The brackets that are open; `"` comes last while within a string.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._skip = 0
        self.open: list[int] = []

    def feed(self, piece: bytes, at: int = 0) -> int:
        """Look on in `piece` from `at`. Returns where the value ends in it, or -1 when it does not.

        An element of an array ends before the comma or bracket that follows it; an object in a row ends with its bracket.
        """
        in_string = bool(self.open) and self.open[-1] == ord('"')
        at, self._skip = at + self._skip, 0
        tokens = _TOKEN if self._layout == "array" else _TOKEN_BUT_COMMAS
        for token in tokens.finditer(piece, at):
            byte = piece[token.start()]
            if byte == ord("\\"):
                self._skip = int(token.end() - token.start() == 1)
            elif byte == ord('"'):
                if in_string:
                    self.open.pop()
                else:
                    self.open.append(byte)
                in_string = not in_string
            elif in_string:
                continue
            elif byte in b"{[":
                self.open.append(byte)
            elif not self.open:
                if self._layout == "array" and byte in b",]":
                    return token.start()
            elif byte in b"}]":
                self.open.pop()
                if self._layout == "objects" and not self.open:
                    return token.end()
        return -1
