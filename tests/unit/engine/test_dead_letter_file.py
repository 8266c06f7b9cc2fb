"""Dead letters in a local file are found again as those in a database are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ddpm_core.engine.dead_letter_file import DeadLetterFile
from ddpm_core.errors import ConfigError
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
    assert kept.find(DeadLetterFilter()) == [LATER, FIRST]
    assert kept.find(DeadLetterFilter(limit=1)) == [LATER]


@pytest.mark.parametrize(
    "wanted", [DeadLetterFilter(reason="json_invalid"), DeadLetterFilter(source="a.js"), DeadLetterFilter(id="aa1")]
)
def test_what_is_asked_for_restricts(kept: DeadLetterFile, wanted: DeadLetterFilter) -> None:
    assert kept.find(wanted) == [FIRST]


def test_a_last_line_that_a_crash_cut_is_left_out(kept: DeadLetterFile) -> None:
    with kept.path.open("a") as file:
        file.write('{"id": "cut')
    assert kept.find(DeadLetterFilter()) == [LATER, FIRST]


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.ndjson"
    path.write_text('{"id": 1}\n')
    with pytest.raises(ConfigError) as caught:
        DeadLetterFile(path).find(DeadLetterFilter())
    assert str(caught.value) == f"line 1 of {path} is no dead letter\nIs it a file that ddpm wrote?"


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        DeadLetterFile(tmp_path / "no.ndjson").find(DeadLetterFilter())
    assert str(caught.value) == f"there is no file {tmp_path}/no.ndjson"
