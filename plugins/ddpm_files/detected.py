"""A stream that is decompressed if it begins like something compressed: standard input and pipes have no suffix."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ddpm_core import DataError
from ddpm_files.compression import ARCHIVE_MAGIC, SNIFFED_BYTES, sniffed
from ddpm_files.decompressed import Decompressed

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Detected(io.RawIOBase):
    """The stream beneath, decompressed or as it is. Owns it. Its first bytes are looked at when the first ones are wanted.

    Reading raises `DataError` as `Decompressed` does, and with reason `compression_unsupported` for a zip archive, which cannot be
    read from a stream: what tells where members begin is at its end.
    """

    def __init__(self, beneath: io.RawIOBase, name: str, *, max_expansion: int) -> None:
        super().__init__()
        self._beneath = beneath
        self._name = name
        self._max_expansion = max_expansion
        self._head: bytes | None = None
        self._inner: Decompressed | None = None

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if self._head is None:
            self._head = self._look()
        if self._inner is not None:
            return self._inner.readinto(buffer)
        if not self._head:
            return self._beneath.readinto(buffer) or 0
        room = memoryview(buffer).cast("B")
        part, self._head = self._head[: len(room)], self._head[len(room) :]
        room[: len(part)] = part
        return len(part)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._beneath.close()

    def _look(self) -> bytes:
        head = b""
        while len(head) < SNIFFED_BYTES and (more := self._beneath.read(SNIFFED_BYTES - len(head))):
            head += more
        if head.startswith(ARCHIVE_MAGIC):
            raise DataError(
                f"{self._name} is a zip archive, which is not read from a stream: its directory is at its end",
                reason="compression_unsupported",
                hint="Save it to a file first; to take the bytes as they are, set the option compression to none.",
            )
        codec = sniffed(head)
        if codec is not None:
            self._inner = Decompressed(self._beneath, codec, self._name, size=None, max_expansion=self._max_expansion, head=head)
        return head
