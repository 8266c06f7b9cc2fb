"""What tells one content of a file from another, and whether a longer one begins like a shorter one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

EDGE_BYTES = 64 << 10
"""How much of a file's beginning and of its end identifies it."""


class Content(NamedTuple):
    """The identity of a file's content.

    Attributes:
        size: Bytes in all.
        head: Hash of the first `EDGE_BYTES`, or of all when there are fewer.
        tail: Hash of the last ones, likewise.
    """

    size: int
    head: str
    tail: str

    @classmethod
    def of(cls, descriptor: int, size: int) -> Content:
        """The identity of the first `size` bytes of an open file. Its file position does not move."""
        edge = min(EDGE_BYTES, size)
        return cls(size, _hash(descriptor, 0, edge), _hash(descriptor, size - edge, edge))

    @classmethod
    def recorded(cls, detail: Mapping[str, Any]) -> Content | None:
        """The identity that a position's detail holds, or None when it holds none that can be understood."""
        match detail.get("file"):
            case {"size": int(size), "head": str(head), "tail": str(tail)} if size >= 0:
                return cls(size, head, tail)
        return None

    @property
    def generation(self) -> str:
        """Its name among the generations of a path: without `#`, the same for the same content."""
        return f"{self.size}-{blake2b((self.head + self.tail).encode(), digest_size=8).hexdigest()}"

    @property
    def detail(self) -> dict[str, Any]:
        """What every position of this content records."""
        return {"file": {"size": self.size, "head": self.head, "tail": self.tail}}

    def begins(self, descriptor: int, size: int) -> bool:
        """Whether an open file of `size` bytes is longer, and has this content's edges where they were."""
        return size > self.size and Content.of(descriptor, self.size) == self


def _hash(descriptor: int, start: int, length: int) -> str:
    digest = blake2b(digest_size=16)
    while length and (piece := os.pread(descriptor, length, start)):
        digest.update(piece)
        start, length = start + len(piece), length - len(piece)
    return digest.hexdigest()
