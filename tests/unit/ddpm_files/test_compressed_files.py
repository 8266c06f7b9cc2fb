"""Compressed files land once, go on where they stood, and may grow by what is appended to them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import Assigned, BuildContext, Document, EndOfSource, Failed, Item, Position, Positions, Skipped
from ddpm_files.options import FilesOptions
from ddpm_files.source import build
from tests.examples import examples

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def read_once(path: Path, known: Positions, *, upto: int | None = None, **options: object) -> tuple[str, bytes]:
    """One run: its note or error, and the bytes that landed. One record for each byte, as a parser that resumes does."""
    source = build(FilesOptions.model_validate({"paths": str(path), **options}), BuildContext())
    source.open()
    note, got = "", b""
    item: Item | None = None
    while not isinstance(item, EndOfSource):
        item = source.read(0)
        if isinstance(item, Assigned):
            source.seek(known)
        elif isinstance(item, Document):
            assert item.size is None
            at = item.start.offset
            item.stream.seek(at)
            got = item.stream.read() if upto is None else item.stream.read(upto)
            detail = {**item.detail, "resume": {"byte": at, "grows": True}, "rows": at + len(got), "finished": upto is None}
            note, known[item.partition] = item.note, Position(at + len(got), detail)
        elif isinstance(item, Skipped):
            note = item.note
        elif isinstance(item, Failed):
            note = str(item.error)
    source.close()
    return note, got


@settings(max_examples=examples(30), deadline=None)
@given(st.sampled_from(list(PACKERS)), st.integers(0, 2**32), st.lists(st.integers(1, 90_000), min_size=1, max_size=4), st.data())
def test_however_a_file_grows_and_runs_are_killed_every_byte_lands_once(
    suffix: str, seed: int, sizes: list[int], data: st.DataObject
) -> None:
    parts = [random.Random(seed + number).randbytes(size) for number, size in enumerate(sizes)]
    known: Positions = {}
    landed = b""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.json{suffix}"
        for part in parts:
            with path.open("ab") as file:
                file.write(PACKERS[suffix](part))
            kill_after = data.draw(st.one_of(st.none(), st.integers(1, 90_000)))
            landed += read_once(path, known, upto=kill_after)[1]
        landed += read_once(path, known)[1]
        assert landed == b"".join(parts)
        assert read_once(path, known)[1] == b""


def test_notes_speak_of_the_compressed_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json.GZ"
    first, second = gzip.compress(bytes(1_000), mtime=0), gzip.compress(b"x" * 10, mtime=0)
    path.write_bytes(first)
    known: Positions = {}
    assert read_once(path, known) == ("new", bytes(1_000))
    path.write_bytes(first + second)
    grew = f"the file grew from {len(first)} to {len(first + second)} bytes"
    assert read_once(path, known) == (f"continued at record 1,000: {grew}", b"x" * 10)
    path.write_bytes(gzip.compress(b"y", mtime=0))
    assert read_once(path, known) == ("new: the content at this path changed", b"y")


@pytest.mark.parametrize("suffix", PACKERS)
def test_the_option_says_how_all_are_compressed(tmp_path: Path, suffix: str) -> None:
    name = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}[suffix]
    path, packed = tmp_path / "a.json", PACKERS[suffix](b"some text")
    path.write_bytes(packed)
    assert read_once(path, {}, compression=name)[1] == b"some text"
    (tmp_path / f"plain{suffix}").write_bytes(b"some text")
    source = build(FilesOptions(paths=(str(tmp_path / f"plain{suffix}"),), compression="none"), BuildContext())
    source.open()
    source.read(0)
    source.seek({})
    document = source.read(0)
    assert isinstance(document, Document)
    assert (document.stream.read(), document.size) == (b"some text", 9)
    source.close()


def test_a_reader_of_footers_gets_a_copy_that_can_seek(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet.zst"
    path.write_bytes(PACKERS[".zst"](b"0123456789"))
    source = build(FilesOptions(paths=(str(path),)), BuildContext())
    source.open()
    source.read(0)
    source.seek({})
    document = source.read(0)
    assert isinstance(document, Document)
    with document.seekable() as stream:
        assert stream is not document.stream
        stream.seek(-3, 2)
        assert stream.read() == b"789"
    source.close()
