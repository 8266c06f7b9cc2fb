"""Rows into messages: what is the key, what is set aside, and that a bad row costs nobody else."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from ddpm_core.testing.sink_target import installed_format
from ddpm_kafka.sink_messages import MessageMaker
from ddpm_kafka.sink_options import KafkaSinkOptions


def maker(**options: Any) -> MessageMaker:
    json = installed_format("json", {}).serializer
    return MessageMaker(KafkaSinkOptions(brokers=("h",), topic="t", **options), json, json)


@pytest.mark.parametrize(
    ("values", "keys"),
    [
        (pa.array(["a:b", "Ä"]), [b"a:b", "Ä".encode()]),
        (pa.array([b"\x00\xff", b""]), [b"\x00\xff", b""]),
        (pa.array([1, -(2**63)]), [b"1", b"-9223372036854775808"]),
        (pa.array([True, False]), [b"true", b"false"]),
        (pa.array([1.5, -0.25]), [b"1.5", b"-0.25"]),
        (pa.array([Decimal("1.50"), Decimal("12345678901234567890.12")]), [b"1.50", b"12345678901234567890.12"]),
        (pa.array([datetime(2026, 11, 21, tzinfo=UTC)] * 2), [b"2026-11-21T00:00:00.000000Z"] * 2),
        (pa.array([["a:", "}"], []]), [b'["a:","}"]', b"[]"]),
        (pa.array(["x", "y"]).dictionary_encode(), [b"x", b"y"]),
        (pa.array(["x", "y"], pa.large_string()), [b"x", b"y"]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_one_column_is_the_key_as_it_is(values: pa.Array, keys: list[bytes]) -> None:
    made, rejects = maker(key=("na:me",)).messages(pa.RecordBatch.from_arrays([values], ["na:me"]), 10_000)
    assert (made.keys, rejects) == (keys, [])


def test_several_columns_are_a_json_object_in_the_order_of_the_option() -> None:
    data = pa.RecordBatch.from_pydict({"a": [1, None], "b": ["x", "y"]})
    made, rejects = maker(key="b, a").messages(data, 10_000)
    assert (made.keys, rejects) == ([b'{"b":"x","a":1}', b'{"b":"y","a":null}'], [])


def test_a_row_without_a_key_is_set_aside_alone() -> None:
    data = pa.RecordBatch.from_pydict({"id": [1, 2, 3], "k": ["a", None, "c"]})
    made, rejects = maker(key=("k",)).messages(data, 10_000)
    assert made.keys == [b"a", b"c"]
    assert made.values == [b'{"id":1,"k":"a"}', b'{"id":3,"k":"c"}']
    assert [(r.index, r.reason, r.message) for r in rejects] == [
        (1, "no_key", "the row has no value in k, which is the key of its message")
    ]
    made, rejects = maker(key=("misspelled",)).messages(data, 10_000)
    assert (made.values, [r.reason for r in rejects]) == ([], ["no_key"] * 3)
    made, rejects = maker(key=("no", "none")).messages(data, 10_000)
    assert (made.values, [r.reason for r in rejects]) == ([], ["no_key"] * 3)


def test_a_row_that_the_format_refuses_is_found_among_its_neighbours() -> None:
    data = pa.RecordBatch.from_pydict({"n": [float("nan") if n in (3, 70) else float(n) for n in range(100)]})
    made, rejects = maker().messages(data, 10_000)
    assert len(made.values) == 98
    assert [(r.index, r.reason) for r in rejects] == [(3, "number_range"), (70, "number_range")]


def test_a_message_that_is_too_large_is_set_aside_with_its_key_and_headers_counted() -> None:
    data = pa.RecordBatch.from_pydict({"k": ["x" * 500, "y", "z" * 100]})
    made, rejects = maker(key=("k",), headers={"h": {"column": "k"}}).messages(data, 1_000)
    assert made.keys == [b"y", b"z" * 100]
    assert [(r.index, r.reason, r.message) for r in rejects] == [
        (0, "too_large", "the message would have 1,619 bytes, and the topic takes 1,000")
    ]


def test_headers_are_constants_and_columns_and_none_where_the_value_is_null() -> None:
    data = pa.RecordBatch.from_pydict({"id": [1, None], "t": ["x", None]})
    made, _ = maker(headers={"from": "shop", "id": {"column": "id"}, "gone": {"column": "missing"}}).messages(data, 10_000)
    assert made.headers == [[("from", b"shop"), ("id", b"1")], [("from", b"shop")]]
    made, _ = maker(headers={"from": "shop"}).messages(data, 10_000)
    assert made.headers == [[("from", b"shop")]] * 2


def test_times_are_milliseconds_and_what_is_no_time_is_set_aside() -> None:
    at = datetime(2026, 11, 21, 12, 0, 0, 999, tzinfo=UTC)
    made, rejects = maker(timestamp="at").messages(pa.RecordBatch.from_pydict({"at": [at, None]}), 10_000)
    assert (made.timestamps, rejects) == ([1795262400000, 0], [])
    made, rejects = maker(timestamp="at").messages(pa.RecordBatch.from_pydict({"at": [5, -1]}), 10_000)
    assert made.timestamps == [5]
    assert [(r.index, r.message) for r in rejects] == [(1, "column 'at': -1 ms is before 1970 or beyond what Kafka can say")]
    made, rejects = maker(timestamp="at").messages(pa.RecordBatch.from_pydict({"at": ["now"]}), 10_000)
    assert [r.message for r in rejects] == [
        "column 'at' is string, and the time of a message is a timestamp or milliseconds since 1970"
    ]
    made, rejects = maker(timestamp="missing").messages(pa.RecordBatch.from_pydict({"at": ["now"]}), 10_000)
    assert (made.timestamps, rejects) == (None, [])


def test_no_rows_are_no_messages() -> None:
    made, rejects = maker(key=("k",), headers={"h": {"column": "k"}}).messages(
        pa.RecordBatch.from_pydict({"k": pa.array([], pa.int64())}), 1000
    )
    assert (made.values, made.keys, made.headers, rejects) == ([], [], [], [])
