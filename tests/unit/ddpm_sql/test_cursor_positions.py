"""Where a run begins, given what the sinks know of the query."""

from __future__ import annotations

from typing import Any

import pytest

from ddpm_core import ConfigError, Position
from ddpm_sql.cursor import Mark
from ddpm_sql.cursor_positions import go_on, resume, take_all

MARK = Mark(("id",), (7,))


def at(offset: int, *, end: bool, mark: Mark = MARK) -> Position:
    return Position(offset, {"resume": resume(mark, end=end), "rows": offset})


def going(known: dict[str, Position], *, again: bool = False, cursor: tuple[str, ...] = ("id",)) -> tuple[Any, ...]:
    found = go_on("sql:x", known, cursor, again=again, name="orders")
    return found.generation, found.note, found.start.offset, found.mark


def test_what_nobody_knows_is_new() -> None:
    assert going({}) == ("1", "new", 0, None)
    assert going({}, again=True) == ("1", "new", 0, None)
    assert going({"sql:xy#1": at(3, end=True)}) == ("1", "new", 0, None)


def test_a_run_goes_on_behind_the_last_mark() -> None:
    assert going({"sql:x#1": at(3, end=True)}) == ("1", "continued behind id = 7", 3, MARK)
    assert going({"sql:x#1": at(3, end=False)}) == ("1", "resumed behind id = 7", 3, MARK)
    assert going({"sql:x#1": at(3, end=True)}, cursor=("id", "at")) == ("1", "continued behind id = 7", 3, MARK)


def test_the_latest_taking_counts() -> None:
    known = {"sql:x#9": at(9, end=True), "sql:x#10": at(3, end=True), "sql:x#all~11": Position(5, {"finished": True})}
    assert going(known) == ("10", "continued behind id = 7", 3, MARK)


def test_again_begins_anew_but_an_interrupted_taking_is_resumed() -> None:
    assert going({"sql:x#1": at(3, end=True)}, again=True) == ("2", "taken again", 0, None)
    assert going({"sql:x#1": at(9, end=True), "sql:x#2": at(3, end=False)}, again=True) == ("2", "resumed behind id = 7", 3, MARK)


def test_a_query_that_had_no_rows_yet_is_new() -> None:
    assert going({"sql:x#1": Position(0, {"rows": 0})}) == ("1", "new", 0, None)


def test_another_cursor_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"orders has been read by the cursor id, and now source\.cursor is at"):
        going({"sql:x#1": at(3, end=True)}, cursor=("at",))


def test_without_a_cursor_each_run_takes_all_and_says_so() -> None:
    first = take_all("sql:x", {"sql:x#1": at(3, end=True)})
    assert (first.generation, first.note) == ("all~1", "all rows")
    second = take_all("sql:x", {"sql:x#all~1": Position(3, {"finished": True})})
    assert (second.generation, second.note) == (
        "all~2",
        "all rows, which have landed before too: source.cursor takes new ones only",
    )
