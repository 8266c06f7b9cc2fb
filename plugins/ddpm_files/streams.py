"""The byte streams that documents are read from."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

from ddpm_core import DataError, FatalError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER_BYTES = 64 << 10  # Reads of this size and more go past the buffer, straight into the caller's memory.


class FileWindow(io.RawIOBase):
    """The first `size` bytes of an open file, whatever is appended meanwhile. Owns the descriptor.

    Reads by position, so that nothing else that uses the descriptor can move it.

    Reading raises `DataError` (reason `changed`) where the file has become shorter, since an early end would pass for the real
    one, and `FatalError` where it cannot be read.
    """

    def __init__(self, descriptor: int, size: int, name: str) -> None:
        super().__init__()
        self.descriptor = descriptor
        self.size = size
        self.shrunk = False
        self._name = name
        self._at = 0

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if self.closed:
            raise ValueError("read of a closed file")
        room = memoryview(buffer).cast("B")[: max(self.size - self._at, 0)]
        if not room:
            return 0
        try:
            got = os.preadv(self.descriptor, [room], self._at)
        except OSError as error:
            raise FatalError(f"{self._name} cannot be read: {(error.strerror or str(error)).lower()}") from error
        if not got:
            self.shrunk = True
            raise changed(self._name)
        self._at += got
        return got

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError(f"cannot seek to byte {start + offset}")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self.descriptor)


class OneWay(io.RawIOBase):
    """A stream that is read once from here on and cannot seek, whatever lies beneath (standard input may be a file)."""

    def __init__(self, beneath: BinaryIO, name: str, *, owned: bool) -> None:
        super().__init__()
        self._readinto = cast("Callable[[WriteableBuffer], int]", getattr(beneath, "readinto1", None) or beneath.readinto)  # type: ignore[attr-defined]
        self._beneath = beneath
        self._name = name
        self._owned = owned

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        try:
            return self._readinto(buffer)
        except OSError as error:
            raise FatalError(f"{self._name} cannot be read: {(error.strerror or str(error)).lower()}") from error

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            super().close()
            if self._owned:
                self._beneath.close()


class ForwardReader(io.BufferedReader):
    """A buffered stream that seeks forward, by reading on, but is not for reading here and there: it says that it cannot seek."""

    def seekable(self) -> bool:
        return False


def buffered(raw: io.RawIOBase) -> io.BufferedReader:
    """The stream that a parser gets."""
    return io.BufferedReader(raw, BUFFER_BYTES)


def changed(name: str) -> DataError:
    """What is said of a file that was rewritten or cut while it was read."""
    return DataError(
        f"{name} was changed while it was read: what landed of it may be a mixture of its old and new content",
        reason="changed",
        hint="Run again once nothing writes to it; files that are only appended to are safe to read at any time.",
    )
