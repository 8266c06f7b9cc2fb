"""Killed at any moment and run again, the target holds every row once.

Each round starts an ingest as a process of its own, kills it with SIGKILL at a random moment, and runs the same command to its end. The
moments lie a random time after a random commit, and one more is before the first; an observer plugin, loaded through its entry point like
any other, tells when there was a commit. `DDPM_KILLS=100` for the full form; `DDPM_KILLS_SEED` for
the moments of an earlier run.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import psycopg2
import pytest

from tests.oracle import judge, write_events
from tests.seeds import seeded

KILLS = int(os.environ.get("DDPM_KILLS", "10"))
PATIENCE = 300.0
"""Seconds that anything may take; it takes a few."""
RECORDS = 150_000
FILES = 8

OBSERVER = """
import os
from ddpm_core import hookimpl

@hookimpl
def ddpm_event(event):
    if type(event).__name__ == "ChunkCommitted":
        with open(os.environ["DDPM_KILL_PROBE"], "a") as file:
            file.write("committed\\n")
"""


@dataclass
class Target:
    """A database to load into, and how to look into it from outside."""

    address: str
    clear: Callable[[], None]
    rows: Callable[[], list[str]]
    dead_letters: Callable[[], list[bytes]]
    arguments: tuple[str, ...] = ()


@dataclass
class Ingests:
    """Starts ingests of the same folder into the same target."""

    folder: Path
    target: Target
    probe: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self) -> subprocess.Popen[bytes]:
        self.probe.write_text("")
        command = [str(Path(sys.executable).with_name("ddpm")), "ingest", str(self.folder), "--table", "events"]
        return subprocess.Popen(
            [*command, "--to", self.target.address, "--quiet", *self.target.arguments],
            env=os.environ | self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def finish(self) -> None:
        process = self.start()
        errors = ended(process)
        assert process.returncode in (0, 3), errors.decode()

    def commits(self) -> int:
        return self.probe.read_text().count("\n")

    def wait_for_commits(self, process: subprocess.Popen[bytes], number: int) -> bool:
        """Wait until so many commits have been made; False when the process ended before."""
        until = time.monotonic() + PATIENCE
        while process.poll() is None:
            if self.commits() >= number:
                return True
            if time.monotonic() > until:
                process.kill()
                raise AssertionError(f"commit {number} was not made within {PATIENCE:.0f} s: {ended(process).decode()}")
            time.sleep(0.002)
        return False

    def measure(self) -> tuple[float, float, int]:
        """Seconds to the first commit and to the end of an undisturbed run, and how many commits it made."""
        self.target.clear()
        began = time.monotonic()
        process = self.start()
        self.wait_for_commits(process, 1)
        first = time.monotonic() - began
        errors = ended(process)
        assert process.returncode == 3, errors.decode()
        return first, time.monotonic() - began, self.commits()

    def kill_between_commits(self, rng: random.Random, commits: int, gap: float) -> None:
        """Kill it a random time after a random commit that is not the last one."""
        while True:
            self.target.clear()
            process = self.start()
            if self.wait_for_commits(process, rng.randint(1, max(1, commits - 2))):
                time.sleep(rng.uniform(0, gap))
            running = process.poll() is None
            process.send_signal(signal.SIGKILL)
            ended(process)
            if running:  # Else it was faster than the one that was measured, and nothing was killed.
                return

    def kill_before_the_first_commit(self, rng: random.Random, first: float) -> None:
        self.target.clear()
        process = self.start()
        time.sleep(rng.uniform(0, first))
        process.send_signal(signal.SIGKILL)
        ended(process)


def ended(process: subprocess.Popen[bytes]) -> bytes:
    """Wait for its end; what it said."""
    try:
        return process.communicate(timeout=PATIENCE)[1]
    finally:
        process.kill()


def observer_plugin(folder: Path) -> None:
    """An installed distribution as pip leaves it, made by hand."""
    (folder / "ddpm_kill_probe.py").write_text(OBSERVER)
    info = folder / "ddpm_kill_probe-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ddpm-kill-probe\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ddpm]\nkill_probe = ddpm_kill_probe\n")


def kill_again_and_again(target: Target, tmp_path: Path, *, files: int = FILES, records: int = RECORDS) -> None:
    """With so many records in so many files, of which some must be larger than a transaction: it is to be killed inside a file too."""
    rng = seeded("DDPM_KILLS_SEED")
    folder, plugins = tmp_path / "events", tmp_path / "plugins"
    folder.mkdir()
    plugins.mkdir()
    observer_plugin(plugins)
    produced = write_events(folder, files=files, records=records, seed=1)
    ingests = Ingests(folder, target, tmp_path / "probe")
    ingests.environment = {"PYTHONPATH": str(plugins), "DDPM_KILL_PROBE": str(ingests.probe)}
    first, whole, commits = ingests.measure()
    judge(produced, target.rows(), target.dead_letters())
    between, number, rows_in_all = 0, 0, len(target.rows())
    while between < KILLS:  # A kill counts that leaves a part of the rows; every kill is judged.
        if number == 0:
            ingests.kill_before_the_first_commit(rng, first)
        else:
            ingests.kill_between_commits(rng, commits, (whole - first) / commits)
        at = len(target.rows())
        between += number > 0 and 0 < at < rows_in_all
        ingests.finish()
        judge(produced, target.rows(), target.dead_letters())
        number += 1
        print(f"kill {number}: {at:,} of {len(produced):,} rows were there; after the rerun each is there once")
        assert number <= 3 * KILLS + 10, f"only {between} of {number} kills fell between no row and all rows"
    print(f"{between} of {number} kills fell between no row and all rows")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("transactions", ["small", "large"])
def test_killed_at_random_moments_duckdb_holds_every_row_once(
    transactions: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many small transactions, and as they come by default: up to 24 MB each."""
    path = tmp_path / "killed.duckdb"

    def query(sql: str) -> list[object]:
        if not path.exists():
            return []
        with duckdb.connect(str(path)) as connection:
            tables = {name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()}
            wanted = sql.rsplit(" ", 1)[-1]
            return [value for (value,) in connection.execute(sql).fetchall()] if wanted in tables else []

    def clear() -> None:
        for file in (path, path.with_name(path.name + ".wal")):
            file.unlink(missing_ok=True)

    target = Target(
        str(path),
        clear,
        lambda: [str(value) for value in query("select event_id from events")],
        lambda: [bytes(value) for value in query("select payload from _ddpm_dead_letters")],  # type: ignore[call-overload]
        ("-o", "sink.transaction_seconds=0") if transactions == "small" else (),
    )
    if transactions == "small":
        kill_again_and_again(target, tmp_path)
    else:
        monkeypatch.setattr(sys.modules[__name__], "KILLS", max(2, KILLS // 5))
        kill_again_and_again(target, tmp_path, files=2, records=260_000)


@pytest.mark.timeout(3600)
def test_killed_at_random_moments_postgres_holds_every_row_once(postgres_database: str, tmp_path: Path) -> None:
    connection = psycopg2.connect(postgres_database)
    connection.autocommit = True

    def query(sql: str) -> list[object]:
        with connection.cursor() as cursor:
            try:
                cursor.execute(sql)
            except psycopg2.errors.UndefinedTable:
                return []
            return [value for (value,) in cursor.fetchall()]

    def clear() -> None:
        with connection.cursor() as cursor:
            cursor.execute("drop table if exists events, _ddpm_positions, _ddpm_dead_letters")

    target = Target(
        postgres_database,
        clear,
        lambda: [str(value) for value in query("select event_id from events")],
        lambda: [bytes(value) for value in query("select payload from _ddpm_dead_letters")],  # type: ignore[call-overload]
    )
    try:
        kill_again_and_again(target, tmp_path)
    finally:
        connection.close()
