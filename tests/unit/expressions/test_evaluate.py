"""Expressions over batches: what they read, what they give, and what is said where they do not fit."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from unittest.mock import Mock

import pyarrow as pa
import pytest

from ddpm_core.errors import ConfigError
from ddpm_core.expressions.evaluate import Evaluated, Expressions
from ddpm_core.records import Batch, DeadLetter, Document, Messages, Rows

DATA = pa.record_batch({"a": ["x", "y"], "n": [1, 2]})


@contextmanager
def opened(expressions: Mapping[str, str], **given: Any) -> Iterator[Expressions]:
    made = Expressions(expressions, "column {}", **given)
    made.open()
    yield made
    made.close()


def run(expressions: Mapping[str, str], batch: Batch | None = None, **given: Any) -> Evaluated:
    with opened(expressions, **given) as made:
        return made.run(batch or Batch(DATA))


def values(expression: str, batch: Batch | None = None) -> list[Any]:
    found = run({"c": expression}, batch)
    assert not found.failed
    return found.columns["c"].to_pylist()


def refused(expressions: Mapping[str, str], data: pa.RecordBatch = DATA, **given: Any) -> str:
    with opened(expressions, **given) as made, pytest.raises(ConfigError) as failed:
        made.run(Batch(data))
    return str(failed.value)


def messages() -> Messages:
    return Messages(
        values=[b"one", None, "zwölf".encode()],
        partitions=["kafka:shop.orders/0", "kafka:shop.orders/11", "kafka:shop.orders/0"],
        offsets=[7, 3, 9],
        first={},
        next={},
        keys=[b"k", None, b""],
        headers=[[("type", b"a"), ("type", b"b"), ("none", None)], None, []],  # type: ignore[list-item]
        timestamps=[0, 1500, -1],
    )


def test_metadata_of_messages() -> None:
    names = ("_topic", "_partition", "_offset", "_timestamp", "_key", "_headers", "_value")
    found = run({name: name for name in names}, Batch(pa.record_batch({"a": [1, 2, 3]}), None, messages()))
    assert {name: column.to_pylist() for name, column in found.columns.items()} == {
        "_topic": ["shop.orders"] * 3,
        "_partition": [0, 11, 0],
        "_offset": [7, 3, 9],
        "_timestamp": [
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC),
            datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC),
        ],
        "_key": ["k", None, ""],
        "_headers": [[("type", "b"), ("none", None)], None, []],
        "_value": ["one", None, "zwölf"],
    }


def test_metadata_follows_the_origin_of_rows() -> None:
    batch = Batch(pa.record_batch({"a": [1, 2, 3, 4]}), pa.array([2, 2, 0, 1], pa.int32()), messages())
    assert values("_offset", batch) == [9, 9, 7, 3]
    assert values("_value", batch) == ["zwölf", "zwölf", "one", None]
    assert values("_headers['type']", batch) == [None, None, "b", None]


def test_a_dead_letter_that_is_sent_again_has_its_first_coordinates() -> None:
    letter = Mock(spec=DeadLetter, partition="kafka:orders/4", offset=99)
    again = Messages([b"x"], ["dead-letter:abc"], [0], {}, {}, letters=[letter])
    assert values("_topic || ' ' || _partition || ' ' || _offset", Batch(DATA.slice(0, 1), None, again)) == ["orders 4 99"]


def test_metadata_of_documents() -> None:
    document = Document("data/a.json", "file:1", io.BytesIO())
    assert values("_file", Batch(DATA, None, document)) == ["data/a.json"] * 2
    rows = Rows("a query", "sql:1", lambda: iter(()))
    assert values("_file", Batch(DATA, None, rows)) == ["a query"] * 2


@dataclass(slots=True)
class Placed(Batch):
    """A batch as the engine makes it, which knows where in the document its step begins."""

    first_record: int = 0


def test_the_number_of_a_row_counts_from_the_documents_beginning() -> None:
    document = Document("a.json", "file:1", io.BytesIO())
    assert values("_row", Placed(DATA, None, document, first_record=1000)) == [1000, 1001]
    assert values("_row", Placed(DATA, pa.array([4, 4], pa.int32()), document, first_record=1000)) == [1004, 1004]


def test_metadata_that_the_source_does_not_give_is_an_error_and_never_null() -> None:
    bare = Messages([b"1", b"2"], ["kafka:t/0"] * 2, [0, 1], {}, {})
    with opened({"c": "_key"}) as made, pytest.raises(ConfigError) as failed:
        made.run(Batch(DATA, None, bare))
    assert str(failed.value) == (
        "column 'c': _key is not known here (it is a fact about a message, and the source of these rows does not give it)"
    )


def test_a_column_with_the_name_of_metadata_is_read_where_there_is_no_such_metadata() -> None:
    data = pa.record_batch({"_key": ["own", "own"]})
    assert values("_key || '!'", Batch(data)) == ["own!", "own!"]
    keyed = Messages([b"1", b"2"], ["kafka:t/0"] * 2, [0, 1], {}, {}, keys=[b"theirs", None])
    assert values("_key", Batch(data, None, keyed)) == ["theirs", None]


def test_columns_are_told_apart_without_case_as_in_sql() -> None:
    assert values("A || a") == ["xx", "yy"]
    both = pa.record_batch({"Id": [1], "ID": [2]})
    assert values('"Id" + 1', Batch(both)) == [2]
    assert refused({"c": "id"}, both) == "column 'c': 'id' may be any of 'Id', 'ID' (SQL does not tell them apart)"
    assert refused({"c": '"Id" + "ID"'}, both) == "the columns 'Id' and 'ID' differ only in case, and SQL does not tell them apart"


def test_missing_columns_are_told_all_at_once_with_the_nearest() -> None:
    said = refused({"x": "upper(aa)", "y": "n", "z": "length(elsewhere)"})
    assert said.splitlines() == [
        "column 'x': there is no column 'aa' (did you mean 'a'?)",
        "column 'z': there is no column 'elsewhere' (declare it under columns, if the first rows may lack it)",
    ]


def test_what_does_not_fit_the_types_is_told_in_duckdbs_words() -> None:
    assert refused({"x": "upper(n)", "y": "nosuch(a)"}).splitlines() == [
        "column 'x': No function matches the given name and argument types 'upper(BIGINT)'. You might need to add explicit type casts.",
        "column 'y': Scalar Function with name nosuch does not exist! Did you mean \"cosh\"?",
    ]


def test_a_type_that_cannot_be_read_is_named() -> None:
    wide = pa.record_batch({"w": pa.array([Decimal(1)], pa.decimal256(50, 2)), "n": [1]})
    assert refused({"c": "w + n"}, wide) == "column 'w': expressions cannot read the type decimal256(50, 2)"


def test_what_would_fail_for_every_row_is_told_at_open() -> None:
    made = Expressions({"c": "cast('x' as integer)"}, "column {}")
    with pytest.raises(ConfigError) as failed:
        made.open()
    assert str(failed.value) == "column 'c': Could not convert string 'x' to INT32"
    made.close()


def test_a_column_that_was_there_or_is_declared_is_null_where_it_is_missing() -> None:
    declared = pa.schema([("later", pa.string())])
    with opened({"c": "coalesce(a, 'none') || coalesce(later, '-')", "d": "a"}, columns=declared) as made:
        assert made.run(Batch(DATA)).columns["c"].to_pylist() == ["x-", "y-"]
        found = made.run(Batch(pa.record_batch({"later": ["z"]})))
    assert {name: column.to_pylist() for name, column in found.columns.items()} == {"c": ["nonez"], "d": [None]}


def test_batches_of_another_shape_are_looked_at_anew() -> None:
    with opened({"c": "a || '!'"}) as made:
        assert made.run(Batch(pa.record_batch({"a": ["x"]}))).columns["c"].to_pylist() == ["x!"]
        assert made.run(Batch(pa.record_batch({"a": [7]}))).columns["c"].to_pylist() == ["7!"]
        assert made.run(Batch(pa.record_batch({"b": [1], "a": ["z"]}))).columns["c"].to_pylist() == ["z!"]


@pytest.mark.parametrize(
    ("expression", "type_", "value"),
    [
        ("uuid_extract_version('01890a5d-ac96-774b-bcce-b302099a8057'::uuid)", pa.uint32(), 7),
        ("n > 0", pa.bool_(), True),
        ("[n > 0]", pa.list_(pa.bool_()), [True]),
        ("factorial(20)", pa.decimal128(38, 0), Decimal(2432902008176640000)),
        ("a::enum('x', 'y')", pa.string(), "x"),
        ("'101'::bit", pa.string(), "101"),
        ("to_json(n)", pa.json_(), "1"),
        ("a::blob", pa.binary(), b"x"),
        ("date '2024-05-01'", pa.date32(), datetime(2024, 5, 1, tzinfo=UTC).date()),
        ("1.50", pa.decimal128(3, 2), Decimal("1.50")),
        ("map {a: n}", pa.map_(pa.string(), pa.int64()), [("x", 1)]),
        ("null", pa.null(), None),
    ],
)
def test_values_have_types_that_every_sink_knows(expression: str, type_: pa.DataType, value: Any) -> None:
    column = run({"c": expression}, Batch(DATA.slice(0, 1))).columns["c"]
    assert column.to_pylist() == [value]
    assert str(column.type).replace(" l:", " item:") == str(type_) or column.type.equals(type_)


def test_what_no_other_system_has_is_refused_where_it_cannot_be_cast() -> None:
    assert refused({"c": "[n::hugeint]"}) == "column 'c': it gives HUGEINT[], which others do not have: cast what is in it"


def test_a_row_that_wants_too_much_fails_alone() -> None:
    found = run({"c": "length(repeat('x', n))"}, Batch(pa.record_batch({"n": [1, 5_000_000_000, 2]})))
    assert (found.columns["c"].to_pylist(), list(found.failed)) == ([1, 2], [1])


def test_many_failing_rows_do_not_all_ask_for_words() -> None:
    data = pa.record_batch({"a": ["x"] * 203 + ["1"]})
    found = run({"c": "cast(a as integer)"}, Batch(data))
    assert found.rows is not None
    assert found.rows.to_pylist() == [203]
    assert (
        found.failed[0] == "c = cast(a as integer) failed: Could not convert string 'x' to INT32 when casting from source column a"
    )
    assert found.failed[202] == "c = cast(a as integer) fails on this row"


def test_a_long_expression_is_cut_in_messages() -> None:
    found = run({"c": f"cast(a || '{'y' * 200}' as integer)"}, Batch(DATA.slice(0, 1)))
    assert found.failed[0].startswith(f"c = cast(a || '{'y' * 89}… failed: Could not convert string")


def test_run_without_open_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(RuntimeError, match=r"^run was called without open$"):
        Expressions({"c": "1"}, "column {}").run(Batch(DATA))
