"""Avro's block codecs. Decompression is bounded: one megabyte of deflate can stand for a gigabyte."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable

from ddpm_core import DataError

Decompress = Callable[[bytes, int], bytes]


class CorruptError(Exception):
    """The stored bytes are not what the codec wrote."""


def decompress(codec: str, stored: bytes, limit: int) -> bytes:
    """The block's records.

    Raises:
        CorruptError: The codec cannot read these bytes, or their checksum is wrong.
        DataError: `decompressed_size`: they are more than `limit` bytes.
    """
    try:
        data = _DECOMPRESS[codec](stored, limit)
    except DataError:
        raise
    except Exception as error:
        raise CorruptError(f"{codec} cannot decompress it: {error}") from error
    if len(data) > limit:
        raise too_large(limit)
    return data


def compress(codec: str, data: bytes) -> bytes:
    """The bytes to store for a block's records."""
    return _COMPRESS[codec](data)


def too_large(limit: int) -> DataError:
    """The error for a block that is larger than `limit`; who knows where it is adds that."""
    return DataError(f"it is larger than {limit:,} bytes", reason="decompressed_size")


def _null(stored: bytes, limit: int) -> bytes:
    return stored


def _deflate(stored: bytes, limit: int) -> bytes:
    inflate = zlib.decompressobj(-15)
    data = inflate.decompress(stored, limit + 1)
    if len(data) <= limit and not inflate.eof:
        raise CorruptError("it ends too early")
    return data


def _bzip2(stored: bytes, limit: int) -> bytes:
    bunzip = bz2.BZ2Decompressor()
    data = bunzip.decompress(stored, limit + 1)
    if len(data) <= limit and not bunzip.eof:
        raise CorruptError("it ends too early")
    return data


def _xz(stored: bytes, limit: int) -> bytes:
    unxz = lzma.LZMADecompressor(memlimit=max(limit, 128 << 20))
    data = unxz.decompress(stored, limit + 1)
    if len(data) <= limit and not unxz.eof:
        raise CorruptError("it ends too early")
    return data


def _snappy(stored: bytes, limit: int) -> bytes:
    from cramjam import snappy

    body, checksum = stored[:-4], stored[-4:]
    size = shift = 0
    for byte in body[:5]:
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    if size > limit:
        raise too_large(limit)
    data = bytes(snappy.decompress_raw(body))
    if zlib.crc32(data).to_bytes(4, "big") != checksum:
        raise CorruptError("its checksum is wrong")
    return data


def _zstandard(stored: bytes, limit: int) -> bytes:
    import zstandard

    size = zstandard.get_frame_parameters(stored).content_size
    if size not in (zstandard.CONTENTSIZE_UNKNOWN, zstandard.CONTENTSIZE_ERROR):
        if size > limit:
            raise too_large(limit)
        return zstandard.ZstdDecompressor().decompress(stored)
    unzstd = zstandard.ZstdDecompressor(max_window_size=128 << 20).decompressobj()
    parts, total = [], 0
    for start in range(0, len(stored), 1024):  # A kilobyte can stand for 32 MB.
        parts.append(unzstd.decompress(stored[start : start + 1024]))
        total += len(parts[-1])
        if total > limit:
            raise too_large(limit)
        if unzstd.eof:
            return b"".join(parts)
    raise CorruptError("it ends too early")


def _lz4(stored: bytes, limit: int) -> bytes:
    import lz4.block  # type: ignore[import-untyped]

    if int.from_bytes(stored[:4], "little") > limit:
        raise too_large(limit)
    return bytes(lz4.block.decompress(stored))


_DECOMPRESS: dict[str, Decompress] = {
    "null": _null, "deflate": _deflate, "bzip2": _bzip2, "snappy": _snappy, "zstandard": _zstandard, "lz4": _lz4, "xz": _xz,
}  # fmt: skip
CODECS = tuple(_DECOMPRESS)
"""The codecs that blocks may be stored with; those that fastavro knows."""


def _to_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


def _to_snappy(data: bytes) -> bytes:
    from cramjam import snappy

    return bytes(snappy.compress_raw(data)) + zlib.crc32(data).to_bytes(4, "big")


def _to_zstandard(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(data)


def _to_lz4(data: bytes) -> bytes:
    import lz4.block

    return bytes(lz4.block.compress(data))


_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "null": bytes, "deflate": _to_deflate, "bzip2": bz2.compress, "snappy": _to_snappy, "zstandard": _to_zstandard,
    "lz4": _to_lz4, "xz": lzma.compress,
}  # fmt: skip
