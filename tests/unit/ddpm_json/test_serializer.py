"""What users find in the JSON that is written."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import BuildContext, DataError, Document
from ddpm_json import parser
from ddpm_json.options import JsonOptions
from ddpm_json.serializer import build
from tests.examples import examples


def lines(**columns: pa.Array) -> list[bytes]:
    return build(JsonOptions(), BuildContext()).serialize_rows(pa.record_batch(columns))


AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
VALUES: list[tuple[pa.DataType, Any, str]] = [
    (pa.int64(), 2**63 - 1, "9223372036854775807"),
    (pa.uint64(), 2**64 - 1, "18446744073709551615"),
    (pa.float64(), 1.0, "1.0"),
    (pa.float32(), 1.5, "1.5"),
    (pa.float16(), 1.5, "1.5"),
    (pa.bool_(), True, "true"),
    (pa.string(), "Ä\n\u0000", '"Ä\\n\\u0000"'),
    (pa.null(), None, "null"),
    (pa.timestamp("ms", "UTC"), AT, '"2026-01-02T03:04:05.678Z"'),
    (pa.timestamp("ms", "Europe/Berlin"), AT, '"2026-01-02T03:04:05.678Z"'),
    (pa.timestamp("s"), AT.replace(tzinfo=None), '"2026-01-02T03:04:05"'),
    (pa.date32(), date(2026, 1, 2), '"2026-01-02"'),
    (pa.date64(), date(2026, 1, 2), '"2026-01-02"'),
    (pa.time64("us"), time(3, 4, 5), '"03:04:05.000000"'),
    (pa.duration("ms"), timedelta(days=1, milliseconds=-500), '"PT86399.500S"'),
    (pa.decimal128(38, 9), Decimal("12345678901234567890.5"), "12345678901234567890.500000000"),
    (pa.decimal128(5, -2), Decimal("1E+4"), "10000"),
    (pa.binary(), b"\x00\xff", '"AP8="'),
    (pa.binary(2), b"\x00\xff", '"AP8="'),
    (pa.uuid(), UUID(int=1).bytes, '"00000000-0000-0000-0000-000000000001"'),
    (pa.json_(), '{"a":\n18446744073709551616}', '{"a": 18446744073709551616}'),
    (pa.list_(pa.decimal128(4, 1)), [Decimal("1.5"), None], "[1.5,null]"),
    (pa.list_(pa.int64(), 2), [1, 2], "[1,2]"),
    (pa.struct({"at": pa.date32(), "n": pa.int64()}), {"at": date(2026, 1, 2), "n": None}, '{"at":"2026-01-02","n":null}'),
    (pa.map_(pa.string(), pa.binary()), [("k", b"\x00")], '{"k":"AA=="}'),
    (pa.map_(pa.int64(), pa.int64()), [(1, 2)], "[[1,2]]"),
    (pa.dictionary(pa.int32(), pa.string()), "x", '"x"'),
]


@pytest.mark.parametrize(("kind", "value", "text"), VALUES, ids=[f"{kind}-{text}" for kind, _, text in VALUES])
def test_every_type_has_its_json_form(kind: pa.DataType, value: Any, text: str) -> None:
    if isinstance(kind, pa.BaseExtensionType):
        column = pa.ExtensionArray.from_storage(kind, pa.array([None, value], kind.storage_type))
    else:
        column = pa.array([None, value], kind)
    assert lines(c=column) == [b'{"c":null}', f'{{"c":{text}}}'.encode()]
    assert lines(c=column.slice(1)) == [f'{{"c":{text}}}'.encode()]


def test_what_has_no_json_form_says_why() -> None:
    cases = [
        (
            {"c": pa.array(["{"], pa.string()).cast(pa.json_())},
            "json_invalid",
            "column 'c': the text of a json column is not JSON: ",
        ),
        (
            {"c": pa.array([(1, 2, 3)], pa.month_day_nano_interval())},
            "type_mismatch",
            "column 'c': values of type month_day_nano_interval",
        ),
        ({"c": pa.array([b"\xff"]).view(pa.string())}, "encoding", "column 'c': a text is not UTF-8: invalid start byte"),
    ]
    for columns, reason, message in cases:
        with pytest.raises(DataError) as caught:
            lines(**columns)
        assert caught.value.reason == reason
        assert caught.value.message.startswith(message)


NAN, INF = float("nan"), float("inf")
STRANGE: list[tuple[pa.DataType, Any, Any, str]] = [
    (pa.float64(), 1.5, NAN, "nan"),
    (pa.float32(), 1.5, INF, "inf"),
    (pa.float16(), 1.5, -INF, "-inf"),
    (pa.list_(pa.float64()), [1.5, None], [1.5, NAN], "nan"),
    (pa.large_list(pa.list_(pa.float64(), 1)), [[1.5]], [[1.5], [-INF]], "-inf"),
    (pa.struct({"a": pa.struct({"b": pa.float64()})}), {"a": {"b": 1.5}}, {"a": {"b": INF}}, "inf"),
    (pa.map_(pa.string(), pa.float64()), [("k", 1.5)], [("k", 1.5), ("l", NAN)], "nan"),
    (pa.map_(pa.float64(), pa.string()), [(1.5, "v")], [(NAN, "v")], "nan"),
    (pa.dictionary(pa.int32(), pa.float64()), 1.5, NAN, "nan"),
]


@pytest.mark.parametrize(("kind", "usual", "strange", "shown"), STRANGE, ids=[f"{kind}-{shown}" for kind, *_, shown in STRANGE])
def test_nan_and_infinities_are_refused_and_never_written_as_null(kind: pa.DataType, usual: Any, strange: Any, shown: str) -> None:
    data = pa.record_batch({"n": pa.array([1, 2, 3]), "x": pa.array([usual, None, strange], kind)})
    out = BytesIO()
    serializer = build(JsonOptions(), BuildContext())
    writer = serializer.document_writer(out, data.schema)
    for attempt in (lambda: writer.write(data), lambda: serializer.serialize_rows(data)):
        with pytest.raises(DataError) as caught:
            attempt()
        assert caught.value.reason == "number_range"
        assert str(caught.value) == f"column 'x': {shown} is or holds NaN or an infinity, which JSON cannot say"
    assert out.getvalue() == b""
    writer.write(data.slice(0, 2))  # Rows beside it, of the same buffers.
    assert out.getvalue().count(b"\n") == 2


def test_what_a_null_hides_is_not_written_and_not_refused() -> None:
    hidden = pa.StructArray.from_arrays([pa.array([NAN, 1.5])], names=["f"], mask=pa.array([True, False]))
    assert lines(x=hidden) == [b'{"x":null}', b'{"x":{"f":1.5}}']
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2]), pa.array([NAN, 1.5]), mask=pa.array([True, False]))
    assert lines(x=lists) == [b'{"x":null}', b'{"x":[1.5]}']
    assert lines(x=pa.array([], pa.float64())) == []


def test_two_columns_of_one_name_are_refused() -> None:
    data = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(DataError) as caught:
        build(JsonOptions(), BuildContext()).document_writer(BytesIO(), data.schema)
    assert str(caught.value) == "two columns are called 'a', and a JSON object holds a name once"


def test_rows_without_columns_are_empty_objects() -> None:
    data = pa.RecordBatch.from_struct_array(pa.array([{}, {}], pa.struct([])))
    assert build(JsonOptions(), BuildContext()).serialize_rows(data) == [b"{}", b"{}"]


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "i": st.none() | st.integers(-(2**63), 2**63 - 1),
            "f": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "b": st.none() | st.booleans(),
            "t": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        }
    ),
    max_size=6,
)


@settings(max_examples=examples(60), deadline=None)
@given(ROWS, st.lists(st.sampled_from(['{"a":[1,{"b":"}"}]}', "[]", "[1.5]"]), min_size=6, max_size=6))
def test_what_is_written_is_read_back(rows: list[dict[str, Any]], nested: list[str]) -> None:
    schema = pa.schema([("i", pa.int64()), ("f", pa.float64()), ("b", pa.bool_()), ("t", pa.string())])
    data = pa.RecordBatch.from_pylist([{"i": 0, "f": 0.5, "b": True, "t": ""}, *rows], schema)
    embedded = pa.array(["[0]", *nested[: len(rows)]], pa.string()).cast(pa.json_())
    for batch in (data, data.append_column("j", embedded)):
        out = BytesIO()
        writer = build(JsonOptions(), BuildContext()).document_writer(out, batch.schema)
        for part in (batch.slice(0, 1), batch.slice(1)):
            writer.write(part)
        writer.close()
        reader = parser.build(JsonOptions(), BuildContext())
        for _ in range(2):  # The second time, where that can be, on the fast way.
            steps = list(reader.parse_document(Document("d", "d#1", BytesIO(out.getvalue()))))
            (read,) = [step.data for step in steps]
            assert read is not None
            assert read.schema.equals(batch.schema)
            assert read.to_pylist() == batch.to_pylist()
