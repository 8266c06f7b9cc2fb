"""The streams behave like files, and say so when the file beneath does not."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import DataError, FatalError
from ddpm_files.streams import FileWindow, OneWay, buffered

DATA = bytes(range(256)) * 1024


def window(path: Path, size: int) -> io.BufferedReader:
    return buffered(FileWindow(os.open(path, os.O_RDONLY), size, "data.json"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "data.json"
    file.write_bytes(DATA)
    return file


def test_what_is_appended_meanwhile_is_not_seen(path: Path) -> None:
    with window(path, len(DATA)) as stream:
        with path.open("ab") as more:
            more.write(b"more")
        assert stream.read() == DATA
        assert stream.read(1) == b""


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-1, 300_000)),
        st.tuples(st.just("readline"), st.just(0)),
        st.tuples(st.just("set"), st.integers(0, 300_000)),
        st.tuples(st.just("end"), st.integers(-200_000, 50)),
        st.tuples(st.just("cur"), st.integers(0, 70_000)),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(OPERATIONS, st.integers(0, len(DATA)))
def test_it_reads_and_seeks_like_a_file_of_that_size(operations: list[tuple[str, int]], size: int) -> None:
    descriptor = os.memfd_create("data")
    os.write(descriptor, DATA)
    plain = io.BytesIO(DATA[:size])
    with buffered(FileWindow(descriptor, size, "data")) as stream:
        for operation, value in operations:
            if operation == "read":
                assert stream.read(value) == plain.read(value)
            elif operation == "readline":
                assert stream.readline() == plain.readline()
            else:
                whence = {"set": os.SEEK_SET, "end": os.SEEK_END, "cur": os.SEEK_CUR}[operation]
                offset = max(value, -size) if whence == os.SEEK_END else value
                assert stream.seek(offset, whence) == plain.seek(offset, whence)
            assert stream.tell() == plain.tell()


def test_a_file_that_became_shorter_is_an_error_not_an_early_end(path: Path) -> None:
    with window(path, len(DATA)) as stream:
        os.truncate(path, 100)
        with pytest.raises(DataError) as caught:
            stream.read()
    assert caught.value.reason == "changed"
    assert str(caught.value) == (
        "data.json was changed while it was read: what landed of it may be a mixture of its old and new content\n"
        "Run again once nothing writes to it; files that are only appended to are safe to read at any time."
    )


def test_a_disk_that_fails_is_not_bad_data(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> int:
        raise OSError(5, "Input/output error")

    with window(path, len(DATA)) as stream:
        monkeypatch.setattr(os, "preadv", fails)
        with pytest.raises(FatalError) as caught:
            stream.read(10)
    assert str(caught.value) == "data.json cannot be read: input/output error"


def test_seeking_before_the_beginning_is_refused_and_closing_twice_is_not(path: Path) -> None:
    raw = FileWindow(os.open(path, os.O_RDONLY), 10, "x")
    with pytest.raises(ValueError, match="cannot seek to byte -1"):
        raw.seek(-1)
    raw.close()
    raw.close()
    with pytest.raises(ValueError, match="read of a closed file"):
        raw.readinto(bytearray(1))


def test_a_one_way_stream_never_seeks_even_over_a_file(path: Path) -> None:
    with path.open("rb") as beneath:
        beneath.read(3)
        stream = buffered(OneWay(beneath, "standard input", owned=False))
        assert not stream.seekable()
        assert stream.read(5) == DATA[3:8]
        assert stream.read() == DATA[8:]
        stream.close()
        assert not beneath.closed


def test_a_one_way_stream_that_fails_says_whose_it_is() -> None:
    class Broken(io.RawIOBase):
        def readinto(self, buffer: object) -> int:
            raise OSError(5, "Input/output error")

    with pytest.raises(FatalError) as caught:
        buffered(OneWay(Broken(), "standard input", owned=False)).read(1)  # type: ignore[arg-type]
    assert str(caught.value) == "standard input cannot be read: input/output error"
