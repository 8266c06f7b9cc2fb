"""Dead letters as messages, and which of a topic nobody needs any more."""

from __future__ import annotations

from datetime import UTC

from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import DeadLetter
from ddpm_kafka.letters import first_needed
from ddpm_kafka.letters_message import headers_of, id_of, key_of, letter_of, purge_headers
from ddpm_kafka.letters_scan import Places

TEXTS = st.text(st.characters(exclude_categories=()), max_size=8)
TIMES = st.datetimes(timezones=st.just(UTC))
LETTERS = st.builds(
    DeadLetter,
    **dict.fromkeys(("pipeline", "source", "partition", "stage", "reason", "message", "plugin", "plugin_version", "sink"), TEXTS),
    id=st.text("abc/0", min_size=1),
    target=TEXTS,
    format=TEXTS,
    offset=st.integers(0, 2**63),
    byte_offset=st.none() | st.integers(0),
    payload=st.binary(max_size=20),
    payload_kind=st.sampled_from(["bytes", "arrow"]),
    view=st.none() | TEXTS,
    attempts=st.integers(1, 9),
    created_at=TIMES,
    key=st.none() | st.binary(max_size=4),
    headers=st.none()
    | st.lists(st.tuples(st.sampled_from(["a", "ddpm.id", "ddpm.header.x", "", "Ä"]), st.binary(max_size=4)), max_size=3).map(
        tuple
    ),
    timestamp=st.none() | st.integers(0),
    replayed_at=st.none() | TIMES,
)


@given(LETTERS)
@settings(max_examples=150, deadline=None)
def test_a_letter_comes_back_as_it_was(letter: DeadLetter) -> None:
    headers = headers_of(letter)
    found = letter_of(key_of(letter), letter.payload, headers)
    assert found == letter
    assert found is not None
    assert found.target == letter.target
    assert id_of(headers) == (letter.id, False)


def test_other_messages_are_no_letters() -> None:
    assert id_of(None) is None
    assert id_of([("a", b"b")]) is None
    assert id_of(purge_headers("x")) == ("x", True)
    assert letter_of(None, b"", [("ddpm.id", b"x"), ("ddpm.offset", b"y")]) is None


def test_needed_is_what_stays_and_all_behind_it() -> None:
    places = Places({"a": [(0, 0)], "b": [(0, 1), (0, 4)], "c": [(1, 5)], "d": [(0, 2)]}, {"a": [(0, 3)], "b": [(0, 3)]})
    spans = {0: (0, 9), 1: (5, 7), 2: (0, 0)}
    assert first_needed(places, set(), spans) == {0: 1, 1: 5, 2: 0}
    assert first_needed(places, {"b", "d"}, spans) == {0: 9, 1: 5, 2: 0}
    assert first_needed(places, {"a", "b", "c", "d"}, spans) == {0: 9, 1: 7, 2: 0}
