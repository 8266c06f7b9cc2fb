"""What is done with a file, for every state that a sink can know of its path."""

from __future__ import annotations

from typing import Any

from ddpm_core import Position
from ddpm_files.choice import Read, Skip, choose
from ddpm_files.content import Content

NOW = Content(2_000_000, "head", "tail")
OLD = Content(1_000_000, "head", "old-tail")
OLDER = Content(500_000, "head", "older-tail")
GROWS = {"byte": 7, "grows": True}


def at(content: Content, offset: int, *, rows: int | None = None, **more: Any) -> Position:
    return Position(offset, {**content.detail, **({} if rows is None else {"rows": rows}), **more})


def decide(known: dict[str, Position], *, again: bool = False, prefixes: tuple[Content, ...] = (OLD, OLDER)) -> Read | Skip:
    return choose(NOW, known, again=again, begins=lambda content: content in prefixes)


def test_a_path_that_nobody_knows_is_new() -> None:
    assert decide({}) == Read(NOW.generation, Position(0), "new")


def test_landed_content_is_skipped_and_the_note_says_how_to_force_it() -> None:
    known = {NOW.generation: at(NOW, 20_003, rows=20_000, finished=True)}
    assert decide(known) == Skip("already landed (20,000 rows); use --again to take it again")


def test_the_note_of_skipped_content_counts_one_row_as_one() -> None:
    known = {NOW.generation: at(NOW, 1, rows=1, finished=True)}
    assert decide(known) == Skip("already landed (1 row); use --again to take it again")


def test_interrupted_content_is_resumed_where_it_stands() -> None:
    position = at(NOW, 12_000, rows=11_990, resume={"byte": 99})
    for again in (False, True):
        assert decide({NOW.generation: position}, again=again) == Read(NOW.generation, position, "resumed at record 12,000")


def test_again_makes_a_second_taking_and_a_third() -> None:
    first = {NOW.generation: at(NOW, 5, finished=True)}
    assert decide(first, again=True) == Read(f"{NOW.generation}~2", Position(0), "taken again")
    second = {**first, f"{NOW.generation}~2": at(NOW, 5, finished=True)}
    assert decide(second, again=True) == Read(f"{NOW.generation}~3", Position(0), "taken again")
    assert decide(second) == Skip("already landed (5 rows); use --again to take it again")


def test_ten_takings_are_counted_as_numbers_not_as_text() -> None:
    known = {f"{NOW.generation}~{number}": at(NOW, 5, finished=True) for number in range(2, 11)}
    known[NOW.generation] = at(NOW, 5, finished=True)
    assert decide(known, again=True) == Read(f"{NOW.generation}~11", Position(0), "taken again")


def test_a_killed_second_taking_is_resumed_with_and_without_again() -> None:
    half = at(NOW, 3, resume={"byte": 9})
    known = {NOW.generation: at(NOW, 5, finished=True), f"{NOW.generation}~2": half}
    for again in (False, True):
        assert decide(known, again=again) == Read(f"{NOW.generation}~2", half, "resumed at record 3")


def test_a_file_that_grew_goes_on_where_it_ended() -> None:
    known = {OLD.generation: at(OLD, 9_000, rows=9_000, finished=True, resume=GROWS)}
    wanted = Read(
        NOW.generation,
        Position(9_000, {"resume": GROWS, "rows": 9_000}),
        "continued at record 9,000: the file grew from 1,000,000 to 2,000,000 bytes",
    )
    assert decide(known) == wanted
    assert decide(known, again=True) == wanted


def test_a_file_that_grew_while_it_was_half_read_goes_on_in_its_middle() -> None:
    known = {OLD.generation: at(OLD, 40, resume=GROWS)}
    assert decide(known) == Read(
        NOW.generation,
        Position(40, {"resume": GROWS}),
        "continued at record 40: the file grew from 1,000,000 to 2,000,000 bytes",
    )


def test_of_several_shorter_contents_the_longest_is_continued() -> None:
    known = {
        OLDER.generation: at(OLDER, 50, finished=True, resume=GROWS),
        OLD.generation: at(OLD, 100, finished=True, resume=GROWS),
    }
    for order in (known, dict(reversed(known.items()))):
        choice = decide(order)
        assert isinstance(choice, Read)
        assert choice.start.offset == 100
    choice = decide(known, prefixes=(OLDER,))
    assert isinstance(choice, Read)
    assert choice.start.offset == 50


def test_a_file_that_grew_in_its_second_taking_is_continued_from_that_one() -> None:
    known = {
        OLD.generation: at(OLD, 100, finished=True, resume=GROWS),
        f"{OLD.generation}~2": at(OLD, 30, resume=GROWS),
    }
    choice = decide(known)
    assert isinstance(choice, Read)
    assert choice.start.offset == 30


def test_what_cannot_be_continued_is_new() -> None:
    changed = Read(NOW.generation, Position(0), "new: the content at this path changed")
    no_growth = {OLD.generation: at(OLD, 100, finished=True, resume={"row_group": 1})}
    no_resume = {OLD.generation: at(OLD, 100, finished=True)}
    longer = Content(NOW.size + 1, "head", "x")
    was_longer = {longer.generation: at(longer, 100, finished=True, resume=GROWS)}
    other_detail = {"what": Position(4, {"file": "somebody else's", "resume": GROWS})}
    for known in (no_growth, no_resume, was_longer, other_detail):
        assert decide(known, prefixes=(OLD, OLDER, longer)) == changed
    rewritten = {OLD.generation: at(OLD, 100, finished=True, resume=GROWS)}
    assert decide(rewritten, prefixes=()) == changed
