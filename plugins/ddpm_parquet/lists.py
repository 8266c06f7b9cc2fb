"""How many rows begin in a page of a list column: only its repetition levels tell, and one row may hold a hundred million values."""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa

from ddpm_parquet.pages import Page

_CODECS = {"SNAPPY": "snappy", "GZIP": "gzip", "ZSTD": "zstd", "BROTLI": "brotli", "LZ4_RAW": "lz4_raw", "LZ4": "lz4_raw"}


def rows_beginning(stream: BinaryIO, page: Page, codec: str, max_level: int, enough: int) -> int:
    """How many rows begin in this page, 0 where that cannot be told. Counting stops soon after `enough`: it takes time.

    Raises:
        pa.ArrowException, OSError: The page cannot be decompressed.
    """
    width = max_level.bit_length()
    stream.seek(page.at)
    if page.levels is not None:
        return _zeros(stream.read(page.levels), width, page.values, enough)
    if codec != "UNCOMPRESSED" and codec not in _CODECS:
        return 0
    data = stream.read(page.stored)
    if codec != "UNCOMPRESSED":
        data = pa.Codec(_CODECS[codec]).decompress(data, page.size, asbytes=True)
    return _zeros(data[4 : 4 + int.from_bytes(data[:4], "little")], width, page.values, enough)


def _zeros(levels: bytes, width: int, count: int, enough: int) -> int:
    """How many of `count` levels, in run lengths and packed bits, are zero: there a row begins."""
    at = zeros = 0
    size = (width + 7) // 8
    try:
        while count > 0 and zeros < enough:
            head = shift = 0
            while True:
                byte = levels[at]
                at += 1
                head |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            if head & 1:
                packed = int.from_bytes(levels[at : at + (head >> 1) * width], "little")
                held = min((head >> 1) * 8, count)
                zeros += _packed_zeros(packed, width, held)
                at += (head >> 1) * width
            else:
                held = min(head >> 1, count)
                zeros += 0 if any(levels[at : at + size]) else held
                at += size
            if not held:
                return 0
            count -= held
    except IndexError:
        return zeros
    return zeros


def _packed_zeros(packed: int, width: int, held: int) -> int:
    packed &= (1 << held * width) - 1
    if width == 1:
        return held - packed.bit_count()
    # Each level's bits are or-ed into its lowest one.
    lowest = ((1 << held * width) - 1) // ((1 << width) - 1)
    folded = packed
    for bit in range(1, width):
        folded |= packed >> bit
    return held - (folded & lowest).bit_count()
