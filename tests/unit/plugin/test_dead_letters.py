"""Of a letter's several entries the same one counts, in whatever order they are found: the last thing that happened to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce

from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import DeadLetter, supersedes
from ddpm_core.testing.sink import dead_letter

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def history(events: list[str]) -> list[DeadLetter]:
    """A letter's entries as they are written: what is tried again is the one that counts, and none that was replayed is."""
    entries = [replace(dead_letter("a"), created_at=NOW)]
    for minute, event in enumerate(events, 1):
        at, last = NOW + timedelta(minutes=minute), entries[-1]
        if event == "set aside":
            entries.append(replace(entries[0], created_at=at))
        elif last.replayed_at is None and event == "fails":
            entries.append(replace(last, attempts=last.attempts + 1, reason=f"r{minute}"))
        elif last.replayed_at is None:
            entries.append(replace(last, replayed_at=at))
    return entries


@given(st.lists(st.sampled_from(["set aside", "fails", "lands"]), max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_the_last_thing_that_happened_counts_whatever_the_order(events: list[str], random) -> None:
    entries = history(events)
    found = [*entries, *random.choices(entries, k=len(entries))]  # A crash writes the same once more.
    random.shuffle(found)
    assert reduce(lambda known, entry: entry if supersedes(entry, known) else known, found) == entries[-1]


def test_what_was_set_aside_anew_after_it_was_replayed_is_open_again() -> None:
    first, _, replayed, anew = history(["fails", "lands", "set aside"])
    assert supersedes(anew, replayed)
    assert not supersedes(replayed, anew)
    assert not supersedes(first, replayed), "a note that comes late changes nothing"
