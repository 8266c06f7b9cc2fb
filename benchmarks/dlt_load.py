"""One load with dlt, as its documentation shows it. Run by the interpreter of an environment that has dlt, never by DDPM's own.

`python dlt_load.py PATH rows|arrow duckdb|postgres ADDRESS`
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt

BATCH = 10_000


def rows(path: Path) -> Iterator[Any]:
    """The usual path: Python rows, in lists. Of a folder, file after file."""
    if path.is_dir():
        for file in sorted(path.iterdir()):
            yield from rows(file)
    elif path.suffix == ".avro":
        import fastavro

        with path.open("rb") as file:
            yield from fastavro.reader(file)
    elif path.suffix == ".parquet":
        import pyarrow.parquet as pq

        for batch in pq.ParquetFile(path).iter_batches(BATCH):
            yield batch.to_pylist()
    else:
        from dlt.common.json import json

        lines: list[Any] = []
        with path.open("rb") as file:
            for line in file:
                lines.append(json.loadb(line))
                if len(lines) == BATCH:
                    yield lines
                    lines = []
        yield lines


def arrow(path: Path) -> Iterator[Any]:
    """The Arrow path: tables, which dlt passes on as Parquet or CSV files."""
    import pyarrow.parquet as pq

    yield from pq.ParquetFile(path).iter_batches(65_536)


def main(path: str, way: str, kind: str, address: str) -> None:
    """Load the file into the table `events` and check the count."""
    destination = dlt.destinations.duckdb(address) if kind == "duckdb" else dlt.destinations.postgres(address)
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline("bench", destination=destination, dataset_name="bench", pipelines_dir=folder)
        data = rows(Path(path)) if way == "rows" else arrow(Path(path))
        more = {"loader_file_format": "parquet"} if kind == "duckdb" else {}  # Its default for DuckDB takes ten times as long.
        pipeline.run(dlt.resource(data, name="events"), table_name="events", write_disposition="append", **more)
        with pipeline.sql_client() as client:
            [(count,)] = client.execute_sql("select count(*) from events")
    print(count)


if __name__ == "__main__":
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    main(*sys.argv[1:])
