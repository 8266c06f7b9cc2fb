"""pyarrow.json, orjson over many records, and one record at a time give the same for every input."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import BuildContext, DataError, Document, Messages, Parsed, Position
from ddpm_json import elements, parser
from ddpm_json import messages as messages_module
from ddpm_json.arrow_reader import ArrowReader
from ddpm_json.options import JsonOptions
from ddpm_json.reader import RecordReader
from tests.examples import examples

NAMES = st.sampled_from(["a", "b", "c", "A", "d e", "é", ""])
NUMBERS = st.sampled_from(
    [
        "1",
        "0",
        "-0",
        "1.0",
        "1e5",
        "1E400",
        "-0.0",
        "2.5",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "NaN",
        "Infinity",
        "01",
        "1.",
        "0.1",
        "1e-400",
        "123456789012345678901234567890",
        "16777217",
        "33.330",
        "1.005",
        "100",
    ]
)
TEXTS = st.one_of(
    st.text(max_size=5).map(json.dumps),
    st.text(max_size=5).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(
        [
            '"2024-01-02T03:04:05Z"', '"2024-01-02"', '"}\\n{"', '"},{"', '"}{"', '"\\ud800"', '"\\u0000"', '"12"', '"1.5"', '"+1"',
            '".5"', '"1e3"', '" 1"', '"true"', '"NaN"', '"\\ud83d\\ude00"', '"8f14e45f-ceea-467f-a8e1-0123456789ab"', '"a\tb"',
        ]
    ),
)  # fmt: skip
SCALARS = st.one_of(NUMBERS, TEXTS, st.sampled_from(["true", "false", "null"]))


def as_object(pairs: Sequence[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in pairs) + "}"


NESTED = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(NAMES, inner), max_size=3).map(as_object),
    ),
    max_leaves=5,
)
NASTY = st.lists(st.tuples(NAMES, st.one_of(SCALARS, SCALARS, NESTED)), max_size=4).map(as_object)
INTS = st.integers(-(2**63), 2**63 - 1).map(str)
FLOATS = st.floats(allow_nan=False, allow_infinity=False).map(repr)
CLEAN = st.fixed_dictionaries(
    {"k": INTS},
    optional={
        "a": FLOATS,
        "b": st.text(max_size=4).map(json.dumps),
        "c": st.sampled_from(["true", "false"]),
        "A": st.one_of(st.integers(-99, 99).map(str), FLOATS),
        "n": st.just("null"),
        "d e": st.sampled_from(["1", "1.5", "12.345", "-0.0", "1e1", "99999999999"]),
    },
).map(lambda row: as_object(list(row.items())))
ODD = st.sampled_from(
    ["[1]", "3", "", "{", '  {"k":1}  ', '{"k":1}{"k":2}', '{"k":1} {"b":2}', '{"k":', "1}", '{"k":1}x', "nul", '{"k":[{}', "{}]}"]
)
COLUMNS = st.sampled_from(
    [
        pa.int32(), pa.int64(), pa.uint64(), pa.float64(), pa.float32(), pa.float16(), pa.string(), pa.large_string(), pa.bool_(),
        pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.date32(), pa.decimal128(10, 2), pa.decimal128(38, 9), pa.json_(), pa.uuid(),
        pa.binary(), pa.list_(pa.int64()), pa.duration("us"),
    ]
)  # fmt: skip
SCHEMAS = st.one_of(
    st.none(),
    st.dictionaries(st.sampled_from(["k", "a", "b", "c", "d e"]), COLUMNS, max_size=3).map(lambda d: pa.schema(list(d.items()))),
)
BEGINNING = '{"k":1,"a":0.5,"b":"x","c":true}'


@contextmanager
def only(way: str) -> Iterator[None]:
    """Read fast where that is possible, or `together`, or one record at a time."""
    with pytest.MonkeyPatch.context() as patch:
        if way != "fast":
            patch.setattr(ArrowReader, "ready", False)
        if way == "careful":
            patch.setattr(RecordReader, "together", lambda *_: None)
            patch.setattr(messages_module, "_but_bad_ones", lambda *_: None)
        yield


def seen(steps: Sequence[Parsed], error: str) -> Any:
    """All that came out, whatever the steps were."""
    rows: list[tuple[int, dict[str, Any]]] = []
    rejects: list[Any] = []
    records: list[Any] = []
    columns: dict[str, str] = {}
    for step in steps:
        base = len(records)
        if step.data is not None:
            origin = range(step.data.num_rows) if step.origin is None else step.origin.to_pylist()
            rows += zip((base + record for record in origin), step.data.to_pylist(), strict=True)
            columns |= {column.name: str(column.type) for column in step.data.schema}
        rejects += [(base + reject.index, reject.reason, reject.message, reject.raw, reject.byte_offset) for reject in step.rejects]
        assert step.raw is not None
        records += [(step.raw(i), step.byte_offset(i) if step.byte_offset else None) for i in range(step.records)]
    # A step before a column's first value lacks it. NaN cannot come from JSON, so repr tells all there is.
    found = repr([(at, {name: _shown(value) for name, value in row.items() if value is not None}) for at, row in rows])
    return columns, found, rejects, records, error


def _shown(value: Any) -> Any:
    """The sign of a zero written as an integer, -0, is pyarrow's to keep and Python's to drop."""
    return 0.0 if isinstance(value, float) and value == 0 else value


def read(document: bytes, schema: pa.Schema | None, rows: int) -> Any:
    reader = parser.build(JsonOptions(), BuildContext(batch_rows=rows))
    if schema is not None:
        reader.expect(schema)
    steps: list[Parsed] = []
    error = ""
    try:
        steps.extend(reader.parse_document(Document("d", "d#1", BytesIO(document))))
    except DataError as caught:
        error = str(caught)
    return seen(steps, error)


def assert_ways_agree(document: str, schema: pa.Schema | None, rows: int) -> None:
    data = document.encode("utf-8", "surrogatepass")
    found = []
    for way in ("fast", "together", "careful"):
        with only(way):
            found.append(read(data, schema, rows))
    assert found[0] == found[1]
    assert found[1] == found[2]


@settings(max_examples=examples(150), deadline=None)
@given(
    st.one_of(st.lists(CLEAN, max_size=8), st.lists(st.one_of(CLEAN, NASTY, ODD), max_size=8)),
    SCHEMAS,
    st.integers(1, 3),
    st.sampled_from(["\n", "\r\n", "\n\n"]),
    st.booleans(),
)
def test_every_way_reads_lines_the_same(records: list[str], schema: pa.Schema | None, rows: int, sep: str, end: bool) -> None:
    assert_ways_agree(BEGINNING + sep + sep.join(records) + (sep if end else ""), schema, rows)


@settings(max_examples=examples(150), deadline=None)
@given(
    st.one_of(st.lists(CLEAN, max_size=8), st.lists(st.one_of(CLEAN, NASTY, st.sampled_from(["[1]", "3", ""])), max_size=8)),
    SCHEMAS,
    st.sampled_from([",", ", ", ",\n", " ,\r\n "]),
    st.booleans(),
    st.sampled_from([1, 3]),
)
def test_every_way_reads_arrays_and_objects_in_a_row_the_same(
    records: list[str], schema: pa.Schema | None, sep: str, array: bool, rows: int
) -> None:
    if array:
        document = "[\n" + sep.join([BEGINNING, *records]) + "]"
    else:
        document = "{\n" + sep.replace(",", "").join([BEGINNING[1:], *records])
    assert_ways_agree(document, schema, rows)


@settings(max_examples=examples(30), deadline=None)
@given(st.lists(CLEAN, max_size=8), st.sampled_from([",", " ,\n "]), st.booleans(), st.sampled_from([20, 50, 300]))
def test_every_block_size_cuts_arrays_and_objects_the_same(records: list[str], sep: str, array: bool, block: int) -> None:
    # Where types are learned, they may depend on how much is seen first.
    schema = pa.schema([("A", pa.float64()), ("d e", pa.float64())])
    filler = [BEGINNING] * 3
    if array:
        document = "[" + sep.join([*filler, *records]) + "]"
    else:
        document = "{\n" + sep.replace(",", "").join([BEGINNING[1:], *filler, *records])
    data = document.encode()
    whole = read(data, schema, 1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elements, "BLOCK_BYTES", block)
        patch.setattr(parser, "BLOCK_BYTES", block)
        patch.setattr(parser, "LEARN_BYTES", 1)
        assert read(data, schema, 1000)[1:] == whole[1:]


HALVES = st.sampled_from(['{"k":"x}', '{y"}', '{"b":[{}', "{}]}", '{"b":{"a":1}', "{}}", '{"k":1}\n{"k":2}', '{"k":1}{"k":2}'])


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(st.one_of(CLEAN, CLEAN, NASTY, ODD, HALVES, st.just("[{}]"), st.just('[{"k":1},{"k":"x"}]'), st.none()), max_size=6),
    SCHEMAS,
    st.sampled_from(["reject", "skip"]),
)
def test_every_way_reads_messages_the_same(values: list[str | None], schema: pa.Schema | None, tombstones: Any) -> None:
    raws: list[bytes | None] = [None if value is None else value.encode("utf-8", "surrogatepass") for value in values]
    at = {"t/0": Position(0)}
    found = []
    for way in ("fast", "together", "careful"):
        with only(way):
            reader = parser.build(JsonOptions(tombstones=tombstones), BuildContext())
            if schema is not None:
                reader.expect(schema)
            first = reader.parse_messages(Messages([BEGINNING.encode()], ["t/0"], [0], at, at))
            second = reader.parse_messages(Messages(raws, ["t/0"] * len(raws), list(range(len(raws))), at, at))
            empty = [index for index, raw in enumerate(raws) if raw is None]
            rejected = [reject.index for reject in second.rejects if reject.reason == "no_value"]
            assert rejected == (empty if tombstones == "reject" else [])
            assert second.filtered >= (0 if tombstones == "reject" else len(empty))
            found.append(seen([first, second], ""))
    assert found[0] == found[1]
    assert found[1] == found[2]


def test_messages_beside_bad_ones_are_read_fast_too() -> None:
    reader = parser.build(JsonOptions(max_record_bytes=100), BuildContext())
    at = {"t/0": Position(0)}
    plain = BEGINNING.encode()
    reader.parse_messages(Messages([plain], ["t/0"], [0], at, at))
    values: list[bytes | None] = [b"nope", plain, b"{", plain, b"x" * 200, None, b"", plain]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecordReader, "together", lambda *_: None)
        patch.setattr(messages_module, "_one_by_one", None)
        parsed = reader.parse_messages(Messages(values, ["t/0"] * 8, list(range(8)), at, at))
    assert parsed.origin.to_pylist() == [1, 3, 7]
    assert [(reject.index, reject.reason, reject.raw) for reject in parsed.rejects] == [
        (0, "json_invalid", b"nope"),
        (2, "json_invalid", b"{"),
        (4, "too_large", b"x" * 200),
        (5, "no_value", None),
        (6, "json_invalid", b""),
    ]


def test_messages_between_tombstones_are_read_fast_too() -> None:
    reader = parser.build(JsonOptions(), BuildContext())
    at = {"t/0": Position(0)}
    plain = BEGINNING.encode()
    reader.parse_messages(Messages([plain], ["t/0"], [0], at, at))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecordReader, "together", None)
        patch.setattr(RecordReader, "decode", None)
        parsed = reader.parse_messages(Messages([None, plain, None, plain], ["t/0"] * 4, [0, 1, 2, 3], at, at))
    assert parsed.origin.to_pylist() == [1, 3]
    assert [(reject.index, reject.reason) for reject in parsed.rejects] == [(0, "no_value"), (2, "no_value")]


@pytest.mark.parametrize("document", ["{}\n{}\n", "[{0},{0}]", "{0}\r\n{0}\r\n", "{0}{0}\n" * 2, "{{\n{1}{0}"])
def test_the_fast_way_is_taken_wherever_records_are_plain(document: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the properties above would hold for the wrong reason."""
    taken: list[int] = []
    read_fast = ArrowReader.read

    def watched(self: ArrowReader, text: bytes, rows: int) -> Any:
        batch = read_fast(self, text, rows)
        taken.append(0 if batch is None else batch.num_rows)
        return batch

    monkeypatch.setattr(ArrowReader, "read", watched)
    reader = parser.build(JsonOptions(), BuildContext())
    data = document.replace("{{", "{").replace("{0}", BEGINNING).replace("{1}", BEGINNING[1:]).replace("{}", BEGINNING).encode()
    for _ in range(2):
        list(reader.parse_document(Document("d", "d#1", BytesIO(data))))
    assert sum(taken) == (0 if data.startswith(BEGINNING.encode() * 2) else 2)
