"""Objects of a real object store land as files do: by pattern, once, whole, and after kills and outages too."""

from __future__ import annotations

import gzip
import io
import json
import signal
import uuid
import zipfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.command import CANARY, Command, Ended, ddpm, event_probe, ingest
from tests.object_store import ACCESS_KEY, SECRET_KEY, ObjectStoreServer
from tests.proxy import Proxy
from tests.self_kill import killed_at

pytestmark = pytest.mark.timeout(900)

NOT_WAITED = 50.0
"""Seconds: a run waits 60 for what it reads, and a listing no more than 5, so that what is wrong is seen at once."""

LOOK = "\nLook at the rows:  ddpm query 'select * from events limit 10' --db"
CHECK = (
    "check access_key and secret_key, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; "
    "for a public bucket set the option anonymous"
)


@pytest.fixture
def server(object_store_server: ObjectStoreServer) -> ObjectStoreServer:
    return object_store_server


@pytest.fixture
def bucket(server: ObjectStoreServer) -> str:
    """An empty bucket of the test's own."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    server.create_bucket(name)
    return name


def run(server: ObjectStoreServer, *arguments: str, **environment: str) -> Ended:
    ended = ddpm(*arguments, environment={**server.environment, **environment})
    assert SECRET_KEY not in ended.out + ended.err
    return ended


def numbers(first: int, count: int) -> bytes:
    return b"".join(b'{"id": %d, "text": "row %d"}\n' % (n, n) for n in range(first, first + count))


def landed(database: Path, sql: str = "SELECT count(*), count(DISTINCT id), sum(id) FROM events") -> tuple[object, ...]:
    with duckdb.connect(str(database), read_only=True) as connection:
        row = connection.execute(sql).fetchone()
    assert row is not None
    return row


def statuses(ended: Ended) -> dict[str, str]:
    """Document -> what became of it."""
    lines = [line for line in ended.out.splitlines() if line.startswith("s3://")]
    return dict(line.split(": ", 1) for line in lines)


def test_a_pattern_lands_once_and_what_is_hidden_does_not(server: ObjectStoreServer, bucket: str, tmp_path: Path) -> None:
    for name in ("2026/01/a.json.gz", "2026/02/b c.json.gz", "2026/03/é+1.json.gz"):
        place = name.replace(" ", "%20").replace("é", "%C3%A9").replace("+", "%2B")
        server.put(f"{bucket}/{place}", gzip.compress(numbers(int(name[6]) * 1_000, 1_000)))
    for name in ("2026/_tmp/x.json.gz", "2026/01/.part.json.gz", "2026/01/other.txt", "2025/01/a.json.gz"):
        server.put(f"{bucket}/{name}", b"not to be read")
    server.put(f"{bucket}/2026/01/", b"")  # What consoles make for a folder.
    database = tmp_path / "x.duckdb"
    command = ingest([f"s3://{bucket}/2026/**/*.json.gz"], str(database))
    first = run(server, *command)
    assert (first.code, first.err) == (0, "")
    assert statuses(first) == {
        f"s3://{bucket}/2026/{name}": "landed, 1,000 rows into events (new)"
        for name in ("01/a.json.gz", "02/b c.json.gz", "03/é+1.json.gz")
    }
    assert landed(database) == (3_000, 3_000, sum(range(1_000, 4_000)))
    again = run(server, *command)
    assert again.code == 0
    assert set(statuses(again).values()) == {"skipped: already landed (1,000 rows); use --again to take it again"}
    server.put(f"{bucket}/2026/01/a.json.gz", gzip.compress(numbers(9_000, 10)))
    changed = run(server, *command)
    assert (
        statuses(changed)[f"s3://{bucket}/2026/01/a.json.gz"]
        == "landed, 10 rows into events (new: the content at this path changed)"
    )
    assert landed(database)[:2] == (3_010, 3_010)


def test_a_prefix_means_all_below_it_whatever_the_format(server: ObjectStoreServer, bucket: str, tmp_path: Path) -> None:
    table = pa.table({"id": pa.array(range(50_000), pa.int64()), "text": [f"row {n}" for n in range(50_000)]})
    made = io.BytesIO()
    pq.write_table(table, made, row_group_size=10_000)
    server.put(f"{bucket}/in/a.parquet", made.getvalue())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b.json", numbers(50_000, 500))
        archive.writestr("deep/c.parquet", made.getvalue())
        archive.writestr("__MACOSX/._b.json", b"no")
    server.put(f"{bucket}/in/packed.zip", packed.getvalue())
    server.put(f"{bucket}/in/empty.json", b"")
    database = tmp_path / "x.duckdb"
    ended = run(server, *ingest([f"s3://{bucket}/in/"], str(database)))
    assert (ended.code, ended.err) == (0, "")
    assert statuses(ended) == {
        f"s3://{bucket}/in/a.parquet": "landed, 50,000 rows into events (new)",
        f"s3://{bucket}/in/packed.zip/b.json": "landed, 500 rows into events (new)",
        f"s3://{bucket}/in/packed.zip/deep/c.parquet": "landed, 50,000 rows into events (new)",
        f"s3://{bucket}/in/empty.json": "landed, 0 rows into events (new)",
    }
    assert landed(database)[:2] == (100_500, 50_500)
    assert run(server, *ingest([f"s3://{bucket}/in/packed.zip/b.json"], str(database))).out.startswith(
        f"s3://{bucket}/in/packed.zip/b.json: skipped: already landed (500 rows)"
    )


def test_a_large_object_is_read_whole_in_pieces(server: ObjectStoreServer, bucket: str, tmp_path: Path) -> None:
    rows = numbers(0, 700_000)
    server.put(f"{bucket}/large.json", rows)
    assert len(rows) > 20 << 20
    database = tmp_path / "x.duckdb"
    assert run(server, *ingest([f"s3://{bucket}/large.json"], str(database))).code == 0
    assert landed(database) == (700_000, 700_000, sum(range(700_000)))


@pytest.mark.parametrize("suffix", ["json", "json.gz"])
def test_killed_twice_and_run_again_each_row_lands_once(
    server: ObjectStoreServer, bucket: str, tmp_path: Path, suffix: str
) -> None:
    for part in range(3):
        data = numbers(part * 200_000, 200_000)
        server.put(f"{bucket}/{part}.{suffix}", gzip.compress(data, 1) if suffix.endswith("gz") else data)
    database = tmp_path / "x.duckdb"
    command = (*ingest([f"s3://{bucket}/"], str(database)), "-o", "sink.transaction_seconds=0")
    for commits in (1, 2):
        environment = {**server.environment, **killed_at(tmp_path / "killer", "ChunkCommitted", commits)}
        with Command(*command, environment=environment) as killed:
            assert killed.end().code == -signal.SIGKILL
    ended = run(server, *command)
    assert ended.code == 0
    assert "resumed at record" in ended.out
    assert landed(database) == (600_000, 600_000, sum(range(600_000)))


def test_what_is_wrong_is_said_at_once(server: ObjectStoreServer, bucket: str, tmp_path: Path) -> None:
    server.put(f"{bucket}/a.json", numbers(0, 1))
    to = str(tmp_path / "x.duckdb")
    here = server.endpoint.removeprefix("http://")

    def said(path: str, **environment: str) -> str:
        ended = run(server, *ingest([path], to), **environment)
        assert ended.code == 2
        assert ended.seconds < NOT_WAITED
        return ended.err

    for path in (f"s3://{bucket}/a.json", f"s3://{bucket}/", f"s3://{bucket}/*.json"):
        assert said(path, AWS_SECRET_ACCESS_KEY=CANARY) == (
            f"ddpm: error: s3://{bucket}: the secret key is wrong (SignatureDoesNotMatch) ({CHECK})\n"
        )
    assert said(f"s3://{bucket}/a.json", AWS_ACCESS_KEY_ID="nobody") == (
        f"ddpm: error: s3://{bucket}: the access key is not known there (InvalidAccessKeyId) ({CHECK})\n"
    )
    for path in ("s3://no-such-bucket/a.json", "s3://no-such-bucket/", "s3://no-such-bucket"):
        assert said(path) == f"ddpm: error: s3://no-such-bucket: there is no such bucket (asked at {here})\n"
    assert said(f"s3://{bucket}/b.json") == f"ddpm: error: s3://{bucket}/b.json: there is no such object\n"
    assert said(f"s3://{bucket}/x/") == (
        f"ddpm: error: s3://{bucket}/x/: the folder holds no objects (names that begin with . or _ are left out)\n"
    )
    assert said(f"s3://{bucket}/*.csv") == f"ddpm: error: s3://{bucket}/*.csv: the pattern matches nothing\n"
    assert said("s3://") == "ddpm: error: s3://: names no bucket (object store URLs look like s3://bucket/folder/name)\n"


def test_options_win_over_the_environment(server: ObjectStoreServer, bucket: str, tmp_path: Path) -> None:
    server.put(f"{bucket}/a.json", numbers(0, 5))
    options = {"endpoint": server.endpoint, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "region": "us-east-1"}
    typed = [part for name, value in options.items() for part in ("--option", f"source.{name}={value}")]
    wrong = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": CANARY}
    ended = run(server, *ingest([f"s3://{bucket}/a.json"], str(tmp_path / "x.duckdb"), *typed), **wrong)
    assert (ended.code, ended.err) == (0, "")


def test_a_profile_of_the_aws_tools_lets_in(server: ObjectStoreServer, bucket: str, tmp_path: Path) -> None:
    server.put(f"{bucket}/a.json", numbers(0, 5))
    (tmp_path / "credentials").write_text(f"[tests]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n")
    (tmp_path / "config").write_text(f"[profile tests]\nregion = us-east-1\nendpoint_url = {server.endpoint}\n")
    environment = {
        **dict.fromkeys(server.environment, ""),
        "AWS_PROFILE": "tests",
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
    }
    ended = run(server, *ingest([f"s3://{bucket}/a.json"], str(tmp_path / "x.duckdb")), **environment)
    assert (ended.code, ended.err) == (0, "")


def test_a_server_that_goes_away_and_comes_back_is_waited_for(server: ObjectStoreServer, bucket: str, tmp_path: Path) -> None:
    objects = {f"{bucket}/{part}.json": numbers(part * 200_000, 200_000) for part in range(3)}
    for path, body in objects.items():
        server.put(path, body)
    database = tmp_path / "x.duckdb"
    with Proxy("127.0.0.1", server.port) as proxy:
        environment = {
            **server.environment,
            **event_probe(tmp_path / "probe"),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}",
        }
        command = (*ingest([f"s3://{bucket}/"], str(database)), "--retry-for", "300")
        with Command(*command, environment=environment) as running:
            running.until_it_says("ChunkRead")
            proxy.refuse = True  # Away until it is back as a whole: one that starts may deny that it knows a key or an object.
            proxy.cut()
            server.stop()
            server.start()
            server.until_it_has(objects)
            proxy.refuse = False
            ended = running.end(seconds=400)
    assert ended.code == 0, ended.said
    assert landed(database) == (600_000, 600_000, sum(range(600_000)))


def test_an_object_replaced_while_it_is_read_is_reported(server: ObjectStoreServer, bucket: str, tmp_path: Path) -> None:
    server.put(f"{bucket}/a.json", numbers(0, 1_000_000))
    to = str(tmp_path / "x.duckdb")
    held = tmp_path / "held"
    held.touch()
    environment = {**server.environment, **event_probe(tmp_path / "probe"), "DDPM_PROBE_HOLD": f"ChunkRead {held}"}
    with Command(*ingest([f"s3://{bucket}/a.json"], to), environment=environment) as running:
        running.until_it_says("ChunkRead")
        server.put(f"{bucket}/a.json", numbers(0, 1))
        held.unlink()
        ended = running.end()
    assert ended.code == 1
    assert ended.said == (
        f"ddpm: error: s3://{bucket}/a.json was changed while it was read: what landed of it may be a mixture of its old and new "
        "content\n  Run again once nothing writes to it; files that are only appended to are safe to read at any time.\n"
    )


def test_a_stopped_server_is_said_within_seconds(tmp_path: Path) -> None:
    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": CANARY}
    ended = ddpm(*ingest(["s3://lake/a.json"], str(tmp_path / "x.duckdb")), environment=environment)
    assert ended.code != 0
    assert ended.seconds < NOT_WAITED
    assert "s3://lake/a.json cannot be reached: connection refused\n  asked at 127.0.0.1:1\n" in ended.err


def test_positions_hold_no_secret(server: ObjectStoreServer, bucket: str, tmp_path: Path) -> None:
    server.put(f"{bucket}/a.json", numbers(0, 1))
    database = tmp_path / "x.duckdb"
    assert run(server, *ingest([f"s3://{bucket}/a.json"], str(database))).code == 0
    with duckdb.connect(str(database), read_only=True) as connection:
        kept = connection.execute("SELECT partition, detail FROM _ddpm_positions").fetchall()
    (generation,) = [(name, json.loads(detail)) for name, detail in kept if "#" in name]
    assert generation[0].startswith(f"s3://127.0.0.1:{server.port}/{bucket}/a.json#")
    assert SECRET_KEY not in str(kept)
    assert ACCESS_KEY not in str(kept)
