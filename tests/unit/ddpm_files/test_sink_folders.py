"""Folders of partitions: as Hive names them, so that DuckDB, Spark and Arrow read the values back."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import ConfigError, Reject
from ddpm_core.testing import hostile_texts
from ddpm_files.sink_folders import NULL, Folders, Part, table_folder
from tests.examples import examples


def split(data: pa.RecordBatch, *columns: str, keep: bool = False) -> tuple[dict[str, Part], list[Reject]]:
    rejects: list[Reject] = []
    parts = list(Folders(columns, keep=keep).split(data, rejects))
    assert len({part.folder for part in parts}) == len(parts), "a folder comes twice"
    return {part.folder: part for part in parts}, rejects


def batch(**columns: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


def test_rows_go_by_their_values_and_keep_their_order() -> None:
    parts, rejects = split(batch(n=[0, 1, 2, 3, 4], day=["b", "a", "b", None, "a"]), "day")
    assert rejects == []
    found = {folder: (part.data.to_pydict(), [part.row(i) for i in range(len(part.data))]) for folder, part in parts.items()}
    assert found == {
        "day=b": ({"n": [0, 2]}, [0, 2]),
        "day=a": ({"n": [1, 4]}, [1, 4]),
        f"day={NULL}": ({"n": [3]}, [3]),
    }


def test_several_columns_are_folders_in_each_other() -> None:
    parts, _ = split(batch(n=[0, 1, 2], y=[2026, 2026, 2027], ok=[True, False, True]), "y", "ok")
    assert {folder: part.data["n"].to_pylist() for folder, part in parts.items()} == {
        "y=2026/ok=true": [0],
        "y=2026/ok=false": [1],
        "y=2027/ok=true": [2],
    }


def test_a_batch_of_one_value_is_not_copied() -> None:
    data = batch(n=[0, 1], day=["a", "a"])
    ((folder, part),) = split(data, "day")[0].items()
    assert folder == "day=a"
    assert part.rows is None
    assert part.data["n"].buffers()[1].address == data["n"].buffers()[1].address


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (pa.array([dt.date(2026, 11, 21)]), ["2026-11-21"]),
        (pa.array([dt.datetime(2026, 11, 21, 10)], pa.timestamp("s")), ["2026-11-21 10%3A00%3A00"]),  # noqa: DTZ001
        (pa.array([dt.datetime(2026, 11, 21, 10)], pa.timestamp("us", "UTC")), ["2026-11-21 10%3A00%3A00.000000Z"]),  # noqa: DTZ001
        (pa.array([Decimal("1.50")]), ["1.50"]),
        (pa.array([1.5]), ["1.5"]),
        (pa.array(["x"]).dictionary_encode(), ["x"]),
        (pa.array(["x"], pa.large_string()), ["x"]),
        (pa.array(["x"], pa.string_view()), ["x"]),
        (pa.nulls(1), [NULL]),
        (pa.array([""]), [""]),
    ],
    ids=str,
)
def test_values_of_every_type_that_has_a_short_text(values: pa.Array, names: list[str]) -> None:
    parts, _ = split(pa.RecordBatch.from_arrays([pa.array([1]), values], ["n", "p"]), "p")
    assert list(parts) == [f"p={name}" for name in names]


def test_a_column_that_comes_later_is_null_there_and_one_that_never_came_is_a_mistake() -> None:
    folders = Folders(["day"], keep=False)
    with pytest.raises(ConfigError) as caught:
        list(folders.split(batch(n=[1], dya=["a"]), []))
    assert str(caught.value) == "option 'partition_by' names column 'day', which the data lacks\nIt has: n, dya."
    list(folders.split(batch(n=[1], day=["a"]), []))
    assert [part.folder for part in folders.split(batch(n=[1]), [])] == [f"day={NULL}"]


def test_types_that_have_no_short_text_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        split(batch(n=[1], tags=[["a"]]), "tags")
    assert str(caught.value) == (
        "option 'partition_by' names column 'tags', whose type list<item: string> cannot be the name of a folder"
    )


def test_a_column_must_be_left_for_the_files() -> None:
    with pytest.raises(ConfigError) as caught:
        split(batch(day=["a"]), "day")
    assert str(caught.value) == (
        "option 'partition_by' names every column of the data, so there is nothing left to write into the files"
    )
    assert list(split(batch(day=["a"]), "day", keep=True)[0]) == ["day=a"]


def test_a_value_that_is_too_long_for_a_name_costs_its_own_row_only() -> None:
    parts, rejects = split(batch(n=[0, 1, 2], p=["a", "x" * 300, "b"]), "p")
    assert list(parts) == ["p=a", "p=b"]
    assert rejects == [Reject(1, "partition_value", "the values of p are too long for the name of a folder")]
    assert split(batch(n=[0], p=["x" * 300]), "p") == (
        {},
        [Reject(0, "partition_value", "the values of p are too long for the name of a folder")],
    )


def test_duckdb_reads_hostile_values_back(tmp_path: Path) -> None:
    texts = [text for text in hostile_texts() if 0 < len(text) < 60]
    parts, rejects = split(batch(n=list(range(len(texts))), p=texts), "p")
    assert rejects == []
    for folder, part in parts.items():
        assert folder.count("/") == 0
        (tmp_path / folder).mkdir()
        pq.write_table(pa.Table.from_batches([part.data]), tmp_path / folder / "x.parquet")
    with duckdb.connect() as connection:
        sql = "select n, p from read_parquet(?, hive_partitioning = true, hive_types_autocast = false) order by n"
        found = connection.execute(sql, [str(tmp_path / "*" / "*.parquet")]).fetchall()
    assert found == list(enumerate(texts))


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "a/b", None, ""]), st.one_of(st.none(), st.integers(-2, 2)), st.booleans()), min_size=1
    )
)
def test_every_row_is_in_one_part_and_that_of_its_values(rows: list[tuple[str | None, int | None, bool]]) -> None:
    columns = {"n": list(range(len(rows)))}
    data = pa.RecordBatch.from_arrays(
        [
            pa.array(columns["n"]),
            pa.array([r[0] for r in rows], pa.string()),
            pa.array([r[1] for r in rows], pa.int64()),
            pa.array([r[2] for r in rows]),
        ],
        ["n", "t", "i", "b"],
    )
    parts, rejects = split(data, "t", "i", "b", keep=True)
    assert rejects == []
    seen = []
    for part in parts.values():
        assert len({tuple(row.values())[1:] for row in part.data.to_pylist()}) == 1
        numbers = part.data["n"].to_pylist()
        assert numbers == sorted(numbers) == [part.row(i) for i in range(len(numbers))]
        seen += numbers
    assert sorted(seen) == columns["n"]


@pytest.mark.parametrize(
    ("table", "folders"),
    [
        ("", []),
        ("orders", ["orders"]),
        ("shop.orders", ["shop", "orders"]),
        ('"a.b"', ["a.b"]),
        ('"a/../b"', ["a%2F..%2Fb"]),
        ('"100%"', ["100%25"]),
        ("żółć 1", ["żółć 1"]),
    ],
)
def test_a_table_is_a_folder(table: str, folders: list[str]) -> None:
    assert table_folder(table) == folders


@pytest.mark.parametrize("table", ["_x", '".x"', '".."', "_ddpm"])
def test_a_table_that_readers_would_leave_out_is_refused(table: str) -> None:
    with pytest.raises(ConfigError) as caught:
        table_folder(table)
    assert str(caught.value) == (
        f"table {table!r} would be a folder that readers leave out: its name begins with {table.strip(chr(34))[0]!r}\n"
        "Name another one with --table."
    )
