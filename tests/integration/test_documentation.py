"""The commands of README.md do what it says, and the demo prints what it shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.kafka import KafkaBroker

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SHOWN_ADDRESS = "postgresql://localhost/shop"
NOT_HERE = ("pip ", "make ", 'eval "$(ddpm services', "ddpm services")
"""Lines that set up an environment: `make demo` is the first test below; wheels and plugins are tests/integration/test_third_party.py, services
test_services_command.py."""
TOPICS = ("events", "clicks", "events-dlq")
pytestmark = pytest.mark.timeout(1800)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[str]:
    """The commands of a block: its lines, but a document that is fed to one belongs to it."""
    return re.findall(r"^.*<<'END'\n.*?^END$|^.+$", block, re.DOTALL | re.MULTILINE) if "<<'END'" in block else block.splitlines()


def shell(line: str, folder: Path, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={**os.environ, **(environment or {}), "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def without_timings(text: str) -> str:
    return re.sub(r"in [0-9.]+ s \([0-9,]+ rows/s\)", "in T (S rows/s)", text)


def test_the_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    (tmp_path / "test_data").mkdir()
    shutil.copy(ROOT / "test_data" / "flights.avro", tmp_path / "test_data")
    [shown] = blocks("console")
    typed = re.findall(r"^\$ (.*)$", shown, re.MULTILINE)

    printed = "".join(f"$ {line}\n{shell(f'{line} 2>&1', tmp_path).stdout}" for line in typed)

    assert without_timings(printed) == without_timings(shown)
    recipe = (ROOT / "Makefile").read_text()
    assert [line for line in typed if f"\t$(BIN)/{line}\n" not in recipe] == []


def test_every_command_of_the_readme_ends_as_it_says(tmp_path: Path, postgres_database: str, kafka_broker: KafkaBroker) -> None:
    lines = [line for block in blocks("sh") for line in commands(block) if line and not line.startswith(NOT_HERE)]
    assert len(lines) > 15
    services = {"KAFKA_BROKERS": kafka_broker.bootstrap, "DATABASE_URL": postgres_database}
    for topic in TOPICS:
        kafka_broker.delete_topic(topic)

    for line in lines:
        said = re.search(r"exit code (\d+)", line)
        ended = shell(line.replace(SHOWN_ADDRESS, postgres_database), tmp_path, services)
        assert ended.returncode == (int(said[1]) if said else 0), f"{line}\n{ended.stdout}{ended.stderr}"
        if "count(distinct id)" in line:
            assert ended.stdout.splitlines()[-1].split() == ["1000000", "1000000"]
        if "# skipped" in line:
            assert "events.ndjson: skipped: already landed" in ended.stdout


def test_the_exit_codes_of_the_readme_are_those_of_the_command_line() -> None:
    [sentence] = re.findall(r"^Exit codes: (.*?)\. An", README, re.DOTALL | re.MULTILINE)
    reference = (ROOT / "docs" / "cli.md").read_text().partition("## Exit codes")[2].partition("## ")[0]
    assert set(re.findall(r"\d+", sentence)) == set(re.findall(r"^\| (\d+) \|", reference, re.MULTILINE)) - {"141"}
