"""Rows of the writer's schema as rows of the reader's: what the specification allows, and nothing else."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given

from ddpm_avro.datums import DatumDecoder
from ddpm_avro.decoder import BlockDecoder
from ddpm_avro.resolution import Resolution
from ddpm_avro.schema import read_schema
from ddpm_core import DataError
from tests.unit.ddpm_avro.test_decoder import SETTINGS, _rows, cases


def record(*fields: Any, name: str = "r", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def field(name: str, type_: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, **more}


def written(schema: Any, *values: Any) -> list[bytes]:
    out = []
    for value in values:
        stream = BytesIO()
        fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), value)
        out.append(stream.getvalue())
    return out


def resolved(writer: Any, reader: Any, *values: Any) -> tuple[list[Any], dict[int, tuple[str, str]]]:
    decoder = DatumDecoder(BlockDecoder(json.dumps(writer).encode()))
    data, _, bad = decoder.decode(written(writer, *values))
    assert bad == {}
    resolution = Resolution(decoder.node, read_schema(json.dumps(reader).encode()))
    data, bad = resolution.rows(data)
    data.validate(full=True)
    assert data.schema == resolution.schema
    return data.to_pylist(), bad


@SETTINGS
@given(cases())
def test_a_schema_resolved_to_itself_changes_nothing(case: tuple[Any, list[bytes]]) -> None:
    schema, values = case
    decoder = DatumDecoder(BlockDecoder(json.dumps(schema).encode()))
    data, _, _ = decoder.decode(values)
    found, bad = Resolution(decoder.node, decoder.node).rows(data)
    found.validate(full=True)
    assert (found.schema, _rows(found), bad) == (data.schema, _rows(data), {})


def test_fields_come_by_name_or_alias_or_default_and_others_are_dropped() -> None:
    writer = record(field("id", "int"), field("old", "string"), field("gone", "bytes"))
    reader = record(
        field("country", ["null", "string"], default=None),
        field("new", "string", aliases=["older", "old"]),
        field("id", "int"),
        field("tags", {"type": "array", "items": "int"}, default=[1, 2]),
        field("kind", {"type": "enum", "name": "k", "symbols": ["A", "B"]}, default="B"),
        field("raw", "bytes", default="\u00ff"),
        field("more", record(field("x", "double", default=0.5), name="m"), default={}),
        field("price", {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, default="\u0001"),
        field("map", {"type": "map", "values": "long"}, default={"a": 1}),
        field("either", ["int", "string"], default=7),
    )
    rows, bad = resolved(writer, reader, {"id": 1, "old": "a", "gone": b""}, {"id": 2, "old": "b", "gone": b"x"})
    same = {
        "country": None, "tags": [1, 2], "kind": "B", "raw": b"\xff", "more": {"x": 0.5}, "map": [("a", 1)], "either": "7",
    }  # fmt: skip
    assert bad == {}
    assert [{name: value for name, value in row.items() if name != "price"} for row in rows] == [
        {**same, "id": 1, "new": "a"},
        {**same, "id": 2, "new": "b"},
    ]
    assert str(rows[0]["price"]) == "0.01"


@pytest.mark.parametrize(
    ("writer", "reader", "value"),
    [
        ("int", "long", -5), ("int", "float", 3), ("int", "double", 2**31 - 1), ("long", "double", 2**53), ("long", "float", 5),
        ("float", "double", 0.5), ("string", "bytes", "żółć"), ("bytes", "string", "żółć".encode()),
        ("int", ["null", "long"], 7), (["null", "int"], ["null", "long"], None), (["null", "int"], ["long", "null"], 4),
        ({"type": "array", "items": "int"}, {"type": "array", "items": ["null", "double"]}, [1, 2]),
        ({"type": "map", "values": ["null", "int"]}, {"type": "map", "values": ["null", "long"]}, {"a": 1, "b": None}),
        (record(field("x", "int"), name="n"), record(field("x", "long"), field("y", "int", default=3), name="n"), {"x": 1}),
        (["null", record(field("x", "int"), name="n")], ["null", record(field("x", "long"), name="n")], None),
    ],
)  # fmt: skip
def test_what_resolves_is_what_fastavro_makes_of_it(writer: Any, reader: Any, value: Any) -> None:
    (datum,) = written(record(field("v", writer)), {"v": value})
    oracle: Any = fastavro.schemaless_reader(BytesIO(datum), record(field("v", writer)), record(field("v", reader)))
    rows, bad = resolved(record(field("v", writer)), record(field("v", reader)), {"v": value})
    got = dict(rows[0]["v"]) if isinstance(oracle["v"], dict) else rows[0]["v"]
    assert (got, bad) == (oracle["v"], {})


@pytest.mark.parametrize(
    ("writer", "reader", "message"),
    [
        ("long", "int", "v: long cannot be read as int, which is narrower"),
        ("double", "float", "v: double cannot be read as float, which is narrower"),
        ("double", "long", "v: double cannot be read as long, which is narrower"),
        ("string", "int", "v: string cannot be read as int"),
        ({"type": "long", "logicalType": "timestamp-millis"}, {"type": "long", "logicalType": "timestamp-micros"},
         "v: long (timestamp-millis) cannot be read as long (timestamp-micros), which means something else by the same number"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}, {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 3},
         "v: decimal(5,2) cannot be read as decimal(5,3)"),
        (record(name="a"), record(name="b"), "v: record 'a' is not record 'b', nor an alias of it"),
        ({"type": "fixed", "name": "f", "size": 4}, {"type": "fixed", "name": "f", "size": 5}, "v: fixed cannot be read as fixed"),
        (["int", "string"], ["int", "bytes", "null"],
         "v: union cannot be read as union: a union of several types is read where the reader's has all of them"),
        ("null", "int", "v: null cannot be read as int"),
    ],
)  # fmt: skip
def test_what_can_never_be_is_said_before_any_row_is_read(writer: Any, reader: Any, message: str) -> None:
    trees = [read_schema(json.dumps(record(field("v", schema))).encode()) for schema in (writer, reader)]
    with pytest.raises(DataError) as caught:
        Resolution(*trees)
    assert (caught.value.reason, caught.value.message) == ("schema_resolution", message)


@pytest.mark.parametrize(
    ("default", "message"),
    [
        ({}, "n: the writer's schema has no such field, and the reader's no default for it"),
        ({"default": "x"}, "n: the default is no value of its type: 'x' is no int"),
        ({"default": 2**31}, "n: the default is no value of its type: 2147483648 is no int"),
    ],
)
def test_a_field_that_is_new_needs_a_default(default: dict[str, Any], message: str) -> None:
    trees = [read_schema(json.dumps(schema).encode()) for schema in (record(), record(field("n", "int", **default)))]
    with pytest.raises(DataError) as caught:
        Resolution(*trees)
    assert (caught.value.reason, caught.value.message) == ("schema_resolution", message)


def test_values_that_the_reader_has_no_place_for_reject_their_rows_only() -> None:
    enum = {"type": "enum", "name": "e", "symbols": ["A", "B", "C"]}
    fewer = {"type": "enum", "name": "e", "symbols": ["B", "A"]}
    inner = record(field("e", enum), name="inner")
    inner_fewer = record(field("e", fewer), name="inner")
    writer = record(field("n", ["null", "int"]), field("big", "long"), field("rows", {"type": "array", "items": ["null", inner]}))
    reader = record(field("n", "int"), field("big", "double"), field("rows", {"type": "array", "items": ["null", inner_fewer]}))
    rows, bad = resolved(
        writer,
        reader,
        {"n": 1, "big": 2**53, "rows": [{"e": "A"}, None]},
        {"n": None, "big": 1, "rows": []},
        {"n": 3, "big": 2**53 + 1, "rows": []},
        {"n": 4, "big": -1, "rows": [{"e": "B"}, {"e": "C"}]},
        {"n": 5, "big": -1, "rows": []},
    )
    assert bad == {
        1: ("schema_resolution", "n: it is null, and int never is"),
        2: ("schema_resolution", "big: 9007199254740993 is not exact as double"),
        3: ("schema_resolution", "rows[].e: the reader's enum has no symbol 'C'"),
    }
    assert (rows[0], rows[4]["n"]) == ({"n": 1, "big": 2.0**53, "rows": [{"e": "A"}, None]}, 5)


def test_a_default_symbol_stands_for_those_that_are_not_known() -> None:
    writer = record(field("e", {"type": "enum", "name": "e", "symbols": ["A", "B"]}))
    reader = record(field("e", {"type": "enum", "name": "e", "symbols": ["A", "OTHER"], "default": "OTHER"}))
    assert resolved(writer, reader, {"e": "A"}, {"e": "B"}) == ([{"e": "A"}, {"e": "OTHER"}], {})


def test_a_number_may_get_a_meaning_and_a_record_another_name_by_alias() -> None:
    writer = record(field("at", "long"), name="old.order")
    reader = record(field("at", {"type": "long", "logicalType": "timestamp-millis"}), name="new.sale", aliases=["new.order"])
    decoder = DatumDecoder(BlockDecoder(json.dumps(writer).encode()))
    data, _, _ = decoder.decode(written(writer, {"at": 0}, {"at": 2**62}))
    found, bad = Resolution(decoder.node, read_schema(json.dumps(reader).encode())).rows(data)
    assert found.column("at").type == pa.timestamp("ms", "UTC")
    assert found.column("at").cast(pa.int64()).to_pylist() == [0, None]
    assert bad[1][0] == "logical_type"


def test_a_schema_without_a_record_gives_one_column() -> None:
    assert resolved("int", "double", 1, 2) == ([{"value": 1.0}, {"value": 2.0}], {})


def test_more_branches_of_a_union_change_nothing() -> None:
    writer, reader = record(field("u", ["int", "string"])), record(field("u", ["null", "string", "double", "int"]))
    assert resolved(writer, reader, {"u": 1}, {"u": "a"}) == ([{"u": "1"}, {"u": '"a"'}], {})
