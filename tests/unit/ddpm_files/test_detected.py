"""Standard input and pipes say by their first bytes how they are compressed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import threading

import pytest
import zstandard

from ddpm_core import Assigned, BuildContext, DataError, Document, EndOfSource
from ddpm_files.detected import Detected
from ddpm_files.options import FilesOptions
from ddpm_files.source import build
from ddpm_files.streams import BUFFER_BYTES, ForwardReader, OneWay

DATA = b'{"id": 1}\n' * 100


class Slow(io.BytesIO):
    def readinto(self, buffer: object) -> int:
        return super().readinto(memoryview(buffer)[:1])  # type: ignore[arg-type]


def detected(data: bytes) -> ForwardReader:
    return ForwardReader(Detected(OneWay(Slow(data), "standard input", owned=False), "stdin", max_expansion=250), BUFFER_BYTES)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress, bz2.compress, lzma.compress, bytes])
def test_it_is_decompressed_or_left_as_it_is(pack: object) -> None:
    for data in (DATA, b"x", b"", b"BZh9", b"BZhorse\n"):
        if data or pack is not bytes:
            assert detected(pack(data)).read() == data  # type: ignore[operator]
    assert detected(b"").read() == b""


def test_an_archive_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        detected(b"PK\x03\x04" + DATA).read()
    assert caught.value.reason == "compression_unsupported"
    assert str(caught.value) == (
        "stdin is a zip archive, which is not read from a stream: its directory is at its end\n"
        "Save it to a file first; to take the bytes as they are, set the option compression to none."
    )


def through_a_pipe(data: bytes, compression: str) -> bytes:
    reader, writer = os.pipe()
    options = FilesOptions.model_validate({"paths": f"/dev/fd/{reader}", "compression": compression})

    def feed() -> None:
        os.write(writer, data)
        os.close(writer)

    feeding = threading.Thread(target=feed, daemon=True)
    feeding.start()
    source, got = build(options, BuildContext()), b""
    source.open()
    while not isinstance(item := source.read(0), EndOfSource):
        if isinstance(item, Assigned):
            source.seek({})
        if isinstance(item, Document):
            assert item.atomic
            got = item.stream.read()
    feeding.join(60)
    os.close(reader)
    return got


def test_the_option_says_it_for_pipes() -> None:
    packed = gzip.compress(DATA)
    assert through_a_pipe(packed, "auto") == through_a_pipe(packed, "gzip") == DATA
    assert through_a_pipe(packed, "none") == packed
