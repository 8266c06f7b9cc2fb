"""Lines are cut the same way however the stream comes, and a document that grew goes on where it stood."""

from __future__ import annotations

import tracemalloc
from io import BytesIO
from typing import BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core.errors import DataError
from ddpm_core.plugin import framing
from ddpm_core.plugin.framing import Frame, cut_blocks, cut_lines, read_whole
from ddpm_core.records import Document, Position
from ddpm_core.testing import dribble

Cut = tuple[list[tuple[bytes, int]], list[tuple[str, bytes | None, int | None]]]


def frames_of(data: bytes, *, at: int = 0, limit: int = 100, dribbled: bool = False, grown_from: bool = True) -> list[Frame]:
    stream = dribble(data) if dribbled else BytesIO(data)
    start = Position(0, {"resume": {"byte": at, "grows": grown_from}} if at else {})
    return list(cut_lines(Document("d", "d#1", cast(BinaryIO, stream), start), max_record_bytes=limit))


def cut(frames: list[Frame]) -> Cut:
    """All lines with their offsets, and all rejects."""
    lines: list[tuple[bytes, int]] = []
    rejects: list[tuple[str, bytes | None, int | None]] = []
    for frame in frames:
        for number, value in enumerate(frame.messages.values):
            at = frame.byte_offset(number)
            assert value is not None
            assert at is not None
            lines.append((value, at))
        rejects += [(reject.reason, reject.raw, reject.byte_offset) for reject in frame.rejects]
    return lines, rejects


def test_line_ends_blank_lines_and_a_byte_order_mark_are_no_part_of_records() -> None:
    assert cut(frames_of(b"\xef\xbb\xbfa\r\n\n \t\r\n b \nc")) == ([(b"a", 3), (b" b ", 11), (b"c", 15)], [])


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_a_document_without_records_has_no_frame(data: bytes) -> None:
    assert frames_of(data) == []


def test_a_byte_order_mark_within_the_document_is_kept() -> None:
    assert cut(frames_of(b"a\n\xef\xbb\xbfb\n"))[0] == [(b"a", 0), (b"\xef\xbb\xbfb", 2)]


def test_a_line_that_is_too_long_is_a_reject_between_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    for block in (4 << 20, 8, 4):
        monkeypatch.setattr(framing, "BLOCK_BYTES", block)
        frames = frames_of(b"a\n123456\n12345\r\nb\n1234567", limit=5)
        assert cut(frames) == (
            [(b"a", 0), (b"12345", 9), (b"b", 16)],
            [("too_large", b"12345", 2), ("too_large", b"12345", 18)],
        ), block
        assert [frame.rejects[0].message for frame in frames if frame.rejects] == [
            "the record has 7 bytes, more than the 5 allowed; only its beginning is kept",
            "the record has 7 bytes, more than the 5 allowed; only its beginning is kept",
        ]
        assert sum(frame.nbytes for frame in frames) == 25


LINE = st.sampled_from([b"", b" ", b"a", b"bb", b"ccc", b"dddddd", b"e" * 12, b"\xef\xbb\xbf", b"f\r", b"\r"])


@settings(max_examples=150, deadline=None)
@given(st.lists(LINE, max_size=12), st.booleans(), st.sampled_from([3, 4, 5, 16]), st.sampled_from([3, 6, 100]))
def test_every_block_size_and_every_resume_give_what_one_pass_gives(parts: list[bytes], end: bool, block: int, limit: int) -> None:
    data = b"\n".join(parts) + (b"\n" if end else b"")
    whole = cut(frames_of(data, limit=limit))
    expected = [line.removesuffix(b"\r") for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    assert [line for line, _ in whole[0]] == [line for line in expected if len(line) <= limit]
    assert [raw for _, raw, _ in whole[1]] == [line[:limit] for line in expected if len(line) > limit]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framing, "BLOCK_BYTES", block)
        frames = frames_of(data, limit=limit)
        assert cut(frames) == whole
        assert cut(frames_of(data, limit=limit, dribbled=True)) == whole
        for number, frame in enumerate(frames):
            assert frame.resume is not None
            rest = frames_of(data, at=frame.resume["byte"], limit=limit)
            assert cut(rest) == cut(frames[number + 1 :])


def test_records_are_numbered_on_from_the_start() -> None:
    document = Document("d", "d#1", BytesIO(b"a\nb\nc\n"), Position(7, {"resume": {"byte": 2}}))
    (frame,) = cut_lines(document, max_record_bytes=10)
    assert frame.messages.offsets == [7, 8]
    assert (frame.messages.first, frame.messages.next) == ({"d#1": Position(7)}, {"d#1": Position(9)})
    assert frame.resume == {"byte": 6, "grows": True}


def test_what_is_added_to_a_line_already_taken_is_no_record_of_its_own() -> None:
    begin = frames_of(b"a\nhal")
    assert cut(begin)[0] == [(b"a", 0), (b"hal", 2)]
    assert begin[-1].resume == {"byte": 5, "grows": True}
    frames = frames_of(b"a\nhalf\nb\n", at=5)
    assert cut(frames) == ([(b"b", 7)], [("line_continued", b"f", 5)])
    message = "the line was taken for complete when the document ended in it; this was added to it later"
    assert frames[0].rejects[0].message == message
    assert frames[0].resume == {"byte": 7, "grows": True}


def test_a_line_end_added_to_the_last_line_is_nothing() -> None:
    assert cut(frames_of(b"a\nb\nc\n", at=3)) == ([(b"c", 4)], [])


def test_a_block_holds_no_more_lines_than_asked_for() -> None:
    data = b"".join(b"%d\n" % number for number in range(1000)) + b"x" * 5000
    blocks = list(cut_blocks(BytesIO(data), 0, max_line_bytes=10_000, max_lines=7))
    assert max(block.newlines for block in blocks) <= 7
    assert b"".join(block.data for block in blocks) == data
    assert [block.start for block in blocks[1:]] == [block.end for block in blocks[:-1]]


class Endless:
    """So many bytes of one line, without holding them."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._piece = b"x" * framing.BLOCK_BYTES

    def read(self, size: int, /) -> bytes:
        got = self._piece[: min(size, self._left)]
        self._left -= len(got)
        return got


def test_memory_is_bounded_for_a_line_of_a_gigabyte() -> None:
    size = 1 << 30
    tracemalloc.start()
    try:
        (block,) = cut_blocks(Endless(size), 0, max_line_bytes=8 << 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (block.too_long, block.start, block.end, len(block.data)) == (True, 0, size, framing.KEPT_BYTES)
    assert peak < 48 << 20


def test_a_whole_document_is_one_payload() -> None:
    (frame,) = read_whole(Document("d", "d#1", cast(BinaryIO, dribble(b"a\nb\n" * 4))), max_record_bytes=16)
    assert (frame.messages.values, frame.resume, frame.byte_offset(0), frame.nbytes) == ([b"a\nb\n" * 4], None, 0, 16)
    assert list(read_whole(Document("d", "d#1", BytesIO(b"")), max_record_bytes=16)) == []


def test_a_whole_document_that_is_too_large_says_so() -> None:
    with pytest.raises(DataError) as caught:
        list(read_whole(Document("d.x", "d#1", BytesIO(b"12345")), max_record_bytes=4))
    assert str(caught.value) == "d.x is larger than 4 bytes and this format reads a document as one record"
    assert caught.value.reason == "too_large"
