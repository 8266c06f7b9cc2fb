"""Rows with one cursor value are never cut apart, and nothing is held longer than it must be."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_sql.cursor_ties import Ties
from tests.examples import examples


@given(st.lists(st.integers(0, 4), max_size=40).map(sorted), st.lists(st.integers(1, 7), min_size=1, max_size=5))
@settings(max_examples=examples(300), deadline=None)
def test_a_cut_is_always_between_two_values(values: list[int], sizes: list[int]) -> None:
    ties, pending, done, at = Ties(), [], [], 0
    while at < len(values):
        piece = values[at : at + sizes[at % len(sizes)]]
        at += len(piece)
        complete = ties.complete(piece)
        pending += piece
        done += pending[:complete]
        del pending[:complete]
        assert ties.held == len(pending)
        assert not set(done) & set(pending), "a value was cut apart"
        assert len(set(pending)) == 1, "only the rows of the last value are held"
    assert done + pending == values


def test_nothing_new_completes_nothing() -> None:
    assert Ties().complete([]) == 0
