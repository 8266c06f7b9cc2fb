"""Bad input, case by case, into both databases: a clear error or a dead letter, the neighbours land, and nothing is lost.

Each case is a file and what must become of it: how many rows land, which reasons the dead letters have, and, where the document itself is
broken, the error. What `rows` and `reasons` leave out would be lost, so the number of records is checked too.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddpm_core.engine.build import open_database
from ddpm_core.engine.ingest import Ingest, IngestRequest
from ddpm_core.engine.report import Report
from ddpm_core.plugin.database import DeadLetterFilter
from ddpm_core.registry import Registry

GOOD = b'{"id": 1, "name": "first"}\n'
LAST = b'{"id": 9, "name": "last"}\n'


@dataclass(frozen=True)
class Case:
    """A file and what must become of it.

    Attributes:
        content: The file's bytes.
        rows: Rows that land.
        reasons: Reason codes of the dead letters, each as often as it occurs.
        error: The beginning of the document's error, or an empty string.
        only: The one sink for which this holds, or an empty string for both.
    """

    name: str
    content: bytes
    rows: int
    reasons: tuple[str, ...] = ()
    error: str = ""
    suffix: str = "json"
    only: str = ""
    options: dict[str, Any] = field(default_factory=dict)


def between(line: bytes) -> bytes:
    """A line between two good ones."""
    return GOOD + line + b"\n" + LAST


def nested(depth: int) -> bytes:
    return b'{"id": 5, "name": ' + b"[" * depth + b"]" * depth + b"}"


def avro(rows: list[dict[str, Any]] | None = None, *, codec: str = "null") -> bytes:
    schema = {
        "type": "record",
        "name": "r",
        "fields": [{"name": "id", "type": "long"}, {"name": "name", "type": ["null", "string"]}],
    }
    out = io.BytesIO()
    rows = rows if rows is not None else [{"id": n, "name": f"name {n}"} for n in range(1000)]
    fastavro.writer(out, schema, rows, codec=codec, sync_interval=1000, sync_marker=b"0123456789abcdef")
    return out.getvalue()


def parquet(table: pa.Table | None = None) -> bytes:
    out = io.BytesIO()
    table = table if table is not None else pa.table({"id": range(1000), "name": [f"name {n}" for n in range(1000)]})
    pq.write_table(table, out, row_group_size=100, write_page_checksum=True)
    return out.getvalue()


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


CASES = [
    Case("empty file", b"", 0),
    Case("blank lines only", b"\n\n  \n", 0),
    Case("empty array", b"[]", 0),
    Case("malformed line", between(b'{"id": 5, "name": '), 2, ("json_invalid",)),
    Case("not JSON at all in one line", between(b"hello"), 2, ("json_invalid",)),
    Case("invalid UTF-8", between(b'{"id": 5, "name": "\xff\xfe"}'), 2, ("encoding",)),
    Case("UTF-8 byte order mark", b"\xef\xbb\xbf" + GOOD + LAST, 2),
    Case("integer beyond 64 bits", between(b'{"id": 18446744073709551616, "name": "x"}'), 2, ("int_range",)),
    Case("NaN", between(b'{"id": NaN, "name": "x"}'), 2, ("json_invalid",)),
    Case("Infinity", between(b'{"id": Infinity, "name": "x"}'), 2, ("json_invalid",)),
    Case("1e400", between(b'{"id": 1e400, "name": "x"}'), 2, ("number_range",)),
    Case("nesting 1,000 deep", between(nested(1000)), 2, ("json_depth",)),
    Case("nesting 100,000 deep", between(nested(100_000)), 2, ("json_depth",)),
    Case("duplicate keys: the last wins", between(b'{"id": 4, "id": 5, "name": "x"}'), 3),
    Case("record that is a number", between(b"42"), 2, ("not_an_object",)),
    Case("record that is a list of numbers", between(b"[1, 2]"), 2, ("not_an_object",)),
    Case("two documents on a line", between(b'{"id": 5, "name": "x"} {"id": 6, "name": "y"}'), 4),
    Case("lone surrogate", between(b'{"id": 5, "name": "\\ud800"}'), 2, ("surrogate",)),
    Case("type that changes", between(b'{"id": "five", "name": "x"}'), 2, ("type_mismatch",)),
    Case("column that appears late", between(b'{"id": 5, "name": "x", "late": true}'), 3),
    Case("columns that differ in case", between(b'{"ID": 5, "name": "x"}'), 3),
    Case("NUL in text", between(b'{"id": 5, "name": "a\\u0000b"}'), 2, ("nul_char",), only="postgres"),
    Case("NUL in text is text in DuckDB", between(b'{"id": 5, "name": "a\\u0000b"}'), 3, only="duckdb"),
    Case("last line cut off", GOOD + LAST + b'{"id": 5, "na', 2, ("json_truncated",)),
    Case("array cut off", b'[{"id": 1, "name": "a"}, {"id": 2, "na', 1, error="json_truncated"),
    Case("UTF-16", json.dumps({"id": 1}).encode("utf-16"), 0, error="encoding"),
    Case("Avro named JSON", avro(), 0, error="wrong_format"),
    Case("Parquet named JSON", parquet(), 0, error="wrong_format"),
    Case("JSON named Avro", GOOD, 0, error="wrong_format", suffix="avro"),
    Case("JSON named Parquet", GOOD, 0, error="wrong_format", suffix="parquet"),
    Case("empty Avro file", b"", 0, error="avro_truncated", suffix="avro"),
    Case("empty Parquet file", b"", 0, error="parquet_truncated", suffix="parquet"),
    Case("Avro cut off in its header", avro()[:40], 0, error="avro_truncated", suffix="avro"),
    Case("Avro without rows", avro([]), 0, suffix="avro"),
    Case("Parquet cut off", parquet()[:-100], 0, error="parquet_truncated", suffix="parquet"),
    Case("Parquet without rows", parquet(pa.table({"id": pa.array([], pa.int64())})), 0, suffix="parquet"),
]


@dataclass
class Target:
    """A database to load into and to look into."""

    kind: str
    address: str
    registry: Registry

    def ingest(self, path: Path, **more: Any) -> Report:
        return Ingest(IngestRequest(paths=(str(path),), to=self.address, retry_for=0.0, **more), self.registry).run()

    def count(self, table: str) -> int:
        with _closing(open_database(self.address, self.registry)) as database:
            return int(database.query(f"select count(*) as n from {table}").read_all()["n"][0].as_py())

    def dead_letters(self) -> list[Any]:
        with _closing(open_database(self.address, self.registry)) as database:
            return database.dead_letters(DeadLetterFilter(limit=10_000))


class _closing:  # noqa: N801 - reads as a keyword
    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __enter__(self) -> Any:
        return self.thing

    def __exit__(self, *_: object) -> None:
        self.thing.close()


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover(strict=True)


@pytest.fixture(params=["duckdb", "postgres"])
def target(request: pytest.FixtureRequest, registry: Registry, tmp_path: Path) -> Iterator[Target]:
    if request.param == "postgres":
        yield Target("postgres", request.getfixturevalue("postgres_database"), registry)
    else:
        yield Target("duckdb", str(tmp_path / "bad.duckdb"), registry)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nothing_is_lost_and_every_reason_is_known(case: Case, target: Target, tmp_path: Path) -> None:
    if case.only and case.only != target.kind:
        case = Case(case.name, GOOD, 1)  # The other database has a case of its own for this input.
    path = tmp_path / f"bad.{case.suffix}"
    path.write_bytes(case.content)
    report = target.ingest(path)
    (document,) = report.documents
    found = getattr(document.error, "reason", "") if document.error else ""
    assert found == case.error, document.error
    assert report.error is None
    assert Counter(report.rejects) == Counter(case.reasons)
    assert report.rows == case.rows
    assert report.status == ("failed" if case.error else "dead_letters" if case.reasons else "landed")
    if case.rows:
        assert target.count("bad") == case.rows
    letters = target.dead_letters()
    assert Counter(letter.reason for letter in letters) == Counter(case.reasons)
    assert all(letter.payload for letter in letters)
    again = target.ingest(path)
    assert again.rows == 0, "running it again must not land anything twice"
    assert len(target.dead_letters()) == len(letters)


def test_a_truncated_avro_file_lands_its_whole_blocks_and_goes_on_when_it_is_complete(target: Target, tmp_path: Path) -> None:
    whole = avro()
    path = tmp_path / "bad.avro"
    path.write_bytes(whole[: len(whole) // 2])
    report = target.ingest(path)
    (document,) = report.documents
    assert getattr(document.error, "reason", "") == "avro_truncated"
    landed = target.count("bad")
    assert 0 < landed < 1000
    path.write_bytes(whole)
    report = target.ingest(path)
    assert (report.status, report.rows) == ("landed", 1000 - landed)
    assert report.documents[0].note.startswith(f"continued at record {landed:,}: the file grew from ")
    assert target.count("bad") == 1000


def test_a_corrupt_parquet_page_is_found_by_its_checksum(target: Target, tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    data = parquet()
    path.write_bytes(flipped(data, len(data) // 2))
    report = target.ingest(path)
    (document,) = report.documents
    assert getattr(document.error, "reason", "") == "checksum"
    assert 0 < target.count("bad") < 1000


def test_an_avro_block_that_was_damaged_ends_the_document_there(target: Target, tmp_path: Path) -> None:
    path = tmp_path / "bad.avro"
    data = avro(codec="deflate")
    path.write_bytes(flipped(data, len(data) // 2))
    report = target.ingest(path)
    lost = 1000 - target.count("bad")
    assert lost > 0
    letters = len(target.dead_letters())
    assert report.documents[0].error is not None or letters == lost


def test_hostile_table_and_column_names_are_only_names(target: Target, tmp_path: Path) -> None:
    names = ['a"b', "c;d", "drop table bad; --", "e'f", "select", "g.h", "ż ó ł", "i%j", "k?l", "tab\there"]
    path = tmp_path / 'x"; drop table y; --.json'
    path.write_text(json.dumps(dict.fromkeys(names, 1)) + "\n" + json.dumps(dict.fromkeys(names, 2)) + "\n")
    report = target.ingest(path)
    assert (report.status, report.rows) == ("landed", 2)
    with _closing(open_database(target.address, target.registry)) as database:
        table = database.query('select * from "x""; drop table y; --" order by 1').read_all()
    assert table.to_pylist() == [dict.fromkeys(names, 1), dict.fromkeys(names, 2)]


def test_a_column_name_of_64_bytes(target: Target, tmp_path: Path) -> None:
    long = "c" * 64
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({"id": 1, long: 5}) + "\n" + json.dumps({"id": 2}) + "\n")
    report = target.ingest(path)
    if target.kind == "postgres":
        assert (report.rows, report.rejects) == (1, {"unknown_column": 1})
        (letter,) = target.dead_letters()
        assert letter.message.endswith("; a column of that name cannot be made: it is 64 bytes long, and Postgres takes 63")
    else:
        assert (report.rows, report.rejects) == (2, {})


def test_one_key_twice_in_an_upsert_keeps_the_last(target: Target, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(
        b'{"id": 1, "name": "old"}\n{"id": 2, "name": "x"}\n{"id": 1, "name": "new"}\n{"id": null, "name": "no key"}\n'
    )
    report = target.ingest(path, key=("id",))
    assert report.rejects == {"null_key": 1}
    with _closing(open_database(target.address, target.registry)) as database:
        assert database.query("select * from bad order by id").read_all().to_pylist() == [
            {"id": 1, "name": "new"},
            {"id": 2, "name": "x"},
        ]


def test_a_parquet_row_that_does_not_fit_is_kept_as_arrow_and_json(target: Target, tmp_path: Path) -> None:
    first = tmp_path / "bad.parquet"
    pq.write_table(pa.table({"id": pa.array([1, 2], pa.int32())}), first)
    assert target.ingest(first).rows == 2
    second = tmp_path / "more.parquet"
    pq.write_table(pa.table({"id": pa.array([3, 2**40], pa.int64())}), second)
    report = target.ingest(second, table="bad", evolve=False)
    assert (report.rows, report.rejects) == (1, {"int_range": 1})
    (letter,) = target.dead_letters()
    assert (letter.payload_kind, json.loads(letter.view)) == ("arrow", {"id": 2**40})
    assert pa.ipc.open_stream(letter.payload).read_all()["id"].to_pylist() == [2**40]


def test_a_file_that_is_missing_unreadable_or_a_folder_without_files(target: Target, tmp_path: Path) -> None:
    from ddpm_core.errors import ConfigError

    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "missing.json", tmp_path / "folder", tmp_path / "*.none"):
        with pytest.raises(ConfigError) as caught:
            target.ingest(path)
        assert str(path) in str(caught.value)


def test_a_file_that_vanishes_before_it_is_read_fails_alone(target: Target, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(GOOD)
    (tmp_path / "b.json").write_bytes(GOOD)
    request = IngestRequest(paths=(str(tmp_path),), to=target.address, table="bad", format="json")
    ingest = Ingest(request, target.registry)
    (tmp_path / "a.json").unlink()
    report = ingest.run()
    assert [(Path(d.name).name, d.status) for d in report.documents] == [("a.json", "failed"), ("b.json", "landed")]
    assert report.status == "failed"


def test_declared_types_keep_the_order_of_the_data(target: Target, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{"id": 1, "amount": "9.90", "name": "x"}\n')
    assert target.ingest(path, columns="later=uuid,amount=decimal(12,2)").rows == 1
    with _closing(open_database(target.address, target.registry)) as database:
        table = database.query("select * from bad").read_all()
    assert table.column_names == ["id", "amount", "name", "later"]
    assert str(table["amount"][0].as_py()) == "9.90"
