"""Positions move by compare-and-set, in few statements, and who is not their owner any more is told."""

from __future__ import annotations

import pytest

from ddpm_core import Dialect, FencedError, Position
from ddpm_core.plugin.ledger import Ledger
from tests.recorded_statements import DIALECT, PLAIN, Statements

INSERT_POSITIONS = (
    "INSERT INTO main._ddpm_positions (pipeline, target, partition, next_offset, epoch, detail, updated_at) "
    "SELECT ?, ?, unnest(?::text[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::text[]), now() "
    "ON CONFLICT DO NOTHING RETURNING partition"
)
NEAR = "pipeline = ? AND target = ? AND partition >= ? AND partition < ?"
TAKE = (
    f"UPDATE main._ddpm_positions SET epoch = epoch + 1, updated_at = now() WHERE {NEAR} "
    "AND partition IN (SELECT unnest(?::text[])) RETURNING partition"
)
STANDING = (
    "SELECT kept.* FROM (SELECT unnest(?::text[]) AS n, unnest(?::text[]) AS b, unnest(?::text[]) AS e) AS asked CROSS JOIN LATERAL "
    f"(SELECT partition, next_offset, detail, epoch FROM main._ddpm_positions WHERE {NEAR} AND partition >= asked.n "
    "AND partition < asked.e AND (partition = asked.n OR partition >= asked.b) OFFSET 0) AS kept"
)


def ledger_on(statements: Statements, dialect: Dialect = DIALECT) -> Ledger:
    return Ledger(statements, dialect, schema="main", pipeline="ingest", target="main.t")


def test_names_in_the_key_have_room_where_a_database_limits_it() -> None:
    statements = Statements()
    ledger_on(statements, PLAIN).create()
    assert statements.made[0].startswith(
        "_ddpm_positions (pipeline varbinary(10) NOT NULL, target varbinary(20) NOT NULL, partition varbinary(30) NOT NULL, "
    )


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


def test_who_finds_no_row_of_its_epoch_is_fenced() -> None:
    statements = Statements()
    kept = ledger_on(statements)
    statements.taken = [("file:a",)]
    statements.rows = [("file:a", 0, "{}", 7), (b"file:a#1", 5, '{"rows": 5}', 0)]
    assert kept.claim(["file:a"]) == {"file:a": Position(0), "file:a#1": Position(5, {"rows": 5})}
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
    known = kept.claim(["file:a", "file:b", "file:c", "file:d"])
    assert known == {"file:a": Position(0), "file:a#1": Position(5), "file:b": Position(3), "file:c": Position(0)}
    names = ["file:a", "file:b", "file:c", "file:d"]
    near = ["ingest", "main.t", "file:a", "file:d$"]
    asked = [names, [f"{name}#" for name in names], [f"{name}$" for name in names]]
    assert statements.fetched == [(TAKE, [*near, names]), (STANDING, [*asked, *near])]
    assert kept.advance({}).epochs == {"file:a": 7, "file:b": 2, "file:c": 0, "file:d": 0}
    statements.fetched.clear()
    assert (kept.claim([]), statements.fetched, statements.changes) == ({}, [], [])


def test_without_arrays_each_partition_is_claimed_by_itself() -> None:
    statements = Statements()
    kept = ledger_on(statements, PLAIN)
    kept.claim(["file:a", "file:b"])
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


def landed_rows() -> list[tuple[str, int, str]]:
    return [("file:a", 0, "{}"), ("file:a#1", 5, '{"rows": 5}'), ("file:b#1", 5, '{"rows": 0}'), ("dead-letter:x", 1, "{}")]


def test_positions_of_rows_that_are_gone_are_void() -> None:
    statements = Statements()
    statements.rows = landed_rows()
    ledger_on(statements).void_landed(lambda: True)
    assert statements.changes == [
        ("UPDATE main._ddpm_positions SET epoch = epoch WHERE pipeline = ? AND target = ?", ["ingest", "main.t"]),
        (
            "DELETE FROM main._ddpm_positions WHERE pipeline = ? AND target = ? AND partition IN (SELECT unnest(?::text[]))",
            ["ingest", "main.t", ["file:a#1", "dead-letter:x"]],
        ),
    ]


def test_positions_of_rows_that_another_process_has_just_landed_are_kept() -> None:
    statements = Statements()
    statements.rows = landed_rows()
    ledger_on(statements).void_landed(lambda: False)
    assert [sql.split()[0] for sql, _ in statements.changes] == ["UPDATE"], "they are held while the table is looked for once more"


def test_where_nothing_has_landed_nothing_is_held() -> None:
    statements = Statements()
    statements.rows = [("file:a", 0, "{}"), ("file:b#1", 5, '{"rows": 0}')]
    ledger_on(statements).void_landed(lambda: pytest.fail("there is nothing to look for"))
    assert statements.changes == []
