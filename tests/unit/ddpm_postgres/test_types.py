"""Types from Postgres to Arrow, and from Arrow to Postgres."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ddpm_core import ConfigError
from ddpm_postgres.types import ServerType, column, ddl


def _numeric(precision: int, scale: int) -> int:
    return (precision << 16 | scale & 0x7FF) + 4


@pytest.mark.parametrize(
    ("oid", "typmod", "receive", "arrow", "way", "equal"),
    [
        (23, -1, "int4recv", pa.int32(), "binary", True),
        (1043, 7, "varcharrecv", pa.string(), "binary", True),
        (2950, -1, "uuid_recv", pa.uuid(), "binary", True),
        (3802, -1, "jsonb_recv", pa.json_(), "jsonb", True),
        (114, -1, "json_recv", pa.json_(), "binary", True),
        (1700, _numeric(12, 2), "numeric_recv", pa.decimal128(12, 2), "binary", True),
        (1700, _numeric(38, 38), "numeric_recv", pa.decimal128(38, 38), "binary", True),
        (1700, _numeric(39, 2), "numeric_recv", pa.string(), "text", False),
        (1700, _numeric(2, -3), "numeric_recv", pa.string(), "text", False),
        (1700, _numeric(2, 4), "numeric_recv", pa.string(), "text", False),
        (1700, -1, "numeric_recv", pa.string(), "text", False),
        (50001, -1, "enum_recv", pa.string(), "binary", False),
        (50002, -1, "citextrecv", pa.string(), "binary", False),
        (869, -1, "inet_recv", pa.string(), "text", False),
        (1186, -1, "interval_recv", pa.string(), "text", False),
        (142, -1, "xml_recv", pa.string(), "text", False),
    ],
)  # fmt: skip
def test_a_column_is_what_arrow_can_hold_of_it(
    oid: int, typmod: int, receive: str, arrow: pa.DataType, way: str, equal: bool
) -> None:
    made = column("c", ServerType(oid, typmod, "its name", receive), nullable=False)
    assert made.field == pa.field("c", arrow, nullable=False)
    assert made.field.metadata == (None if equal else {b"sql_type": b"its name"})
    assert made.way == way


@pytest.mark.parametrize(
    ("element", "typmod", "arrow", "way"),
    [
        (23, -1, pa.int32(), "binary"),
        (1700, _numeric(5, 2), pa.decimal128(5, 2), "binary"),
        (1700, -1, pa.string(), "text"),
        (1043, -1, pa.string(), "text"),
        (1184, -1, pa.timestamp("us", "UTC"), "text"),
        (2950, -1, pa.uuid(), "text"),
        (3802, -1, pa.string(), "text"),
        (50001, -1, pa.string(), "text"),
    ],
)
def test_an_array_goes_as_binary_only_where_its_elements_type_is_written_right(
    element: int, typmod: int, arrow: pa.DataType, way: str
) -> None:
    made = column("c", ServerType(1, typmod, "x[]", "array_recv", ServerType(element, typmod, "", "enum_recv")), nullable=True)
    assert (made.field.type, made.way) == (pa.list_(arrow), way)


@pytest.mark.parametrize(
    ("arrow", "sql"),
    [
        (pa.int8(), "smallint"),
        (pa.uint32(), "bigint"),
        (pa.uint64(), "numeric(20,0)"),
        (pa.float16(), "real"),
        (pa.decimal128(12, 2), "numeric(12,2)"),
        (pa.decimal128(5, -2), "numeric(7,0)"),
        (pa.decimal128(2, 4), "numeric(4,4)"),
        (pa.decimal256(60, 3), "numeric(60,3)"),
        (pa.string_view(), "text"),
        (pa.binary(7), "bytea"),
        (pa.date64(), "date"),
        (pa.time32("s"), "time"),
        (pa.timestamp("ns"), "timestamp without time zone"),
        (pa.timestamp("s", "UTC"), "timestamp with time zone"),
        (pa.duration("ns"), "interval"),
        (pa.month_day_nano_interval(), "interval"),
        (pa.uuid(), "uuid"),
        (pa.json_(), "jsonb"),
        (pa.bool8(), "smallint"),
        (pa.map_(pa.string(), pa.int32()), "jsonb"),
        (pa.list_(pa.int32()), "jsonb"),
        (pa.dictionary(pa.int8(), pa.date32()), "date"),
    ],
    ids=str,
)
def test_a_new_column_has_room_for_every_value(arrow: pa.DataType, sql: str) -> None:
    assert ddl(pa.field("c", arrow)) == sql


def test_a_type_that_postgres_lacks_is_said_with_the_way_out() -> None:
    with pytest.raises(ConfigError) as caught:
        ddl(pa.field("c", pa.null()))
    assert str(caught.value) == "column 'c' has type null, and Postgres has no type for it\nDeclare another: --columns 'c=string'."
