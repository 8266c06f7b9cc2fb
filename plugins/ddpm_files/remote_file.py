"""An object or a web server's file, read by ranges."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Fetch: TypeAlias = Callable[[int, int], bytes]
"""The bytes from a start to an end, all of them. Raises errors of ddpm_core."""

FIRST_BYTES = 256 << 10
MOST_BYTES = 4 << 20


class RemoteFile(io.RawIOBase):
    """A file whose bytes are fetched in pieces. A piece is twice as long as the one before while reading goes forward, up to
    `MOST_BYTES`, and then the next one is fetched meanwhile: two pieces are held at most.

    Reading raises what `fetch` raises.
    """

    def __init__(self, fetch: Fetch, size: int) -> None:
        super().__init__()
        self._fetch = fetch
        self._size = size
        self._at = 0
        self._begin = 0
        self._piece = b""
        self._length = FIRST_BYTES
        self._ahead: _Ahead | None = None

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if self.closed:
            raise ValueError("read of a closed file")
        room = memoryview(buffer).cast("B")[: max(self._size - self._at, 0)]
        if not room:
            return 0
        if not self._begin <= self._at < self._begin + len(self._piece):
            self._next_piece(len(room))
        part = memoryview(self._piece)[self._at - self._begin :][: len(room)]
        room[: len(part)] = part
        self._at += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
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
            self._drop_ahead()
            self._piece = b""

    def _next_piece(self, wanted: int) -> None:
        forward = self._at == self._begin + len(self._piece) and bool(self._piece)
        self._piece = b""
        self._length = min(self._length * 2, MOST_BYTES) if forward else FIRST_BYTES
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.start == self._at:
            piece = ahead.result()
        else:
            if ahead is not None:
                ahead.abandon()
            end = min(self._at + min(max(self._length, wanted), MOST_BYTES), self._size)
            piece = self._fetch(self._at, end)
        self._begin, self._piece = self._at, piece
        following = self._begin + len(piece)
        if forward and following < self._size:
            self._ahead = _Ahead(self._fetch, following, min(following + self._length, self._size))

    def _drop_ahead(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.abandon()


class _Ahead:
    """A piece on its way."""

    def __init__(self, fetch: Fetch, start: int, end: int) -> None:
        self.start = start
        self._fetch = fetch
        self._end = end
        self._piece = b""
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ddpm-read-ahead")
        self._thread.start()

    def _run(self) -> None:
        try:
            self._piece = self._fetch(self.start, self._end)
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for it.
            self._error = error

    def result(self) -> bytes:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._piece

    def abandon(self) -> None:
        """Nobody wants it any more. The thread may not outlive the file: at the interpreter's end it would be in foreign code."""
        self._thread.join()
