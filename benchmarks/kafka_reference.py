"""What `ddpm run` is measured against: a hand-written consumer, and the least that a fast one has to do. Each run is a process of its own.

`python -m benchmarks.kafka_reference script|loop BOOTSTRAP TOPIC COUNT URL TABLE`

`script` is what people write: `json.loads`, `execute_values` of 1,000 rows, COMMIT, the offsets to the broker. `loop` is two threads, one
that consumes and decodes with pyarrow, one that encodes with pgpq, COPYs and COMMITs; no positions, no dead letters, no checks. Its client
has the settings that DDPM's has, and the garbage collector is tuned as DDPM's is.
"""

from __future__ import annotations

import gc
import json
import queue
import sys
import threading
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import psycopg2
import psycopg2.extras
import pyarrow as pa
import pyarrow.json
from confluent_kafka import Consumer, KafkaException, TopicPartition
from pgpq import ArrowToPostgresBinaryEncoder

from benchmarks.kafka_data import PARTITIONS, SCHEMA

COLUMNS = ", ".join(SCHEMA.names)
CHUNK = 10_000
FAST = {
    "fetch.wait.max.ms": 50,
    "fetch.queue.backoff.ms": 10,
    "queued.min.messages": 200_000,
    "queued.max.messages.kbytes": 65_536,
}


def script(bootstrap: str, topic: str, count: int, url: str, table: str) -> None:
    """Row by row, with the client as it is by default."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"script-{table}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    connection = psycopg2.connect(url)
    done = 0
    while done < count:
        messages = [message for message in consumer.consume(1000, 1.0) if not _failed(message)]
        if not messages:
            continue
        rows = [tuple(json.loads(message.value() or b"").values()) for message in messages]
        with connection.cursor() as cursor:
            psycopg2.extras.execute_values(cursor, f"INSERT INTO {table} ({COLUMNS}) VALUES %s", rows, page_size=1000)
        connection.commit()
        consumer.commit(asynchronous=False)
        done += len(rows)
    connection.close()
    consumer.close()


def loop(bootstrap: str, topic: str, count: int, url: str, table: str) -> None:
    """Two threads, chunks of Arrow between them."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    waiting: queue.Queue[pa.RecordBatch | BaseException | None] = queue.Queue(4)
    reader = threading.Thread(target=_read, args=(bootstrap, topic, count, waiting), daemon=True)
    reader.start()
    connection = psycopg2.connect(url)
    while (batch := waiting.get()) is not None:
        if isinstance(batch, BaseException):
            raise batch
        with connection.cursor() as cursor:
            cursor.copy_expert(f"COPY {table} ({COLUMNS}) FROM STDIN (FORMAT binary)", BytesIO(_encoded(batch)), 1 << 20)
        connection.commit()
    connection.close()
    reader.join()


def _read(bootstrap: str, topic: str, count: int, waiting: queue.Queue[Any]) -> None:
    try:
        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "loop", "auto.offset.reset": "earliest", **FAST})
        consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
        for values in _chunks(consumer, count):
            waiting.put(_decoded(values))
        consumer.close()
        waiting.put(None)
    except BaseException as error:  # noqa: BLE001 - handed to the other thread, which raises it
        waiting.put(error)


def _chunks(consumer: Any, count: int) -> Iterator[list[bytes]]:
    done = 0
    while done < count:
        first = consumer.poll(1.0)
        messages = [] if first is None else [first, *consumer.consume(CHUNK - 1, 0)]
        values = [message.value() for message in messages if not _failed(message)]
        done += len(values)
        if values:
            yield values


def _decoded(values: list[bytes]) -> pa.RecordBatch:
    text = b"\n".join(values)
    table = pa.json.read_json(
        pa.BufferReader(text),
        pa.json.ReadOptions(use_threads=False, block_size=len(text) + 1),
        pa.json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="error"),
    )
    [batch] = table.combine_chunks().to_batches()
    return batch


def _encoded(batch: pa.RecordBatch) -> bytes:
    encoder = ArrowToPostgresBinaryEncoder(batch.schema)
    return bytes(encoder.write_header() + encoder.write_batch(batch) + encoder.finish())


def _failed(message: Any) -> bool:
    if message.error() is not None:
        raise KafkaException(message.error())
    return False


def main(way: str, bootstrap: str, topic: str, count: str, url: str, table: str) -> None:
    """Bring `count` events of the topic into the table, which exists."""
    {"script": script, "loop": loop}[way](bootstrap, topic, int(count), url, table)


if __name__ == "__main__":
    main(*sys.argv[1:])
