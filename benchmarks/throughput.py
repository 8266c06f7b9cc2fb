"""Rows a second, as a ratio to the bare libraries: pairs of runs, one after the other, the median of their ratios."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
import fastavro
import pgpq
import psycopg2
import psycopg2.extras
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

from benchmarks.data import SCHEMA, write_avro, write_csv, write_ndjson, write_parquet
from ddpm_core.engine.ingest import Ingest, IngestRequest
from ddpm_core.registry import Registry
from tests.services import PostgresServer

COLUMNS = ", ".join(f'"{name}"' for name in SCHEMA.names)
FILES = {"events.ndjson": write_ndjson, "events.csv": write_csv, "events.avro": write_avro, "events.parquet": write_parquet}
TABLE_TYPES = {"string": "text", "int64": "bigint", "double": "double precision"}


@dataclass(frozen=True)
class Result:
    """A pair of programs on the same work.

    Attributes:
        ratio: Median of (DDPM's rows/s : the other's rows/s) over the pairs.
        goal: What it must reach.
    """

    work: str
    against: str
    ours: float
    other: float
    ratio: float
    goal: float


@dataclass
class Bench:
    """Files, a database folder and a Postgres server to measure on."""

    folder: Path
    server: PostgresServer
    rows: int
    pairs: int

    def run(self) -> Iterator[Result]:
        """Every case of the table in the README."""
        for name, write in FILES.items():
            write(self.folder / name, self.rows)
        yield self._case("Parquet into Postgres", "pgpq + copy_expert", 0.60, self._parquet_postgres, self._bare_copy)
        yield self._case("NDJSON into DuckDB", "pyarrow.json + insert", 0.50, self._ndjson_duckdb, self._bare_duckdb)
        yield self._case("NDJSON into Postgres", "json.loads + execute_values(1000)", 4.0, self._ndjson_postgres, self._script)
        yield self._case("CSV into DuckDB", "DuckDB's own read_csv", 0.50, self._csv_duckdb, self._bare_read_csv)
        yield self._case("Avro into DuckDB", "fastavro's reader alone", 0.60, self._avro_duckdb, self._bare_fastavro)

    def _case(self, work: str, against: str, goal: float, ours: Callable[[], float], other: Callable[[], float]) -> Result:
        mine, others, ratios = [], [], []
        for _ in range(self.pairs):
            mine.append(self.rows / ours())
            others.append(self.rows / other())
            ratios.append(mine[-1] / others[-1])
        median = statistics.median
        return Result(work, against, median(mine), median(others), median(ratios), goal)

    # DDPM, as `ddpm ingest` runs it, without the start of Python.

    def _ingest(self, file: str, to: str) -> float:
        began = time.perf_counter()
        request = IngestRequest(paths=(str(self.folder / file),), to=to, table="events")
        report = Ingest(request, Registry.discover()).run()
        seconds = time.perf_counter() - began
        if report.status != "landed" or report.rows != self.rows:
            raise RuntimeError(f"{file} did not land: {report}")
        return seconds

    def _parquet_postgres(self) -> float:
        self._fresh_postgres(own_table=False)
        return self._ingest("events.parquet", self.server.url)

    def _ndjson_postgres(self) -> float:
        self._fresh_postgres(own_table=False)
        return self._ingest("events.ndjson", self.server.url)

    def _ndjson_duckdb(self) -> float:
        return self._ingest("events.ndjson", str(self._fresh_duckdb()))

    def _csv_duckdb(self) -> float:
        return self._ingest("events.csv", str(self._fresh_duckdb()))

    def _avro_duckdb(self) -> float:
        return self._ingest("events.avro", str(self._fresh_duckdb()))

    # The others.

    def _bare_copy(self) -> float:
        self._fresh_postgres(own_table=True)
        began = time.perf_counter()
        with psycopg2.connect(self.server.url) as connection, connection.cursor() as cursor:
            for batch in pq.ParquetFile(self.folder / "events.parquet").iter_batches(batch_size=65_536):
                encoder = pgpq.ArrowToPostgresBinaryEncoder(batch.schema)
                data = encoder.write_header() + encoder.write_batch(batch) + encoder.finish()
                cursor.copy_expert(f"COPY events ({COLUMNS}) FROM STDIN (FORMAT binary)", _Bytes(data), 1 << 20)
                connection.commit()
        connection.close()
        return time.perf_counter() - began

    def _bare_duckdb(self) -> float:
        path = self._fresh_duckdb()
        began = time.perf_counter()
        with duckdb.connect(str(path)) as connection:
            connection.execute("set threads = 1")
            types = ", ".join(f'"{f.name}" {str(f.type).replace("string", "text")}' for f in SCHEMA)
            connection.execute(f"create table events ({types})")
            read = pa.json.open_json if hasattr(pa.json, "open_json") else None
            options = pa.json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="error")
            blocks = pa.json.ReadOptions(use_threads=False, block_size=4 << 20)
            if read is not None:
                for batch in read(self.folder / "events.ndjson", parse_options=options, read_options=blocks):
                    self._insert(connection, batch)
            else:
                self._insert(connection, pa.json.read_json(self.folder / "events.ndjson", blocks, options))
        return time.perf_counter() - began

    @staticmethod
    def _insert(connection: duckdb.DuckDBPyConnection, data: object) -> None:
        connection.execute("begin")
        connection.register("incoming", data)
        connection.execute("insert into events select * from incoming")
        connection.unregister("incoming")
        connection.execute("commit")

    def _bare_read_csv(self) -> float:
        path = self._fresh_duckdb()
        began = time.perf_counter()
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"create table events as select * from read_csv('{self.folder / 'events.csv'}')")
        return time.perf_counter() - began

    def _script(self) -> float:
        self._fresh_postgres(own_table=True)
        began = time.perf_counter()
        with psycopg2.connect(self.server.url) as connection, connection.cursor() as cursor:
            statement = f"INSERT INTO events ({COLUMNS}) VALUES %s"
            rows: list[list[object]] = []
            with (self.folder / "events.ndjson").open() as file:
                for line in file:
                    event = json.loads(line)
                    rows.append([event[name] for name in SCHEMA.names])
                    if len(rows) == 1000:
                        psycopg2.extras.execute_values(cursor, statement, rows, page_size=1000)
                        connection.commit()
                        rows = []
            if rows:
                psycopg2.extras.execute_values(cursor, statement, rows, page_size=1000)
        connection.close()
        return time.perf_counter() - began

    def _bare_fastavro(self) -> float:
        began = time.perf_counter()
        with (self.folder / "events.avro").open("rb") as file:
            for _ in fastavro.reader(file):
                pass
        return time.perf_counter() - began

    # Clean ground.

    def _fresh_postgres(self, *, own_table: bool) -> None:
        self.server.psql("DROP TABLE IF EXISTS events, _ddpm_positions, _ddpm_dead_letters")
        if own_table:
            types = ", ".join(f'"{field.name}" {TABLE_TYPES[str(field.type)]}' for field in SCHEMA)
            self.server.psql(f"CREATE TABLE events ({types})")
        self.server.psql("CHECKPOINT")

    def _fresh_duckdb(self) -> Path:
        path = self.folder / "bench.duckdb"
        for file in (path, path.with_name("bench.duckdb.wal")):
            file.unlink(missing_ok=True)
        return path


class _Bytes:
    """The least that `copy_expert` reads from."""

    def __init__(self, data: bytes) -> None:
        self.read = partial(_read, memoryview(data), [0])


def _read(data: memoryview, at: list[int], size: int = -1) -> bytes:
    piece = data[at[0] : at[0] + size if size >= 0 else None]
    at[0] += len(piece)
    return bytes(piece)
