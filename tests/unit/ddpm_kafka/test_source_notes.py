"""What the group's offsets say beside where the group stands, whoever wrote it."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import Position
from ddpm_kafka.positions_group import offsets_of
from ddpm_kafka.source_notes import PARTITIONS, START, Note, note, read_note


@given(st.integers(0, 2**63 - 1), st.integers(1, 10_000))
@settings(max_examples=30, deadline=None)
def test_what_the_source_notes_is_read_again(offset: int, known: int) -> None:
    assert read_note(offset, note(known)) == Note(offset, known, offset)


@given(st.integers(0, 2**63 - 1), st.integers(1, 10_000), st.integers(0, 2**63 - 1))
@settings(max_examples=30, deadline=None)
def test_what_a_sink_keeps_with_its_positions_is_read_too(offset: int, known: int, start: int) -> None:
    (sent,) = offsets_of({"kafka:t/0": Position(offset, {"cluster": "c", PARTITIONS: known, START: start, "rows": 7})})
    assert read_note(sent.offset, sent.metadata) == Note(offset, known, start)


@given(st.none() | st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
@settings(max_examples=60, deadline=None)
def test_what_others_write_says_nothing_but_the_offset(metadata: str | None) -> None:
    assert read_note(5, metadata) == Note(5)


def test_what_only_looks_like_ours_says_nothing() -> None:
    for metadata in ("ddpm", "ddpm x", "ddpm 3 more", "ddpm -1", '{"partitions": "3", "start": true}', '{"partitions": 1.5}'):
        assert read_note(5, metadata) == Note(5)
