"""What will be read can be looked at before it is known where to begin, where that costs little."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from ddpm_core import Assigned, BuildContext, DataError, Document, EndOfSource, Failed, Position, Positions, Skipped
from ddpm_files import opener
from ddpm_files.options import FilesOptions
from ddpm_files.source import FilesSource
from tests.open_files import open_files


def assigned(*paths: str | Path) -> FilesSource:
    """A source that has told its first partition, and waits for what is known of it."""
    source = FilesSource(FilesOptions(paths=tuple(map(str, paths))), BuildContext())
    source.open()
    assert isinstance(source.read(0), Assigned)
    return source


def looked_at(source: FilesSource) -> Document:
    upcoming = source.upcoming()
    assert upcoming is not None
    return upcoming


def read_after(source: FilesSource, known: Positions) -> Document:
    source.seek(known)
    document = source.read(0)
    assert isinstance(document, Document)
    return document


def test_a_plain_file_is_at_hand_before_its_positions_are_known(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"0123456789")
    source = assigned(path)
    upcoming = looked_at(source)
    assert (upcoming.name, upcoming.partition, upcoming.size) == (str(path), f"file:{path}", 10)
    assert (upcoming.start, upcoming.atomic, upcoming.stream.seekable()) == (Position(0), False, True)
    assert upcoming.stream.read(4) == b"0123"
    assert source.read(0) is None, "the positions are awaited all the same"
    document = read_after(source, {})
    assert document.stream is upcoming.stream
    assert document.stream.read() == b"456789"
    assert source.read(0) == EndOfSource()
    assert document.stream.closed


def test_a_file_that_was_not_looked_at_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"0123456789")
    source = assigned(path)
    assert read_after(source, {}).stream.read() == b"0123456789"
    source.close()


def test_each_large_file_of_several_is_at_hand_in_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opener, "SMALL_BYTES", 0)
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
    source = assigned(tmp_path / "a", tmp_path / "b")
    for name, after in (("a", Assigned([f"file:{tmp_path}/b"])), ("b", EndOfSource())):
        upcoming = looked_at(source)
        assert upcoming.stream.read() == name.encode()
        assert read_after(source, {}).stream is upcoming.stream
        assert source.read(0) == after
        assert upcoming.stream.closed
    assert source.upcoming() is None


def test_of_small_files_the_first_is_at_hand(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
    source = assigned(tmp_path / "a", tmp_path / "b")
    upcoming = looked_at(source)
    assert upcoming.name == str(tmp_path / "a")
    assert read_after(source, {}).stream is upcoming.stream
    following = source.read(0)
    assert isinstance(following, Document)
    assert (following.name, following.stream.read(), upcoming.stream.closed) == (str(tmp_path / "b"), b"b", True)


def test_nothing_is_at_hand_while_nothing_is_open(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"x")
    source = FilesSource(FilesOptions(paths=(str(path),)), BuildContext())
    assert source.upcoming() is None
    source.open()
    assert source.upcoming() is None
    assert isinstance(source.read(0), Assigned)
    source.close()
    assert source.upcoming() is None


def nothing_ahead(source: FilesSource, content: bytes) -> None:
    """It is not at hand before its turn, and whole then."""
    assert source.upcoming() is None
    assert read_after(source, {}).stream.read() == content
    source.close()


def test_a_compressed_file_is_not_unpacked_in_vain(tmp_path: Path) -> None:
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"0123456789"))
    nothing_ahead(assigned(tmp_path / "a.json.gz"), b"0123456789")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_member_of_an_archive_is_not_unpacked_in_vain(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("a.json", b"0123456789")
    nothing_ahead(assigned(tmp_path / "a.zip"), b"0123456789")


def test_what_can_be_read_only_once_is_not_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"from the shell")))
    nothing_ahead(assigned("-"), b"from the shell")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDWR)
    try:
        os.write(descriptor, b"through a pipe")
        source = assigned(pipe)
    finally:
        os.close(descriptor)
    nothing_ahead(source, b"through a pipe")


def test_a_file_that_was_looked_at_and_is_skipped_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"0123456789")
    before = open_files()
    source = assigned(path)
    document = read_after(source, {})
    assert source.read(0) == EndOfSource()
    finished = {document.partition: Position(10, {**document.detail, "rows": 10, "finished": True})}
    source = assigned(path)
    upcoming = looked_at(source)
    assert upcoming.stream.read(1) == b"0"
    source.seek(finished)
    assert source.read(0) == Skipped(str(path), "already landed (10 rows); use --again to take it again")
    assert upcoming.stream.closed
    assert source.upcoming() is None
    assert open_files() == before
    assert source.read(0) == EndOfSource()


def test_a_file_that_was_looked_at_is_closed_with_its_source(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"x")
    before = open_files()
    source = assigned(path)
    upcoming = looked_at(source)
    source.close()
    assert upcoming.stream.closed
    assert open_files() == before


def test_a_file_rewritten_after_it_was_looked_at_is_read_as_it_is_now(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"0123456789")
    before = open_files()
    source = assigned(path)
    upcoming = looked_at(source)
    upcoming.stream.read()
    path.write_bytes(b"abcdefghij")
    document = read_after(source, {})
    assert (document.stream.read(), upcoming.stream.closed) == (b"abcdefghij", True)
    assert source.read(0) == EndOfSource()
    assert open_files() == before


def test_a_file_rewritten_while_it_is_read_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"0123456789")
    source = assigned(path)
    document = read_after(source, {})
    assert document.stream.read(3) == b"012"
    path.write_bytes(b"abcdefghij")
    failed = source.read(0)
    assert isinstance(failed, Failed)
    assert str(failed.error) == (
        f"{path} was changed while it was read: what landed of it may be a mixture of its old and new content\n"
        "Run again once nothing writes to it; files that are only appended to are safe to read at any time."
    )
    source.close()


def test_a_file_that_was_cut_while_it_was_looked_at_and_written_anew_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"x" * 100_000)
    source = assigned(path)
    upcoming = looked_at(source)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="changed"):
        upcoming.stream.read()
    path.write_bytes(b"y" * 100_000)
    upcoming.stream.seek(0)
    assert read_after(source, {}).stream.read() == b"y" * 100_000
    assert isinstance(source.read(0), Failed)
