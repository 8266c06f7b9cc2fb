"""The three decoders agree on every input."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddpm_avro.container import Block, Header, encode_long
from ddpm_avro.decoder import BlockDecoder, DoubtError
from tests.examples import examples

SYNC = b"0123456789abcdef"
SETTINGS = settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))

_LEAVES: list[Any] = [
    "null", "boolean", "int", "long", "float", "double", "bytes", "string",
    {"type": "int", "logicalType": "date"},
    {"type": "int", "logicalType": "time-millis"},
    {"type": "long", "logicalType": "time-micros"},
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "long", "logicalType": "timestamp-nanos"},
    {"type": "long", "logicalType": "local-timestamp-millis"},
    {"type": "long", "logicalType": "local-timestamp-micros"},
    {"type": "long", "logicalType": "local-timestamp-nanos"},
    {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2},
    {"type": "bytes", "logicalType": "decimal", "precision": 50, "scale": 7},
    {"type": "string", "logicalType": "uuid"},
    {"type": "string", "logicalType": "unknown"},
]  # fmt: skip


class Names:
    """Gives each named type of one schema a name of its own."""

    def __init__(self) -> None:
        self.count = 0

    def named(self, kind: str, **rest: Any) -> dict[str, Any]:
        self.count += 1
        return {"type": kind, "name": f"t{self.count}", **rest}


@st.composite
def schemas(draw: st.DrawFn, names: Names, depth: int = 3, union: bool = True) -> Any:
    kinds = (
        ["leaf"] * 3
        + ["fixed", "enum"]
        + (["record", "array", "map"] if depth else [])
        + (["option", "union"] if depth and union else [])
    )
    kind = draw(st.sampled_from(kinds))
    if kind == "fixed":
        more = draw(
            st.sampled_from(
                [
                    {"size": 3},
                    {"size": 12, "logicalType": "duration"},
                    {"size": 16, "logicalType": "uuid"},
                    {"size": 4, "logicalType": "decimal", "precision": 9, "scale": 9},
                    {"size": 20, "logicalType": "decimal", "precision": 38, "scale": 1},
                ]
            )
        )
        return names.named("fixed", **more)
    if kind == "enum":
        return names.named("enum", symbols=["A", "B", "C"])
    if kind == "record":
        count = draw(st.integers(0, 4))
        return names.named("record", fields=[{"name": f"x{i}", "type": draw(schemas(names, depth - 1))} for i in range(count)])
    if kind == "array":
        return {"type": "array", "items": draw(schemas(names, depth - 1))}
    if kind == "map":
        return {"type": "map", "values": draw(schemas(names, depth - 1))}
    if kind == "option":
        child = draw(schemas(names, depth - 1, union=False).filter(lambda s: s != "null"))
        return draw(st.permutations(["null", child])) if draw(st.integers(0, 9)) else [child]
    if kind == "union":
        branches = [
            draw(schemas(names, depth - 1, union=False).filter(lambda s: s != "null")) for _ in range(draw(st.integers(2, 3)))
        ]
        return draw(st.permutations(["null", *branches]))
    return draw(st.sampled_from(_LEAVES))


def _text(raw: bytes) -> bytes:
    return encode_long(len(raw)) + raw


@st.composite
def datums(draw: st.DrawFn, schema: Any) -> bytes:
    """The encoding of a value, mostly right. Written here and not with a library, so that wrong ones can be had too."""
    if isinstance(schema, list):
        index = draw(st.integers(0, len(schema) - 1))
        return encode_long(index) + draw(datums(schema[index]))
    kind, more = (schema, {}) if isinstance(schema, str) else (schema["type"], schema)
    logical = more.get("logicalType")
    if kind == "null":
        return b""
    if kind == "boolean":
        return draw(st.sampled_from([b"\x00", b"\x01"]))
    if kind in ("int", "long"):
        bits = 31 if kind == "int" and draw(st.integers(0, 9)) else 63
        small = st.integers(0, 80_000_000) if logical else st.integers(-200, 200)
        return encode_long(draw(st.one_of(small, small, st.integers(-(1 << bits), (1 << bits) - 1))))
    if kind == "float":
        return struct.pack("<f", draw(st.floats(width=32)))
    if kind == "double":
        return struct.pack("<d", draw(st.floats()))
    if kind == "string":
        if logical == "uuid":
            return _text(str(draw(st.uuids())).encode() if draw(st.integers(0, 9)) else b"no uuid")
        return _text(draw(st.text(max_size=6)).encode())
    if kind == "bytes":
        return _text(draw(st.binary(max_size=40 if not draw(st.integers(0, 9)) else 2)))
    if kind == "fixed":
        fill = draw(st.sampled_from([b"\x00", b"\xff"])) * max(0, more["size"] - 3)
        return fill + draw(st.binary(min_size=3, max_size=3))
    if kind == "enum":
        return encode_long(draw(st.integers(0, 2)) if draw(st.integers(0, 9)) else draw(st.integers(-5, 5)))
    if kind == "record":
        return b"".join([draw(datums(field["type"])) for field in more["fields"]])
    out = b""
    for _ in range(draw(st.integers(0, 2))):
        items = [
            (_text(draw(st.text("ab", max_size=1)).encode()) if kind == "map" else b"")
            + draw(datums(more["items" if kind == "array" else "values"]))
            for _ in range(draw(st.integers(1, 2)))
        ]
        held = b"".join(items)
        out += encode_long(len(items)) + held if draw(st.booleans()) else encode_long(-len(items)) + encode_long(len(held)) + held
    return out + b"\x00"


@st.composite
def cases(draw: st.DrawFn) -> tuple[Any, list[bytes]]:
    names = Names()
    if draw(st.integers(0, 9)):
        fields = [{"name": f"c{i}", "type": draw(schemas(names))} for i in range(draw(st.integers(1, 4)))]
        schema = names.named("record", fields=fields)
    else:
        schema = draw(schemas(names))
    return schema, draw(st.lists(datums(schema), min_size=1, max_size=4))


def _decoders(schema: Any) -> dict[str, BlockDecoder]:
    """One decoder for each way."""
    text = json.dumps(schema).encode()
    ways = {name: BlockDecoder(text) for name in ("ruhvro", "fastavro", "datum")}
    ways["ruhvro"]._fastavro = None
    ways["fastavro"]._ruhvro = None
    ways["datum"]._ruhvro = ways["datum"]._fastavro = None
    return ways


def _shown(value: Any) -> Any:
    """NaN equals itself here."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    return value


def _rows(data: pa.RecordBatch) -> list[Any]:
    columns = [_without_nanos(column).to_pylist() for column in data.columns]
    return [_shown(row) for row in zip(*columns, strict=True)]


def _without_nanos(array: pa.Array) -> pa.Array:
    """Nanoseconds as integers, since Python has no type for them."""
    if isinstance(array, pa.ExtensionArray):
        return array.storage
    if pa.types.is_timestamp(array.type):
        return array.cast(pa.int64())
    if pa.types.is_struct(array.type) and array.type.num_fields:
        children = [_without_nanos(child) for child in array.flatten()]
        return pa.StructArray.from_arrays(children, [f.name for f in array.type], mask=array.is_null())
    if pa.types.is_map(array.type):
        return pa.MapArray.from_arrays(array.offsets, array.keys, _without_nanos(array.items), mask=array.is_null())
    if pa.types.is_list(array.type):
        return pa.ListArray.from_arrays(array.offsets, _without_nanos(array.values), mask=array.is_null())
    return array


def _outcome(decoder: BlockDecoder, header: Header, blocks: list[Block]) -> Any:
    decoded = decoder.decode(header, blocks)
    decoded.data.validate(full=True)
    assert decoded.data.schema == decoder.schema
    assert decoded.data.num_rows + len({reject.index for reject in decoded.rejects}) == decoded.records
    rejects = [(r.index, r.reason, r.message, r.raw, r.byte_offset) for r in decoded.rejects]
    return _rows(decoded.data), decoded.kept, rejects


def _header(schema: Any) -> Header:
    return Header(json.dumps(schema).encode(), "null", SYNC, 0)


@SETTINGS
@given(cases())
def test_all_decoders_agree_on_values_and_on_what_is_wrong_with_them(case: tuple[Any, list[bytes]]) -> None:
    schema, values = case
    blocks = [Block(0, 9, len(values), b"".join(values)), Block(9, 99, 1, values[0])]
    outcomes = {name: _outcome(decoder, _header(schema), blocks) for name, decoder in _decoders(schema).items()}
    assert outcomes["ruhvro"] == outcomes["fastavro"] == outcomes["datum"]


@pytest.mark.parametrize("schema", ["long", "null", {"type": "record", "name": "r", "fields": [{"name": "a", "type": "string"}]}])
@pytest.mark.parametrize("rest", [b"\x00", b"\x80", b"\x80\x80", b"\x82"])
def test_bytes_after_the_last_record_are_never_overlooked(schema: Any, rest: bytes) -> None:
    block = Block(0, 9, 1, (b"" if schema == "null" else b"\x02a" if isinstance(schema, dict) else b"\x02") + rest)
    outcomes = {name: _outcome(decoder, _header(schema), [block]) for name, decoder in _decoders(schema).items()}
    assert [reject[1] for reject in outcomes["datum"][2]] == ["trailing_bytes"]
    assert all(outcome == outcomes["datum"] for outcome in outcomes.values())


def test_records_that_take_no_bytes_are_counted_and_never_looped_over() -> None:
    block = Block(0, 9, 1, encode_long(1 << 40))  # Read as an array: a second block of 2^40 items, which take no bytes at all.
    outcomes = {name: _outcome(decoder, _header("null"), [block]) for name, decoder in _decoders("null").items()}
    assert [(reject[1], reject[2]) for reject in outcomes["datum"][2]] == [
        ("trailing_bytes", "6 bytes are left over after the last of 1 records (in the block at byte 0, from its record 0 on)")
    ]
    assert all(outcome == outcomes["datum"] for outcome in outcomes.values())


@SETTINGS
@given(cases(), st.data())
def test_all_decoders_agree_on_damaged_blocks(case: tuple[Any, list[bytes]], data: st.DataObject) -> None:
    schema, values = case
    whole = bytearray(b"".join(values))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole)))
        how = data.draw(st.sampled_from(["set", "insert", "cut"]))
        byte = data.draw(st.one_of(st.sampled_from(b"\x00\x01\x02\x03\x7f\x80\xff"), st.integers(0, 255)))
        if how == "insert" or not whole:
            whole.insert(at, byte)
        elif how == "cut":
            del whole[at:]
        else:
            whole[min(at, len(whole) - 1)] = byte
    block = Block(0, 9, len(values), bytes(whole))
    outcomes = {name: _outcome(decoder, _header(schema), [block]) for name, decoder in _decoders(schema).items()}
    assert outcomes["ruhvro"] == outcomes["datum"]
    # fastavro alone takes numbers of any length, and keeps their last 64 bits.
    if not any("longer than 10 bytes" in message for _, _, message, _, _ in outcomes["datum"][2]):
        assert outcomes["fastavro"] == outcomes["datum"]


@pytest.mark.parametrize(
    ("schema", "datum"),
    [
        ({"type": "record", "name": "r", "fields": [{"name": "a", "type": ["null", "long"]}, {"name": "b", "type": "string"}]}, b"\x02\x02\x02x"),
        ("bytes", b"\x04\xff\xfe"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 5}, b"\x02\xff"),
        ({"type": "fixed", "name": "f", "size": 12}, b"\x01\x00\x00\x00\x00\x00\xf0\x7f\x01\x00\x80\x7f"),
        ({"type": "map", "values": ["null", "int", "string"]}, b"\x02\x02a\x04\x02x\x00"),
    ],
)  # fmt: skip
def test_the_fastest_decoder_takes_what_it_is_not_made_for(schema: Any, datum: bytes) -> None:
    ways = _decoders(schema)
    block = Block(0, 9, 2, datum * 2)
    assert len(ways["ruhvro"].fast([block])) == 2
    assert _outcome(ways["ruhvro"], _header(schema), [block]) == _outcome(ways["datum"], _header(schema), [block])


def test_bytes_left_over_are_noticed_by_the_decoders_that_ignore_them() -> None:
    for schema in ("long", {"type": "record", "name": "r", "fields": [{"name": "a", "type": ["null", "string"]}]}):
        ways = _decoders(schema)
        for name in ("ruhvro", "fastavro"):
            assert len(ways[name].fast([Block(0, 9, 2, b"\x00\x00")])) == 2
            for count, data in ((2, b"\x00\x00\x00"), (2, b"\x00\x00\x02\x00"), (1, b"\x00\x00"), (3, b"\x00\x00"), (0, b"\x00")):
                with pytest.raises(DoubtError):
                    ways[name].fast([Block(0, 9, 2, b"\x00\x00"), Block(9, 99, count, data)])
