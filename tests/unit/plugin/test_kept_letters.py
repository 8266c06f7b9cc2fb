"""The tables of dead letters as a store: found page by page, marked, tried again, removed with their positions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ddpm_core import BuildContext, ConfigError, DeadLetter, DeadLetterFilter, Position
from ddpm_core.engine.build import build_sink, open_database, sink_for
from ddpm_core.plugin import kept_letters
from ddpm_core.plugin.kept_letters import KeptLetters
from ddpm_core.records import letter_partition
from ddpm_core.registry import Registry

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def letter(number: int, **fields: object) -> DeadLetter:
    given = {
        "id": f"{number:04}", "pipeline": "ingest", "source": "a.json", "partition": "file:a#1", "offset": number, "byte_offset": None,
        "stage": "parse", "reason": "json_invalid", "message": "bad", "plugin": "json", "plugin_version": "1", "sink": "",
        "payload": b"\x00{", "payload_kind": "bytes", "view": None, "attempts": 1, "created_at": NOW + timedelta(seconds=number),
        "format": "json",
    }  # fmt: skip
    return DeadLetter(**{**given, **fields})  # type: ignore[arg-type]


@pytest.fixture(params=["duckdb", "sqlite"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., KeptLetters]:
    """Keeps letters, and positions, beside a table; the store that they are in."""
    address = str(tmp_path / "x.duckdb") if request.param == "duckdb" else f"sqlite:///{tmp_path / 'x.sqlite'}"
    registry = Registry.discover()
    plugin = sink_for(address, registry)

    def keep(*letters: DeadLetter, landed: tuple[DeadLetter, ...] = (), table: str = "events") -> KeptLetters:
        options = {plugin.spec.address: address, "table": table}
        sink = build_sink(plugin, options, BuildContext(pipeline="ingest"))
        sink.open()
        names = [letter_partition(one) for one in landed]
        sink.claim([name.rpartition("#")[0] for name in names])
        sink.commit({name: Position(1) for name in names}, list(letters))
        sink.close()
        return KeptLetters(lambda: open_database(address, registry))

    return keep


def found(store: KeptLetters, **wanted: object) -> list[str]:
    store.open()
    ids = [one.id for one in store.find(DeadLetterFilter(**{"limit": 0, **wanted}))]  # type: ignore[arg-type]
    store.close()
    return ids


def test_letters_come_back_whole(kept: Callable[..., KeptLetters]) -> None:
    message = letter(1, key=b"\xff\x00", headers=(("a", b"\x00"), ("a", b"")), timestamp=2**40)
    store = kept(message, letter(2, key=b"", headers=(), format=""))
    assert list(store.find(DeadLetterFilter(id="0001"))) == [message]
    assert list(store.find(DeadLetterFilter(id="0002"))) == [letter(2, key=b"", headers=(), format="")]
    store.close()


def test_what_is_refused_anew_after_it_was_replayed_is_open_again_and_may_land_again(kept: Callable[..., KeptLetters]) -> None:
    letters = (letter(1), letter(2))
    store = kept(*letters, landed=letters)
    store.open()
    store.mark_replayed([replace(one, replayed_at=LATER, attempts=3) for one in letters])
    store.close()
    store = kept(letter(1), letter(3))
    assert found(store, replayed=False) == ["0001", "0003"], "it is set aside now, and the other one was before"
    (again,) = store.find(DeadLetterFilter(id="0001"))
    assert (again.attempts, again.replayed_at, again.payload) == (1, None, letters[0].payload)
    with store._database.letter_tables(write=False) as tables:
        (positions,) = tables.positions.values()
        rows = tables.ask(f"SELECT {tables.quote('partition')} FROM {positions} ORDER BY 1", [])
    assert [str(name) for (name,) in rows if "#" in str(name)] == [letter_partition(letters[1])]
    store.close()


def test_every_filter_restricts(kept: Callable[..., KeptLetters]) -> None:
    store = kept(letter(1), letter(2, stage="sink", sink="pg"), letter(3))
    assert found(store) == ["0003", "0002", "0001"]
    assert found(store, stage="sink") == ["0002"]
    assert found(store, sink="pg") == ["0002"]
    assert found(store, pipeline="ingest") == ["0003", "0002", "0001"]
    assert found(store, pipeline="other") == []
    assert found(store, since=NOW + timedelta(seconds=2)) == ["0003", "0002"]
    assert found(store, until=NOW + timedelta(seconds=2)) == ["0001"]
    assert found(store, limit=1) == ["0003"]


@pytest.mark.parametrize("page", [1, 2, 3, 7])
def test_pages_leave_none_out(kept: Callable[..., KeptLetters], page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_letters, "PAGE", page)
    store = kept(*(letter(number, created_at=NOW) for number in range(6)))
    assert found(store) == [f"{number:04}" for number in range(6)]
    assert found(store, limit=4) == [f"{number:04}" for number in range(4)]


def test_what_was_replayed_is_marked(kept: Callable[..., KeptLetters]) -> None:
    store = kept(letter(1), letter(2), letter(3))
    store.open()
    store.mark_replayed([replace(letter(number), replayed_at=LATER) for number in (1, 3)])
    assert [one.replayed_at for one in store.find(DeadLetterFilter())] == [LATER, None, LATER]
    store.close()
    assert found(store, replayed=False) == ["0002"]
    assert found(store, replayed=True) == ["0003", "0001"]


def test_another_attempt_changes_the_verdict_and_nothing_else(kept: Callable[..., KeptLetters]) -> None:
    store = kept(letter(1), letter(2))
    tried = letter(1, stage="sink", reason="too_long", message="\x00", plugin="pg", plugin_version="2", sink="pg", attempts=2)
    store.open()
    store.append([replace(tried, payload=b"other", source="other"), letter(9, target="main.events", headers=(("a", b"b"),))])
    store.append([])
    assert list(store.find(DeadLetterFilter())) == [
        letter(9, headers=(("a", b"b"),)), letter(2), replace(tried, message="\\x00"),
    ]  # fmt: skip
    store.close()


def test_the_purged_are_gone_with_the_positions_of_those_that_landed(kept: Callable[..., KeptLetters]) -> None:
    letters = [letter(1), letter(2), letter(3), letter(4)]
    store = kept(*letters, landed=(letters[0], letters[1]))
    store.open()
    gone = [replace(letters[0], replayed_at=LATER), letters[2]]
    assert store.purge(gone) == 2
    assert store.purge(gone) == 0
    store.close()
    assert found(store) == ["0004", "0002"]
    store.open()
    with store._database.letter_tables(write=False) as tables:
        (positions,) = tables.positions.values()
        rows = tables.ask(f"SELECT {tables.quote('partition')} FROM {positions} ORDER BY 1", [])
    names = [str(name) for (name,) in rows]
    assert names == [letter_partition(letters[1]).rpartition("#")[0], letter_partition(letters[1])]
    store.close()


def test_without_a_table_there_are_none_and_none_can_be_kept(kept: Callable[..., KeptLetters]) -> None:
    store = kept()
    assert found(store) == []
    store.open()
    assert store.purge([letter(1)]) == 0
    store.mark_replayed([replace(letter(1), replayed_at=LATER)])
    with pytest.raises(ConfigError) as caught:
        store.append([letter(1)])
    assert str(caught.value) == ("the table of dead letters is gone\nIts letters were read from it a moment ago: was it dropped?")
    store.close()
