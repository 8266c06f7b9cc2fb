"""Where a value ends, however its text is cut and however fast it is passed over."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ddpm_core import BLOCK_BYTES, BuildContext, DataError, Document
from ddpm_json import parser, scanner
from ddpm_json.options import JsonOptions
from ddpm_json.scanner import Layout, ValueEnd, left_open
from tests.examples import examples

TEXT = st.lists(st.sampled_from(list('[]{}",\\ a')), max_size=60).map(lambda parts: "".join(parts).encode())


def brackets_left(text: bytes) -> list[int]:
    """What is open at the end of a text, the plainest way."""
    left: list[int] = []
    escaped = False
    for byte in text:
        within = bool(left) and left[-1] == ord('"')
        if escaped or byte == ord("\\"):
            escaped = not escaped
        elif byte == ord('"'):
            left = left[:-1] if within else [*left, byte]
        elif not within and byte in b"[{":
            left.append(byte)
        elif not within and byte in b"]}" and left:
            left.pop()
    return left


def end_of(text: bytes, layout: Layout) -> int:
    """Where the value ends, the plainest way."""
    for at, byte in enumerate(text):
        before, after = brackets_left(text[:at]), brackets_left(text[: at + 1])
        escaped = (at - len(text[:at].rstrip(b"\\"))) % 2 == 1
        if layout == "array" and not before and not escaped and byte in b",]":
            return at
        if layout == "objects" and len(before) == 1 and not after and byte in b"]}":
            return at + 1
    return -1


@settings(max_examples=examples(400), deadline=None)
@given(TEXT, st.sampled_from(["array", "objects"]), st.lists(st.integers(0, 60), max_size=3), st.integers(1, 4), st.integers(1, 12))
@example(b'[[[["]]]]"]]]]', "objects", [], 1, 5)
@example(b'[[["\\"]]]\\\\"]]]', "objects", [5], 1, 4)
@example(b"[[[][]]],", "array", [], 1, 6)
def test_a_value_ends_at_the_same_place_however_it_is_read(
    text: bytes, layout: Layout, cuts: list[int], near: int, far: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(scanner, "_NEAR", near)
        patched.setattr(scanner, "_FAR", far)
        end, found, begin = ValueEnd(layout), -1, 0
        for stop in (*sorted(min(cut, len(text)) for cut in cuts), len(text)):
            found = end.feed(text[begin:stop])
            if found >= 0:
                found += begin
                break
            begin = stop
    assert found == end_of(text, layout)


@settings(max_examples=examples(200), deadline=None)
@given(TEXT, st.integers(1, 12))
def test_what_a_line_leaves_open_is_known(text: bytes, far: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(scanner, "_FAR", far)
        assert left_open(text) == bytes(brackets_left(text)[-1:])


@pytest.mark.parametrize("opening", [b"[", b'[{"a":', b"[[[[[[[[]", b'[{"a":"'])
def test_each_byte_of_a_record_that_does_not_end_is_searched_once(opening: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    searched = 0

    def counted(self: ValueEnd, piece: bytes, at: int = 0) -> int:
        nonlocal searched
        searched += len(piece) - at
        return feed(self, piece, at)

    feed = ValueEnd.feed
    monkeypatch.setattr(ValueEnd, "feed", counted)
    data = b"[" + opening * (4 * BLOCK_BYTES // len(opening))
    for limit in (16 << 20, BLOCK_BYTES):  # Below the limit, and beyond.
        searched = 0
        document = Document("d", "d#1", BytesIO(data))
        with pytest.raises(DataError) as caught:
            list(parser.build(JsonOptions(max_record_bytes=limit), BuildContext()).parse_document(document))
        assert caught.value.message == "d is cut off: it ends within a record, at byte 1"
        assert searched == len(data) - 1


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_record_nested_a_million_deep_is_set_aside_and_its_neighbours_land(opening: bytes, closing: bytes) -> None:
    deep = b'{"id":' + opening * 1_000_000 + b"1" + closing * 1_000_000 + b"}"
    for before, between, after in ((b"", b"\n", b"\n"), (b"[", b",", b"]")):
        data = before + between.join([b'{"id":1}', deep, b'{"id":2}']) + after
        steps = list(parser.build(JsonOptions(), BuildContext()).parse_document(Document("d", "d#1", BytesIO(data))))
        rejects = [(reject.reason, reject.message) for step in steps for reject in step.rejects]
        assert rejects == [("json_depth", "objects and arrays are nested more than 128 deep")]
        assert [row["id"] for step in steps if step.data for row in step.data.to_pylist()] == [1, 2]
