"""`map`: what becomes of rows, and what is said where an expression is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import Batch, BuildContext, ConfigError, Messages, Processed
from ddpm_core.config.options import check_options
from ddpm_transforms.map import MapProcessor, build
from ddpm_transforms.options import MapOptions
from tests.examples import examples

ROWS = pa.record_batch({"a": ["1", "x", None, "4"], "n": pa.array([0, 1, 2, None], pa.int64())})


def options(given: Mapping[str, Any]) -> MapOptions:
    return check_options(MapOptions, given, owner="processor map")


@contextmanager
def mapping(given: Mapping[str, Any], context: BuildContext | None = None) -> Iterator[MapProcessor]:
    processor = build(options(given), context or BuildContext())
    processor.open()
    try:
        yield processor
    finally:
        processor.close()


def mapped(given: Mapping[str, Any], data: pa.RecordBatch = ROWS) -> Processed:
    with mapping(given) as processor:
        return processor.process(Batch(data))


def rows_of(done: Processed) -> list[dict[str, Any]]:
    return [] if done.batch is None else done.batch.data.to_pylist()


def test_a_column_is_replaced_in_its_place_and_new_ones_come_behind() -> None:
    done = mapped({"new": "n + 1", "a": "a || '!'"}, ROWS.slice(0, 1))
    assert done.batch is not None
    assert done.batch.data.schema.names == ["a", "n", "new"]
    assert rows_of(done) == [{"a": "1!", "n": 0, "new": 1}]


def test_all_expressions_see_the_row_as_it_came_in() -> None:
    assert rows_of(mapped({"a": "n", "n": "a"}, ROWS.slice(0, 1))) == [{"a": 0, "n": "1"}]


def test_only_keeps_the_named_ones_in_their_order() -> None:
    done = mapped({"columns": {"n": "n", "b": "a"}, "only": True}, ROWS.slice(0, 1))
    assert [list(row.items()) for row in rows_of(done)] == [[("n", 0), ("b", "1")]]


def test_a_column_called_columns_is_no_long_form() -> None:
    assert options({"columns": "upper(columns)", "only": "1"}).columns == {"columns": "upper(columns)", "only": "1"}
    assert not options({"columns": "upper(columns)"}).only


def test_numbers_and_booleans_are_expressions() -> None:
    assert options({"a": 1, "b": True, "c": 1.5}).columns == {"a": "1", "b": "true", "c": "1.5"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "processor map, option 'columns': dictionary should have at least 1 item after validation, not 0"),
        ({"a": None}, "processor map, option 'columns': column 'a' takes an expression, as text; for NULL write 'null', in quotes"),
        (
            {"a": ["b"]},
            "processor map, option 'columns': column 'a' takes an expression, as text; for NULL write 'null', in quotes",
        ),
        ({" ": "b"}, "processor map, option 'columns': a column's name is text, and ' ' is none: put it in quotes"),
        ({"columns": {"a": "b"}, "onyl": True}, "processor map, option 'onyl': there is no such option (did you mean 'only'?)"),
    ],
)
def test_wrong_options_are_explained(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as failed:
        options(given)
    assert str(failed.value) == said


def test_editors_are_told_of_both_forms() -> None:
    long, short = MapOptions.model_json_schema()["anyOf"]
    assert (list(long["properties"]), long["additionalProperties"]) == (["columns", "only"], False)
    assert short["additionalProperties"] == {"type": ["string", "number", "boolean"]}


def test_every_wrong_expression_is_told_before_anything_runs() -> None:
    with pytest.raises(ConfigError) as failed:
        build(options({"a": "sum(x)", "b": "upper(", "good": "upper(x)", "c": "(select 1)"}), BuildContext())
    assert str(failed.value).splitlines() == [
        "processor map, column 'a': sum() is an aggregate function, and an expression sees one row only",
        "processor map, column 'b': it is no SQL expression: syntax error at or near \"(\"",
        "processor map, column 'c': it holds a subquery, and an expression sees one row only",
    ]


def test_the_source_learns_which_metadata_is_wanted() -> None:
    context = BuildContext(shared={"metadata": {"_topic"}})
    build(options({"k": "_key", "t": "coalesce(_timestamp, now())", "v": "a"}), context)
    assert context.shared["metadata"] == {"_topic", "_key", "_timestamp"}
    plain = BuildContext()
    build(options({"v": "a"}), plain)
    assert plain.shared["metadata"] == set()


def test_a_row_that_fails_costs_no_other_and_is_explained() -> None:
    done = mapped({"number": "cast(a as integer)", "share": "10 // n"})
    assert rows_of(done) == [
        {"a": None, "n": 2, "number": None, "share": 5},
        {"a": "4", "n": None, "number": 4, "share": None},
    ]
    assert [(reject.index, reject.reason, reject.message) for reject in done.rejects] == [
        (0, "map_failed", "share = 10 // n failed: Division by zero in expression (10 // n)."),
        (
            1,
            "map_failed",
            "number = cast(a as integer) failed: Could not convert string 'x' to INT32 when casting from source column a",
        ),
    ]


def test_origins_are_those_of_the_rows_that_stay() -> None:
    with mapping({"number": "cast(a as integer)"}) as processor:
        batch = processor.process(Batch(ROWS, pa.array([7, 7, 8, 9], pa.int32()))).batch
    assert batch is not None
    assert batch.origin is not None
    assert batch.origin.to_pylist() == [7, 8, 9]


def test_a_batch_of_nothing_but_bad_rows_gives_none() -> None:
    done = mapped({"number": "cast(a || 'y' as integer)"}, ROWS.slice(0, 2))
    assert done.batch is None
    assert [reject.index for reject in done.rejects] == [0, 1]


def test_every_row_has_a_uuid_of_its_own_and_all_the_same_time() -> None:
    done = rows_of(mapped({"id": "uuid()", "at": "now()"}))
    assert all(isinstance(row["id"], UUID) for row in done)
    assert len({row["id"] for row in done}) == 4
    assert len({row["at"] for row in done}) == 1
    assert str(done[0]["at"].tzinfo) == "UTC"


def test_example_a_makes_its_three_columns_of_a_message() -> None:
    values: list[bytes | None] = [b'{"a": "\xc3\xa9"}', b"\xff", None]
    messages = Messages(values, ["kafka:t/0"] * 3, [5, 6, 7], {}, {})
    shape = {"columns": {"id": "uuid()", "timestamp": "now()", "data": "upper(_value)"}, "only": True}
    with mapping(shape) as processor:
        done = processor.process(Batch(pa.record_batch({"x": [1, 2, 3]}), None, messages))
    assert done.batch is not None
    assert done.batch.data.schema.types == [pa.uuid(), pa.timestamp("us", "UTC"), pa.string()]
    assert [row["data"] for row in rows_of(done)] == ['{"A": "É"}', None]
    assert [(reject.index, reject.message) for reject in done.rejects] == [
        (1, "data = upper(_value) failed: _value cannot be had, byte 0 is not UTF-8 text")
    ]


UNTOUCHED = {
    "decimal": pa.array([Decimal("1.10")], pa.decimal128(38, 2)),
    "wide": pa.array([Decimal(10) ** 50], pa.decimal256(60, 0)),
    "zone": pa.array([1], pa.timestamp("ns", "Europe/Berlin")),
    "uuid": pa.array([b"a" * 16], pa.uuid()),
    "json": pa.array(["{}"], pa.json_()),
    "dictionary": pa.array(["a"]).dictionary_encode(),
    "view": pa.array(["a"], pa.string_view()),
    "nested": pa.array([[{"a": [1]}]]),
    "half": pa.array([1.5], pa.float16()),
    "null": pa.nulls(1),
}


def test_columns_that_are_not_named_or_only_renamed_stay_as_they_are() -> None:
    data = pa.record_batch({**UNTOUCHED, "n": [1]}).replace_schema_metadata({"who": "knows"})
    done = mapped({"n": "n + 1", **{f"again_{name}": name for name in UNTOUCHED}}, data)
    assert done.batch is not None
    made = done.batch.data
    assert made.schema.metadata == {b"who": b"knows"}
    for name, column in UNTOUCHED.items():
        assert made.column(name).equals(column), name
        assert made.column(f"again_{name}").equals(column), name


def test_what_is_said_about_a_column_stays_with_it() -> None:
    field = pa.field("id", pa.int64(), nullable=False, metadata={"PARQUET:field_id": "1"})
    data = pa.record_batch([pa.array([1]), pa.array([2])], schema=pa.schema([field, pa.field("n", pa.int64())]))
    done = mapped({"n": "null"}, data)
    assert done.batch is not None
    assert done.batch.data.schema.field("id").equals(field, check_metadata=True)
    assert done.batch.data.schema.field("n").type == pa.null()


VALUES = st.one_of(st.none(), st.integers(-3, 3).map(str), st.sampled_from(["x", "", "1e400", "9" * 20, " 7", "\x00", "é"]))
EXPRESSIONS = {
    "cast": "cast(t as integer)",
    "shared": "10 // try_cast(t as integer)",
    "some": "case when t = 'x' then null else cast(t as bigint) + uuid_extract_version(uuid()) - 4 end",
}


@pytest.fixture(scope="module")
def mixed() -> Iterator[MapProcessor]:
    """Making one costs more than running it."""
    with mapping(EXPRESSIONS) as processor:
        yield processor


@pytest.fixture(scope="module")
def doubled() -> Iterator[MapProcessor]:
    with mapping({"n": "n * 2 + 1"}) as processor:
        yield processor


@settings(max_examples=examples(12), deadline=None)
@given(values=st.lists(VALUES, min_size=1, max_size=8))
def test_all_rows_at_once_and_one_by_one_come_to_the_same(mixed: MapProcessor, values: list[str | None]) -> None:
    """A batch with bad rows is cut until they are found: the outcome is that of each row alone."""
    data = pa.record_batch({"t": pa.array(values, pa.string())})
    whole = mixed.process(Batch(data))
    alone = [mixed.process(Batch(data.slice(row, 1))) for row in range(len(values))]
    assert rows_of(whole) == [row for done in alone for row in rows_of(done)]
    assert [(reject.index, reject.message) for reject in whole.rejects] == [
        (number, reject.message) for number, done in enumerate(alone) for reject in done.rejects
    ]


@settings(max_examples=12, deadline=None)
@given(numbers=st.lists(st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)), max_size=50))
def test_the_values_are_those_that_python_makes(doubled: MapProcessor, numbers: list[int | None]) -> None:
    done = doubled.process(Batch(pa.record_batch({"n": pa.array(numbers, pa.int64())})))
    assert [row["n"] for row in rows_of(done)] == [None if n is None else n * 2 + 1 for n in numbers]
    assert not done.rejects


def test_floats_that_are_no_numbers_pass() -> None:
    (row,) = rows_of(mapped({"y": "x + 1"}, pa.record_batch({"x": [math.nan]})))
    assert math.isnan(row["y"])
