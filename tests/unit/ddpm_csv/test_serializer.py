"""What is written reads back as it was."""

from __future__ import annotations

import io
from datetime import datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import BuildContext, DataError, Document, conform
from ddpm_core.testing import all_types
from ddpm_csv.options import CsvOptions
from ddpm_csv.parser import build as build_parser
from ddpm_csv.serializer import build
from tests.examples import examples

UTC = timezone.utc  # noqa: UP017


def written(data: pa.RecordBatch, **options: Any) -> bytes:
    out = io.BytesIO()
    writer = build(CsvOptions(**options), BuildContext()).document_writer(out, data.schema)
    writer.write(data)
    writer.close()
    return out.getvalue()


def read_back(document: bytes, schema: pa.Schema | None = None, **options: Any) -> list[dict[str, Any]]:
    parser = build_parser(CsvOptions(**options), BuildContext(columns=schema))
    steps = list(parser.parse_document(Document("d", "d#1", io.BytesIO(document))))
    assert [reject for step in steps for reject in step.rejects] == []
    return [row for step in steps if step.data is not None for row in step.data.to_pylist()]


def table(**columns: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


def test_a_document_has_a_header_and_quotes_only_what_needs_them() -> None:
    data = table(id=[1, 2], name=["plain", 'a "b", c'], **{"odd, name": ["x\ny", None]})
    assert written(data) == b'id,name,"odd, name"\n1,plain,"x\ny"\n2,"a ""b"", c",\n'
    assert written(data, header=False) == b'1,plain,"x\ny"\n2,"a ""b"", c",\n'
    assert written(data, delimiter="\t", quote="'") == b"id\tname\todd, name\n1\tplain\t'x\ny'\n2\ta \"b\", c\t\n"


def test_null_and_an_empty_text_are_not_the_same() -> None:
    texts = [None, "", "NA", "null", "NULL", " "]
    assert written(table(a=texts, b=[1] * 6)) == b'a,b\n,1\n"",1\n"NA",1\n"null",1\nNULL,1\n ,1\n'
    assert written(table(a=texts)) == b'a\nNA\n""\n"NA"\n"null"\nNULL\n \n'
    assert [row["a"] for row in read_back(written(table(a=texts)))] == texts


def test_values_are_spelled_as_the_types_page_says() -> None:
    data = pa.RecordBatch.from_arrays(
        [
            pa.array([Decimal("1.10")], pa.decimal128(30, 2)),
            pa.array([datetime(2020, 1, 2, 3, 4, 5, 60_000)], pa.timestamp("us")),  # noqa: DTZ001
            pa.array([datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)], pa.timestamp("us", "Europe/Warsaw")),
            pa.array([time(3, 4, 5, 60)], pa.time64("us")),
            pa.array([timedelta(seconds=90)], pa.duration("us")),
            pa.array([b"\x00\xff"], pa.binary()),
            pa.array([{"x": [1, None]}], pa.struct([("x", pa.list_(pa.int64()))])),
            pa.array([0.1], pa.float64()),
            pa.array([True]),
        ],
        names=list("abcdefghi"),
    )
    assert written(data, header=False) == (
        b'1.10,2020-01-02T03:04:05.060000,2020-01-02T03:04:05Z,03:04:05.000060,PT90S,\\x00ff,"{""x"":[1,null]}",0.1,true\n'
    )


def test_payloads_are_lines_without_an_end() -> None:
    payloads = build(CsvOptions(), BuildContext()).serialize_rows(table(a=[1, None], b=["x", "y\n"]))
    assert payloads == [b"1,x", b',"y\n"']


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-be", "cp1250"])
def test_other_encodings_are_read_back(encoding: str) -> None:
    data = table(id=[1, 2], t=["é", "x"])
    assert read_back(written(data, encoding=encoding), encoding=encoding) == data.to_pylist()


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (table(a=["x", "ż"]), {"encoding": "latin-1"}, "'ż' cannot be written in latin-1"),
        (table(a=["x,y"], b=[1]), {"quote": ""}, "column 'a': 'x,y' needs quotes, and there are none"),
        (table(a=[1], A=[2]), {}, "two columns of a CSV cannot both be called 'A'"),
        (table(**{" a": [1]}), {}, "' a' cannot be the name of a column in a CSV: white space around it is not kept"),
        (pa.RecordBatch.from_arrays([], names=[]), {}, "a CSV without columns cannot be written"),
    ],
)
def test_what_cannot_be_written_is_refused(data: pa.RecordBatch, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        written(data, **options)
    assert str(caught.value).replace("iso8859-1", "latin-1") == message


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["", "NA", '"', '""', ",", "\r", "\n", "a\r\nb", "\\"]
)


@settings(max_examples=examples(120), deadline=None)
@given(rows=st.lists(st.tuples(st.none() | TEXT, st.none() | TEXT), min_size=1, max_size=6), escape=st.sampled_from(["", "\\"]))
def test_any_text_is_read_back(rows: list[tuple[str | None, str | None]], escape: str) -> None:
    schema = pa.schema([("a", pa.string()), ("b", pa.string())])
    data = pa.RecordBatch.from_pylist([{"a": a, "b": b} for a, b in rows], schema=schema)
    assert read_back(written(data, escape=escape), schema, escape=escape) == data.to_pylist()
    one = data.select(["a"])
    assert read_back(written(one, escape=escape), one.schema, escape=escape) == one.to_pylist()


def test_every_type_is_read_back_where_it_is_expected() -> None:
    families = (
        "bool",
        "integers",
        "unsigned",
        "decimal",
        "text",
        "binary",
        "date",
        "time",
        "timestamp",
        "timestamp_utc",
        "list",
        "dictionary",
    )
    data = all_types(families=families)
    schema = pa.schema([field for field in data.schema if not pa.types.is_dictionary(field.type)])
    rows = read_back(written(data), schema)
    assert rows == data.to_pylist()


def test_finite_floats_are_read_back_to_the_last_bit() -> None:
    values = [0.1, -0.0, 5e-324, 1.7976931348623157e308, 1 / 3, None]
    schema = pa.schema([("a", pa.float64()), ("b", pa.int8())])
    data = pa.RecordBatch.from_pydict({"a": values, "b": [1] * 6}, schema=schema)
    assert conform(data, schema).rejects == []
    assert [str(row["a"]) for row in read_back(written(data), schema)] == [str(value) for value in values]
