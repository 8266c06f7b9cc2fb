"""Dead letters go into their table in few statements, each of bounded size."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest

from ddpm_core.plugin import ledger
from ddpm_core.plugin.ledger import DEAD_LETTER_COLUMNS, Dialect, Ledger
from ddpm_core.testing.sink import dead_letter

DIALECT = Dialect("Any", "?", "text", 'text collate "C"', "bigint", "blob", "json", "timestamptz")


class Statements:
    """The numbers of letters that each INSERT stored."""

    def __init__(self) -> None:
        self.ids: list[list[str]] = []

    def __call__(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        if sql.startswith("INSERT"):
            assert len(parameters) == len(DEAD_LETTER_COLUMNS)
            assert len({len(values) for values in parameters}) == 1
            self.ids.append(list(parameters[0]))
        return []


def keep(*names: str) -> list[list[str]]:
    statements = Statements()
    Ledger(statements, lambda name: name, DIALECT, schema="main", pipeline="ingest", target="main.t").keep(
        [dead_letter(name) for name in names]
    )
    return statements.ids


def test_many_dead_letters_are_few_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "PIECE_LETTERS", 3)
    assert keep() == []
    assert keep("a") == [["a"]]
    assert keep(*"abcdefg") == [["a", "b", "c"], ["d", "e", "f"], ["g"]]


def test_large_payloads_go_in_smaller_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "PIECE_BYTES", 2 * len(dead_letter("a").payload))
    assert keep(*"abcde") == [["a", "b"], ["c", "d"], ["e"]]


def test_text_that_no_database_holds_is_escaped_in_dead_letters() -> None:
    values: dict[str, Any] = {}

    def fetch(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        if sql.startswith("INSERT"):
            values.update(zip(DEAD_LETTER_COLUMNS, parameters, strict=True))
        return []

    kept = Ledger(fetch, lambda name: name, DIALECT, schema="main", pipeline="ingest", target="main.t")
    kept.keep([dataclasses.replace(dead_letter("a"), message="a\x00b\ud800", created_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))])
    assert values["message"] == ["a\\x00b\\ud800"]
    assert values["target"] == ["main.t"]
