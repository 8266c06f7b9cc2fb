"""Columns as text: what the CSV writer is given."""

from __future__ import annotations

import csv
import io
import uuid
from datetime import UTC, datetime

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_postgres.copy import stream
from ddpm_postgres.text import csv_column
from tests.examples import examples


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.none() | st.binary(max_size=20)), st.integers(0, 3))
def test_bytes_become_hexadecimal(values: list[bytes | None], skip: int) -> None:
    column = csv_column(pa.array(values, pa.binary()).slice(skip))
    assert column.to_pylist() == [None if v is None else rf"\x{v.hex()}" for v in values[skip:]]


def _literal(value: list[str | None] | None) -> str | None:
    if value is None:
        return None
    parts = ["NULL" if v is None else '"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in value]
    return "{" + ",".join(parts) + "}"


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.none() | st.lists(st.none() | st.text(max_size=5), max_size=4)), st.integers(0, 3))
def test_lists_become_array_literals(values: list[list[str | None] | None], skip: int) -> None:
    column = csv_column(pa.array(values, pa.list_(pa.string())).slice(skip))
    assert column.to_pylist() == [_literal(v) for v in values[skip:]]


def test_uuids_and_moments_are_spelled_as_postgres_reads_them() -> None:
    one = uuid.UUID(int=9)
    assert csv_column(pa.array([one.bytes, None], pa.uuid())).to_pylist() == [one.hex, None]
    moment = datetime(2024, 1, 2, tzinfo=UTC)
    column = csv_column(pa.array([[moment]], pa.list_(pa.timestamp("us", "Europe/Warsaw"))))
    assert column.to_pylist() == ['{"2024-01-02 00:00:00.000000"}']


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.tuples(st.none() | st.text(max_size=8), st.none() | st.integers(-9, 9)), min_size=1))
def test_csv_tells_null_from_empty_and_keeps_every_character(rows: list[tuple[str | None, int | None]]) -> None:
    data = pa.record_batch({"s": pa.array([r[0] for r in rows], pa.string()), "n": pa.array([r[1] for r in rows], pa.int64())})
    text = b"".join(iter(stream(data, {"s": "text", "n": "binary"}, "csv").read, b"")).decode()
    records = list(csv.reader(io.StringIO(text, newline=""), lineterminator="\n"))
    assert [(r[0], r[1]) for r in records] == [(s or "", "" if n is None else str(n)) for s, n in rows]
    assert text.count('""') >= sum(s == "" for s, _ in rows)
    assert text.startswith("," if rows[0][0] is None else '"')
