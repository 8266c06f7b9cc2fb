"""What pyarrow's reader of streams reads from."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator

from ddpm_arrow.message import END_OF_STREAM, Message


class Feed(io.RawIOBase):
    """Gives pyarrow messages piece by piece as it asks for them, a body without copying it.

    Attributes:
        nbytes: Bytes of the last message that it gave.
        taken: Bytes of all of them.
    """

    def __init__(self, messages: Iterator[Message]) -> None:
        super().__init__()
        self._messages = messages
        self._pieces: deque[memoryview] = deque()
        self.nbytes = self.taken = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> memoryview:
        """The next bytes, at most those of one piece: pyarrow asks for a length, for metadata, for a body, never for more."""
        if not self._pieces:
            self._load()
        piece = self._pieces.popleft()
        if size is not None and 0 <= size < len(piece):
            self._pieces.appendleft(piece[size:])
            return piece[:size]
        return piece

    def _load(self) -> None:
        message = next(self._messages, None)
        if message is None:
            self._pieces.append(memoryview(END_OF_STREAM))
            return
        head, body = message.envelope.head, message.body
        self._pieces.append(memoryview(head))
        if len(body):
            self._pieces.append(memoryview(body))
        self.nbytes = len(head) + len(body)
        self.taken += self.nbytes
