"""The queue between the two threads: order, bytes in flight, and no thread left waiting."""

from __future__ import annotations

import threading
import time
from io import BytesIO

import pytest

from ddpm_core.engine.chunk import Chunk
from ddpm_core.engine.fifo import Claim, Closed, End, Fifo
from ddpm_core.records import Document, Parsed, Position


def piece(offset: int, nbytes: int, *, atomic: bool = False) -> Chunk:
    return Chunk(
        source=Document("a.json", "file:/a.json#1", BytesIO()),
        step=Parsed(None, 1, nbytes=nbytes),
        first={"file:/a.json#1": Position(offset)},
        next={"file:/a.json#1": Position(offset + 1)},
        atomic=atomic,
    )


def test_what_has_gathered_is_taken_together() -> None:
    fifo = Fifo(1000)
    pieces = [piece(n, 10) for n in range(3)]
    for one in pieces:
        fifo.put(one)
    assert fifo.take(1000) == pieces


def test_a_group_ends_where_it_would_be_too_large() -> None:
    fifo = Fifo(1000)
    pieces = [piece(n, 40) for n in range(3)]
    for one in pieces:
        fifo.put(one)
    assert fifo.take(80) == pieces[:2]
    assert fifo.take(80) == pieces[2:]


def test_a_chunk_larger_than_a_group_is_taken_alone() -> None:
    fifo = Fifo(1000)
    large = piece(0, 500)
    fifo.put(large)
    assert fifo.take(80) == [large]


def test_a_group_never_crosses_a_control_item() -> None:
    fifo = Fifo(1000)
    before, claim, after = piece(0, 1), Claim(["file:/b.json"]), piece(1, 1)
    for item in (before, claim, after):
        fifo.put(item)
    assert [fifo.take(1000) for _ in range(3)] == [[before], claim, [after]]


def test_chunks_of_an_atomic_document_are_taken_one_by_one() -> None:
    fifo = Fifo(1000)
    pieces = [piece(0, 1, atomic=True), piece(1, 1, atomic=True)]
    for one in pieces:
        fifo.put(one)
    assert [fifo.take(1000) for _ in range(2)] == [[pieces[0]], [pieces[1]]]


def test_what_may_join_a_group_is_taken_up_to_the_room_that_is_left() -> None:
    fifo = Fifo(1000)
    pieces = [piece(n, 40) for n in range(4)]
    for one in pieces:
        fifo.put(one)
    fifo.put(End())
    assert fifo.take(50) == pieces[:1]
    assert fifo.take_more(100, 0.0) == pieces[1:3]
    assert fifo.take_more(39, 0.0) == []
    assert fifo.take_more(40, 0.0) == pieces[3:]
    assert fifo.take_more(1000, 0.0) == []
    assert fifo.take(1000) == End()


def test_a_chunk_that_must_be_committed_alone_joins_no_group() -> None:
    fifo = Fifo(1000)
    alone = piece(0, 1, atomic=True)
    fifo.put(alone)
    assert fifo.take_more(1000, 0.0) == []
    assert fifo.take(1000) == [alone]


def test_a_group_waits_for_more_until_its_moment_or_until_the_other_side_has_gone() -> None:
    fifo = Fifo(1000)
    late = piece(0, 1)
    threading.Timer(0.01, fifo.put, [late]).start()
    assert fifo.take_more(1000, time.monotonic() + 60) == [late]
    assert fifo.take_more(1000, time.monotonic() + 0.01) == []
    threading.Timer(0.01, fifo.close).start()
    assert fifo.take_more(1000, time.monotonic() + 60) == []


def test_a_full_queue_holds_the_reader_until_bytes_are_released() -> None:
    fifo = Fifo(100)
    first, second = piece(0, 100), piece(1, 1)
    fifo.put(first)
    entered = threading.Event()

    def put() -> None:
        fifo.put(second)
        entered.set()

    thread = threading.Thread(target=put, daemon=True)
    thread.start()
    taken = fifo.take(1000)
    assert taken == [first]  # Taking is not enough: the bytes are in flight until they are committed.
    assert not entered.wait(0.05)
    fifo.release([first])
    assert entered.wait(60)
    thread.join(60)


def test_a_reader_that_waits_goes_on_when_more_is_allowed() -> None:
    fifo = Fifo(100)
    first, second = piece(0, 100), piece(1, 1)
    fifo.put(first)
    assert not fifo.offer(second, 0)
    waiting = threading.Thread(target=fifo.put, args=[second], daemon=True)
    waiting.start()
    fifo.allow(101)
    waiting.join(60)
    assert fifo.take(1000) == [first, second]


def test_less_may_be_allowed_than_is_in_flight() -> None:
    fifo = Fifo(1000)
    first, second = piece(0, 500), piece(1, 1)
    fifo.put(first)
    fifo.allow(100)
    assert not fifo.offer(second, 0)
    fifo.release(fifo.take(1000))
    assert fifo.offer(second, 0)


def test_control_items_pass_the_bound() -> None:
    fifo = Fifo(1)
    fifo.put(piece(0, 100))
    fifo.put(End())
    assert [type(fifo.take(1000)) for _ in range(2)] == [list, End]


def test_closing_wakes_both_sides() -> None:
    fifo = Fifo(1)
    fifo.put(piece(0, 100))
    outcome: list[str] = []

    def put() -> None:
        with pytest.raises(Closed):
            fifo.put(piece(1, 100))
        outcome.append("reader")

    thread = threading.Thread(target=put, daemon=True)
    thread.start()
    fifo.close()
    thread.join(60)
    with pytest.raises(Closed):
        fifo.take(1000)
    assert outcome == ["reader"]
