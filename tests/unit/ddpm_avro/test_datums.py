"""Messages that are single records: every decoder gives the same, and a bad one costs none of its neighbours."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpm_avro.container import encode_long
from ddpm_avro.datums import DatumDecoder
from ddpm_avro.decoder import BlockDecoder
from tests.unit.ddpm_avro.test_decoder import SETTINGS, _rows, cases


def _decoders(schema: Any) -> dict[str, DatumDecoder]:
    """One for each way."""
    text = json.dumps(schema).encode()
    ways = {name: BlockDecoder(text) for name in ("ruhvro", "fastavro", "datum")}
    ways["ruhvro"]._fastavro = None
    ways["fastavro"]._ruhvro = None
    ways["datum"]._ruhvro = ways["datum"]._fastavro = None
    return {name: DatumDecoder(way) for name, way in ways.items()}


def _outcome(decoder: DatumDecoder, datums: list[bytes]) -> Any:
    data, which, bad = decoder.decode(datums)
    data.validate(full=True)
    assert data.schema == decoder.schema
    assert list(which) == sorted(which)
    assert sorted([*which, *bad]) == list(range(len(datums)))
    assert data.num_rows == len(which)
    return _rows(data), list(which), bad


@SETTINGS
@given(cases(), st.data())
def test_all_decoders_agree_on_messages_whatever_was_done_to_them(case: tuple[Any, list[bytes]], data: st.DataObject) -> None:
    schema, values = case
    found = [bytearray(value) for value in values * 5]
    for damaged in data.draw(st.lists(st.sampled_from(found), max_size=3)):
        at = data.draw(st.integers(0, len(damaged)))
        byte = data.draw(st.one_of(st.sampled_from(b"\x00\x01\x02\x03\x7f\x80\xff"), st.integers(0, 255)))
        match data.draw(st.sampled_from(["set", "insert", "cut", "append"])):
            case "insert":
                damaged.insert(at, byte)
            case "cut":
                del damaged[at:]
            case "append":
                damaged.append(byte)
            case _ if damaged:
                damaged[min(at, len(damaged) - 1)] = byte
    datums = [bytes(value) for value in found]
    outcomes = {name: _outcome(decoder, datums) for name, decoder in _decoders(schema).items()}
    assert outcomes["ruhvro"] == outcomes["fastavro"] == outcomes["datum"]


RECORD = {"type": "record", "name": "r", "fields": [{"name": "n", "type": "long"}, {"name": "d", "type": "double"}]}


@pytest.mark.parametrize("way", ["ruhvro", "fastavro", "datum"])
def test_one_bad_message_among_many_is_the_only_one_that_is_rejected(way: str) -> None:
    good = [encode_long(n) + struct.pack("<d", n) for n in range(1000)]
    datums = [*good[:700], good[700] + b"\x00", *good[701:]]
    data, which, bad = _decoders(RECORD)[way].decode(datums)
    assert data.column("n").to_pylist() == list(which) == [n for n in range(1000) if n != 700]
    assert bad == {700: ("trailing_bytes", "1 bytes are left over after the record")}


def test_a_last_byte_that_may_be_one_too_many_is_looked_at_closely_and_costs_no_order() -> None:
    values = [0.0, -0.0, 1.0, -0.0]  # -0.0 ends with the byte 0x80.
    data, which, bad = _decoders(RECORD)["ruhvro"].decode([b"\x02" + struct.pack("<d", value) for value in values])
    assert [math.copysign(1, value) for value in data.column("d").to_pylist()] == [1, -1, 1, -1]
    assert (list(which), bad) == ([0, 1, 2, 3], {})


def test_records_that_take_no_bytes_or_have_no_columns_are_rows() -> None:
    empty = {"type": "record", "name": "r", "fields": []}
    for schema, columns in ((empty, 0), ("null", 1)):
        data, which, bad = DatumDecoder(BlockDecoder(json.dumps(schema).encode())).decode([b"", b"\x00", b""])
        assert (data.num_rows, data.num_columns, list(which)) == (2, columns, [0, 2])
        assert bad == {1: ("trailing_bytes", "1 bytes are left over after the record")}


@pytest.mark.parametrize(
    ("schema", "datum", "reason"),
    [
        ({"type": "array", "items": "null"}, encode_long(10**9) + b"\x00", "collection_limit"),
        ({"type": "array", "items": "int"}, encode_long(-(2**62)) + b"\x00\x00", "avro_invalid"),
        (["null", "string"], b"\x01", "avro_invalid"),
        ({"type": "enum", "name": "e", "symbols": ["A"]}, b"\x01", "avro_invalid"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 9}, encode_long(200_000) + b"\x7f" * 200_000, "decimal_length"),
        ("int", encode_long(2**31), "int_range"),
        ("long", b"\xff" * 31 + b"\x00", "avro_invalid"),
        ("string", b"\x02\xff", "encoding"),
        ("string", encode_long(2**40), "avro_invalid"),
        ("long", b"\x02\x00", "trailing_bytes"),
        ("long", b"", "avro_invalid"),
        ({"type": "int", "logicalType": "date"}, encode_long(2**31 - 1), "logical_type"),
        ({"type": "string", "logicalType": "uuid"}, b"\x06abc", "logical_type"),
    ],
)
def test_hostile_messages_are_rejected_alone(schema: Any, datum: bytes, reason: str) -> None:
    outer = {"type": "record", "name": "outer", "fields": [{"name": "n", "type": "long"}, {"name": "v", "type": schema}]}
    fine = b"\x00"
    if isinstance(schema, dict) and schema.get("logicalType") == "uuid":
        fine = b"\x48" + b"0123abcd-0000-0000-0000-000000000000"
    if isinstance(schema, dict) and schema["type"] == "bytes":
        fine = b"\x02\x01"
    datums = [b"\x02" + fine, b"\x04" + datum, b"\x06" + fine]
    for decoder in _decoders(outer).values():
        data, which, bad = decoder.decode(datums)
        assert (data.column("n").to_pylist(), list(which), bad[1][0]) == ([1, 3], [0, 2], reason)


def test_many_unions_at_once_are_decoded_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddpm_avro.datums.MAX_BRANCHES", 30)
    schema = {"type": "record", "name": "r", "fields": [{"name": "u", "type": ["int", "string", "null"]}]}
    decoder = _decoders(schema)["ruhvro"]
    data, which, bad = decoder.decode([b"\x00" + encode_long(n) for n in range(100)])
    assert [json.loads(text) for text in data.column("u").to_pylist()] == list(range(100))
    assert (list(which), bad) == (list(range(100)), {})


def test_no_messages_are_no_rows() -> None:
    data, which, bad = _decoders(RECORD)["ruhvro"].decode([])
    assert (data.num_rows, data.schema, list(which), bad) == (0, pa.schema([("n", pa.int64()), ("d", pa.float64())]), [], {})
