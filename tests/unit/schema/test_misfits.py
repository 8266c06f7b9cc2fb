"""Declared columns against a table's, before there are values."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ddpm_core.schema.declare import parse_columns
from ddpm_core.schema.misfits import may_fit, misfits


def declared(text: str) -> pa.Schema:
    return pa.schema(parse_columns(text))


def test_a_type_that_no_value_fits_into_is_told_and_a_column_that_is_not_there() -> None:
    target = pa.schema([("ID", pa.int64()), ("at", pa.timestamp("us", "UTC")), ("note", pa.string())])
    columns = declared("id=uuid,at=text,note=json,gone=text")
    assert misfits(columns, target, grows=False) == [
        "column 'ID' is declared uuid, and the table has bigint: no value fits",
        "column 'gone' is declared, and the table has no such column",
    ]
    assert misfits(columns, target, grows=True) == ["column 'ID' is declared uuid, and the table has bigint: no value fits"]


NAMES = [
    *(
        "bigint",
        "integer",
        "smallint",
        "tinyint",
        "ubigint",
        "uinteger",
        "usmallint",
        "utinyint",
        "double",
        "real",
        "decimal(12,2)",
    ),
    *("boolean", "text", "timestamp", "timestamptz", "date", "time", "interval", "uuid", "json", "blob", "text[]", "uuid[]"),
]


@pytest.mark.parametrize("name", NAMES)
def test_every_type_fits_into_itself_and_into_text(name: str) -> None:
    [field] = parse_columns(f"a={name}")
    assert may_fit(field.type, field.type)
    assert may_fit(field.type, pa.string())


@pytest.mark.parametrize(
    ("source", "target", "fits"),
    [
        ("text", "bigint", True),
        ("text", "timestamptz", True),
        ("text", "uuid", True),
        ("bigint", "double", True),
        ("double", "bigint", True),
        ("boolean", "bigint", False),
        ("bigint", "boolean", False),
        ("bigint", "timestamp", False),
        ("timestamp", "date", True),
        ("timestamptz", "time", False),
        ("json", "bigint", True),
        ("bigint[]", "bigint", False),
        ("bigint", "bigint[]", False),
        ("uuid", "blob", True),
        ("date", "uuid", False),
    ],
)
def test_what_may_fit_is_what_the_rules_say(source: str, target: str, fits: bool) -> None:
    [one], [other] = parse_columns(f"a={source}"), parse_columns(f"a={target}")
    assert may_fit(one.type, other.type) == fits
