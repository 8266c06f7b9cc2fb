"""What tells contents apart."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ddpm_files.content import EDGE_BYTES, Content


@contextmanager
def descriptor_of(path: Path, data: bytes) -> Iterator[int]:
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def content_of(path: Path, data: bytes) -> Content:
    with descriptor_of(path, data) as descriptor:
        return Content.of(descriptor, len(data))


def test_size_beginning_and_end_identify_a_content(tmp_path: Path) -> None:
    base = bytes(range(256)) * 1024
    one = content_of(tmp_path / "a", base)
    assert content_of(tmp_path / "b", base) == one
    assert "#" not in one.generation
    others = [base + b"x", b"x" + base[1:], base[:-1] + b"x", b""]
    assert len({one.generation, *(content_of(tmp_path / "c", other).generation for other in others)}) == 5


def test_the_identity_survives_the_way_through_a_position(tmp_path: Path) -> None:
    one = content_of(tmp_path / "a", b"abc")
    assert Content.recorded({**one.detail, "rows": 3}) == one


def test_a_detail_of_somebody_else_is_no_identity() -> None:
    for detail in (
        {},
        {"file": None},
        {"file": {}},
        {"file": {"size": "3", "head": "", "tail": ""}},
        {"file": {"size": -1, "head": "", "tail": ""}},
    ):
        assert Content.recorded(detail) is None


def test_a_longer_file_begins_with_a_content_only_when_both_edges_are_in_place(tmp_path: Path) -> None:
    for size in (1, 1000, EDGE_BYTES, EDGE_BYTES + 1, 3 * EDGE_BYTES):
        old = os.urandom(size)
        recorded = content_of(tmp_path / "old", old)
        with descriptor_of(tmp_path / "new", old + b"more") as descriptor:
            assert recorded.begins(descriptor, size + 4)
        with descriptor_of(tmp_path / "same", old) as descriptor:
            assert not recorded.begins(descriptor, size)
        for at in (0, size - 1):
            other = bytearray(old)
            other[at] ^= 1
            with descriptor_of(tmp_path / "other", bytes(other) + b"more") as descriptor:
                assert not recorded.begins(descriptor, size + 4)
