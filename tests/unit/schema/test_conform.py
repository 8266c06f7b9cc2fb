"""Batches made to fit their target."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_DOWN, Context, Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core.errors import PluginError
from ddpm_core.schema.cast import cast_column
from ddpm_core.schema.conform import Conformed, conform, unknown_fields
from tests.examples import examples

NOON = datetime(2020, 1, 2, 12)  # noqa: DTZ001
MIDNIGHT = datetime(2020, 1, 2)  # noqa: DTZ001
BEFORE_1970 = datetime(1969, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001


def conform_one(values: list[Any] | pa.Array, target: pa.DataType, source: pa.DataType | None = None, **options: Any) -> Conformed:
    array = values if isinstance(values, pa.Array) else pa.array(values, source)
    conformed = conform(pa.record_batch({"a": array}), pa.schema([("a", target)]), **options)
    if conformed.data is not None:
        conformed.data.validate(full=True)
        assert conformed.data.schema == pa.schema([("a", target)])
    return conformed


def column_values(conformed: Conformed) -> list[Any]:
    return [] if conformed.data is None else list(conformed.data.column(0).to_pylist())


def refusals(conformed: Conformed) -> list[tuple[int, str, str]]:
    return [(reject.index, reject.reason, reject.message) for reject in conformed.rejects]


def text_with_bad_bytes() -> pa.Array:
    """Three texts, the second of which is not UTF-8."""
    offsets = pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0")
    return pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"a\xffb")])


def test_columns_of_the_right_type_are_passed_on_uncopied() -> None:
    data = pa.record_batch({"b": ["x", "y"], "a": [1, 2]})
    conformed = conform(data, pa.schema([("a", pa.int64()), ("b", pa.string()), ("default", pa.int64())]))
    assert conformed.data is not None
    assert conformed.data.schema == pa.schema([("a", pa.int64()), ("b", pa.string())])
    assert conformed.data["a"].buffers()[1].address == data["a"].buffers()[1].address
    assert (conformed.rejects, conformed.kept, conformed.row(1)) == ([], None, 1)


def test_columns_of_the_right_type_cost_no_import_of_what_casts() -> None:
    code = (
        "import sys\n"
        "import pyarrow as pa\n"
        "from ddpm_core import conform\n"
        "batch = pa.record_batch({'a': [1, None], 'b': ['x', 'y']})\n"
        "print(conform(batch, batch.schema).data == batch, 'pyarrow.compute' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "True False\n"


def test_rows_that_do_not_fit_are_named_and_the_others_stay() -> None:
    data = pa.record_batch({"id": [1, 3_000_000_000, None, 4], "amount": [1.5, 2.0, 3.0, float("nan")]})
    conformed = conform(data, pa.schema([pa.field("id", pa.int32(), nullable=False), ("amount", pa.decimal128(12, 2))]))
    assert conformed.data is not None
    assert conformed.data.to_pylist() == [{"id": 1, "amount": Decimal("1.50")}]
    assert conformed.data.schema.field("id").nullable
    assert [conformed.row(i) for i in range(1)] == [0]
    assert refusals(conformed) == [
        (1, "int_range", "column 'id': 3000000000 (bigint) does not fit integer"),
        (2, "null_value", "column 'id' must not be null"),
        (3, "number_range", "column 'amount': nan (double) does not fit decimal(12,2)"),
    ]


def test_a_row_bad_in_several_columns_is_one_reject() -> None:
    data = pa.record_batch({"a": ["x"], "b": ["y"]})
    conformed = conform(data, pa.schema([("a", pa.int64()), ("b", pa.int64())]))
    assert (conformed.data, conformed.kept) == (None, [])
    assert refusals(conformed) == [(0, "type_mismatch", "column 'a' is bigint, the value 'x' is text")]


@pytest.mark.parametrize(
    ("source", "values", "target", "expected", "reasons"),
    [
        # Integers.
        (pa.int64(), [127, 128, -129, None], pa.int8(), [127, None], {1: "int_range", 2: "int_range"}),
        (pa.int64(), [0, -1], pa.uint64(), [0], {1: "int_range"}),
        (pa.uint64(), [2**63 - 1, 2**63], pa.int64(), [2**63 - 1], {1: "int_range"}),
        (pa.float64(), [2.0, 2.5, 2.0**63, float("nan"), float("inf")], pa.int64(), [2], dict.fromkeys(range(1, 5), "type_mismatch")),
        (pa.float16(), [2.0, 2.5], pa.int32(), [2], {1: "type_mismatch"}),
        (pa.decimal128(20, 2), [Decimal(5), Decimal("5.5"), Decimal(2**33)], pa.int32(), [5], {1: "type_mismatch", 2: "int_range"}),
        (pa.decimal32(5, 2), [Decimal(5), Decimal("5.5")], pa.int32(), [5], {1: "type_mismatch"}),
        (pa.string(), ["12", "-0", "007", "+1", "0x1F", "1.0", " 1", "9" * 30, ""], pa.int64(), [12, 0],
         {2: "type_mismatch", 3: "type_mismatch", 4: "type_mismatch", 5: "type_mismatch", 6: "type_mismatch", 7: "int_range",
          8: "type_mismatch"}),
        (pa.bool_(), [True], pa.int64(), [], {0: "type_mismatch"}),
        (pa.timestamp("us"), [NOON], pa.int64(), [], {0: "type_mismatch"}),
        # Floats.
        (pa.int64(), [2**53, 2**53 + 1, -(2**53) - 1], pa.float64(), [2.0**53], {1: "int_range", 2: "int_range"}),
        (pa.int64(), [2**24, 2**24 + 1], pa.float32(), [2.0**24], {1: "int_range"}),
        (pa.float64(), [0.5, 1e300, float("inf")], pa.float32(), [0.5, float("inf")], {1: "number_range"}),
        (pa.decimal128(10, 3), [Decimal("0.1"), Decimal("123.456")], pa.float64(), [0.1, 123.456], {}),
        (pa.string(), ["1.5e3", "-0.5", "1e400", "nan", ".5", "9007199254740993"], pa.float64(), [1500.0, -0.5],
         {2: "number_range", 3: "type_mismatch", 4: "type_mismatch", 5: "int_range"}),
        # Decimals.
        (pa.int64(), [99, 100], pa.decimal128(4, 2), [Decimal(99)], {1: "number_range"}),
        (pa.uint64(), [2**64 - 1], pa.decimal128(38, 18), [Decimal(2**64 - 1)], {}),
        (pa.int64(), [1], pa.decimal128(38, 30), [Decimal(1)], {}),
        (pa.float64(), [12.345, 0.1, 99.999, float("inf"), 1e30], pa.decimal128(4, 2), [Decimal("12.35"), Decimal("0.10")],
         {2: "number_range", 3: "number_range", 4: "number_range"}),
        (pa.decimal128(10, 3), [Decimal("1.230"), Decimal("1.234"), Decimal(1000)], pa.decimal128(5, 2), [Decimal("1.23")],
         {1: "number_range", 2: "number_range"}),
        (pa.decimal256(60, 3), [Decimal("1.230")], pa.decimal128(5, 2), [Decimal("1.23")], {}),
        (pa.string(), ["1.20", "1.234", "1e2", "1e-999999999", "1e-77", "1e" + "9" * 30, "0e99", "1." + "0" * 90, "x"],
         pa.decimal128(5, 2), [Decimal("1.20"), Decimal(100), Decimal(0), Decimal(1)],
         {1: "number_range", 3: "number_range", 4: "number_range", 5: "number_range", 8: "type_mismatch"}),
        # Booleans.
        (pa.string(), ["true", "false", "True", "1"], pa.bool_(), [True, False], {2: "type_mismatch", 3: "type_mismatch"}),
        (pa.int64(), [1], pa.bool_(), [], {0: "type_mismatch"}),
        # Times.
        (pa.string(), ["2020-01-02T14:00:00+02:00", "2020-01-02 12:00", "2020-01-02", "2020-01-02T12", "2020-02-30", "20200102", "x",
                       "2020-01-02T12:00:00.123456789Z", "2020-01-02T24:00:00", "2020-01-02T12:00:00+99:00"], pa.timestamp("us"),
         [NOON, NOON, MIDNIGHT, NOON, NOON.replace(microsecond=123456)], dict.fromkeys((4, 5, 6, 8, 9), "type_mismatch")),
        (pa.string(), ["2020-01-02T12:00Z", "2020-01-02T12:00:00"], pa.timestamp("us", "UTC"), [NOON.replace(tzinfo=UTC)] * 2, {}),
        (pa.timestamp("us", "Europe/Berlin"), [NOON.replace(tzinfo=UTC)], pa.timestamp("us"), [NOON], {}),
        (pa.timestamp("us"), [NOON], pa.timestamp("us", "UTC"), [NOON.replace(tzinfo=UTC)], {}),
        (pa.timestamp("ns"), [-1], pa.timestamp("us"), [BEFORE_1970], {}),
        (pa.timestamp("us"), [NOON.replace(microsecond=1), NOON], pa.timestamp("s"), [NOON], {0: "time_range"}),
        (pa.timestamp("s"), [2**60], pa.timestamp("us"), [], {0: "time_range"}),
        (pa.date32(), [date(2020, 1, 2)], pa.timestamp("us"), [MIDNIGHT], {}),
        (pa.timestamp("us"), [MIDNIGHT, NOON], pa.date32(), [date(2020, 1, 2)], {1: "type_mismatch"}),
        (pa.timestamp("us", "UTC"), [MIDNIGHT.replace(tzinfo=UTC)], pa.date32(), [date(2020, 1, 2)], {}),
        (pa.date64(), [date(2020, 1, 2)], pa.date32(), [date(2020, 1, 2)], {}),
        (pa.string(), ["2020-01-02", "2020-1-2", "2020-02-30"], pa.date32(), [date(2020, 1, 2)],
         {1: "type_mismatch", 2: "type_mismatch"}),
        (pa.string(), ["12:30", "12:30:01.5", "24:00", "12:30Z"], pa.time64("us"), [time(12, 30), time(12, 30, 1, 500000)],
         {2: "type_mismatch", 3: "type_mismatch"}),
        (pa.time32("s"), [time(12)], pa.time64("us"), [time(12)], {}),
        (pa.time64("ns"), [1001], pa.time64("us"), [time(0, 0, 0, 1)], {}),
        (pa.duration("ns"), [-1], pa.duration("us"), [timedelta(microseconds=-1)], {}),
        (pa.duration("us"), [1], pa.month_day_nano_interval(), [pa.MonthDayNano([0, 0, 1000])], {}),
        (pa.int64(), [5], pa.timestamp("us"), [], {0: "type_mismatch"}),
        # Bytes and uuids.
        (pa.string(), ["00000000-0000-0000-0000-00000000000A", "0" * 32, "x", None], pa.uuid(), [UUID(int=10), UUID(int=0), None],
         {2: "type_mismatch"}),
        (pa.binary(), [UUID(int=5).bytes, b"x"], pa.uuid(), [UUID(int=5)], {1: "type_mismatch"}),
        (pa.uuid(), [UUID(int=5)], pa.binary(), [UUID(int=5).bytes], {}),
        (pa.string(), ["aGk=", "\\x6869", "!"], pa.binary(), [b"hi", b"hi"], {2: "type_mismatch"}),
        (pa.binary(), [b"ab", b"abc"], pa.binary(2), [b"ab"], {1: "type_mismatch"}),
        (pa.large_binary(), [b"ab"], pa.binary(), [b"ab"], {}),
        # Text.
        (pa.int64(), [-5], pa.string(), ["-5"], {}),
        (pa.bool_(), [True], pa.string(), ["true"], {}),
        (pa.float64(), [1.0, 0.1, 1e22, float("nan"), float("-inf")], pa.string(), ["1.0", "0.1", "1e+22", "NaN", "-Infinity"], {}),
        (pa.decimal128(20, 11), [Decimal("5E-10")], pa.string(), ["0.00000000050"], {}),
        (pa.timestamp("us", "Europe/Berlin"), [NOON.replace(tzinfo=UTC)], pa.string(), ["2020-01-02T12:00:00Z"], {}),
        (pa.timestamp("ms"), [NOON.replace(microsecond=5000)], pa.string(), ["2020-01-02T12:00:00.005"], {}),
        (pa.date32(), [date(2020, 1, 2)], pa.string(), ["2020-01-02"], {}),
        (pa.time64("us"), [time(12)], pa.string(), ["12:00:00"], {}),
        (pa.duration("ms"), [1500], pa.string(), ["PT1.5S"], {}),
        (pa.month_day_nano_interval(), [pa.MonthDayNano([1, 2, 10**9])], pa.string(), ["P1M2DT1S"], {}),
        (pa.uuid(), [UUID(int=5)], pa.string(), ["00000000-0000-0000-0000-000000000005"], {}),
        (pa.json_(), ['{"a":1}'], pa.string(), ['{"a":1}'], {}),
        (pa.binary(), [b"hi", b"\xff"], pa.string(), ["hi"], {1: "encoding"}),
        (pa.string_view(), ["x", None], pa.string(), ["x", None], {}),
        (pa.large_string(), ["x"], pa.string(), ["x"], {}),
        (pa.dictionary(pa.int8(), pa.string()), ["x", None, "x"], pa.string(), ["x", None, "x"], {}),
        # JSON.
        (pa.string(), ['{"a": 1}', "5", "oops", None], pa.json_(), ['{"a": 1}', "5", None], {2: "json_invalid"}),
        (pa.float64(), [1.5, float("nan")], pa.json_(), ["1.5"], {1: "number_range"}),
        (pa.date32(), [date(2020, 1, 2)], pa.json_(), ['"2020-01-02"'], {}),
        (pa.binary(), [b"\x00"], pa.json_(), ['"AA=="'], {}),
        (pa.json_(), ["5", '"6"', "null", "[1]"], pa.int64(), [5, 6, None], {3: "type_mismatch"}),
        (pa.json_(), ['["a",1]', '"x"', None], pa.list_(pa.string()), [["a", "1"], None], {1: "type_mismatch"}),
        # Nested.
        (pa.list_(pa.int64()), [[1, None], [2**40], None, []], pa.list_(pa.int32()), [[1, None], None, []], {1: "int_range"}),
        (pa.list_view(pa.int64()), [[1], None, [2, 3]], pa.list_(pa.int64()), [[1], None, [2, 3]], {}),
        (pa.list_(pa.int64(), 2), [[1, 2], None], pa.list_(pa.string()), [["1", "2"], None], {}),
        (pa.list_(pa.int64()), [[1, 2], [1]], pa.list_(pa.int64(), 2), [[1, 2]], {1: "type_mismatch"}),
        (pa.struct([("A", pa.int64()), ("b", pa.int64())]), [{"A": 1, "b": None}, {"A": 1, "b": 2}, {"A": 2**40, "b": None}, None],
         pa.struct([("a", pa.int32()), ("c", pa.string())]), [{"a": 1, "c": None}, None], {1: "unknown_column", 2: "int_range"}),
        (pa.map_(pa.string(), pa.float64()), [[("1", 1.0)], None, [("x", 2.0)], [("2", 2.5)], []], pa.map_(pa.int32(), pa.int64()),
         [[(1, 1)], None, []], {2: "type_mismatch", 3: "type_mismatch"}),
        (pa.list_(pa.int64()), [[1]], pa.int64(), [], {0: "type_mismatch"}),
        (pa.null(), [None], pa.uuid(), [None], {}),
    ],
)  # fmt: skip
def test_what_fits_into_what(
    source: pa.DataType, values: list[Any], target: pa.DataType, expected: list[Any], reasons: dict[int, str]
) -> None:
    conformed = conform_one(values, target, source)
    assert column_values(conformed) == expected
    assert {reject.index: reject.reason for reject in conformed.rejects} == reasons
    assert [conformed.row(i) for i in range(len(expected))] == [row for row in range(len(values)) if row not in reasons]


def test_a_slice_of_nested_values_conforms_like_the_whole() -> None:
    values: list[Any] = [{"l": [1], "m": [("a", 1)]}, {"l": [2, 3], "m": [("b", 2), ("c", None)]}, None, {"l": None, "m": []}]
    struct = pa.struct([("l", pa.list_(pa.int64())), ("m", pa.map_(pa.string(), pa.int64()))])
    conformed = conform_one(pa.array(values, struct).slice(1), pa.json_())
    assert column_values(conformed) == ['{"l":[2,3],"m":{"b":2,"c":null}}', None, '{"l":null,"m":{}}']


def test_nested_values_become_json_without_losing_a_digit() -> None:
    struct = pa.struct(
        [("d", pa.decimal128(38, 2)), ("i", pa.uint64()), ('q"', pa.string()), ("b", pa.binary()), ("t", pa.timestamp("us", "UTC"))]
    )
    row = {
        "d": Decimal("123456789012345678901234.50"),
        "i": 2**64 - 1,
        'q"': 'é"\\\n\x01',
        "b": b"\xff",
        "t": NOON.replace(tzinfo=UTC),
    }
    expected = '{"d":123456789012345678901234.50,"i":18446744073709551615,"q\\"":"é\\"\\\\\\n\\u0001","b":"/w==","t":"2020-01-02T12:00:00Z"}'
    assert column_values(conform_one([row, None], pa.json_(), struct)) == [expected, None]
    assert column_values(conform_one([row, None], pa.string(), struct)) == [expected, None]
    assert column_values(conform_one([[1.0, None], []], pa.json_())) == ["[1.0,null]", "[]"]
    assert column_values(conform_one([{}, None], pa.json_(), pa.struct([]))) == ["{}", None]


def test_unions_are_read_value_by_value() -> None:
    union = pa.UnionArray.from_dense(
        pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()), [pa.array([1, None]), pa.array(["x"])]
    )
    assert column_values(conform_one(union, pa.string())) == ["1", "x", None]
    assert column_values(conform_one(union, pa.json_())) == ["1", '"x"', None]
    assert refusals(conform_one(union, pa.int32())) == [(1, "type_mismatch", "column 'a' is integer, the value 'x' is a union")]


def test_names_match_exactly_or_else_when_only_case_differs() -> None:
    target = pa.schema([("id", pa.int64()), ("Name", pa.int64()), ("NAME", pa.int64())])
    conformed = conform(pa.record_batch({"NAME": [1], "ID": [2]}), target)
    assert conformed.data is not None
    assert conformed.data.to_pylist() == [{"id": 2, "NAME": 1}]
    assert refusals(conform(pa.record_batch({"name": [1], "id": [1]}), target)) == [
        (0, "unknown_column", "the target has no column 'name'; the value is 1 (bigint)")
    ]


@pytest.mark.parametrize("data_type", [pa.int64(), pa.uuid(), pa.json_(), pa.list_(pa.int64())])
def test_columns_that_differ_in_case_are_one_and_may_not_contradict(data_type: pa.DataType) -> None:
    value = {pa.int64(): 1, pa.uuid(): UUID(int=1), pa.json_(): "1"}.get(data_type, [1])
    data = pa.record_batch(
        {"ID": pa.array([value, None, value, None], data_type), "Id": pa.array([None, value, value, None], data_type)}
    )
    conformed = conform(data, pa.schema([("id", data_type)]))
    assert column_values(conformed) == [value, value, None]
    assert refusals(conformed) == [(2, "column_conflict", "columns 'ID' and 'Id' both have a value, and the target has only 'id'")]


def test_a_value_without_a_column_is_refused_and_null_is_not() -> None:
    data = pa.record_batch({"a": [1, 2], "x": pa.array([None, "v"]), "y": pa.nulls(2)})
    conformed = conform(data, pa.schema([("a", pa.int64())]))
    assert column_values(conformed) == [1]
    assert refusals(conformed) == [(1, "unknown_column", "the target has no column 'x'; the value is 'v' (text)")]


def test_a_row_without_any_column_of_the_target_is_not_lost_in_silence() -> None:
    conformed = conform(pa.record_batch({"x": pa.nulls(2)}), pa.schema([("a", pa.int64())]))
    assert conformed.data is None
    assert refusals(conformed) == [(row, "no_columns", "the row has no value in any column of the target") for row in (0, 1)]


def test_unknown_fields_are_those_with_a_value_the_first_of_each_spelling() -> None:
    coded = pa.array(["x"]).dictionary_encode()
    large = pa.array(["x"], pa.large_string())
    data = pa.record_batch(
        {"A": [1], "n": pa.nulls(1), "e": pa.array([None], pa.int64()), "q": [1.5], "Q": [1], "d": coded, "l": large}
    )
    expected = [pa.field("q", pa.float64()), pa.field("d", pa.string()), pa.field("l", pa.string())]
    assert unknown_fields(data, pa.schema([("a", pa.int64())])) == expected


def test_text_that_is_not_utf8_costs_its_row_wherever_it_is_nested() -> None:
    bad = text_with_bad_bytes()
    offsets = pa.array([0, 1, 2, 3], pa.int32())
    columns = [
        bad,
        pa.ListArray.from_arrays(offsets, bad),
        pa.StructArray.from_arrays([bad], ["s"]),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), bad),
        pa.ExtensionArray.from_storage(pa.json_(), bad),
    ]
    for column in columns:
        conformed = conform(
            pa.record_batch([column, pa.array([1, 2, 3])], ["t", "n"]), pa.schema([("n", pa.int64()), ("t", pa.string())])
        )
        assert conformed.kept == [0, 2]
        assert [(r.index, r.reason) for r in conformed.rejects] == [(1, "encoding")]
    conformed = conform(pa.record_batch([bad], ["t"]), pa.schema([("t", pa.string())]))
    assert refusals(conformed) == [(1, "encoding", "column 't': b'\\xff' is not valid UTF-8")]


def test_a_decimal_with_more_digits_than_its_column_says_costs_its_row() -> None:
    digits = pa.py_buffer((10**6).to_bytes(16, "little") + (7).to_bytes(16, "little"))
    conformed = conform_one(pa.Array.from_buffers(pa.decimal128(2, 0), 2, [None, digits]), pa.decimal128(2, 0))
    assert column_values(conformed) == [Decimal(7)]
    assert refusals(conformed) == [(0, "arrow_invalid", "column 'a': 1000000 is no valid decimal(2,0)")]


def test_a_batch_that_is_no_arrow_data_blames_its_maker() -> None:
    broken = pa.DictionaryArray.from_arrays(pa.array([0, 5]), pa.array(["x"]), safe=False)
    with pytest.raises(PluginError) as caught:
        conform(pa.record_batch([broken], ["a"]), pa.schema([("a", pa.string())]))
    assert str(caught.value).startswith("a batch is not valid Arrow data: In column 0: Invalid: ")


@pytest.mark.parametrize(
    ("values", "source", "target"),
    [
        (["ok", "a\x00b"], pa.string(), pa.string()),
        ([["ok"], ["x", "a\x00b"]], pa.list_(pa.string()), pa.list_(pa.string())),
        ([{"s": "ok"}, {"s": "\x00"}], pa.struct([("s", pa.string())]), pa.json_()),
        ([{"s": "ok"}, {"s": "\x00"}], pa.struct([("s", pa.string())]), pa.struct([("s", pa.string())])),
        (['"ok"', '"a\\u0000b"'], pa.json_(), pa.json_()),
        ([b"ok", b"\x00"], pa.binary(), pa.string()),
    ],
)
def test_nul_is_refused_only_where_the_target_cannot_keep_it(values: list[Any], source: pa.DataType, target: pa.DataType) -> None:
    assert conform_one(values, target, source).rejects == []
    refused = conform_one(values, target, source, refuse_nul=True)
    assert [(r.index, r.reason) for r in refused.rejects] == [(1, "nul_char")]


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    conformed = conform_one(['"\\\\u0000"', '"\\\\\\u0000"'], pa.json_(), pa.json_(), refuse_nul=True)
    assert refusals(conformed) == [
        (1, "nul_char", "column 'a': '\"\\\\\\\\\\\\u0000\"' holds a NUL character (U+0000), which the target cannot keep")
    ]


def test_an_empty_batch_conforms_to_nothing() -> None:
    assert conform(pa.record_batch({"a": pa.array([], pa.int64())}), pa.schema([("a", pa.string())])) == Conformed(None)


def test_values_that_python_cannot_hold_are_still_named() -> None:
    conformed = conform_one([2**55], pa.int64(), pa.timestamp("s"))
    message = "column 'a' is bigint, the value <value out of range: 36028797018963968> is a timestamp_s"
    assert refusals(conformed) == [(0, "type_mismatch", message)]


DECIMALS = [
    pa.decimal128(38, 18),
    pa.decimal128(38, 0),
    pa.decimal128(20, 4),
    pa.decimal128(5, 5),
    pa.decimal256(76, 40),
    pa.decimal64(12, 3),
]


@settings(max_examples=examples(300), deadline=None)
@given(
    st.sampled_from(DECIMALS),
    st.sampled_from(DECIMALS),
    st.lists(st.tuples(st.integers(-(10**76), 10**76), st.integers(0, 76)), min_size=1, max_size=5),
)
def test_a_decimal_is_exact_in_its_target_or_refused(
    source: pa.DataType, target: pa.DataType, numbers: list[tuple[int, int]]
) -> None:
    """pyarrow 26 makes other numbers of some that have too many digits before the point."""
    values = [Decimal(number).scaleb(-scale, Context(prec=100)) for number, scale in numbers]
    texts = pa.array([format(value, "f") for value in values])
    room = [value.quantize(Decimal(1).scaleb(-source.scale), ROUND_DOWN, Context(prec=200)) for value in values]
    fitting = [value for value in room if len(value.as_tuple().digits) <= source.precision]
    for array, exact in ((texts, values), (pa.array(fitting, source), fitting)):
        made = cast_column(array, target)
        for row, value in enumerate(exact):
            if row in made.bad:
                scaled = value.scaleb(target.scale, Context(prec=200))
                assert scaled != scaled.to_integral_value(context=Context(prec=200)) or abs(scaled) >= 10**target.precision
            else:
                assert made.data[row].as_py() == value


def test_a_number_that_pyarrow_would_turn_into_another_one_is_refused() -> None:
    text = "1000000000000000000000.000000000000000000"
    assert cast_column(pa.array([text]), pa.decimal128(38, 18)).bad == {0: "number_range"}
    assert cast_column(pa.array([Decimal(10**21)], pa.decimal128(38, 0)), pa.decimal128(38, 18)).bad == {0: "number_range"}
