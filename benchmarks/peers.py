"""`ddpm ingest` against dlt on the same files: whole processes, one after the other, the median of their ratios.

dlt lives in an environment of its own (`make bench` makes it), so that nothing of it reaches DDPM.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data import write_avro, write_many, write_ndjson, write_parquet
from benchmarks.throughput import Result
from tests.services import PostgresServer

DDPM = str(Path(sys.executable).with_name("ddpm"))
LOADER = str(Path(__file__).with_name("dlt_load.py"))
PYTHON = "DDPM_PEERS_PYTHON"
"""Environment variable: the interpreter that has dlt."""

CASES = (
    ("NDJSON into Postgres", "events.ndjson", "postgres", "rows", "dlt, its usual path", 10.0),
    ("Avro into Postgres", "events.avro", "postgres", "rows", "dlt, its usual path", 6.0),
    ("Parquet into Postgres", "events.parquet", "postgres", "arrow", "dlt, its Arrow path", 3.0),
    ("Parquet into DuckDB", "events.parquet", "duckdb", "arrow", "dlt, its Arrow path", 3.0),
    ("1,000 files of NDJSON into DuckDB", "many", "duckdb", "rows", "dlt, its usual path", 2.5),
)
WRITERS = (("events.ndjson", write_ndjson), ("events.avro", write_avro), ("events.parquet", write_parquet), ("many", write_many))


def peers_python() -> str | None:
    """The interpreter with dlt, or None when there is none."""
    python = os.environ.get(PYTHON, "")
    return python if python and Path(python).exists() else None


@dataclass
class Peers:
    """Files, a folder for databases and a Postgres server to measure on."""

    folder: Path
    server: PostgresServer
    rows: int
    pairs: int
    python: str

    def run(self) -> Iterator[Result]:
        """Every case."""
        for name, write in WRITERS:
            write(self.folder / name, self.rows)
        for work, file, kind, way, against, goal in CASES:
            self._ours(file, kind), self._theirs(file, kind, way)  # Modules of both are compiled now, and files are in memory.
            pairs = [(self._ours(file, kind), self._theirs(file, kind, way)) for _ in range(self.pairs)]
            ours, other = (statistics.median(self.rows / seconds for seconds in side) for side in zip(*pairs, strict=True))
            ratio = statistics.median(theirs / mine for mine, theirs in pairs)
            yield Result(work, against, ours, other, ratio, goal)

    def _ours(self, file: str, kind: str) -> float:
        command = [DDPM, "ingest", str(self.folder / file), "--to", self._fresh(kind), "--table", "events", "--json"]
        done, seconds = _timed(command)
        if f'"rows":{self.rows}' not in done.replace(" ", ""):
            raise RuntimeError(f"{file} did not land: {done}")
        return seconds

    def _theirs(self, file: str, kind: str, way: str) -> float:
        done, seconds = _timed([self.python, LOADER, str(self.folder / file), way, kind, self._fresh(kind)])
        if done.split()[-1] != str(self.rows):
            raise RuntimeError(f"dlt did not load {file}: {done}")
        return seconds

    def _fresh(self, kind: str) -> str:
        if kind == "postgres":
            self.server.psql(
                "DROP TABLE IF EXISTS events, _ddpm_positions, _ddpm_dead_letters; DROP SCHEMA IF EXISTS bench CASCADE"
            )
            self.server.psql("CHECKPOINT")
            return self.server.url
        for file in self.folder.glob("peers.duckdb*"):
            file.unlink()
        return str(self.folder / "peers.duckdb")


def _timed(command: list[str]) -> tuple[str, float]:
    # Both sides may keep their compiled modules, as an installation does.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed: {done.stderr[-2000:]}")
    return done.stdout, seconds
