"""What columns do at once, against the same rules written for one value at a time."""

from __future__ import annotations

import json
import math
import re
import struct
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core.schema.conform import conform
from tests.examples import examples

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")


class Refused(Exception):  # noqa: N818
    """The reference refuses the value."""


def refuse_unless(condition: bool, reason: str) -> None:
    if not condition:
        raise Refused(reason)


def whole_number_within(bits: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if isinstance(value, str):
            refuse_unless(WHOLE.fullmatch(value) is not None, "type_mismatch")
            value = int(value)
        in_range = math.isfinite(value) and -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)
        if isinstance(value, float):
            refuse_unless(in_range and value.is_integer(), "type_mismatch")
        if isinstance(value, Decimal):
            refuse_unless(value == value.to_integral_value(), "type_mismatch")
        refuse_unless(in_range, "int_range")
        return int(value)

    return convert


def double(value: Any) -> float:
    if isinstance(value, int):
        refuse_unless(abs(value) <= 2**53, "int_range")
    if isinstance(value, str):
        refuse_unless(NUMBER.fullmatch(value) is not None, "type_mismatch")
        refuse_unless(math.isfinite(float(value)), "number_range")
        refuse_unless(not WHOLE.fullmatch(value) or abs(int(value)) <= 2**53, "int_range")
    return float(value)


def real(value: Any) -> float:
    if isinstance(value, int):
        refuse_unless(abs(value) <= 2**24, "int_range")
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        raise Refused("number_range") from None


def decimal_with(precision: int, scale: int) -> Callable[[Any], Decimal]:
    def convert(value: Any) -> Decimal:
        with localcontext() as context:
            context.prec = 2_000
            if isinstance(value, str):
                refuse_unless(NUMBER.fullmatch(value) is not None, "type_mismatch")
            number = Decimal(value)
            refuse_unless(number.is_finite(), "number_range")
            refuse_unless(not number or number.adjusted() < precision - scale, "number_range")
            if number and number.adjusted() < -scale - 1:
                refuse_unless(isinstance(value, float), "number_range")
            rounded = number.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_EVEN)
            refuse_unless(isinstance(value, float) or rounded == number, "number_range")
            refuse_unless(abs(rounded) < Decimal(10) ** (precision - scale), "number_range")
            return rounded or rounded.copy_abs()

    return convert


def timestamp(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001
    pattern = r"\d{4}-\d{2}-\d{2}([T ]\d{2}(:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}(:?\d{2})?)?)?"
    refuse_unless(re.fullmatch(pattern, value, re.ASCII) is not None, "type_mismatch")
    try:
        read = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value))
        return timestamp(read)
    except (ValueError, OverflowError):
        raise Refused("type_mismatch") from None


def plain_json(value: Any) -> Any:
    match value:
        case dict():
            return {key: plain_json(item) for key, item in value.items()}
        case list():
            return [plain_json(item) for item in value]
        case float():
            refuse_unless(math.isfinite(value), "number_range")
        case bytes():
            return b64encode(value).decode()
        case datetime() | date() | time():
            return value.isoformat()
    return value


def json_value(value: Any) -> str:
    return json.dumps(plain_json(value), sort_keys=True)


INTS = st.integers(-(2**63), 2**63 - 1) | st.integers(-300, 300) | st.sampled_from([2**53, 2**53 + 1, 2**31, 2**24 + 1])
FLOATS = st.floats() | st.integers(-(2**70), 2**70).map(float) | st.floats(-1e4, 1e4).map(lambda value: round(value, 2))
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**8), max_value=10**8)
NUMBERS = (
    st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
    | INTS.map(str) | FLOATS.map(repr) | st.text(max_size=4) | st.sampled_from(["01", "+1", "1.", ".5", "0x1", "1e5", "1E-3", "-0", "1_0", "١"])
)  # fmt: skip
MOMENTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)).map(lambda moment: moment.replace(fold=0))  # noqa: DTZ001
SPELLED = (
    MOMENTS.map(lambda moment: moment.isoformat())
    | MOMENTS.map(lambda moment: moment.isoformat(" ") + "Z")
    | st.builds(lambda moment, hours: moment.isoformat() + f"{hours:+03d}:30", MOMENTS, st.integers(-23, 23))
    | st.sampled_from(["2020-02-30", "2020-01-01T25:00", "x", "", "2020-01-01T00:00:00.1234567890Z", "2020-01-01T05", "20200101"])
)
NESTED = st.fixed_dictionaries(
    {
        "i": st.none() | INTS, "f": st.none() | FLOATS, "s": st.none() | st.text(max_size=5), "b": st.none() | st.binary(max_size=3),
        "l": st.none() | st.lists(st.none() | st.booleans(), max_size=3), "d": st.none() | st.dates(), "t": st.none() | st.times(),
        "o": st.none() | st.fixed_dictionaries({"x": st.none() | st.text(max_size=3)}),
    }
)  # fmt: skip
NESTED_TYPE = pa.struct(
    [("i", pa.int64()), ("f", pa.float64()), ("s", pa.string()), ("b", pa.binary()), ("l", pa.list_(pa.bool_())), ("d", pa.date32()),
     ("t", pa.time64("us")), ("o", pa.struct([("x", pa.string())]))]
)  # fmt: skip

CASES: dict[str, tuple[st.SearchStrategy[Any], pa.DataType, pa.DataType, Callable[[Any], Any]]] = {
    "bigint to smallint": (INTS, pa.int64(), pa.int16(), whole_number_within(16)),
    "bigint to double": (INTS, pa.int64(), pa.float64(), double),
    "bigint to real": (INTS, pa.int64(), pa.float32(), real),
    "bigint to decimal": (INTS, pa.int64(), pa.decimal128(9, 2), decimal_with(9, 2)),
    "double to bigint": (FLOATS, pa.float64(), pa.int64(), whole_number_within(64)),
    "double to real": (FLOATS, pa.float64(), pa.float32(), real),
    "double to decimal": (FLOATS, pa.float64(), pa.decimal128(9, 2), decimal_with(9, 2)),
    "decimal to integer": (DECIMALS, pa.decimal128(20, 3), pa.int32(), whole_number_within(32)),
    "decimal to double": (DECIMALS, pa.decimal128(20, 3), pa.float64(), double),
    "decimal to decimal": (DECIMALS, pa.decimal128(20, 3), pa.decimal128(9, 2), decimal_with(9, 2)),
    "text to bigint": (NUMBERS, pa.string(), pa.int64(), whole_number_within(64)),
    "text to double": (NUMBERS, pa.string(), pa.float64(), double),
    "text to decimal": (NUMBERS, pa.string(), pa.decimal128(30, 10), decimal_with(30, 10)),
    "text to timestamp": (SPELLED, pa.string(), pa.timestamp("us"), timestamp),
    "date to timestamp": (st.dates(), pa.date32(), pa.timestamp("us"), timestamp),
    "timestamptz to timestamp": (
        MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC)), pa.timestamp("us", "UTC"), pa.timestamp("us"), timestamp
    ),
    "struct to json": (NESTED, NESTED_TYPE, pa.json_(), json_value),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_columns_at_once_agree_with_one_value_at_a_time(case: str) -> None:
    strategy, source, target, reference = CASES[case]

    @settings(max_examples=examples(40), deadline=None, database=None)
    @given(st.lists(st.none() | strategy, min_size=1, max_size=12))
    def check(values: list[Any]) -> None:
        expected: list[Any] = []
        reasons: dict[int, str] = {}
        for row, value in enumerate(values):
            try:
                expected.append(None if value is None else reference(value))
            except Refused as refused:
                reasons[row] = str(refused)
        data = pa.record_batch({"a": pa.array(values, source)})
        conformed = conform(data, pa.schema([("a", target)]))
        assert {reject.index: reject.reason for reject in conformed.rejects} == reasons
        got = [] if conformed.data is None else conformed.data.column(0).to_pylist()
        if target == pa.json_():
            got, expected = ([text and json.dumps(json.loads(text), sort_keys=True) for text in texts] for texts in (got, expected))
        assert list(map(repr, got)) == list(map(repr, expected))

    check()


ANY_TYPE = st.sampled_from(
    [pa.int8(), pa.int64(), pa.uint32(), pa.float32(), pa.float64(), pa.decimal128(8, 3), pa.bool_(), pa.string(), pa.binary(),
     pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.date32(), pa.time64("us"), pa.duration("us"), pa.uuid(), pa.json_(),
     pa.list_(pa.int32()), pa.struct([("a", pa.int32())])]
)  # fmt: skip
SOURCES = st.sampled_from(
    [(pa.int64(), INTS), (pa.float64(), FLOATS), (pa.decimal128(20, 3), DECIMALS), (pa.string(), NUMBERS | SPELLED), (NESTED_TYPE, NESTED),
     (pa.list_(pa.float64()), st.lists(FLOATS, max_size=2)), (pa.timestamp("us"), MOMENTS), (pa.binary(), st.binary(max_size=3)),
     (pa.duration("us"), st.timedeltas(timedelta(-9), timedelta(9))), (pa.uuid(), st.uuids()), (pa.bool_(), st.booleans()),
     (pa.dictionary(pa.int32(), pa.string()), NUMBERS)]
)  # fmt: skip


@settings(max_examples=examples(100), deadline=None)
@given(data=st.data(), source=SOURCES, target=ANY_TYPE, nullable=st.booleans(), refuse_nul=st.booleans())
def test_every_row_goes_on_or_is_refused_whoever_stands_beside_it(
    data: st.DataObject, source: tuple[pa.DataType, st.SearchStrategy[Any]], target: pa.DataType, nullable: bool, refuse_nul: bool
) -> None:
    values = data.draw(st.lists(st.none() | source[1], min_size=1, max_size=8))
    batch = pa.record_batch({"a": pa.array(values, source[0])})
    schema = pa.schema([pa.field("a", target, nullable=nullable)])
    conformed = conform(batch, schema, refuse_nul=refuse_nul)
    kept = [] if conformed.data is None else [conformed.row(i) for i in range(conformed.data.num_rows)]
    assert sorted([*kept, *(reject.index for reject in conformed.rejects)]) == list(range(len(values)))
    if conformed.data is not None:
        conformed.data.validate(full=True)
    for row in range(len(values)):
        alone = conform(batch.slice(row, 1), schema, refuse_nul=refuse_nul)
        assert [(r.reason, r.message) for r in alone.rejects] == [
            (r.reason, r.message) for r in conformed.rejects if r.index == row
        ]
        if alone.data is not None and conformed.data is not None:
            assert alone.data.column(0).equals(conformed.data.column(0).slice(kept.index(row), 1)) or target != pa.json_()
