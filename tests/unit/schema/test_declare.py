"""Column types as users write them."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core.errors import ConfigError
from ddpm_core.schema.declare import TYPE_NAMES, parse_columns
from ddpm_core.schema.types import sql_name


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ("bigint", pa.int64()),
        ("LONG", pa.int64()),
        ("int", pa.int32()),
        ("Int16", pa.int16()),
        ("tinyint", pa.int8()),
        ("double precision", pa.float64()),
        ("float", pa.float64()),
        ("real", pa.float32()),
        ("decimal(12,2)", pa.decimal128(12, 2)),
        ("Numeric ( 12 , 2 )", pa.decimal128(12, 2)),
        ("decimal(5)", pa.decimal128(5, 0)),
        ("bool", pa.bool_()),
        ("varchar", pa.string()),
        ("timestamp", pa.timestamp("us")),
        ("timestamptz", pa.timestamp("us", "UTC")),
        ("date", pa.date32()),
        ("time", pa.time64("us")),
        ("interval", pa.duration("us")),
        ("uuid", pa.uuid()),
        ("json", pa.json_()),
        ("bytea", pa.binary()),
        ("text[]", pa.list_(pa.string())),
        ("decimal(5,1)[][]", pa.list_(pa.list_(pa.decimal128(5, 1)))),
    ],
)
def test_a_type_is_known_by_its_common_names(spelled: str, expected: pa.DataType) -> None:
    assert parse_columns(f"a={spelled}") == pa.schema([("a", expected)])


def test_columns_are_separated_by_commas_outside_of_parentheses_and_quotes() -> None:
    declared = parse_columns(' ts = timestamp ,amount=decimal(12,2),"weird, ""name"=text')
    assert declared == pa.schema([("ts", pa.timestamp("us")), ("amount", pa.decimal128(12, 2)), ('weird, "name', pa.string())])


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_columns("a=timestmp,b=decimal,c,,d=decimal(99,2),e=varchar(5),f=int8,g=,=text,a=text,a=text,h=zzzzzz")
    assert str(caught.value).split("\n") == [
        f"--columns: column 'a' has the unknown type 'timestmp' (did you mean timestamp? Types: {TYPE_NAMES})",
        "--columns: column 'b': 'decimal' needs a precision and a scale (write decimal(12,2))",
        "--columns: 'c' has no type (write c=type, such as c=text)",
        "--columns: there is nothing between two commas (write name=type, such as ts=timestamp)",
        "--columns: column 'd': decimal(99,2) is out of range (decimal(p,s) takes p from 1 to 38 and s from 0 to p)",
        "--columns: column 'e': 'varchar(5)' has a length, and texts have none here (write e=text)",
        "--columns: column 'f': int8 may mean 8 bytes or 8 bits (write bigint or tinyint)",
        f"--columns: column 'g' has no type (types: {TYPE_NAMES})",
        "--columns: '=text' has no column name (write name=type, such as ts=timestamp)",
        "--columns: column 'a' is declared twice",
        f"--columns: column 'h' has the unknown type 'zzzzzz' (types: {TYPE_NAMES})",
    ]


def test_an_open_quote_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_columns('a=text,"b=text')
    assert str(caught.value) == '--columns: \'"b=text\' has a quoted name that does not end, or no type (write "name"=type)'


def test_declaring_nothing_is_a_mistake() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_columns("  ")
    assert str(caught.value) == "--columns: no column is declared (write name=type, such as ts=timestamp)"


DECLARABLE = st.recursive(
    st.sampled_from(
        [pa.int64(), pa.int32(), pa.int16(), pa.int8(), pa.uint64(), pa.uint32(), pa.uint16(), pa.uint8(), pa.float64(), pa.float32(),
         pa.bool_(), pa.string(), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.date32(), pa.time64("us"), pa.duration("us"),
         pa.uuid(), pa.json_(), pa.binary(), pa.decimal128(38, 0), pa.decimal128(12, 2)]
    ),
    lambda inner: inner.map(pa.list_),
    max_leaves=3,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1), data_type=DECLARABLE)
def test_what_messages_call_a_type_can_be_declared(name: str, data_type: pa.DataType) -> None:
    quoted = name.replace('"', '""')
    assert parse_columns(f'"{quoted}"={sql_name(data_type)}') == pa.schema([(name, data_type)])
