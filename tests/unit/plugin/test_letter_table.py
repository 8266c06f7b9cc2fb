"""Dead letters go into their table in few statements, each of bounded size."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from ddpm_core import Dialect
from ddpm_core.plugin import letter_table
from ddpm_core.plugin.ledger import Ledger
from ddpm_core.plugin.letter_rows import DEAD_LETTER_COLUMNS
from ddpm_core.plugin.letter_table import LetterTable
from ddpm_core.records import letter_partition
from ddpm_core.testing.sink import dead_letter
from tests.recorded_statements import DIALECT, PLAIN, Statements


def letters_on(statements: Statements, dialect: Dialect = DIALECT) -> LetterTable:
    ledger = Ledger(statements, dialect, schema="main", pipeline="ingest", target="main.t")
    return LetterTable(statements, dialect, schema="main", target="main.t", void=ledger.void)


def keep(*names: str) -> list[list[str]]:
    """The ids of the letters in each INSERT."""
    statements = Statements()
    letters_on(statements).keep([dead_letter(name) for name in names])
    assert all(len(parameters) == len(DEAD_LETTER_COLUMNS) for _, parameters in statements.inserts)
    assert all(len({len(values) for values in parameters}) == 1 for _, parameters in statements.inserts)
    return [list(parameters[0]) for _, parameters in statements.inserts]


def test_many_dead_letters_are_few_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letter_table, "PIECE_LETTERS", 3)
    assert keep() == []
    assert keep("a") == [["a"]]
    assert keep(*"abcdefg") == [["a", "b", "c"], ["d", "e", "f"], ["g"]]


def test_large_payloads_go_in_smaller_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letter_table, "PIECE_BYTES", 2 * len(dead_letter("a").payload))
    assert keep(*"abcde") == [["a", "b"], ["c", "d"], ["e"]]


def test_text_that_no_database_holds_is_escaped_in_dead_letters() -> None:
    statements = Statements()
    letter = dataclasses.replace(dead_letter("a"), message="a\x00b\ud800", created_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    letters_on(statements).keep([letter])
    values = dict(zip(DEAD_LETTER_COLUMNS, statements.inserts[0][1], strict=True))
    assert values["message"] == ["a\\x00b\\ud800"]
    assert values["target"] == ["main.t"]


def test_the_table_is_made_with_the_first_letter() -> None:
    statements = Statements()
    kept = letters_on(statements)
    kept.keep([])
    assert statements.made == []
    kept.keep([dead_letter("a")])
    assert [made.split(" ", 2)[:2] for made in statements.made] == [["_ddpm_dead_letters", "(id"]]


def test_where_making_a_table_commits_it_is_not_made_within_a_round() -> None:
    statements = Statements()
    kept = letters_on(statements, PLAIN)
    kept.create()
    assert [made.partition(",")[0] for made in statements.made] == ["_ddpm_dead_letters (id varbinary(40) NOT NULL PRIMARY KEY"]
    kept.keep([dead_letter("a")])
    assert len(statements.made) == 1


def test_without_arrays_each_letter_is_inserted_unless_its_id_is_there() -> None:
    statements = Statements()
    letters_on(statements, PLAIN).keep([dead_letter("a"), dead_letter("b")])
    assert [(len(parameters), parameters[0], parameters[-1]) for _, parameters in statements.inserts] == [
        (len(DEAD_LETTER_COLUMNS) + 1, "a", "a"),
        (len(DEAD_LETTER_COLUMNS) + 1, "b", "b"),
    ]


@pytest.mark.parametrize(
    ("dialect", "among", "many"),
    [(DIALECT, "(SELECT unnest(?::text[]))", lambda names: [names]), (PLAIN, "(?, ?)", lambda names: names)],
)
def test_a_letter_that_was_replayed_and_is_set_aside_anew_is_open_again_and_its_position_void(
    dialect: Dialect, among: str, many: Callable[[list[str]], list[Any]]
) -> None:
    letters = [dead_letter("a"), dead_letter("b")]
    statements = Statements()
    letters_on(statements, dialect).keep(letters)
    reopening = (
        "UPDATE main._ddpm_dead_letters SET replayed_at = NULL, attempts = 1, created_at = now() "
        f"WHERE id IN {among} AND replayed_at IS NOT NULL"
    )
    assert statements.changes[0] == (reopening, many(["a", "b"]))
    assert not any("DELETE" in sql for sql, _ in statements.changes)
    statements = Statements()
    statements.replayed = 1
    letters_on(statements, dialect).keep(letters)
    assert statements.changes[1] == (
        f"DELETE FROM main._ddpm_positions WHERE pipeline = ? AND target = ? AND partition IN {among}",
        ["ingest", "main.t", *many([letter_partition(letter) for letter in letters])],
    )
