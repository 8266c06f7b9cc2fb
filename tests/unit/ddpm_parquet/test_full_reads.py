"""A short read of a stream is not taken for its end."""

from __future__ import annotations

import io

from ddpm_parquet.full_reads import FullReads


class Dribbling(io.BytesIO):
    """Gives at most three bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(3 if size is None or size < 0 else min(size, 3))


def test_all_bytes_asked_for_come_at_once() -> None:
    beneath = Dribbling(bytes(range(100)))
    stream = FullReads(beneath)
    assert stream.read(10) == bytes(range(10))
    assert stream.seek(50) == 50
    assert stream.read(2) == bytes([50, 51])
    assert stream.tell() == 52
    assert stream.read() == bytes(range(52, 100))
    assert stream.read(5) == b""
    assert stream.seek(-4, io.SEEK_END) == 96
    assert stream.read(10) == bytes(range(96, 100))


def test_closing_it_leaves_the_stream_beneath_open() -> None:
    beneath = io.BytesIO(b"x")
    with FullReads(beneath) as stream:
        assert stream.seekable()
        assert stream.readable()
    assert not beneath.closed
