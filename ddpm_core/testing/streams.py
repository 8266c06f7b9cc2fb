"""Byte streams that behave as badly as real ones may."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Protocol


class SimulatedCrash(Exception):  # noqa: N818 - it is no error of DDPM's
    """What a `Crash` marker raises. No `DdpmError`: nothing but the test knows it."""


class Fires(Protocol):
    """A marker among bytes."""

    def fire(self) -> None:
        """Do what should happen here."""


class PieceStream(io.RawIOBase):
    """A binary stream made of pieces: a `read` returns at most the rest of one piece, and a marker fires when it is reached.

    Attributes:
        taken: How many bytes have been read so far, in all.
    """

    def __init__(self, pieces: Sequence[bytes | Fires], *, seekable: bool = True) -> None:
        super().__init__()
        self._pieces = list(pieces)
        self._seekable = seekable
        self._size = sum(len(piece) for piece in self._pieces if isinstance(piece, bytes))
        self._piece = 0
        self._within = 0
        self._at = 0
        self.taken = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._seekable

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if not self._seekable:
            raise io.UnsupportedOperation("this stream cannot seek")
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        left = self._at
        for number, piece in enumerate(self._pieces):
            size = len(piece) if isinstance(piece, bytes) else 0
            if left < size:
                self._piece, self._within = number, left
                return self._at
            left -= size
        self._piece, self._within = len(self._pieces), 0
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return self.readall()
        while size and self._piece < len(self._pieces):
            piece = self._pieces[self._piece]
            if not isinstance(piece, bytes):
                piece.fire()
            elif self._within < len(piece):
                got = piece[self._within : self._within + size]
                self._within += len(got)
                self._at += len(got)
                self.taken += len(got)
                return got
            self._piece, self._within = self._piece + 1, 0
        return b""

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        got = self.read(len(buffer))
        buffer[: len(got)] = got
        return len(got)


def dribble(data: bytes, size: int = 5, *, seekable: bool = True) -> PieceStream:
    """A stream of these bytes that returns at most `size` of them at a time, as sockets and pipes may."""
    return PieceStream([data[at : at + size] for at in range(0, len(data), size)], seekable=seekable)
