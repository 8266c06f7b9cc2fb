"""The compressions that files come in: how each is recognised and undone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, cast

MEMORY_BYTES = 128 << 20
"""What undoing a compression may need; what `zstd` and `xz` make unless they are asked for more."""


class Decoder(Protocol):
    """Undoes the compression of one stream, as `bz2.BZ2Decompressor` does. Raises whatever its library raises."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


class Codec(NamedTuple):
    """One compression.

    Attributes:
        name: As the option `compression` calls it.
        decoder: Makes a decoder for one stream. Streams may follow each other without anything between them.
        magics: What a stream begins with, one of them; none where streams cannot be recognised.
        padded: Whether zeros may follow the last stream.
        may_be_empty: Whether no stream at all is a complete file.
    """

    name: str
    decoder: Callable[[], Decoder]
    magics: tuple[bytes, ...] = ()
    padded: bool = False
    may_be_empty: bool = False

    def begins(self, data: bytes) -> bool:
        """Whether a stream can begin like this; of a beginning that is cut short, whether it can go on so."""
        return not self.magics or any(data.startswith(magic[: len(data)]) for magic in self.magics)


class Stored:
    """Not compressed: each piece is a stream of its own."""

    needs_input = True
    unused_data = b""

    def __init__(self) -> None:
        self._rest = b""
        self.eof = False

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        held = self._rest + data if self._rest else data
        size = len(held) if max_length < 0 else max_length
        self._rest = held[size:]
        self.needs_input = self.eof = not self._rest
        return held[:size]


def _gzip() -> Decoder:
    from isal import igzip_lib

    return cast(Decoder, igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP))


def _deflate() -> Decoder:
    from isal import igzip_lib

    return cast(Decoder, igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE))


def _zstd() -> Decoder:
    module: Any
    if sys.version_info >= (3, 14):
        from compression import zstd as module
    else:
        from backports import zstd as module
    return cast(Decoder, module.ZstdDecompressor())


def _bzip2() -> Decoder:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> Decoder:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_BYTES)


_SKIPPABLE = tuple(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60))

GZIP = Codec("gzip", _gzip, (b"\x1f\x8b\x08",), padded=True)
ZSTD = Codec("zstd", _zstd, (b"\x28\xb5\x2f\xfd", *_SKIPPABLE))
BZIP2 = Codec("bz2", _bzip2, (b"BZh",))
XZ = Codec("xz", _xz, (b"\xfd7zXZ\x00",), padded=True)
DEFLATE = Codec("deflate", _deflate)
STORED = Codec("stored", Stored, may_be_empty=True)

CODECS = {codec.name: codec for codec in (GZIP, ZSTD, BZIP2, XZ)}
"""What the option `compression` can name, and what suffixes say (`names.COMPRESSED`)."""

ARCHIVE_MAGIC = b"PK\x03\x04"

_SURE = {
    GZIP: (b"\x1f\x8b\x08",),
    ZSTD: (b"\x28\xb5\x2f\xfd",),
    BZIP2: tuple(b"BZh%d" % level + begins for level in range(1, 10) for begins in (b"1AY&SY", b"\x17rE8P\x90")),
    XZ: (b"\xfd7zXZ\x00",),
}
SNIFFED_BYTES = 10
"""How much `sniffed` looks at."""


def sniffed(beginning: bytes) -> Codec | None:
    """The compression of what begins like this. No format of data begins like any of them."""
    return next((codec for codec, magics in _SURE.items() if beginning.startswith(magics)), None)
