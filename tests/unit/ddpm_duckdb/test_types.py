import datetime as dt
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ddpm_core import ConfigError
from ddpm_duckdb.types import arrow_type, sql_type

DAY, CLOCK, MOMENT = dt.date(2024, 2, 29), dt.time(1, 2, 3, 456000), dt.datetime(2024, 2, 29, 1, 2, 3)  # noqa: DTZ001
ID = uuid.UUID("12345678-1234-5678-1234-567812345678")
TYPES: list[tuple[pa.DataType, Any, str]] = [
    (pa.bool_(), True, "true"),
    (pa.int8(), -128, "-128"),
    (pa.uint64(), 2**64 - 1, "18446744073709551615"),
    (pa.float16(), 1.5, "1.5"),
    (pa.float32(), 1.5, "1.5"),
    (pa.float64(), 0.1, "0.1"),
    (pa.string(), "größe\x00", "größe\x00"),
    (pa.large_string(), "a", "a"),
    (pa.string_view(), "a" * 50, "a" * 50),
    (pa.dictionary(pa.int32(), pa.string()), "a", "a"),
    (pa.binary(), b"\xff", "\\xFF"),
    (pa.binary(2), b"ab", "ab"),
    (pa.decimal128(38, 10), Decimal("1.5"), "1.5000000000"),
    (pa.decimal128(5, -2), Decimal(12300), "12300"),
    (pa.decimal256(38, 0), Decimal(10**37), str(10**37)),
    (pa.decimal256(60, 0), Decimal(10**59), str(10**59)),
    (pa.date32(), DAY, "2024-02-29"),
    (pa.date64(), DAY, "2024-02-29"),
    (pa.time32("ms"), CLOCK, "01:02:03.456"),
    (pa.time64("us"), CLOCK, "01:02:03.456"),
    (pa.time64("ns"), CLOCK, "01:02:03.456"),
    (pa.timestamp("s"), MOMENT, "2024-02-29 01:02:03"),
    (pa.timestamp("us"), MOMENT, "2024-02-29 01:02:03"),
    (pa.timestamp("ns"), MOMENT, "2024-02-29 01:02:03"),
    (pa.timestamp("ms", "Europe/Berlin"), MOMENT.replace(tzinfo=dt.timezone.utc), "2024-02-29 01:02:03+00"),  # noqa: UP017
    (pa.timestamp("ns", "UTC"), MOMENT.replace(tzinfo=dt.timezone.utc), "2024-02-29 01:02:03+00"),  # noqa: UP017
    (pa.duration("ms"), dt.timedelta(seconds=90), "00:01:30"),
    (pa.month_day_nano_interval(), pa.MonthDayNano([1, 2, 3000]), "1 month 2 days 00:00:00.000003"),
    (pa.uuid(), ID, str(ID)),
    (pa.json_(), '{"a": 1}', '{"a": 1}'),
    (pa.list_(pa.int64()), [1, None], "[1, NULL]"),
    (pa.large_list(pa.string()), ["a"], "[a]"),
    (pa.list_(pa.int64(), 2), [1, 2], "[1, 2]"),
    (pa.struct([("a", pa.int64()), ('we"ird', pa.list_(pa.string()))]), {"a": 1, 'we"ird': ["x"]}, "{'a': 1, 'we\"ird': [x]}"),
    (pa.struct([("a", pa.int64()), ("A", pa.int64())]), {"a": 1, "A": 2}, '{"a":1,"A":2}'),
    (pa.struct([]), {}, "{}"),
    (pa.struct([("a", pa.null())]), {"a": None}, "{'a': NULL}"),
    (pa.map_(pa.string(), pa.int64()), [("a", 1)], "{a=1}"),
]


def test_a_value_of_every_type_lands_as_it_is(target: Any) -> None:
    """All of them in one table: opening a file takes longer than what is done to it."""
    names = [f"{number} {data_type}" for number, (data_type, _, _) in enumerate(TYPES)]
    rows = pa.record_batch([pa.array([value, None], data_type) for data_type, value, _ in TYPES], names=names)
    assert target.load(rows) == []
    landed, nothing = target.sql("SELECT COLUMNS(*)::VARCHAR FROM events")
    assert dict(zip(names, landed, strict=True)) == dict(zip(names, [text for _, _, text in TYPES], strict=True))
    assert nothing == (None,) * len(TYPES)


def test_a_new_column_has_the_nearest_type_that_loses_nothing() -> None:
    assert sql_type(pa.decimal256(39, 2)) == "VARCHAR"
    assert sql_type(pa.decimal128(3, 5)) == "DECIMAL(5, 5)"
    assert sql_type(pa.decimal128(5, -2)) == "DECIMAL(7, 0)"
    assert sql_type(pa.timestamp("ms")) == "TIMESTAMP"
    assert sql_type(pa.timestamp("ns")) == "TIMESTAMP_NS"
    assert sql_type(pa.timestamp("us", "Asia/Tokyo")) == "TIMESTAMPTZ"
    assert sql_type(pa.dense_union([pa.field("a", pa.int64())])) == "JSON"
    assert sql_type(pa.bool8()) == "TINYINT"


def test_a_type_without_an_equal_is_refused() -> None:
    # No Arrow type is left over today; the next one must not become wrong data.
    from ddpm_duckdb import types

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(types.is_type, "is_large_list", lambda _: False)
        patch.setattr(types, "hasattr", lambda *_: False, raising=False)
        with pytest.raises(
            ConfigError, match=r"^DuckDB has no type for large_list<item: int64>\nDeclare the column's type with --columns$"
        ):
            sql_type(pa.large_list(pa.int64()))


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        yield made


@pytest.mark.parametrize(
    ("sql", "expected", "cast"),
    [
        ("ENUM('a', 'b')", pa.string(), True),
        ("ENUM('a', 'b')[]", pa.list_(pa.string()), True),
        ("JSON", pa.json_(), False),
        ("STRUCT(a JSON[], u UUID)", pa.struct([("a", pa.list_(pa.json_())), ("u", pa.uuid())]), False),
        ("MAP(VARCHAR, BIT)", pa.map_(pa.string(), pa.string()), True),
        ("HUGEINT", pa.decimal128(38, 0), False),
        ("UHUGEINT", pa.string(), True),
        ("TIMETZ", pa.string(), True),
        ("INTEGER[3]", pa.list_(pa.int32()), True),
        ("TIMESTAMPTZ", pa.timestamp("us", "UTC"), False),
        ("UNION(a INTEGER, b VARCHAR)", pa.string(), True),
        ("VARIANT", pa.string(), True),
    ],
)
def test_a_column_of_the_user_says_what_it_takes(
    connection: duckdb.DuckDBPyConnection, sql: str, expected: pa.DataType, cast: bool
) -> None:
    connection.execute(f"CREATE OR REPLACE TABLE t (c {sql})")
    found = arrow_type(connection.execute("FROM t").description[0][1])
    assert (found.type, found.cast) == (expected, cast)
