"""The example of every bundled plugin, as `docs/sources.md`, `formats.md` and `sinks.md` show it, does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import fastavro
import psycopg2
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Producer

from tests.kafka import KafkaBroker

ROOT = Path(__file__).parents[2]
PAGES = ("sources.md", "formats.md", "sinks.md")
pytestmark = pytest.mark.timeout(900)
SHOWN_ADDRESS = re.compile(r"postgresql://user@localhost/shop")
SHOWN_BROKER = "localhost:9092"
ROWS = pa.table(
    {"id": [1, 2, 3], "day": ["2026-01-01", "2026-01-02", "2026-01-02"], "updated_at": ["2026-01-03", "2026-01-03", "2026-01-04"]}
)
PARSE_LOG = "def parse(line):\n    level, _, text = line.partition(' ')\n    return {'level': level, 'text': text}\n"


def examples() -> list[tuple[str, str, str]]:
    found = []
    for page in PAGES:
        text = (ROOT / "docs" / page).read_text()
        found += [
            (page, name, line) for name, line in re.findall(r"^## `(\w+)`\n.*?```sh\n(.*?)\n```", text, re.DOTALL | re.MULTILINE)
        ]
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with all that the examples read."""
    lines = "".join(f'{{"id": {row["id"]}, "day": "{row["day"]}"}}\n' for row in ROWS.to_pylist())
    for name in ("events.ndjson", "orders.json"):
        (tmp_path / name).write_text(lines)
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "old.json").write_text(lines)
    (tmp_path / "data" / "2026").mkdir(parents=True)
    for path in ("flights.parquet", "data/2026/a.parquet"):
        pq.write_table(ROWS, tmp_path / path)
    pa.csv.write_csv(ROWS, tmp_path / "orders.csv")
    with pa.OSFile(str(tmp_path / "flights.arrow"), "wb") as file, pa.ipc.new_file(file, ROWS.schema) as writer:
        writer.write_table(ROWS)
    schema = {"type": "record", "name": "event", "fields": [{"name": "id", "type": "long"}]}
    with (tmp_path / "events.avro").open("wb") as file:
        fastavro.writer(file, schema, [{"id": n} for n in range(1000)])
    (tmp_path / "notes.txt").write_text("one\ntwo\n")
    (tmp_path / "invoice.pdf").write_bytes(b"%PDF-1.4 not really\xff\n")
    (tmp_path / "server.log").write_text("INFO up\nWARN hot\n")
    (tmp_path / "parse_log.py").write_text(PARSE_LOG)
    return tmp_path


def test_every_page_has_an_example_of_every_plugin() -> None:
    for page in PAGES:
        text = (ROOT / "docs" / page).read_text()
        assert [name for found, name, _ in examples() if found == page] == re.findall(r"^## `(\w+)`$", text, re.MULTILINE)


def _fill(broker: KafkaBroker, topic: str) -> None:
    """A message in a topic of this name, which an example reads."""
    producer = Producer({"bootstrap.servers": broker.bootstrap, "allow.auto.create.topics": False})
    broker.delete_topic(topic)
    broker.create_topic(topic)
    producer.produce(topic, b'{"id": 1}')
    assert producer.flush(120) == 0


@pytest.mark.parametrize(("page", "name", "line"), examples(), ids=lambda value: value.removesuffix(".md").partition(" ")[0])
def test_the_example_runs(
    page: str, name: str, line: str, folder: Path, postgres_database: str, request: pytest.FixtureRequest
) -> None:
    if SHOWN_BROKER in line:
        broker: KafkaBroker = request.getfixturevalue("kafka_broker")
        _fill(broker, "events")
        line = line.replace(SHOWN_BROKER, broker.bootstrap)
    connection = psycopg2.connect(postgres_database)
    with connection, connection.cursor() as cursor:
        cursor.execute("create table if not exists orders (id bigint primary key, updated_at timestamptz)")
        cursor.execute("insert into orders values (1, now()), (2, now()) on conflict do nothing")
    connection.close()

    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", SHOWN_ADDRESS.sub(postgres_database, line)],
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )

    assert done.returncode == 0, done.stderr
    assert not re.search(r"\b0 rows written", done.stdout + done.stderr)
    assert "Traceback" not in done.stderr
