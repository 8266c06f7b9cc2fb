"""The bad-input table holds: every hostile document becomes what the committed table says, within limits of memory and time.

`python -m test_data.bad_input.table` makes the table anew; the diff shows what changed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from test_data.bad_input import shipped
from test_data.bad_input.case import Case
from test_data.bad_input.table import PAGE, ROOT, Line, Measured, generated, page_text, parsed, read_table
from tests.peak_memory import peak_of

DDPM = str(Path(sys.executable).with_name("ddpm"))
MEMORY = 250 << 20
"""Above what a process takes without the case."""

SECONDS = 10.0
PATIENCE = 12.0
"""The limit of time is meant for an idle machine. This only tells what is slow from what hangs or grows with the square."""

ROWS_OF_NOTHING = ("avro", "bomb: records of null in many blocks")
"""Its rows are fine, and no table can be made of them."""

# All cases are tried, with packages that are fetched, before the first test.
pytestmark = pytest.mark.timeout(1800)

Found = dict[tuple[str, str], tuple[Line, Measured]]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    return shipped.cases(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(scope="module")
def found(corpora: list[Case], tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What became of every case, in the parsers."""
    folder = tmp_path_factory.mktemp("bad")
    return {line.key: (line, measured) for _, line, measured in parsed([*generated(), *corpora], folder)}


def test_every_case_becomes_what_the_table_says(found: Found) -> None:
    committed = {line.key: line for line in read_table()}
    changed = [
        f"{key}\n  table: {committed.get(key)}\n  now:   {found[key][0] if key in found else None}"
        for key in sorted(committed.keys() | found.keys())
        if key not in found or committed.get(key) != found[key][0]
    ]
    assert not changed, "if this is meant, run `python -m test_data.bad_input.table`\n" + "\n".join(changed)


def test_every_case_stays_within_the_limits_of_memory_and_time(found: Found) -> None:
    over = {
        key: f"{measured.growth >> 20} MB, {measured.seconds:.1f} s"
        for key, (_, measured) in found.items()
        if measured.growth > MEMORY or measured.seconds > SECONDS * PATIENCE
    }
    assert over == {}


def test_the_reasons_are_known_and_no_parser_crashed() -> None:
    lines = read_table()
    assert len({line.key for line in lines}) == len(lines)
    reasons = {line.error for line in lines} | {word.partition(":")[0] for line in lines for word in line.dead_letters.split()}
    assert all(reason == reason.lower() and " " not in reason for reason in reasons), "a crash is written in capitals"


def test_json_test_suite_is_judged_as_its_authors_mean_it() -> None:
    """What must be accepted lands, what must be refused does not: as a value of a record between others."""
    values = [line for line in read_table() if line.case.startswith("JSONTestSuite") and line.case.endswith(", as a value")]
    accepted = {line.case: line.rows != "0" and not line.dead_letters for line in values}
    wrong = [case for case, landed in accepted.items() if case[14:16] in ("y_", "n_") and landed != (case[14:16] == "y_")]
    assert wrong == []
    assert len(values) > 280


def test_the_page_for_readers_is_made_from_the_table() -> None:
    assert PAGE.read_text() == page_text(read_table()), "run `python -m test_data.bad_input.table`"


@dataclass(frozen=True)
class Ended:
    code: int
    err: str
    memory: int
    seconds: float


def ingest(path: Path, database: Path, *more: str) -> Ended:
    """The real `ddpm ingest`, to its end, with the most memory that it had."""
    began = time.monotonic()
    command = [DDPM, "ingest", str(path), "--to", str(database), "--table", "bad", "-o", "sink.memory_limit=200MB", *more]
    log = database.with_suffix(".err")
    with log.open("wb") as err:
        peak = peak_of(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err)
    return Ended(peak.code, log.read_text(), peak.memory, time.monotonic() - began)


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> int:
    """Memory of a run over one record."""
    folder = tmp_path_factory.mktemp("baseline")
    (folder / "one.json").write_text('{"id": 1}\n')
    ended = ingest(folder / "one.json", folder / "one.duckdb")
    assert (ended.code, ended.err) == (0, "")
    return ended.memory


@pytest.mark.parametrize("case", [case for case in generated() if case.process], ids=lambda case: f"{case.format}: {case.name}")
def test_the_process_survives(case: Case, baseline: int, tmp_path: Path) -> None:
    path = case.write(tmp_path)
    options = [] if case.format == "packed" else ["--format", case.format]
    options += [f"--option=format.{name}={value}" for name, value in case.options.items()]
    ended = ingest(path, tmp_path / "bad.duckdb", *options)
    path.unlink()
    line = next((line for line in read_table() if line.key == case.key), None)
    if line is None or case.key == ROWS_OF_NOTHING:  # The engine stops it: more bad records in a row than are allowed.
        assert ended.code == 1, ended.err
        assert "in a row" in ended.err
    else:
        assert str(ended.code) == line.exit, ended.err
        assert _count(tmp_path / "bad.duckdb", "bad") == int(line.rows)
        letters = sum(int(word.rpartition(":")[2]) for word in line.dead_letters.split())
        assert _count(tmp_path / "bad.duckdb", "_ddpm_dead_letters") == letters
        assert line.error == "" or line.says.rstrip("…").partition("bad.")[2][:60] in ended.err
    assert "Traceback" not in ended.err
    assert ended.memory - baseline < MEMORY
    assert ended.seconds < SECONDS * PATIENCE
    shutil.rmtree(tmp_path)


def _count(database: Path, table: str) -> int:
    if not database.exists():  # The run did not begin.
        return 0
    with duckdb.connect(str(database), read_only=True) as connection:
        try:
            row = connection.execute(f"select count(*) from {table}").fetchone()
        except duckdb.CatalogException:
            return 0
    assert row is not None
    return int(row[0])
