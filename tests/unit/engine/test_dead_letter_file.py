"""Dead letters in a local file are found again as those in a database are."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import pytest

from ddpm_core.engine.dead_letter_file import DeadLetterFile
from ddpm_core.errors import ConfigError, FatalError
from ddpm_core.plugin.database import DeadLetterFilter
from ddpm_core.records import DeadLetter

FIRST = DeadLetter(
    id="aa11", pipeline="ingest", source="a.json", partition="file:/a.json#1", offset=3, byte_offset=None, stage="parse",
    reason="json_invalid", message="é", plugin="json", plugin_version="1", sink="", payload=b"\x00\xff{", payload_kind="bytes",
    view=None, attempts=1, created_at=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
)  # fmt: skip
LATER = replace(FIRST, id="aa22", source="b.json", reason="too_large", created_at=FIRST.created_at + timedelta(seconds=1))


@pytest.fixture
def kept(tmp_path: Path) -> DeadLetterFile:
    file = DeadLetterFile(tmp_path / "dead.ndjson")
    file.append([FIRST])
    file.append([LATER, FIRST])  # A crash before the commit writes a letter again.
    return file


def test_every_letter_is_found_once_and_whole_the_newest_first(kept: DeadLetterFile) -> None:
    assert list(kept.find(DeadLetterFilter())) == [LATER, FIRST]
    assert list(kept.find(DeadLetterFilter(limit=1))) == [LATER]


@pytest.mark.parametrize(
    "wanted", [DeadLetterFilter(reason="json_invalid"), DeadLetterFilter(source="a.js"), DeadLetterFilter(id="aa1")]
)
def test_what_is_asked_for_restricts(kept: DeadLetterFile, wanted: DeadLetterFilter) -> None:
    assert list(kept.find(wanted)) == [FIRST]


def test_a_last_line_that_a_crash_cut_is_left_out(kept: DeadLetterFile) -> None:
    with kept.path.open("a") as file:
        file.write('{"id": "cut')
    assert list(kept.find(DeadLetterFilter())) == [LATER, FIRST]
    third = replace(FIRST, id="cc", created_at=FIRST.created_at - timedelta(days=1))
    kept.append([third])  # It must not join the line that was cut.
    assert list(kept.find(DeadLetterFilter())) == [LATER, FIRST, third]


def test_a_cut_line_longer_than_a_block_is_dropped_too(tmp_path: Path) -> None:
    file = DeadLetterFile(tmp_path / "dead.ndjson")
    file.path.write_bytes(b"{" + b"x" * 200_000)
    file.append([FIRST])
    assert list(file.find(DeadLetterFilter())) == [FIRST]


def test_what_a_message_had_besides_its_value_is_kept(tmp_path: Path) -> None:
    file = DeadLetterFile(tmp_path / "dead.ndjson")
    message = replace(
        FIRST, format="json", key=b"\xff", headers=(("a", b"\x00"), ("a", b"")), timestamp=7, replayed_at=LATER.created_at
    )
    file.append([message])
    assert list(file.find(DeadLetterFilter())) == [message]


def test_more_attempts_and_a_mark_say_what_a_letter_is_now(kept: DeadLetterFile) -> None:
    tried = replace(FIRST, attempts=2, reason="too_large")
    marked = replace(LATER, replayed_at=LATER.created_at)
    kept.append([tried])
    kept.mark_replayed([marked])
    kept.append([FIRST, LATER])  # A run that crashed is run again.
    assert list(kept.find(DeadLetterFilter())) == [marked, tried]
    assert list(kept.find(DeadLetterFilter(reason="json_invalid"))) == []
    assert list(kept.find(DeadLetterFilter(replayed=False))) == [tried]
    assert list(kept.find(DeadLetterFilter(replayed=True))) == [marked]


def test_the_purged_are_gone_and_the_others_stay(kept: DeadLetterFile) -> None:
    assert kept.purge([FIRST]) == 1
    assert list(kept.find(DeadLetterFilter())) == [LATER]
    assert kept.purge([FIRST]) == 0
    assert kept.purge([]) == 0
    assert os.listdir(kept.path.parent) == ["dead.ndjson"]


def test_who_waited_for_a_purge_appends_to_the_new_file(kept: DeadLetterFile) -> None:
    third = replace(FIRST, id="cc")
    waiting: list[threading.Thread] = []

    class Slow(DeadLetterFile):
        def _all(self, file: IO[bytes]) -> Iterator[tuple[int, DeadLetter]]:
            thread = threading.Thread(target=kept.append, args=([third],), daemon=True)
            thread.start()
            waiting.append(thread)
            yield from super()._all(file)
            assert thread.is_alive()

    assert Slow(kept.path).purge([FIRST]) == 1
    waiting[0].join(60)
    assert not waiting[0].is_alive()
    assert {letter.id for letter in kept.find(DeadLetterFilter())} == {LATER.id, "cc"}


def test_a_purge_that_cannot_write_leaves_the_file(kept: DeadLetterFile) -> None:
    (kept.path.parent / "dead.ndjson.purge").mkdir()
    with pytest.raises(FatalError) as caught:
        kept.purge([FIRST])
    assert str(caught.value) == f"{kept.path} cannot be written anew: is a directory"
    assert list(kept.find(DeadLetterFilter())) == [LATER, FIRST]


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.ndjson"
    path.write_text('{"id": 1}\n')
    with pytest.raises(ConfigError) as caught:
        list(DeadLetterFile(path).find(DeadLetterFilter()))
    assert str(caught.value) == f"line 1 of {path} is no dead letter\nIs it a file that ddpm wrote?"


def test_a_file_that_is_not_there_is_said_where_it_was_named_and_holds_none_where_a_pipeline_would_make_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        list(DeadLetterFile(tmp_path / "no.ndjson", named=True).find(DeadLetterFilter()))
    assert str(caught.value) == f"there is no file {tmp_path}/no.ndjson"
    file = DeadLetterFile(tmp_path / "no.ndjson")
    assert list(file.find(DeadLetterFilter())) == []
    assert file.purge([]) == 0
    assert not file.path.exists()
