"""Rows of Python values as batches."""

from __future__ import annotations

import enum
import json
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from time import process_time
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core.schema.rows import MAX_COLUMNS, Built, RowBuilder
from tests.examples import examples

NOON = datetime(2020, 1, 2, 12)  # noqa: DTZ001


def build_one(values: list[Any], expected: pa.DataType | None = None) -> Built:
    builder = RowBuilder()
    if expected is not None:
        builder.expect(pa.schema([("a", expected)]))
    return builder.build([{"a": value} for value in values])


def values_of(built: Built) -> list[Any]:
    assert built.data is not None
    return list(built.data.column(0).to_pylist())


def messages(built: Built) -> list[tuple[int, str, str]]:
    return [(reject.index, reject.reason, reject.message) for reject in built.rejects]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, pa.bool_()),
        (1, pa.int64()),
        (1.5, pa.float64()),
        (Decimal("1.5"), pa.decimal128(38, 9)),
        ("2020-01-01", pa.string()),
        (b"a", pa.binary()),
        (NOON, pa.timestamp("us")),
        (NOON.replace(tzinfo=UTC), pa.timestamp("us", "UTC")),
        (date(2020, 1, 2), pa.date32()),
        (time(1, 2), pa.time64("us")),
        (timedelta(1), pa.duration("us")),
        (UUID(int=1), pa.uuid()),
        ({"x": 1}, pa.json_()),
        ([1], pa.json_()),
        (None, pa.null()),
    ],
)
def test_a_column_has_the_type_of_its_values(value: Any, expected: pa.DataType) -> None:
    built = build_one([value, None])
    assert built.data is not None
    assert built.data.schema == pa.schema([("a", expected)])
    assert (built.kept, built.rejects) == ([0, 1], [])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 1.5], pa.float64()),
        ([1, 2, Decimal("1.5")], pa.decimal128(38, 9)),
        ([date(2020, 1, 1), NOON], pa.timestamp("us")),
        ([1, 2.5, "a", "b"], pa.float64()),
        (["a", 1], pa.string()),
        ([1, "a"], pa.int64()),
        ([1, "a", "b"], pa.string()),
        ([{"x": 1}, "a"], pa.json_()),
    ],
)
def test_of_mixed_values_the_most_win_and_of_equals_the_first(values: list[Any], expected: pa.DataType) -> None:
    built = build_one(values)
    assert built.data is not None
    assert built.data.schema.field("a").type == expected


def test_a_column_keeps_its_type_and_a_bad_value_costs_only_its_row() -> None:
    builder = RowBuilder()
    builder.build([{"amount": 1}])
    built = builder.build([{"amount": v} for v in (1.5, 2.0, "3", "x", "03", True, 2**63, -(2**63), None, [1], Decimal("4.0"))])
    assert values_of(built) == [2, 3, -(2**63), None, 4]
    assert built.kept == [1, 2, 7, 8, 10]
    assert messages(built) == [
        (0, "type_mismatch", "column 'amount' is bigint, the value 1.5 is a double"),
        (3, "type_mismatch", "column 'amount' is bigint, the value 'x' is text"),
        (4, "type_mismatch", "column 'amount' is bigint, the value '03' is text"),
        (5, "type_mismatch", "column 'amount' is bigint, the value True is a boolean"),
        (6, "int_range", "column 'amount': 9223372036854775808 (integer beyond 64 bits) does not fit bigint"),
        (9, "type_mismatch", "column 'amount' is bigint, the value [1] is json"),
    ]


def test_an_integer_that_a_double_cannot_hold_is_refused_not_rounded() -> None:
    built = build_one([0.5, 2**53, 2**53 + 1, 2**64])
    assert values_of(built) == [0.5, 2.0**53]
    assert messages(built) == [
        (2, "int_range", "column 'a': 9007199254740993 (bigint) does not fit double"),
        (3, "int_range", "column 'a': 18446744073709551616 (integer beyond 64 bits) does not fit double"),
    ]


def test_integers_beyond_64_bits_alone_are_refused_too() -> None:
    built = build_one([2**64])
    assert built.data is None
    assert messages(built) == [(0, "int_range", "column 'a': 18446744073709551616 (integer beyond 64 bits) does not fit bigint")]


def test_a_decimal_column_takes_integers_of_any_size() -> None:
    built = build_one([2**64, Decimal("1.5"), 7, "2.50", Decimal("1.234"), Decimal("NaN"), Decimal("1E+99")], pa.decimal128(38, 2))
    assert values_of(built) == [2**64, Decimal("1.5"), 7, Decimal("2.5")]
    assert messages(built) == [
        (4, "number_range", "column 'a': 1.234 (decimal) does not fit decimal(38,2)"),
        (5, "number_range", "column 'a': NaN (decimal) does not fit decimal(38,2)"),
        (6, "number_range", "column 'a': 1E+99 (decimal) does not fit decimal(38,2)"),
    ]


def test_nan_and_infinity_are_doubles() -> None:
    assert [str(v) for v in values_of(build_one([float("nan"), float("inf"), 1.0]))] == ["nan", "inf", "1.0"]


def test_a_text_column_takes_scalars_as_json_spells_them_and_objects_as_json() -> None:
    values = ["a", 1, 1.0, True, 2**70, Decimal("1E-10"), {"x": [1]}, NOON, UUID(int=1), b"b", float("nan")]
    assert values_of(build_one(values, pa.string())) == [
        "a", "1", "1.0", "true", str(2**70), "0.0000000001", '{"x":[1]}', "2020-01-02T12:00:00",
        "00000000-0000-0000-0000-000000000001", "b", "NaN",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("expected", "text", "value"),
    [
        (pa.bool_(), "true", True),
        (pa.int32(), "-12", -12),
        (pa.float64(), "1.5e3", 1500.0),
        (pa.decimal128(6, 2), "12.5", Decimal("12.50")),
        (pa.timestamp("us"), "2020-01-02T14:00:00+02:00", NOON),
        (pa.timestamp("us", "UTC"), "2020-01-02 12:00", NOON.replace(tzinfo=UTC)),
        (pa.date32(), "2020-01-02", date(2020, 1, 2)),
        (pa.time64("us"), "12:30", time(12, 30)),
        (pa.uuid(), "00000000-0000-0000-0000-000000000001", UUID(int=1)),
        (pa.binary(), "aGk=", b"hi"),
        (pa.binary(), "\\x6869", b"hi"),
    ],
)
def test_text_is_read_where_another_type_is_expected(expected: pa.DataType, text: str, value: Any) -> None:
    built = build_one([text, "?", None], expected)
    assert values_of(built) == [value, None]
    assert [(reject.index, reject.reason) for reject in built.rejects] == [(1, "type_mismatch")]


def test_naive_and_aware_times_share_a_column_as_utc() -> None:
    aware = datetime(2020, 1, 2, 14, tzinfo=timezone(timedelta(hours=2)))
    assert values_of(build_one([NOON, aware])) == [NOON, NOON]
    assert values_of(build_one([aware, NOON])) == [NOON.replace(tzinfo=UTC)] * 2


def test_nested_drift_never_costs_a_row() -> None:
    values = [{"a": 1}, {"a": "x", "b": [2**80, Decimal("1.50")]}, [1, "y"], "text", 5, None]
    built = build_one(values)
    assert values_of(built) == ['{"a":1}', '{"a":"x","b":[1208925819614629174706176,1.50]}', '[1,"y"]', '"text"', "5", None]
    assert built.rejects == []


def test_an_expected_json_column_takes_text_that_is_json() -> None:
    built = build_one([{"a": 1}, '{"a": 2}', "oops"], pa.json_())
    assert values_of(built) == ['{"a":1}', '{"a": 2}']
    assert messages(built) == [(2, "json_invalid", "column 'a' is json, the text 'oops' is not valid JSON")]


def test_what_json_cannot_say_costs_its_row() -> None:
    built = build_one([{"a": 1}, {"a": float("nan")}, {"a": "\ud800"}, {"a": object()}])
    assert values_of(built) == ['{"a":1}']
    assert messages(built) == [
        (1, "number_range", "column 'a': {'a': nan} is or holds NaN or an infinity, which JSON cannot say"),
        (2, "surrogate", "column 'a': {'a': '\\ud800'} holds half a surrogate pair, which no text may"),
        (3, "type_mismatch", messages(built)[2][2]),
    ]


def test_expected_nested_types_are_filled_by_the_same_rules() -> None:
    built = build_one([[1, "2", None], [], None, [1.5], "x", {"y": 1}], pa.list_(pa.int32()))
    assert values_of(built) == [[1, 2, None], [], None]
    assert [(r.index, r.reason) for r in built.rejects] == [(3, "type_mismatch"), (4, "type_mismatch"), (5, "type_mismatch")]
    struct = pa.struct([("x", pa.int32()), ("y", pa.list_(pa.string()))])
    built = build_one([{"x": 1, "y": ["a"]}, {"X": "2"}, {"x": 2**40}, {"z": 1}, {"z": None}, {"x": 1, "X": 2}], struct)
    assert values_of(built) == [{"x": 1, "y": ["a"]}, {"x": 2, "y": None}, {"x": None, "y": None}]
    assert [(r.index, r.reason) for r in built.rejects] == [(2, "int_range"), (3, "unknown_column"), (5, "column_conflict")]
    built = build_one([{"k": 1}, {"k": "x"}, [("q", 2)], {None: 1}, {}], pa.map_(pa.string(), pa.int64()))
    assert values_of(built) == [[("k", 1)], [("q", 2)], []]
    assert [(r.index, r.reason) for r in built.rejects] == [(1, "type_mismatch"), (3, "type_mismatch")]
    built = build_one([{"1": 1}, {"x": 2}, {"3": None}], pa.map_(pa.int64(), pa.int64()))
    assert values_of(built) == [[(1, 1)], [(3, None)]]
    assert [(r.index, r.reason) for r in built.rejects] == [(1, "type_mismatch")]


def test_what_is_expected_is_found_by_case_last() -> None:
    builder = RowBuilder()
    builder.expect(pa.schema([("ID", pa.int16()), ("id", pa.int32()), ("Name", pa.binary())]))
    built = builder.build([{"id": 1, "ID": 2, "Id": 3, "NAME": b"x"}])
    assert built.data is not None
    assert built.data.schema == pa.schema([("id", pa.int32()), ("ID", pa.int16()), ("Id", pa.int64()), ("NAME", pa.binary())])


def test_a_later_expectation_replaces_the_learned_type() -> None:
    builder = RowBuilder()
    builder.build([{"a": 1}])
    builder.expect(pa.schema([("a", pa.string())]))
    assert values_of(builder.build([{"a": 1}])) == ["1"]


def test_late_columns_are_added_at_the_end_and_stay() -> None:
    builder = RowBuilder()
    builder.build([{"a": 1, "b": None}])
    second = builder.build([{"c": "x"}, {"b": 2.5}])
    assert second.data is not None
    assert second.data.schema == pa.schema([("a", pa.int64()), ("b", pa.float64()), ("c", pa.string())])
    third = builder.build([{"a": 5}])
    assert third.data is not None
    assert third.data.schema == second.data.schema


def test_records_that_are_no_objects_are_set_aside() -> None:
    rows: Any = [{"a": 1}, 5, "text", None, OrderedDict(a=2), {}]
    built = RowBuilder().build(rows)
    assert values_of(built) == [1, 2, None]
    assert built.kept == [0, 4, 5]
    assert messages(built) == [
        (1, "not_an_object", "the record is no object with fields, but 5"),
        (2, "not_an_object", "the record is no object with fields, but 'text'"),
        (3, "not_an_object", "the record is no object with fields, but None"),
    ]


def test_a_first_batch_without_any_field_is_set_aside() -> None:
    assert messages(RowBuilder().build([{}])) == [(0, "no_columns", "the record has no fields")]
    assert RowBuilder().build([]) == Built(None, [], [])


def test_keys_that_are_no_text_are_spelled_and_may_not_collide() -> None:
    rows: Any = [{1: "a", None: "b"}, {1: "c", "1": "d"}]
    built = RowBuilder().build(rows)
    assert built.data is not None
    assert built.data.to_pylist() == [{"1": "a", "None": "b"}]
    assert messages(built) == [(1, "column_conflict", "two keys of the record {1: 'c', '1': 'd'} have the same text")]


def test_half_a_surrogate_pair_costs_its_row_in_value_and_name() -> None:
    built = RowBuilder().build([{"a": "x"}, {"a": "y\ud800"}, {"\udc00": 1}])
    assert values_of(built) == ["x"]
    assert messages(built) == [
        (1, "surrogate", "column 'a': 'y\\ud800' holds half a surrogate pair, which no text may"),
        (2, "surrogate", "the field name '\\udc00' holds half a surrogate pair, which no text may"),
    ]


def test_keys_that_are_data_do_not_grow_the_schema_without_end() -> None:
    built = RowBuilder().build([{f"k{i}": 1 for i in range(MAX_COLUMNS)}, {"one more": 1}])
    assert built.kept == [0]
    assert messages(built) == [(1, "too_many_columns", "field 'one more' would be column 1,601; 1,600 are allowed")]


class Colour(enum.IntEnum):
    RED = 3


class Name(str):
    __slots__ = ()


def test_subclasses_count_as_what_they_are() -> None:
    assert values_of(build_one([Colour.RED, 4])) == [3, 4]
    assert values_of(build_one([Name("x"), None])) == ["x", None]
    assert values_of(build_one([bytearray(b"x"), memoryview(b"y")])) == [b"x", b"y"]


def test_an_object_of_unknown_type_is_named_by_its_type() -> None:
    built = build_one([1, object(), time(1, tzinfo=UTC)])
    assert messages(built) == [
        (1, "type_mismatch", "column 'a' is bigint, the value of type object is a Python object of type object"),
        (2, "type_mismatch", "column 'a' is bigint, the value 01:00:00+00:00 is a Python object of type time"),
    ]


def test_a_value_beyond_what_arrow_holds_costs_its_row() -> None:
    assert [r.reason for r in build_one([timedelta.max, timedelta(1)]).rejects] == ["time_range"]
    assert [r.reason for r in build_one([Decimal("1E+500"), 10**5000, Decimal(1)], pa.int64()).rejects] == [
        "int_range",
        "int_range",
    ]


def test_a_message_stays_short_and_on_one_line() -> None:
    built = build_one([1, "x\n\x1b" * 100])
    (message,) = [text for _, _, text in messages(built)]
    assert message.isprintable()
    assert len(message) < 160


VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.integers(-10, 10) | st.floats() | st.decimals() | st.text(max_size=5)
    | st.sampled_from(["1", "1.5", "true", "2020-01-01", "2020-01-01T00:00:00Z", "\ud800", "{}"])
    | st.binary(max_size=3) | st.datetimes(timezones=st.none() | st.just(UTC)) | st.dates() | st.times() | st.timedeltas()
    | st.uuids() | st.lists(st.integers() | st.text(max_size=2), max_size=3) | st.dictionaries(st.text(max_size=2), st.integers(), max_size=2)
)  # fmt: skip
TYPES = [
    None, pa.bool_(), pa.int8(), pa.int64(), pa.uint64(), pa.float32(), pa.float64(), pa.decimal128(10, 2), pa.string(), pa.json_(),
    pa.binary(), pa.binary(3), pa.uuid(), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.timestamp("ns"), pa.date32(),
    pa.time64("us"), pa.duration("us"), pa.month_day_nano_interval(), pa.list_(pa.int32()), pa.struct([("a", pa.int64())]),
    pa.map_(pa.string(), pa.int64()), pa.large_string(),
]  # fmt: skip


@settings(max_examples=examples(200), deadline=None)
@given(values=st.lists(VALUES, min_size=1, max_size=8), expected=st.sampled_from(TYPES))
def test_every_value_is_kept_or_refused_and_neighbours_do_not_matter(values: list[Any], expected: pa.DataType | None) -> None:
    built = build_one(values, expected)
    assert sorted([*built.kept, *(reject.index for reject in built.rejects)]) == list(range(len(values)))
    if built.data is None:
        return
    built.data.validate(full=True)
    learned = built.data.schema.field("a").type
    assert expected is None or learned == expected
    if learned == pa.null() or expected is None:
        return
    for row, value in enumerate(values):
        alone = build_one([value], learned)
        assert [r.reason for r in alone.rejects] == [r.reason for r in built.rejects if r.index == row]
        if alone.data is not None:
            assert alone.data.column(0).equals(built.data.column(0).slice(built.kept.index(row), 1))


RECORDS = st.lists(
    st.fixed_dictionaries({}, optional={"i": st.integers(-5, 2**63 - 1), "f": st.floats(allow_nan=False), "s": st.text(max_size=3),
                                        "j": st.lists(st.integers(), max_size=2)}),
    max_size=12,
)  # fmt: skip


@settings(max_examples=examples(80), deadline=None)
@given(records=RECORDS, cut=st.integers(0, 12))
def test_batches_give_what_one_batch_gives(records: list[Mapping[str, Any]], cut: int) -> None:
    builder = RowBuilder()
    got = []
    for part in (records[:cut], records[cut:]):
        built = builder.build(part)
        assert {reject.reason for reject in built.rejects} <= {"no_columns"}
        if built.data is not None:
            got += [{k: v for k, v in row.items() if v is not None} for row in built.data.to_pylist()]
        else:
            got += [{} for _ in part]
    expected = [{k: v for k, v in record.items() if v is not None} for record in records]
    assert [row | ({"j": json.loads(row["j"])} if "j" in row else {}) for row in got] == expected


def test_an_integer_of_a_million_digits_is_refused_at_once() -> None:
    began = process_time()
    for wanted, reason in ((pa.int64(), "int_range"), (pa.decimal128(38, 0), "number_range"), (pa.string(), "number_range")):
        builder = RowBuilder()
        builder.expect(pa.schema([("n", wanted)]))
        built = builder.build([{"n": 1 << 3_300_000}, {"n": 7}])
        assert [(reject.index, reject.reason) for reject in built.rejects] == [(0, reason)]
        assert built.kept == [1]
    assert process_time() - began < 5
