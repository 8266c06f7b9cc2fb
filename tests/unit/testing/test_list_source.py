"""The source made of lists, and its markers."""

from __future__ import annotations

import pytest

from ddpm_core import Assigned, Document, EndOfSource, Messages, Position, RetryableError, Rows, Skipped
from ddpm_core.testing import Call, Crash, ListDocument, ListRows, ListSource, Pause, PieceStream, SimulatedCrash, dribble


def started(source: ListSource, known: dict[str, Position] | None = None) -> ListSource:
    source.open()
    assert isinstance(source.read(0), Assigned)
    assert source.read(0) is None
    source.seek(known or {})
    return source


def test_a_crash_in_the_middle_of_a_document_happens_once() -> None:
    source = started(ListSource.of_documents({"a": [b"one\n", Crash(), b"two\n"]}))
    document = source.read(0)
    assert isinstance(document, Document)
    assert document.stream.read(100) == b"one\n"
    with pytest.raises(SimulatedCrash, match="the source crashed here"):
        document.stream.read(100)
    again = started(source, {"list:a#1": Position(1, {"resume": {"byte": 4}})}).read(0)
    assert isinstance(again, Document)
    assert (again.start.offset, again.note, again.size) == (1, "resumed at record 1", 8)
    again.stream.seek(4)
    assert again.stream.read(100) == b"two\n"


def test_a_finished_document_is_skipped_and_another_generation_is_new() -> None:
    known = {"list:a#1": Position(2, {"finished": True})}
    assert started(ListSource([ListDocument("a", b"x")]), known).read(0) == Skipped("a", "finished")
    document = started(ListSource([ListDocument("a", b"y", generation="2")]), known).read(0)
    assert isinstance(document, Document)
    assert (document.partition, document.start) == ("list:a#2", Position(0))


def test_messages_go_on_at_their_offset_and_stop_at_markers() -> None:
    calls: list[str] = []
    payloads = [b"a", b"b", None, Pause(), b"c", Call(lambda: calls.append("here")), b"d"]
    source = started(ListSource.of_messages(payloads, per_read=2), {"list/0": Position(1)})
    items = [source.read(0) for _ in range(6)]
    assert [item.values if isinstance(item, Messages) else item for item in items] == [
        [b"b", None], None, [b"c"], None, [b"d"], EndOfSource(),
    ]  # fmt: skip
    assert calls == ["here"]
    assert [item.offsets for item in items if isinstance(item, Messages)] == [[1, 2], [3], [4]]


def test_a_crash_between_messages_may_be_any_error() -> None:
    source = started(ListSource.of_messages([b"a", Crash(RetryableError("the broker is gone")), b"b"]))
    source.read(0)
    with pytest.raises(RetryableError, match="the broker is gone"):
        source.read(0)
    last = source.read(0)
    assert isinstance(last, Messages)
    assert last.values == [b"b"]


def test_an_endless_source_waits() -> None:
    source = started(ListSource.of_messages([], endless=True))
    assert [source.read(0) for _ in range(3)] == [None, None, None]


def test_a_seek_that_was_not_asked_for_is_a_bug_of_the_caller() -> None:
    source = ListSource.of_messages([b"a"])
    source.open()
    with pytest.raises(RuntimeError, match="seek was called although nothing was assigned"):
        source.seek({})


def test_a_stream_of_pieces_reads_and_seeks_like_a_file() -> None:
    data = bytes(range(50))
    stream = dribble(data, 7)
    assert b"".join(iter(lambda: stream.read(100), b"")) == data
    assert stream.taken == 50
    for at in (0, 6, 7, 8, 49, 50):
        assert stream.seek(at) == at == stream.tell()
        assert stream.readall() == data[at:]
    assert stream.seek(-3, 2) == 47
    assert stream.read(1) == data[47:48]


def test_a_stream_that_cannot_seek_says_so() -> None:
    stream = PieceStream([b"abc"], seekable=False)
    assert not stream.seekable()
    with pytest.raises(OSError, match="this stream cannot seek"):
        stream.seek(0)


def test_decoded_rows_come_in_steps_that_end_before_a_marker_and_go_on_behind_it() -> None:
    numbers = [{"n": n} for n in range(4)]
    source = ListSource([ListRows("a", [*numbers[:3], Crash(), numbers[3]])])
    rows = started(source).read(0)
    assert isinstance(rows, Rows)
    steps = rows.steps()
    seen = [next(steps), next(steps)]
    assert [step.data.to_pylist() for step in seen if step.data] == [numbers[:2], numbers[2:3]]
    with pytest.raises(SimulatedCrash, match="the source crashed here"):
        next(steps)
    again = started(source, {"list:a#1": Position(3, {"resume": seen[-1].resume})}).read(0)
    assert isinstance(again, Rows)
    assert (again.start.offset, again.note) == (3, "resumed at record 3")
    assert [step.data.to_pylist() for step in again.steps() if step.data] == [numbers[3:]]


def test_decoded_rows_of_one_transaction_always_start_at_the_beginning() -> None:
    source = ListSource([ListRows("a", [{"n": 1}], atomic=True), ListRows("b", [{"n": 2}])])
    known = {"list:a#1": Position(1), "list:b#1": Position(1, {"finished": True})}
    started(source, known)
    rows = source.read(0)
    assert isinstance(rows, Rows)
    assert (rows.atomic, rows.start) == (True, Position(0))
    assert source.read(0) == Skipped("b", "finished")
