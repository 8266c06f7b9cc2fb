"""A view of a stream that gives all the bytes that are asked for."""

from __future__ import annotations

import io
import os
from typing import BinaryIO


class FullReads(io.RawIOBase):
    """For pyarrow, which takes a short read for the end of the file. Closing it leaves the stream beneath open."""

    def __init__(self, beneath: BinaryIO) -> None:
        super().__init__()
        self._beneath = beneath

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return b"".join(iter(self._beneath.read, b""))
        got = self._beneath.read(size)
        if len(got) == size or not got:
            return got
        pieces, missing = [got], size - len(got)
        while missing and (more := self._beneath.read(missing)):
            pieces.append(more)
            missing -= len(more)
        return b"".join(pieces)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._beneath.seek(offset, whence)

    def tell(self) -> int:
        return self._beneath.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
