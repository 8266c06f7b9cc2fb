"""The sink `files` as a process of its own: killed at any moment and run again, every row is in the files once.

`DDPM_KILLS=100` for the full form; `DDPM_KILLS_SEED` for the moments of an earlier run.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import obstore
import pyarrow.parquet as pq
import pytest
from obstore.store import S3Store

from ddpm_core import BuildContext, OutputFormat, Sink
from ddpm_core.config.options import check_options
from ddpm_core.plugin.specs import resolve
from ddpm_core.registry import Registry
from ddpm_core.testing import SinkCapabilities, SinkConformance
from tests.object_store import ACCESS_KEY, SECRET_KEY, ObjectStoreServer
from tests.proxy import Proxy
from tests.seeds import seeded

KILLS = int(os.environ.get("DDPM_KILLS", "10"))
RECORDS = 120_000
FILES = 4
BUCKET = "files-sink"


@pytest.fixture
def s3(object_store_server: ObjectStoreServer) -> ObjectStoreServer:
    object_store_server.create_bucket(BUCKET)
    return object_store_server


@dataclass
class Load:
    """A command that loads a folder into files, and how many commits the target has seen."""

    source: Path
    to: str
    commits: Callable[[], int]
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    more: tuple[str, ...] = ()

    def start(self) -> subprocess.Popen[bytes]:
        command = [str(Path(sys.executable).with_name("ddpm")), "ingest", str(self.source), "--table", "events", "--to", self.to]
        options = [word for option in self.options for word in ("--option", option)]
        return subprocess.Popen(
            [*command, *options, *self.more, "--quiet"],
            env=os.environ | self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def finish(self) -> None:
        process = self.start()
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()

    def kill(self, rng: random.Random, gap: float, *, commits: int) -> bool:
        """Kill a run a random time after it has made so many more commits. False when it had ended before."""
        wanted = self.commits() + commits
        process = self.start()
        while process.poll() is None and self.commits() < wanted:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, gap))
        running = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        return running


class Bucket:
    """The test's bucket, seen past the sink."""

    def __init__(self, server: ObjectStoreServer) -> None:
        self._store = S3Store(
            BUCKET,
            config={
                "endpoint": server.endpoint,
                "access_key_id": ACCESS_KEY,
                "secret_access_key": SECRET_KEY,
                "region": "us-east-1",
            },
            client_options={"allow_http": True},
        )

    def names(self, prefix: str) -> list[str]:
        return [meta["path"] for page in obstore.list(self._store, prefix) for meta in page]

    def download(self, prefix: str, target: Path) -> str:
        """Fetch what readers see. Returns the pattern of its Parquet files."""
        shutil.rmtree(target, ignore_errors=True)
        for path in self.names(prefix):
            if "/_ddpm/" not in path:
                file = target / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(bytes(obstore.get(self._store, path).bytes()))
        return str(target / "**" / "*.parquet")


def write_source(folder: Path, records: int = RECORDS) -> None:
    """About 200 bytes a record; each has its number and one of five days."""
    folder.mkdir()
    for part in range(FILES):
        with (folder / f"part-{part}.ndjson").open("w") as file:
            for n in range(part * records // FILES, (part + 1) * records // FILES):
                event = {
                    "id": n,
                    "day": f"2026-11-{n // 300 % 5 + 1:02}",
                    "user": n % 5003,
                    "text": f"{n * 7919 % 1_000_003:x} " * 18,
                }
                file.write(json.dumps(event) + "\n")


def ids(pattern: str) -> list[int]:
    with duckdb.connect() as connection:
        if not connection.execute("select * from glob(?)", [pattern]).fetchall():
            return []
        return [n for (n,) in connection.execute("select id from read_parquet(?, hive_partitioning = true)", [pattern]).fetchall()]


def check_whole(found: list[int], records: int = RECORDS) -> None:
    assert len(found) == records, f"{len(found):,} rows instead of {records:,}"
    assert sorted(found) == list(range(records))


def records_in(folder: Path) -> int:
    log = folder / "events" / "_ddpm" / "log"
    return sum('"files":{"' in path.read_text() for path in log.glob("*.json")) if log.is_dir() else 0


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("partitioned", [False, True], ids=["plain", "partitioned"])
def test_killed_at_random_moments_the_files_hold_every_row_once(tmp_path: Path, partitioned: bool) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    write_source(source)
    options = ("sink.target_bytes=500000", "sink.partition_by=day") if partitioned else ("sink.target_bytes=500000",)
    load = Load(source, f"{out}/", lambda: records_in(out), options)
    pattern = str(out / "events" / "**" / "*.parquet")
    rng = seeded("DDPM_KILLS_SEED")
    between = number = 0
    # A run on a machine that stands still may be over before it is killed: then there is another one.
    while number < KILLS or (between < KILLS // 3 and number < 5 * KILLS):
        killed = load.kill(rng, 0.15, commits=number % 3)
        seen = ids(pattern)
        assert len(seen) == len(set(seen)), "a row is there twice"
        between += killed and 0 < len(seen) < RECORDS
        print(f"kill {number + 1}: {len(seen):,} rows were there")
        number += 1
        if len(seen) == RECORDS:
            load.finish()
            check_whole(ids(pattern))
            shutil.rmtree(out)
    load.finish()
    check_whole(ids(pattern))
    assert [path for path in out.glob("events/_ddpm/staging/**/*") if path.is_file()] == []
    assert between >= KILLS // 3, "hardly any kill fell between the first row and the last one"
    load.finish()
    check_whole(ids(pattern))


@pytest.mark.timeout(1800)
def test_killed_at_random_moments_the_objects_hold_every_row_once(tmp_path: Path, s3: ObjectStoreServer) -> None:
    source = tmp_path / "source"
    write_source(source)
    bucket = Bucket(s3)

    def objects(folder: str) -> list[str]:
        return bucket.names(f"{place}/events{folder}")

    def download() -> str:
        return bucket.download(f"{place}/events", tmp_path / "got")

    rng = seeded("DDPM_KILLS_SEED")
    between = 0
    for turn in range(5):  # Runs on a machine that stands still may be over before they are killed: then there are others.
        place = f"kills-{turn}"
        load = Load(
            source,
            f"s3://{BUCKET}/{place}",
            lambda: len(objects("/_ddpm/log")),
            ("sink.target_bytes=500000", "sink.partition_by=day"),
            s3.environment,
        )
        for number in range(3):
            load.kill(rng, 0.2, commits=number + 1)
            seen = ids(download())
            assert len(seen) == len(set(seen)), "a row is there twice"
            between += 0 < len(seen) < RECORDS
            print(f"kill {number + 1}: {len(seen):,} rows were there")
        load.finish()
        check_whole(ids(download()))
        assert objects("/_ddpm/staging") == []
        if between:
            break
    assert between, "no kill fell between the first row and the last one"


@pytest.mark.timeout(900)
def test_an_object_store_that_goes_away_for_a_while_is_waited_for(tmp_path: Path, s3: ObjectStoreServer) -> None:
    source, bucket = tmp_path / "source", Bucket(s3)
    write_source(source, 60_000)
    options = ("sink.target_bytes=100000", "sink.format=ndjson")
    with Proxy("127.0.0.1", s3.port) as proxy:
        load = Load(
            source,
            f"s3://{BUCKET}/away/",
            lambda: len(bucket.names("away/events/_ddpm/log")),
            options,
            {**s3.environment, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"},
            ("--retry-for", "400"),
        )
        process = load.start()
        while process.poll() is None and load.commits() < 2:
            time.sleep(0.002)
        proxy.refuse = True  # Away until it is back as a whole: one that starts may deny that it knows a key or an object.
        proxy.cut()
        # Not what is only on its way: a request that is cut off may still remove it.
        before = [name for name in bucket.names("away/") if "/_ddpm/" not in name or "/_ddpm/log/" in name]
        s3.stop()
        s3.start()
        s3.until_it_has({f"{BUCKET}/{name}": None for name in before})
        assert process.poll() is None, process.communicate()[1].decode()
        proxy.refuse = False
        _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors.decode()
    pattern = bucket.download("away/events", tmp_path / "got").replace(".parquet", ".ndjson")
    with duckdb.connect() as connection:
        check_whole([n for (n,) in connection.execute("select id from read_json(?)", [pattern]).fetchall()], 60_000)


class TestObjects(SinkConformance):
    """What the kit promises of every sink, in an object store."""

    plugin = "ddpm_files.plugin"
    name = "files"
    capabilities = SinkCapabilities(refuses_rows=False, fills={"target_bytes": 20_000})

    @pytest.fixture
    def target_options(self, s3: ObjectStoreServer, tmp_path: Path) -> Mapping[str, Any]:
        self.bucket, self.tmp_path = Bucket(s3), tmp_path
        return {
            "path": f"s3://{BUCKET}/{uuid.uuid4().hex}",
            "table": "events",
            "endpoint": s3.endpoint,
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
        }

    def build_sink(self, target_options: Mapping[str, Any]) -> Sink:
        registry = Registry.discover()

        def output(name: str, options: Mapping[str, Any]) -> OutputFormat:
            spec = registry.format(name).spec
            assert spec.serializer is not None
            made = resolve(spec.serializer)(check_options(spec.options_model(), options, owner=name), BuildContext())
            return OutputFormat(name, spec.suffixes[0], made)

        sink = self.made(self.spec().build, target_options, BuildContext(pipeline="kit", output=output))
        assert isinstance(sink, Sink)
        return sink

    def read_rows(self, target_options: Mapping[str, Any]) -> list[dict[str, Any]]:
        prefix = target_options["path"].removeprefix(f"s3://{BUCKET}/")
        self.bucket.download(prefix, self.tmp_path / "got")
        rows: list[dict[str, Any]] = []
        for path in sorted((self.tmp_path / "got").rglob("*.parquet")):
            rows += pq.ParquetFile(path).read().to_pylist()
        return rows


def test_what_was_written_comes_back_by_ingest(tmp_path: Path) -> None:
    source, out, back = tmp_path / "source", tmp_path / "out", tmp_path / "back.duckdb"
    write_source(source, 3_000)
    Load(source, f"{out}/", lambda: 0, ("sink.partition_by=day", "sink.keep_partition_columns=true")).finish()
    ddpm = str(Path(sys.executable).with_name("ddpm"))
    subprocess.run([ddpm, "ingest", str(out), "--table", "events", "--to", str(back), "--quiet"], check=True, timeout=240)
    with duckdb.connect(str(back)) as connection:
        found = connection.execute("select id, day from events").fetchall()
        assert connection.execute("select count(distinct text) from events").fetchone() == (3_000,)
    check_whole([number for number, _ in found], 3_000)
    assert {str(day) for _, day in found} == {f"2026-11-{n:02}" for n in range(1, 6)}
