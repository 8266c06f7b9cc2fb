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
        self.fetched: list[tuple[str, list[Any]]] = []
        self.made: list[str] = []
        self.rows: list[tuple[Any, ...]] = []
        self.taken: list[tuple[Any, ...]] = []
        """The names of those that a claim finds."""
        self.found = found
        self.replayed = 0
        """So many letters are there that were replayed."""

    @property
    def inserts(self) -> list[tuple[str, list[Any]]]:
        return [change for change in self.changes if change[0].startswith("INSERT")]

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        self.fetched.append((sql, list(parameters)))
        return self.taken if sql.startswith("UPDATE") else self.rows

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


INSERT_POSITIONS = (
    "INSERT INTO main._ddpm_positions (pipeline, target, partition, next_offset, epoch, detail, updated_at) "
    "SELECT ?, ?, unnest(?::text[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::text[]), now() "
    "ON CONFLICT DO NOTHING RETURNING partition"
)
TAKE = (
    "UPDATE main._ddpm_positions SET epoch = epoch + 1, updated_at = now() WHERE pipeline = ? AND target = ? "
    "AND partition IN (SELECT unnest(?::text[])) RETURNING partition"
)
STANDING = (
    "SELECT partition, next_offset, detail, epoch FROM main._ddpm_positions, (SELECT unnest(?::text[]) AS n, "
    "unnest(?::text[]) AS b, unnest(?::text[]) AS e) AS asked WHERE pipeline = ? AND target = ? "
    "AND (partition = n OR (partition >= b AND partition < e))"
)


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
    statements.taken = [("file:a",)]
    statements.rows = [("file:a", 0, "{}", 7), (b"file:a#1", 5, '{"rows": 5}', 0)]
    assert kept.claim(["file:a"], void_if_landed=False) == {"file:a": Position(0), "file:a#1": Position(5, {"rows": 5})}
    statements.found, statements.changes = 0, []
    with pytest.raises(FencedError, match=r"^another ddpm process has taken over file:a$"):
        kept.advance({"file:a#1": Position(9)})
    assert statements.changes[0][1] == ["ingest", "main.t", "file:a", 7]


def test_several_partitions_are_claimed_in_two_statements() -> None:
    statements = Statements()
    kept = ledger_on(statements)
    statements.taken = [("file:a",), (b"file:b",)]
    # Of c another instance has made the row after the UPDATE: that epoch is not this one's.
    statements.rows = [("file:a", 0, "{}", 7), ("file:a#1", 5, "{}", 0), ("file:b", 3, "{}", 2), ("file:c", 0, "{}", 1)]
    known = kept.claim(["file:a", "file:b", "file:c", "file:d"], void_if_landed=False)
    assert known == {"file:a": Position(0), "file:a#1": Position(5), "file:b": Position(3), "file:c": Position(0)}
    names = ["file:a", "file:b", "file:c", "file:d"]
    bounds = [names, [f"{name}#" for name in names], [f"{name}$" for name in names]]
    assert statements.fetched == [(TAKE, ["ingest", "main.t", names]), (STANDING, [*bounds, "ingest", "main.t"])]
    assert kept.advance({}).epochs == {"file:a": 7, "file:b": 2, "file:c": 0, "file:d": 0}
    statements.fetched.clear()
    assert (kept.claim([], void_if_landed=True), statements.fetched, statements.changes) == ({}, [], [])


def test_without_arrays_each_partition_is_claimed_by_itself() -> None:
    statements = Statements()
    kept = ledger_on(statements, PLAIN)
    kept.claim(["file:a", "file:b"], void_if_landed=False)
    assert [(sql.split()[0], parameters[2:]) for sql, parameters in statements.changes] == [
        ("UPDATE", ["file:a"]),
        ("UPDATE", ["file:b"]),
    ]
    assert [parameters[2:] for _, parameters in statements.fetched] == [
        ["file:a", "file:a#", "file:a$"],
        ["file:b", "file:b#", "file:b$"],
    ]


def test_what_has_no_position_yet_gets_its_row_in_one_statement_for_all() -> None:
    statements = Statements()
    kept = ledger_on(statements)
    names = ["file:a", "file:a#1", "topic[0]"]
    statements.rows = [(name,) for name in names]
    reached = kept.advance({"file:a#1": Position(5, {"rows": 5}), "topic[0]": Position(9)})
    values = [names, [0, 5, 9], [1, 0, 1], ["{}", '{"rows": 5}', "{}"]]
    assert statements.fetched == [(INSERT_POSITIONS, ["ingest", "main.t", *values])]
    assert statements.changes == []
    assert (reached.epochs, reached.stored) == ({"file:a": 1, "topic[0]": 1}, {"file:a": 0, "file:a#1": 5, "topic[0]": 9})
    kept.committed(reached)
    statements.fetched.clear()
    again = kept.advance({"file:a#1": Position(8)})
    assert [parameters[-2:] for _, parameters in statements.changes] == [["file:a", 1], ["file:a#1", 5]]
    assert (statements.fetched, again.stored["file:a#1"]) == ([], 8)


@pytest.mark.parametrize(
    ("made", "taken"), [(["file:a", "file:a#1"], "file:b"), (["file:b", "file:a"], "file:a"), ([], "file:a, file:b")]
)
def test_who_finds_that_another_one_was_first_is_fenced(made: list[str], taken: str) -> None:
    statements = Statements()
    statements.rows = [(name,) for name in made]
    with pytest.raises(FencedError, match=rf"^another ddpm process has taken over {taken}$"):
        ledger_on(statements).advance({"file:a#1": Position(5), "file:b": Position(9)})


def test_positions_of_rows_that_are_gone_are_void() -> None:
    statements = Statements()
    statements.rows = [("file:a", 0, "{}", 7), ("file:a#1", 5, '{"rows": 5}', 0)]
    kept = ledger_on(statements)
    assert kept.claim(["file:a"], void_if_landed=True) == {"file:a": Position(0)}
    assert statements.changes[0] == (
        "DELETE FROM main._ddpm_positions WHERE pipeline = ? AND target = ? AND partition = ?", ["ingest", "main.t", "file:a#1"]
    )  # fmt: skip
    assert statements.changes[1] == (
        "DELETE FROM main._ddpm_positions WHERE pipeline = ? AND target = ? AND partition >= ? AND partition < ? AND next_offset > 0",
        ["ingest", "main.t", "dead-letter:", "dead-letter;"],
    )
