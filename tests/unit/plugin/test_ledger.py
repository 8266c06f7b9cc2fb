"""Dead letters go into their table in few statements, each of bounded size."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from ddpm_core import FencedError, Position
from ddpm_core.plugin import ledger
from ddpm_core.plugin.ledger import Dialect, Ledger
from ddpm_core.plugin.letter_rows import DEAD_LETTER_COLUMNS
from ddpm_core.records import letter_partition
from ddpm_core.testing.sink import dead_letter

DIALECT = Dialect("Any", "?", "text", 'text collate "C"', "bigint", "blob", "json", "timestamptz")


class Statements:
    """A sink that runs nothing: what was to be changed, with the parameters, as the numbers of columns that went together."""

    def __init__(self, found: int = 1) -> None:
        self.changes: list[tuple[str, list[Any]]] = []
        self.made: list[str] = []
        self.rows: list[tuple[Any, ...]] = []
        self.found = found
        self.replayed = 0
        """So many letters are there that were replayed."""

    @property
    def inserts(self) -> list[tuple[str, list[Any]]]:
        return [change for change in self.changes if change[0].startswith("INSERT")]

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.rows

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        self.changes.append((sql, list(parameters)))
        return self.replayed if sql.startswith("UPDATE main._ddpm_dead_letters") else self.found

    def change_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        for parameters in rows:
            self.change(sql, parameters)

    def insert_absent(self, table: str, types: Mapping[str, str], columns: Sequence[Sequence[Any]]) -> None:
        assert len(types) == len(columns)
        self.changes.append((f"INSERT INTO {table}", list(columns)))

    def make_own_table(self, name: str, columns: str) -> None:
        self.made.append(f"{name} ({columns})")

    def quote(self, name: str) -> str:
        return name


def ledger_on(statements: Statements, dialect: Dialect = DIALECT) -> Ledger:
    return Ledger(statements, dialect, schema="main", pipeline="ingest", target="main.t")


def keep(*names: str) -> list[list[str]]:
    """The ids of the letters in each INSERT."""
    statements = Statements()
    ledger_on(statements).keep([dead_letter(name) for name in names])
    assert all(len(parameters) == len(DEAD_LETTER_COLUMNS) for _, parameters in statements.inserts)
    assert all(len({len(values) for values in parameters}) == 1 for _, parameters in statements.inserts)
    return [list(parameters[0]) for _, parameters in statements.inserts]


def test_many_dead_letters_are_few_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "PIECE_LETTERS", 3)
    assert keep() == []
    assert keep("a") == [["a"]]
    assert keep(*"abcdefg") == [["a", "b", "c"], ["d", "e", "f"], ["g"]]


def test_large_payloads_go_in_smaller_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "PIECE_BYTES", 2 * len(dead_letter("a").payload))
    assert keep(*"abcde") == [["a", "b"], ["c", "d"], ["e"]]


def test_text_that_no_database_holds_is_escaped_in_dead_letters() -> None:
    statements = Statements()
    letter = dataclasses.replace(dead_letter("a"), message="a\x00b\ud800", created_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    ledger_on(statements).keep([letter])
    values = dict(zip(DEAD_LETTER_COLUMNS, statements.inserts[0][1], strict=True))
    assert values["message"] == ["a\\x00b\\ud800"]
    assert values["target"] == ["main.t"]


PLAIN = dataclasses.replace(
    DIALECT, key_text="varbinary({})", key_sizes=(10, 20, 30, 40), arrays=False, if_absent="not_exists", from_nothing=" FROM DUAL",
    lock_hint=" WITH (HOLDLOCK)", transactional_ddl=False,
)  # fmt: skip


def test_where_making_a_table_commits_both_are_made_before_any_round() -> None:
    statements = Statements()
    kept = ledger_on(statements, PLAIN)
    kept.create()
    assert [made.split(" ", 2)[:2] for made in statements.made] == [["_ddpm_positions", "(pipeline"], ["_ddpm_dead_letters", "(id"]]
    assert "partition varbinary(30) NOT NULL" in statements.made[0]
    assert "(id varbinary(40) NOT NULL PRIMARY KEY" in statements.made[1]
    kept.keep([dead_letter("a")])
    assert len(statements.made) == 2


def test_without_on_conflict_a_row_is_inserted_unless_its_key_is_there() -> None:
    statements = Statements()
    kept = ledger_on(statements, PLAIN)
    kept.advance({"file:a#1": Position(5)})
    wanted = (
        "INSERT INTO main._ddpm_positions (pipeline, target, partition, next_offset, epoch, detail, updated_at) "
        "SELECT ?, ?, ?, ?, ?, ?, now() FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM main._ddpm_positions WITH (HOLDLOCK) "
        "WHERE pipeline = ? AND target = ? AND partition = ?)"
    )
    assert statements.changes == [
        (wanted, ["ingest", "main.t", partition, offset, epoch, "{}", "ingest", "main.t", partition])
        for partition, offset, epoch in (("file:a", 0, 1), ("file:a#1", 5, 0))
    ]
    statements.changes.clear()
    kept.keep([dead_letter("a"), dead_letter("b")])
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
    ledger_on(statements, dialect).keep(letters)
    reopening = (
        "UPDATE main._ddpm_dead_letters SET replayed_at = NULL, attempts = 1, created_at = now() "
        f"WHERE id IN {among} AND replayed_at IS NOT NULL"
    )
    assert statements.changes[0] == (reopening, many(["a", "b"]))
    assert not any("DELETE" in sql for sql, _ in statements.changes)
    statements = Statements()
    statements.replayed = 1
    ledger_on(statements, dialect).keep(letters)
    assert statements.changes[1] == (
        f"DELETE FROM main._ddpm_positions WHERE pipeline = ? AND target = ? AND partition IN {among}",
        ["ingest", "main.t", *many([letter_partition(letter) for letter in letters])],
    )


def test_who_finds_no_row_of_its_epoch_is_fenced() -> None:
    statements = Statements()
    kept = ledger_on(statements)
    statements.rows = [("file:a", 0, "{}", 7), (b"file:a#1", 5, '{"rows": 5}', 0)]
    assert kept.claim("file:a", void_if_landed=False) == {"file:a": Position(0), "file:a#1": Position(5, {"rows": 5})}
    statements.found, statements.changes = 0, []
    with pytest.raises(FencedError, match=r"^another ddpm process has taken over file:a$"):
        kept.advance({"file:a#1": Position(9)})
    assert statements.changes[0][1] == ["ingest", "main.t", "file:a", 7]


def test_positions_of_rows_that_are_gone_are_void() -> None:
    statements = Statements()
    statements.rows = [("file:a", 0, "{}", 7), ("file:a#1", 5, '{"rows": 5}', 0)]
    kept = ledger_on(statements)
    assert kept.claim("file:a", void_if_landed=True) == {"file:a": Position(0)}
    assert statements.changes[1] == (
        "DELETE FROM main._ddpm_positions WHERE pipeline = ? AND target = ? AND partition = ?", ["ingest", "main.t", "file:a#1"]
    )  # fmt: skip
    assert statements.changes[2] == (
        "DELETE FROM main._ddpm_positions WHERE pipeline = ? AND target = ? AND partition >= ? AND partition < ? AND next_offset > 0",
        ["ingest", "main.t", "dead-letter:", "dead-letter;"],
    )
