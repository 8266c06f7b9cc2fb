"""Peak memory of a whole `ddpm ingest`, for a file of 100 MB and for one ten times larger."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data import WRITERS, grow
from tests.peak_memory import peak_of

LABELS = {
    "events.ndjson": "NDJSON",
    "events.json": "one JSON array",
    "events.csv": "CSV",
    "events.ndjson.gz": "NDJSON in gzip, unpacked size",
    "events.avro": "Avro",
    "events.parquet": "Parquet",
}
DDPM = str(Path(sys.executable).with_name("ddpm"))


@dataclass(frozen=True)
class Peak:
    """Peak resident memory in MiB, for the small and the large file."""

    work: str
    small: float
    large: float
    goal: float = 1.2

    @property
    def ratio(self) -> float:
        return self.large / self.small


def peaks(folder: Path, *, small: int, to: str | None = None) -> Iterator[Peak]:
    """Each format from a file of `small` bytes and from one ten times larger, into DuckDB or another target."""
    for name, write in WRITERS.items():
        found = []
        for size in (small, small * 10):
            write(folder / name, 50_000)
            grow(folder / name, size)
            found.append(_peak(folder, name, to))
        (folder / name).unlink()
        label = LABELS[name]
        yield Peak(f"{label} into {'DuckDB' if to is None else 'Postgres'}", *found)


def _peak(folder: Path, name: str, to: str | None) -> float:
    for file in folder.glob("memory.duckdb*"):
        file.unlink()
    command = [DDPM, "ingest", str(folder / name), "--again", "--quiet", "--to", to or str(folder / "memory.duckdb")]
    peak = peak_of(command, stdout=subprocess.DEVNULL)
    if peak.code:
        raise RuntimeError(f"{command}: exit code {peak.code}")
    return peak.memory / (1 << 20)
