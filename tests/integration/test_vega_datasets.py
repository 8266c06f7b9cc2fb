"""Real data that nobody here wrote: every data file of the npm package vega-datasets lands whole, or is refused for a reason.

`test_data/vega_datasets.csv` has a line for each file: the rows that land, the dead letters, and why it is refused if it is. After a
change that is meant to change it: `DDPM_REWRITE=1 make test-integration`, and look at the difference.
"""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

PACKAGE = "vega-datasets@3.2.1"
pytestmark = pytest.mark.timeout(1200)
SUFFIXES = {".json", ".csv", ".tsv", ".arrow", ".parquet"}
TABLE = Path(__file__).parents[2] / "test_data" / "vega_datasets.csv"
FIELDS = ("file", "rows", "rejected", "refused")
DDPM = str(Path(sys.executable).with_name("ddpm"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's data folder."""
    folder = tmp_path_factory.mktemp("vega")
    done = subprocess.run(
        ["npm", "pack", "--silent", PACKAGE], cwd=folder, capture_output=True, text=True, check=False, timeout=400
    )
    assert done.returncode == 0, f"npm could not fetch {PACKAGE}: {done.stderr}"
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package" / "data"


def rows_by_another_reader(path: Path) -> int:
    """How many rows another reader gives: Python's csv and json, pyarrow's own for its two formats."""
    match path.suffix:
        case ".csv" | ".tsv":
            text = path.read_text(encoding="utf-8-sig")
            records = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if path.suffix == ".tsv" else ",")
            return sum(1 for record in records if record) - 1
        case ".json":
            value: Any = json.loads(path.read_text(encoding="utf-8-sig"))
            return len(value) if isinstance(value, list) else 1
        case ".arrow":
            with pa.memory_map(str(path)) as file:
                return int(pa.ipc.open_file(file).read_all().num_rows)
    return int(pq.ParquetFile(path).metadata.num_rows)


def outcomes(files: list[Path], folder: Path) -> list[dict[str, str]]:
    """What one `ddpm ingest` makes of all files, each into a table of its own."""
    command = [DDPM, "ingest", *map(str, files), "--to", str(folder / "vega.duckdb"), "--json"]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=False, timeout=400).stdout)
    documents = {document["name"]: document for document in report["documents"]}
    return [_outcome(path, documents[str(path)]) for path in files]


def _outcome(path: Path, document: dict[str, Any]) -> dict[str, str]:
    error = document["error"]
    refused = "" if error is None else error["message"].replace(str(path), path.name)
    return {"file": path.name, "rows": str(document["rows"]), "rejected": str(document["rejected"]), "refused": refused}


def test_every_file_lands_or_is_refused_as_the_table_says(data: Path, tmp_path: Path) -> None:
    files = sorted(path for path in data.iterdir() if path.suffix in SUFFIXES)
    found = outcomes(files, tmp_path)
    if os.environ.get("DDPM_REWRITE"):
        with TABLE.open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(found)
    with TABLE.open(newline="") as file:
        assert found == list(csv.DictReader(file))
    for path, line in zip(files, found, strict=True):
        if not line["refused"]:
            assert int(line["rows"]) + int(line["rejected"]) == rows_by_another_reader(path), path.name
