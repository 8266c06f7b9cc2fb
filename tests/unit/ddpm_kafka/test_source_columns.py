"""Messages of the client as columns: equal to what a loop over them gives, whatever they are."""

from __future__ import annotations

from typing import Any

from confluent_kafka import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import Position
from ddpm_kafka.source_columns import BYTES, COUNT, Portions, columns, only_moved

DETAIL = {"cluster": "c"}
Rest = tuple[int, int, bytes | None, bytes | None]
"""Partition, offsets left out before it, value, key."""

RESTS: st.SearchStrategy[list[Rest]] = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.none() | st.binary(max_size=5), st.none() | st.binary(max_size=3)),
    min_size=1,
    max_size=30,
)


def messages(rests: list[Rest], topics: int) -> list[Message]:
    """Offsets grow in each partition, with gaps, as those of compacted topics and of transactions do."""
    reached: dict[tuple[str, int], int] = {}
    made = []
    for number, (partition, gap, value, key) in enumerate(rests):
        place = (f"t{number % topics}", partition)
        offset = reached.get(place, 0) + gap
        reached[place] = offset + 1
        headers = [("h", value)] if value else None
        made.append(
            Message(
                topic=place[0], partition=partition, offset=offset, key=key, value=value, headers=headers, timestamp=(1, number)
            )
        )
    return made


@given(RESTS, st.integers(1, 2), st.booleans())
@settings(max_examples=150, deadline=None)
def test_columns_are_what_the_messages_are(rests: list[Rest], topics: int, everything: bool) -> None:
    polled = messages(rests, topics)
    by_number = {n: f"kafka:t0/{n}" for n in range(3)}
    names: Any = by_number if topics == 1 else {(f"t{t}", n): f"kafka:t{t}/{n}" for t in range(topics) for n in range(3)}
    details = {f"kafka:t{t}/{n}": DETAIL for t in range(topics) for n in range(3)}
    reached = dict.fromkeys(details, 0)
    found = columns(polled, names, reached, details, ("key", "headers", "timestamp") if everything else (), {})
    assert found is not None
    assert found.values == [m.value() for m in polled]
    assert found.partitions == [f"kafka:{m.topic()}/{m.partition()}" for m in polled]
    assert found.offsets == [m.offset() for m in polled]
    last = {f"kafka:{m.topic()}/{m.partition()}": (m.offset() or 0) + 1 for m in polled}
    assert found.first == {name: Position(0, DETAIL) for name in last}
    assert found.next == {name: Position(at, DETAIL) for name, at in last.items()}
    assert {name: at for name, at in reached.items() if at} == last
    if everything:
        assert (found.keys, found.headers) == ([m.key() for m in polled], [m.headers() for m in polled])
        assert found.timestamps == list(range(len(polled)))
    else:
        assert (found.keys, found.headers, found.timestamps) == (None, None, None)
    keys = found.keys or []
    assert found.nbytes == sum(len(value or b"") for value in (*found.values, *keys))


@given(RESTS, st.integers(0, 40))
@settings(max_examples=150, deadline=None)
def test_what_is_beyond_the_end_is_left_out_and_the_end_is_reached(rests: list[Rest], end: int) -> None:
    polled = messages(rests, 1)
    names = {n: f"kafka:t0/{n}" for n in range(3)}
    until = dict.fromkeys(names.values(), end)
    reached = dict.fromkeys(names.values(), 0)
    found = columns(polled, names, reached, dict.fromkeys(names.values(), DETAIL), (), until)
    wanted = [m for m in polled if (m.offset() or 0) < end]
    assert ([] if found is None else found.offsets) == [m.offset() for m in wanted]
    for number, name in names.items():
        offsets = [m.offset() or 0 for m in polled if m.partition() == number]
        assert reached[name] == (min(max(offsets) + 1, end) if offsets else 0)


def test_markers_behind_the_last_message_move_positions_once_and_never_back() -> None:
    reached = {"a": 5, "b": 9}
    details = {"a": DETAIL, "b": DETAIL}
    found = only_moved({"a": 7, "b": 9, "gone": 3}, reached, details)
    assert found is not None
    assert (len(found), found.first, found.next) == (0, {"a": Position(5, DETAIL)}, {"a": Position(7, DETAIL)})
    assert reached == {"a": 7, "b": 9}
    assert only_moved({"a": 7, "b": 2}, reached, details) is None


def test_a_read_holds_about_eight_megabytes_whatever_the_size_of_messages() -> None:
    portions = Portions()
    for size, count in ((100, COUNT), (100_000, BYTES // 100_000), (50 << 20, 1)):
        for _ in range(10):
            portions.saw(portions.count, portions.count * size)
        assert portions.count == count
    portions.saw(1, 0)
    assert portions.count == 8
