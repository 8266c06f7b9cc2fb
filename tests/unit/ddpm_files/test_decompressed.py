"""What was compressed comes out again, whatever reads it; what is damaged, cut or a bomb is an error and never other bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import DataError
from ddpm_files import decompressed
from ddpm_files.compression import BZIP2, DEFLATE, GZIP, STORED, XZ, ZSTD, Codec
from ddpm_files.decompressed import Decompressed, Promise
from ddpm_files.streams import BUFFER_BYTES, ForwardReader
from tests.examples import examples

Pack = Callable[[bytes], bytes]


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKED: list[tuple[Codec, Pack]] = [(GZIP, gzip.compress), (ZSTD, zstd), (BZIP2, bz2.compress), (XZ, lzma.compress)]
EACH = pytest.mark.parametrize(("codec", "pack"), PACKED, ids=lambda value: getattr(value, "name", ""))
TEXT = random.Random(4).randbytes(9_000) + b'{"id": 1}\n' * 2_000


class Trickle(io.BytesIO):
    """Gives few bytes at a time, as a pipe may."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._most if size is None or size < 0 else min(size, self._most))


def drain(source: Decompressed, most: int) -> tuple[list[bytes], DataError]:
    """The pieces that come before the error, and the error."""
    pieces: list[bytes] = []
    try:
        while piece := source.read(most):
            pieces.append(piece)
    except DataError as error:
        return pieces, error
    pytest.fail("no error came")


def raw(
    packed: bytes, codec: Codec, *, most: int = 1 << 20, promise: Promise | None = None, max_expansion: int = 250
) -> Decompressed:
    return Decompressed(Trickle(packed, most), codec, "x", size=len(packed), max_expansion=max_expansion, promise=promise)


def stream(packed: bytes, codec: Codec, *, most: int = 1 << 20) -> ForwardReader:
    return ForwardReader(raw(packed, codec, most=most), BUFFER_BYTES)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([*PACKED, (DEFLATE, deflate), (STORED, bytes)]),
    st.binary(min_size=1, max_size=5_000),
    st.integers(1, 40),
    st.integers(1, 5_000),
)
def test_any_bytes_come_out_equal_in_pieces_of_any_size(pair: tuple[Codec, Pack], data: bytes, repeated: int, most: int) -> None:
    codec, pack = pair
    whole = data * repeated
    for size in (1, 5, 4093):
        source, got = raw(pack(whole), codec, most=most), bytearray()
        if len(whole) / size > 20_000:
            continue
        while piece := source.read(size):
            got += piece
        assert got == whole
        assert source.read(1) == b""
    assert stream(pack(whole), codec, most=most).read() == whole


@EACH
def test_streams_that_follow_each_other_are_one(codec: Codec, pack: Pack) -> None:
    parts = [TEXT, b"", b"x", TEXT[::-1]]
    packed = b"".join(map(pack, parts))
    for most in (1, 7, 1 << 20):
        assert stream(packed, codec, most=most).read() == b"".join(parts)


@EACH
def test_of_a_file_that_is_cut_anywhere_a_beginning_comes_and_then_an_error(codec: Codec, pack: Pack) -> None:
    data = TEXT[8_500:10_000]
    packed = pack(data)
    for cut in range(len(packed)):
        pieces, error = drain(raw(packed[:cut], codec), 64)
        assert error.reason == "compression_invalid"
        assert data.startswith(b"".join(pieces))
        what = "is empty (0 bytes)" if not cut else f"is not complete: it ends after byte {cut:,}, within its {codec.name} data"
        assert error.message.startswith(f"x {what}")


@EACH
def test_a_byte_that_is_wrong_never_gives_other_bytes(codec: Codec, pack: Pack) -> None:
    data = TEXT[8_800:9_300]
    packed = pack(data)
    refused = 0
    for at in range(len(packed)):
        wrong = bytearray(packed)
        wrong[at] ^= 0x10
        try:
            got = stream(bytes(wrong), codec).read()
        except DataError:
            refused += 1
        else:
            assert got == data  # A byte that means nothing, such as a time in a header.
    assert refused > len(packed) * 0.9


@EACH
def test_messages_tell_where(codec: Codec, pack: Pack) -> None:
    packed, name = pack(TEXT), codec.name
    with pytest.raises(DataError) as caught:
        stream(b"{}" + packed, codec).read()
    assert str(caught.value) == (
        f"x is not {name}: it begins with the bytes {(b'{}' + packed)[:6].hex(' ')}\n"
        "Where a file is not compressed as its name says, say how it is with the option compression, such as none."
    )
    pieces, error = drain(raw(packed + b"garbage", codec), 1_000)
    assert b"".join(pieces) == TEXT
    assert str(error) == (
        f"x: what follows its {name} data at byte {len(packed):,} is none: 67 61 72 62 61 67\nWhat comes before it has been read."
    )
    middle = bytearray(packed)
    middle[len(packed) // 2] ^= 0xFF
    with pytest.raises(DataError) as caught:
        stream(bytes(middle), codec).read()
    assert str(caught.value) == (
        f"x is damaged: its {name} data is invalid between the bytes 0 and {len(packed):,}\n"
        "Copy or download it again. If something still writes it, run again once that has closed it: what landed is not taken twice."
    )


def test_zeros_that_pad_a_tape_are_nothing() -> None:
    assert stream(gzip.compress(TEXT) + bytes(200_000), GZIP).read() == TEXT
    assert stream(gzip.compress(TEXT) + bytes(9) + gzip.compress(b"x"), GZIP).read() == TEXT + b"x"


def test_a_zstd_frame_that_is_to_be_skipped_is() -> None:
    skip = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"other"
    assert stream(skip + zstd(TEXT) + skip, ZSTD).read() == TEXT


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["read", "set", "cur"]), st.integers(0, 30_000)), max_size=10), st.integers(0, 3))
def test_it_seeks_like_a_file_by_reading_on_or_anew(operations: list[tuple[str, int]], which: int) -> None:
    codec, pack = PACKED[which]
    plain, packed = io.BytesIO(TEXT), stream(pack(TEXT), codec)
    for operation, value in operations:
        if operation == "read":
            assert packed.read(value) == plain.read(value)
        else:
            target = min(value if operation == "set" else plain.tell() + value, len(TEXT))
            assert packed.seek(target) == plain.seek(target)
        assert packed.tell() == plain.tell()


def test_it_says_that_it_cannot_seek_so_that_readers_of_footers_copy_it() -> None:
    packed = stream(gzip.compress(TEXT), GZIP)
    assert not packed.seekable()
    with pytest.raises(io.UnsupportedOperation):
        packed.seek(0, os.SEEK_END)
    with pytest.raises(ValueError, match="cannot seek to byte -1"):
        raw(b"", GZIP).seek(-1)


def test_less_than_was_there_before_is_a_change_not_an_end() -> None:
    with pytest.raises(DataError) as caught:
        stream(gzip.compress(b"short"), GZIP).seek(100)
    assert caught.value.reason == "changed"


@pytest.mark.parametrize("most", [4_000, 100_000])
def test_a_bomb_is_refused_within_bounds(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(decompressed, "ALWAYS_ALLOWED", 1 << 20)
    for codec, pack in PACKED:
        packed = pack(bytes(8 << 20))
        pieces, error = drain(raw(packed, codec, max_expansion=250), most)
        assert error.reason == "decompressed_size"
        assert str(error) == (
            f"x: more than 250 times its {len(packed):,} compressed bytes have come out of it\n"
            "If that is right, raise the option max_expansion."
        )
        assert sum(map(len, pieces)) <= max(1 << 20, 250 * len(packed))
        assert max(map(len, pieces)) <= most
        assert len(stream_with(packed, codec, 1_000_000)) == 8 << 20


def stream_with(packed: bytes, codec: Codec, max_expansion: int) -> bytes:
    return ForwardReader(raw(packed, codec, max_expansion=max_expansion), BUFFER_BYTES).read()


def test_a_window_that_needs_too_much_memory_is_refused() -> None:
    wide = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    packed = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    data = packed.compress(TEXT) + packed.flush()
    huge = lzma.compress(TEXT, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}])
    for made, codec in ((data, ZSTD), (huge, XZ)):
        with pytest.raises(DataError) as caught:
            stream(made, codec).read()
        assert caught.value.reason == "decompressed_size"
        assert str(caught.value) == (
            "x needs more than 128 MB of memory to be decompressed\nCompress it with the program's usual window, for zstd without --long."
        )


def test_what_comes_out_is_held_against_what_was_promised() -> None:
    right = Promise(len(TEXT), zlib.crc32(TEXT))
    assert ForwardReader(raw(deflate(TEXT), DEFLATE, promise=right)).read() == TEXT
    cases = [
        (Promise(len(TEXT), right.crc ^ 1), "x is damaged: its checksum is wrong"),
        (Promise(len(TEXT) + 1, right.crc), f"x is damaged: {len(TEXT):,} bytes came out of {len(TEXT) + 1:,}"),
        (Promise(10, right.crc), "x is damaged: more bytes come out than the 10 that its directory says"),
    ]
    for promise, message in cases:
        with pytest.raises(DataError) as caught:
            ForwardReader(raw(deflate(TEXT), DEFLATE, promise=promise)).read()
        assert (caught.value.reason, caught.value.message) == ("compression_invalid", message)


def test_closing_closes_what_is_beneath_and_a_closed_one_is_not_read() -> None:
    beneath = io.BytesIO(gzip.compress(TEXT))
    source = Decompressed(beneath, GZIP, "x", size=None, max_expansion=250)
    source.close()
    source.close()
    assert beneath.closed
    with pytest.raises(ValueError, match="read of a closed file"):
        source.readinto(bytearray(1))
