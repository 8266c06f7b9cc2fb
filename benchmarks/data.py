"""What the benchmarks read: ten-field events of about 240 bytes as JSON, in each format."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

BATCH = 10_000
SMALL_FILES = 1_000
SYNC = b"benchmark-events"
"""The marker between Avro blocks."""

SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("user_id", pa.int64()),
        ("event_type", pa.string()),
        ("timestamp", pa.string()),
        ("session_duration", pa.float64()),
        ("device", pa.string()),
        ("app_version", pa.string()),
        ("locale", pa.string()),
        ("ip", pa.string()),
        ("amount", pa.float64()),
    ]
)

AVRO_SCHEMA = {
    "type": "record",
    "name": "event",
    "fields": [
        {"name": field.name, "type": {"string": "string", "int64": "long", "double": "double"}[str(field.type)]} for field in SCHEMA
    ],
}


def events(count: int) -> Iterator[dict[str, Any]]:
    """Numbered events, the same every time."""
    kinds = ("page_view", "click", "purchase", "search", "login", "logout")
    for n in range(count):
        yield {
            "event_id": f"{kinds[n % 6]}_17053128{n:08}_{n % 9973:04}",
            "user_id": n % 100_003,
            "event_type": kinds[n % 6],
            "timestamp": f"2026-01-{n % 28 + 1:02}T{n % 24:02}:{n % 60:02}:{n % 59:02}.{n % 1000:03}Z",
            "session_duration": n * 0.123,
            "device": ("ios", "android", "web")[n % 3],
            "app_version": f"{n % 4}.{n % 17}.{n % 5}",
            "locale": ("pl_PL", "en_US", "de_DE")[n % 3],
            "ip": f"10.{n % 256}.{n % 199}.{n % 251}",
            "amount": n * 0.01,
        }


def batches(count: int) -> Iterator[pa.RecordBatch]:
    """The events as Arrow."""
    buffered: list[dict[str, Any]] = []
    for event in events(count):
        buffered.append(event)
        if len(buffered) == BATCH:
            yield pa.RecordBatch.from_pylist(buffered, SCHEMA)
            buffered = []
    if buffered:
        yield pa.RecordBatch.from_pylist(buffered, SCHEMA)


def write_ndjson(path: Path, count: int) -> None:
    """One event a line."""
    with path.open("w") as file:
        file.writelines(json.dumps(event) + "\n" for event in events(count))


def write_many(folder: Path, count: int) -> None:
    """The same lines in a folder of `SMALL_FILES` files."""
    folder.mkdir()
    files = min(SMALL_FILES, count)
    each, left = divmod(count, files)
    lines = (json.dumps(event) + "\n" for event in events(count))
    for number in range(files):
        (folder / f"part-{number:04}.ndjson").write_text("".join(islice(lines, each + (number < left))))


def write_array(path: Path, count: int) -> None:
    """One JSON array."""
    with path.open("w") as file:
        for n, event in enumerate(events(count)):
            file.write(("[" if n == 0 else ",\n") + json.dumps(event))
        file.write("]\n")


def write_csv(path: Path, count: int) -> None:
    """With a header, as pyarrow writes it."""
    with pa.csv.CSVWriter(path, SCHEMA) as writer:
        for batch in batches(count):
            writer.write(batch)


def write_gzip(path: Path, count: int) -> None:
    """NDJSON, compressed as gzip does by default."""
    with gzip.open(path, "wt", compresslevel=6) as file:
        file.writelines(json.dumps(event) + "\n" for event in events(count))


def write_avro(path: Path, count: int) -> None:
    """An object container as fastavro writes it, deflate."""
    with path.open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(AVRO_SCHEMA), events(count), codec="deflate", sync_marker=SYNC)


def write_parquet(path: Path, count: int) -> None:
    """As pyarrow writes it by default, row groups of 100,000."""
    with pq.ParquetWriter(path, SCHEMA) as writer:
        group: list[pa.RecordBatch] = []
        for batch in batches(count):
            group.append(batch)
            if len(group) == 10:
                writer.write_table(pa.Table.from_batches(group))
                group = []
        if group:
            writer.write_table(pa.Table.from_batches(group))


WRITERS = {
    "events.ndjson": write_ndjson,
    "events.json": write_array,
    "events.csv": write_csv,
    "events.ndjson.gz": write_gzip,
    "events.avro": write_avro,
    "events.parquet": write_parquet,
}


def grow(path: Path, size: int) -> None:
    """Repeat what a written file holds until it has this many bytes (unpacked), without making every event anew."""
    repeat = {
        ".ndjson": _repeat_lines,
        ".csv": _repeat_records,
        ".gz": _repeat_lines,  # Members of gzip one after the other are a file of gzip.
        ".json": _repeat_elements,
        ".avro": _repeat_blocks,
        ".parquet": _repeat_groups,
    }
    unpacked = len(gzip.decompress(path.read_bytes())) if path.suffix == ".gz" else path.stat().st_size
    repeat[path.suffix](path, max(1, round(size / unpacked)))


def _repeat_lines(path: Path, times: int) -> None:
    _write(path, [path.read_bytes()] * times)


def _repeat_records(path: Path, times: int) -> None:
    header, newline, records = path.read_bytes().partition(b"\n")
    _write(path, [header + newline, *[records] * times])


def _repeat_elements(path: Path, times: int) -> None:
    elements = path.read_bytes().strip()[1:-1]
    _write(path, [b"[", *[elements + b",\n"] * (times - 1), elements, b"]\n"])


def _repeat_blocks(path: Path, times: int) -> None:
    content = path.read_bytes()
    header = content.index(SYNC) + len(SYNC)  # The header ends with the marker that every block ends with.
    _write(path, [content[:header], *[content[header:]] * times])


def _repeat_groups(path: Path, times: int) -> None:
    with pq.ParquetFile(path) as file:
        groups = [file.read_row_group(n) for n in range(file.num_row_groups)]
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for _ in range(times):
            for group in groups:
                writer.write_table(group)


def _write(path: Path, parts: list[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(parts)
