"""The decompressed bytes of a compressed stream."""

from __future__ import annotations

import io
import os
import zlib
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ddpm_core import DataError, DdpmError
from ddpm_files.compression import MEMORY_BYTES, Codec, Decoder
from ddpm_files.streams import changed

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ALWAYS_ALLOWED = 256 << 20
"""So much may come out of any file, however small."""

_INPUT = 128 << 10
_SKIPPED = 1 << 20
_BEGINNING = 6

AGAIN = (
    "Copy or download it again. If something still writes it, run again once that has closed it: what landed is not taken twice."
)


class Beneath(Protocol):
    """What compressed bytes are read from: `read` gives at least one byte unless it is at its end."""

    def read(self, size: int, /) -> bytes | None: ...
    def seek(self, offset: int, /) -> int: ...
    def close(self) -> None: ...


class Promise(NamedTuple):
    """What is said elsewhere of the decompressed bytes (in an archive's directory): how many, and their CRC-32."""

    size: int
    crc: int


class Decompressed(io.RawIOBase):
    """What a compressed stream holds. Owns what lies beneath.

    Goes forward at any time: a seek reads on. A seek backward begins anew, where the stream beneath can. Streams that follow each
    other are one. Memory is bounded by the compression's own window (at most `MEMORY_BYTES`) and the caller's buffer.

    Reading raises `DataError`: reason `compression_invalid` where the bytes are damaged, end too early, or something else follows;
    `decompressed_size` where more comes out than is allowed, or the compression asks for too much memory.

    Args:
        beneath: The compressed bytes, standing at their beginning.
        codec: How they are compressed.
        name: For messages.
        size: Compressed bytes in all, or None where that is not known: then what has been read so far counts.
        max_expansion: More than so many times as many bytes are an error, once `ALWAYS_ALLOWED` have come out.
        head: What has been read from `beneath` already.
        promise: What must come out in all.
    """

    def __init__(
        self,
        beneath: Beneath,
        codec: Codec,
        name: str,
        *,
        size: int | None,
        max_expansion: int,
        head: bytes = b"",
        promise: Promise | None = None,
    ) -> None:
        super().__init__()
        self._beneath = beneath
        self._codec = codec
        self._name = name
        self._size = size
        self._max_expansion = max_expansion
        self._promise = promise
        self._restart(head)

    def _restart(self, head: bytes) -> None:
        self._decoder: Decoder | None = None
        self._pending = head
        self._taken = len(head)
        """Compressed bytes read so far."""
        self._fed = 0
        """Where the piece begins that the decoder has."""
        self._out = 0
        self._crc = 0
        self._streams = 0
        self._ended = False

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if self.closed:
            raise ValueError("read of a closed file")
        room = memoryview(buffer).cast("B")
        data = self._some(len(room)) if room else b""
        room[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_END:
            raise io.UnsupportedOperation("the end of a compressed stream is not known")
        target = offset + (self._out if whence == os.SEEK_CUR else 0)
        if target < 0:
            raise ValueError(f"cannot seek to byte {target}")
        if target < self._out:
            self._beneath.seek(0)
            self._restart(b"")
        while self._out < target:
            if not self._some(min(target - self._out, _SKIPPED)):
                raise changed(self._name)  # It was read up to there before.
        return self._out

    def tell(self) -> int:
        return self._out

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._beneath.close()

    def _some(self, most: int) -> bytes:
        """Up to so many of the next bytes; none at the end only."""
        while not self._ended:
            if self._decoder is None and not self._begin():
                self._end()
                break
            data = self._decode(most)
            if data:
                return self._counted(data)
        return b""

    def _begin(self) -> bool:
        """Begin the next stream, if there is one."""
        if self._streams and self._codec.padded:
            self._skip_zeros()
        while len(self._pending) < _BEGINNING and (more := self._input()):
            self._pending += more
        if not self._pending:
            return False
        if not self._codec.begins(self._pending[:_BEGINNING]):
            raise self._not_the_codec()
        self._decoder = self._codec.decoder()
        self._streams += 1
        return True

    def _skip_zeros(self) -> None:
        while True:
            self._pending = self._pending.lstrip(b"\0")
            if self._pending or not (more := self._input()):
                return
            self._pending = more

    def _decode(self, most: int) -> bytes:
        decoder = self._decoder
        assert decoder is not None  # noqa: S101
        piece = b""
        if decoder.needs_input:
            piece, self._pending = self._pending or self._input(), b""
            if not piece:
                raise self._cut_short()
            self._fed = self._taken - len(piece)
        try:
            data = decoder.decompress(piece, most)
        except Exception as error:  # Each library has its own.
            raise self._damaged(error) from error
        if decoder.eof:
            self._pending = decoder.unused_data + self._pending
            self._decoder = None
        return data

    def _input(self) -> bytes:
        data = self._beneath.read(_INPUT) or b""
        self._taken += len(data)
        return data

    def _counted(self, data: bytes) -> bytes:
        self._out += len(data)
        allowed = max(ALWAYS_ALLOWED, self._max_expansion * (self._taken if self._size is None else self._size))
        if self._out > allowed or (self._promise is not None and self._out > self._promise.size):
            raise self._too_much()
        if self._promise is not None:
            self._crc = zlib.crc32(data, self._crc)
        return data

    def _end(self) -> None:
        self._ended = True
        if not self._streams and not self._codec.may_be_empty:
            raise DataError(
                f"{self._name} is empty (0 bytes), which no {self._codec.name} file is", reason="compression_invalid", hint=AGAIN
            )
        promise = self._promise
        if promise is not None and (self._out, self._crc) != (promise.size, promise.crc):
            what = "its checksum is wrong" if self._out == promise.size else f"{self._out:,} bytes came out of {promise.size:,}"
            raise DataError(f"{self._name} is damaged: {what}", reason="compression_invalid", hint=AGAIN)

    # What is wrong.

    def _not_the_codec(self) -> DdpmError:
        codec, at = self._codec.name, self._taken - len(self._pending)
        bytes_there = self._pending[:_BEGINNING].hex(" ")
        if not self._streams:
            return DataError(
                f"{self._name} is not {codec}: it begins with the bytes {bytes_there}",
                reason="compression_invalid",
                hint="Where a file is not compressed as its name says, say how it is with the option compression, such as none.",
            )
        return DataError(
            f"{self._name}: what follows its {codec} data at byte {at:,} is none: {bytes_there}",
            reason="compression_invalid",
            hint="What comes before it has been read.",
        )

    def _cut_short(self) -> DdpmError:
        return DataError(
            f"{self._name} is not complete: it ends after byte {self._taken:,}, within its {self._codec.name} data",
            reason="compression_invalid",
            hint=AGAIN,
        )

    def _damaged(self, error: Exception) -> DdpmError:
        if isinstance(error, MemoryError) or "memory" in str(error).lower():
            return DataError(
                f"{self._name} needs more than {MEMORY_BYTES >> 20} MB of memory to be decompressed",
                reason="decompressed_size",
                hint="Compress it with the program's usual window, for zstd without --long.",
            )
        return DataError(
            f"{self._name} is damaged: its {self._codec.name} data is invalid between the bytes {self._fed:,} and {self._taken:,}",
            reason="compression_invalid",
            hint=AGAIN,
        )

    def _too_much(self) -> DdpmError:
        if self._promise is not None and self._out > self._promise.size:
            return DataError(
                f"{self._name} is damaged: more bytes come out than the {self._promise.size:,} that its directory says",
                reason="compression_invalid",
                hint=AGAIN,
            )
        compressed = self._taken if self._size is None else self._size
        return DataError(
            f"{self._name}: more than {self._max_expansion:,} times its {compressed:,} compressed bytes have come out of it",
            reason="decompressed_size",
            hint="If that is right, raise the option max_expansion.",
        )
