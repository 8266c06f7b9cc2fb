"""A block that would become too much is refused before it is decoded."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from ddpm_avro.container import block_bytes, encode_long, header_bytes
from ddpm_avro.limits import Shape
from ddpm_avro.options import AvroOptions
from ddpm_avro.parser import AvroParser
from ddpm_avro.schema import read_schema
from ddpm_core import BuildContext, DataError, Document, Parsed, Position

SYNC = b"0123456789abcdef"


def shape(schema: Any) -> Shape:
    return Shape.of(read_schema(json.dumps(schema).encode()))


def test_branches_are_those_of_every_record_and_those_of_items() -> None:
    union = ["null", "long", "string"]
    record = {
        "type": "record",
        "name": "r",
        "fields": [
            {"name": "a", "type": union},
            {"name": "b", "type": {"type": "array", "items": union}},
            {"name": "c", "type": "long"},
        ],
    }
    assert shape(record) == Shape(least=3, branches=3, item_branches=3)
    assert shape(["null", "long"]) == Shape(least=1), "one type or null is no union"


@pytest.mark.parametrize(
    ("limits", "count", "size", "before", "message"),
    [
        (Shape(1), 500_001, 1 << 20, 0, "it announces 500,001 records, more than 500,000"),
        (Shape(0), 2, 0, 999_999, "it announces 2 records that take no bytes, of which a file may have 1,000,000"),
        (
            Shape(1, branches=100),
            400_000,
            1 << 20,
            0,
            "its 400,000 records have unions of too many branches for 1,048,576 bytes at once",
        ),
        (Shape(1, item_branches=9), 1, 16 << 20, 0, "its 1 records have unions of too many branches for 16,777,216 bytes at once"),
    ],
)
def test_too_much_is_refused(limits: Shape, count: int, size: int, before: int, message: str) -> None:
    with pytest.raises(DataError) as caught:
        limits.check(count, size, before, readable=True)
    assert (caught.value.reason, caught.value.message) == ("collection_limit", message)


def test_what_cannot_be_is_damage() -> None:
    with pytest.raises(ValueError, match=r"^3 records cannot be in 2 bytes$"):
        Shape(1).check(3, 2, 0, readable=True)
    Shape(1).check(3, 2, 0, readable=False)  # Compressed, so nothing is known.


def test_much_is_allowed() -> None:
    Shape(1, branches=3).check(500_000, 16 << 20, 10**9, readable=True)
    Shape(0).check(1_000_000, 0, 0, readable=True)


def parsed(schema: Any, *blocks: tuple[int, bytes], **options: Any) -> list[Parsed]:
    data = header_bytes(json.dumps(schema).encode(), "null", SYNC) + b"".join(block_bytes("null", n, b, SYNC) for n, b in blocks)
    return list(AvroParser(AvroOptions(**options), BuildContext()).parse_document(Document("f.avro", "f#1", io.BytesIO(data))))


def test_a_record_that_is_too_large_is_set_aside_and_can_be_read_again() -> None:
    long = encode_long(50) + b"x" * 50
    block = (3, b"\x02a" + long + b"\x02b")
    (step,) = parsed("string", block, max_record_bytes=20)
    assert step.data is not None
    assert step.data.to_pylist() == [{"value": "a"}, {"value": "b"}]
    (reject,) = step.rejects
    assert (reject.index, reject.reason) == (1, "too_large")
    assert reject.message == "the record has 51 bytes, more than the 20 allowed"
    assert reject.raw is not None
    again = AvroParser(AvroOptions(), BuildContext()).parse_document(Document("f", "f", io.BytesIO(reject.raw)))
    assert [row for step in again if step.data for row in step.data.to_pylist()] == [{"value": "x" * 50}]
    assert [step.rejects for step in parsed("string", block)] == [[]]


def test_a_record_that_becomes_too_large_in_memory_is_set_aside_and_can_be_read_again() -> None:
    """A small number takes a byte in the file, and eight in a row."""
    schema = {"type": "array", "items": "long"}

    def numbers(count: int) -> bytes:
        return encode_long(count) + b"\x02" * count + b"\x00"

    (step,) = parsed(schema, (3, numbers(2) + numbers(1_000) + numbers(3)), max_record_bytes=2_000)
    assert step.data is not None
    assert step.data.to_pylist() == [{"value": [1] * 2}, {"value": [1] * 3}]
    (reject,) = step.rejects
    assert (reject.index, reject.reason) == (1, "too_large")
    assert reject.message == "the row has 8,004 bytes in memory, more than the 2,000 allowed"
    assert reject.raw is not None
    again = AvroParser(AvroOptions(), BuildContext()).parse_document(Document("f", "f", io.BytesIO(reject.raw)))
    assert [row for step in again if step.data for row in step.data.to_pylist()] == [{"value": [1] * 1_000}]


def test_a_block_that_becomes_much_in_memory_is_cut_and_any_part_can_be_resumed() -> None:
    schema = {"type": "record", "name": "r", "fields": [{"name": f"f{n}", "type": ["null", "long"]} for n in range(500)]}
    steps = parsed(schema, (10_000, bytes(500 * 10_000)))
    assert sum(step.records for step in steps) == 10_000
    assert len(steps) > 1
    assert all(step.data is not None and step.data.nbytes <= 16 << 20 for step in steps)
    data = header_bytes(json.dumps(schema).encode(), "null", SYNC) + block_bytes("null", 10_000, bytes(500 * 10_000), SYNC)
    start = Position(steps[0].records, {"resume": steps[0].resume})
    document = Document("f.avro", "f#1", io.BytesIO(data), start)
    rest = AvroParser(AvroOptions(), BuildContext()).parse_document(document)
    assert [step.records for step in rest] == [step.records for step in steps[1:]]


def test_a_record_alone_in_its_block_is_kept_however_many_items_it_has() -> None:
    items = 2_500_000
    block = encode_long(items) + b"\x02" * items + b"\x00"
    (step,) = parsed({"type": "array", "items": "long"}, (1, block))
    (reject,) = step.rejects
    assert (reject.reason, reject.message) == (
        "too_large",
        "the row has 20,000,004 bytes in memory, more than the 16,777,216 allowed",
    )
    assert reject.raw is not None
    assert block in reject.raw


def test_a_schema_nested_as_deep_as_allowed_is_read_and_one_level_more_is_not() -> None:
    schema: Any = "long"
    for _ in range(20):
        schema = {"type": "array", "items": schema}
    data = b"\x02" * 20 + b"\x0a" + b"\x00" * 20
    (step,) = parsed(schema, (1, data), max_depth=20)
    assert step.data is not None
    value = step.data.to_pylist()[0]["value"]
    for _ in range(20):
        (value,) = value
    assert value == 5
    with pytest.raises(DataError, match=r"^f\.avro: the schema is nested more than 19 levels deep, at ") as caught:
        parsed(schema, (1, data), max_depth=19)
    assert caught.value.reason == "depth"


def test_more_items_than_python_should_hold_are_refused() -> None:
    schema = {"type": "array", "items": ["long", "string"]}
    count = 2_200_000
    (step,) = parsed(schema, (2, encode_long(1) + b"\x00\x02\x00" + encode_long(count) + b"\x00\x02" * count + b"\x00"))
    assert step.data is not None
    assert step.data.num_rows == 1
    (reject,) = step.rejects
    assert (reject.index, reject.reason) == (1, "collection_limit")
    assert reject.message.startswith("more than 2,000,000 items in one block (in the block at byte ")
