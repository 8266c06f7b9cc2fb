"""A file read by ranges behaves like any other, in pieces that are bounded, each fetched once on the way forward."""

from __future__ import annotations

import io
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import FatalError
from ddpm_files.remote_file import FIRST_BYTES, MOST_BYTES, RemoteFile

DATA = os.urandom(6 << 20) * 3


class Fetched:
    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []
        self.fails_from = len(DATA) + 1

    def __call__(self, start: int, end: int) -> bytes:
        assert 0 <= start < end <= len(DATA)
        self.ranges.append((start, end))
        if end >= self.fails_from:
            raise FatalError("the server is gone")
        return DATA[start:end]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["read", "set", "cur", "end"]), st.integers(0, 7 << 20)),
        max_size=8,
    )
)
def test_it_reads_and_seeks_like_a_file(operations: list[tuple[str, int]]) -> None:
    plain = io.BytesIO(DATA)
    with io.BufferedReader(RemoteFile(Fetched(), len(DATA)), 1 << 16) as stream:
        for operation, value in operations:
            if operation == "read":
                assert stream.read(value) == plain.read(value)
            else:
                whence = {"set": os.SEEK_SET, "cur": os.SEEK_CUR, "end": os.SEEK_END}[operation]
                offset = -value if operation == "end" else value
                assert stream.seek(offset, whence) == plain.seek(offset, whence)
            assert stream.tell() == plain.tell()


def test_on_the_way_forward_each_byte_is_fetched_once_in_growing_pieces() -> None:
    fetched = Fetched()
    with RemoteFile(fetched, len(DATA)) as file:
        got = b"".join(iter(lambda: file.read(100_000), b""))
    assert got == DATA
    ranges = sorted(fetched.ranges)
    assert ranges[0] == (0, FIRST_BYTES)
    assert [end for _, end in ranges[:-1]] == [start for start, _ in ranges[1:]]
    assert max(end - start for start, end in ranges) == MOST_BYTES
    assert len(ranges) < 12


def test_a_look_here_and_there_fetches_little() -> None:
    fetched = Fetched()
    with RemoteFile(fetched, len(DATA)) as file:
        for at in (len(DATA) - 8, 10 << 20, 0, 5 << 20):
            file.seek(at)
            assert file.read(8) == DATA[at : at + 8]
    assert sum(end - start for start, end in fetched.ranges) <= 4 * FIRST_BYTES


def test_an_error_of_the_piece_ahead_comes_when_that_piece_is_wanted() -> None:
    fetched = Fetched()
    fetched.fails_from = 4 << 20
    with RemoteFile(fetched, len(DATA)) as file:
        assert len(file.read(FIRST_BYTES)) == FIRST_BYTES
        with pytest.raises(FatalError, match="the server is gone"):
            b"".join(iter(lambda: file.read(100_000), b""))
        assert 1 << 20 < file.tell() < 4 << 20


def test_no_thread_outlives_it() -> None:
    file = RemoteFile(Fetched(), len(DATA))
    file.read(FIRST_BYTES)
    file.read(FIRST_BYTES)
    file.close()
    file.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "ddpm-read-ahead"]
    with pytest.raises(ValueError, match="read of a closed file"):
        file.read(1)
    with pytest.raises(ValueError, match="cannot seek to byte -1"):
        RemoteFile(Fetched(), 1).seek(-1)
