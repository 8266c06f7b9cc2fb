"""What the topic of positions holds, and the group's offsets: whatever is written is read again as it was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import FatalError, Position
from ddpm_kafka.positions import PARTITIONS, Kept, Owner
from ddpm_kafka.positions_group import offsets_of, topic_partition

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(
    st.text(),
    st.text(),
    st.dictionaries(
        st.text(), st.builds(Position, st.integers(0, 2**63), st.dictionaries(st.text(), JSON, max_size=3)), max_size=4
    ),
)
@settings(max_examples=60, deadline=None)
def test_positions_come_back_and_those_of_other_sinks_do_not(pipeline: str, target: str, positions: dict[str, Position]) -> None:
    written = Kept(pipeline, target).position_messages(positions)
    kept, other = Kept(pipeline, target), Kept(pipeline, target + "/2")
    for key, value in written:
        kept.take(key, value)
        other.take(key, value)
    assert kept.positions == positions
    assert other.positions == {}
    assert 0 <= kept.partition < PARTITIONS


def test_the_last_owner_owns_and_all_who_claimed_are_known_in_their_order() -> None:
    kept = Kept("p", "t")
    for owner in (Owner("a"), Owner("b", member=True)):
        for key, value in kept.owner_messages(["x"], owner):
            kept.take(key, value)
    assert kept.owners == {"x": Owner("b", member=True)}
    assert kept.claims == [("x", Owner("a")), ("x", Owner("b", member=True))]


def test_generations_are_those_of_just_this_partition() -> None:
    kept = Kept("p", "t")
    names = ["a", "a#1", "a#b#1", "ab#1", "a#b"]
    for key, value in kept.position_messages({name: Position(1) for name in names}):
        kept.take(key, value)
    assert set(kept.generations("a")) == {"a", "a#1", "a#b"}
    assert set(kept.generations("a#b")) == {"a#b", "a#b#1"}


@pytest.mark.parametrize(("key", "value"), [(None, b"{}"), (b"x", b"{}"), (b'["p","t","position","n"]', b"[]"), (b'["p"]', b"{}")])
def test_a_message_that_is_no_position_stops_the_run(key: Any, value: Any) -> None:
    with pytest.raises(FatalError) as caught:
        Kept("p", "t").take(key, value)
    assert str(caught.value) == (
        f"topic _ddpm_positions holds a message that is no position: {key!r}\nSomething else writes into it, or a newer ddpm does."
    )


def test_a_position_that_was_deleted_is_gone() -> None:
    kept = Kept("p", "t")
    for key, value in kept.position_messages({"a": Position(1)}):
        kept.take(key, value)
        kept.take(key, None)
    assert kept.positions == {}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("kafka:a.b/12", ("a.b", 12)),
        ("kafka:a/x", None),
        ("kafka:/1", None),
        ("file:/a/1", None),
        ("dead-letter:ab", None),
        ("kafka:a/²", None),
    ],
)
def test_partitions_of_the_source_are_known_by_their_names(name: str, found: tuple[str, int] | None) -> None:
    assert topic_partition(name) == found


def test_an_offset_holds_what_a_broker_takes() -> None:
    (one,) = offsets_of({"kafka:t/3": Position(7, {"rows": 2})})
    assert (one.topic, one.partition, one.offset, one.metadata) == ("t", 3, 7, '{"rows":2}')
    with pytest.raises(
        FatalError, match=r"^the position of kafka:t/3 has 5,009 bytes of detail, and Kafka keeps 4,096 with an offset$"
    ):
        offsets_of({"kafka:t/3": Position(7, {"x": "y" * 5001})})
