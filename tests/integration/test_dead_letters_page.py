"""Every command in docs/dead-letters.md runs as it stands there, and does what the page says of it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.command import ddpm

PAGE = (Path(__file__).parents[2] / "docs" / "dead-letters.md").read_text()
COMMANDS = [line for block in re.findall(r"^```\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE) for line in block.splitlines()]
SHOWN_ADDRESS = "postgresql://localhost/shop"
LENIENT = ("--max-reject-share", "100%")
pytestmark = pytest.mark.timeout(1200)

CODES = {
    "ddpm dlq replay --dry-run": 3,
    "ddpm dlq replay --format custom -o format.function=repair.py:repair": 0,
    "ddpm dlq replay --db ddpm-dead-letters.ndjson --to postgresql://localhost/shop": 3,
    "ddpm dlq replay --pipeline events.yaml": 3,
    "ddpm dlq replay --pipeline events.yaml --as january": 3,
}
"""What is not mended fails again. All others end with 0."""

PIPELINE = """
name: events
source: {files: {paths: [events.ndjson]}}
format: json
reject_limit: {share: 100%}
sink: {duckdb: {path: lake.duckdb, table: "${TABLE:events}"}}
"""
REPAIR = "import json\ndef repair(payload):\n    return json.loads(payload.replace(b'!', b'0'))\n"


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str) -> Path:
    """Where each of the commands finds dead letters."""
    (tmp_path / "events.ndjson").write_text('{"id": 1}\n{"id": !}\n')
    (tmp_path / "repair.py").write_text(REPAIR)
    (tmp_path / "events.yaml").write_text(PIPELINE)
    for arguments in (
        ("ingest", "events.ndjson", *LENIENT),
        ("ingest", "events.ndjson", "--to", postgres_database, *LENIENT),
        ("ingest", "events.ndjson", "--to", "out/", *LENIENT),
        ("run", "events.yaml"),
    ):
        assert ddpm(*arguments, cwd=tmp_path).code == 3
    assert ddpm("run", "events.yaml", "--as", "january", cwd=tmp_path, environment={"TABLE": "january"}).code == 3
    return tmp_path


def test_the_page_has_commands_and_none_is_expected_that_it_does_not_have() -> None:
    assert len(COMMANDS) >= 10
    assert set(CODES) <= set(COMMANDS)


def test_the_commands_of_the_page_run_as_they_stand(folder: Path, postgres_database: str) -> None:
    (letter,) = json.loads(ddpm("dlq", "list", "--json", cwd=folder).out)
    for line in COMMANDS:
        typed = (
            line.replace(SHOWN_ADDRESS, postgres_database).replace("4f1c2a", letter["id"][:6]).replace(" ID ", f" {letter['id']} ")
        )
        program, *arguments = shlex.split(typed)
        assert program == "ddpm"
        if "purge" in arguments and "--dry-run" not in arguments:
            arguments.append("--yes")  # It asks, and nobody is there.
        done = ddpm(*arguments, cwd=folder, environment={"TABLE": "january"} if "--as" in arguments else {})
        assert done.code == CODES.get(line, 0), (line, done.out, done.err)
        if arguments[1] in ("list", "show", "stats"):
            assert "json_invalid" in done.out or "No dead letters match." in done.out, (line, done.out)
        if "custom" in arguments:
            assert json.loads(ddpm("query", "SELECT id FROM events ORDER BY id", "--json", cwd=folder).out) == [
                {"id": 0},
                {"id": 1},
            ]
