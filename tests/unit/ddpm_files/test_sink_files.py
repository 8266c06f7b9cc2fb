"""The sink `files` on this machine: which files there are, what they hold, and what happens when the disk or the format refuses."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddpm_core import (
    Batch,
    BuildContext,
    ConfigError,
    DataError,
    DocumentWriter,
    FatalError,
    OutputFormat,
    Position,
    Reject,
    RetryableError,
    Serializer,
)
from ddpm_core.config.options import check_options
from ddpm_files import sink_log, sink_round
from ddpm_files.output_local import LocalStore
from ddpm_files.sink import FilesSink, build
from ddpm_files.sink_instance import is_dead, new_instance
from ddpm_files.sink_options import FilesSinkOptions
from ddpm_json.options import JsonOptions
from ddpm_json.serializer import build as json_serializer
from ddpm_parquet.options import ParquetOptions
from ddpm_parquet.serializer import build as parquet_serializer


class PlainSerializer(Serializer):
    """A line for each row; refuses rows with `bad` in them, and lists altogether."""

    def serialize_rows(self, data: pa.RecordBatch) -> list[bytes]:
        lines = [" ".join(map(str, row.values())) for row in data.to_pylist()]
        if any("bad" in line for line in lines):
            raise DataError("a value is bad", reason="value_unsupported")
        return [line.encode() + b"\n" for line in lines]

    def document_writer(self, stream: Any, schema: pa.Schema) -> DocumentWriter:
        if any(pa.types.is_list(field.type) for field in schema):
            raise DataError("lists cannot be written", reason="type_unsupported")
        return PlainWriter(self, stream)


class PlainWriter(DocumentWriter):
    def __init__(self, serializer: PlainSerializer, stream: Any) -> None:
        self._serializer, self._stream = serializer, stream

    def write(self, data: pa.RecordBatch) -> None:
        self._stream.write(b"".join(self._serializer.serialize_rows(data)))

    def close(self) -> None:
        self._stream.flush()


def give(name: str, options: Mapping[str, Any]) -> OutputFormat:
    """As the engine's `context.output`."""
    if name == "parquet":
        return OutputFormat(name, ".parquet", parquet_serializer(ParquetOptions(**options), BuildContext()))
    if name == "json":
        return OutputFormat(name, ".json", json_serializer(JsonOptions(), BuildContext()))
    return OutputFormat(name, ".txt", PlainSerializer())


def made(path: object, *, columns: pa.Schema | None = None, **options: Any) -> FilesSink:
    values = check_options(FilesSinkOptions, {"path": str(path), **options}, owner="sink files")
    return build(values, BuildContext(output=give, columns=columns))


class Land:
    """One sink, and the position of its only source."""

    def __init__(self, sink: FilesSink) -> None:
        self.sink = sink
        self.at = 0
        sink.open()
        sink.claim(["file:a"])

    def write(self, **columns: Any) -> list[Reject]:
        return self.sink.write(Batch(pa.RecordBatch.from_pydict(columns)))

    def commit(self) -> None:
        self.at += 1
        self.sink.commit({"file:a#1": Position(self.at)}, [])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and "_ddpm" not in path.parts)


def table(path: Path) -> dict[str, list[Any]]:
    return pq.ParquetFile(path).read().to_pydict()  # type: ignore[no-any-return]


def test_names_sort_in_the_order_of_commits(out: Path) -> None:
    land = Land(made(out, table='shop."my orders"'))
    for number in range(3):
        land.write(n=[number])
        land.commit()
    land.sink.close()
    found = names(out)
    assert [table(out / name) for name in found] == [{"n": [0]}, {"n": [1]}, {"n": [2]}]
    assert [name[: len("shop/my orders/my orders-0000000001-")] for name in found] == [
        f"shop/my orders/my orders-000000000{number}-" for number in (1, 2, 3)
    ]
    assert all(name.endswith("-0001.parquet") for name in found)


def test_without_a_table_files_lie_in_the_folder_itself(out: Path) -> None:
    land = Land(made(f"file://{out}", format="ndjson"))
    land.write(n=[1])
    land.commit()
    land.sink.close()
    (name,) = names(out)
    assert name.startswith("rows-0000000001-")
    assert (out / name).read_bytes() == b'{"n":1}\n'
    assert name.endswith(".ndjson")


def test_rows_of_many_batches_gather_in_one_file(out: Path) -> None:
    land = Land(made(out))
    for number in range(20):
        land.write(n=[number])
        assert not land.sink.full
    land.commit()
    land.sink.close()
    (name,) = names(out)
    assert table(out / name) == {"n": list(range(20))}


def test_columns_that_come_and_go_do_not_each_begin_a_file(out: Path) -> None:
    land = Land(made(out))
    land.write(a=[1], b=["x"])
    land.write(b=["y"])
    land.write(b=["z"], a=[3])
    land.write(a=[4], c=[True])
    land.write(c=[False])
    land.write(a=[5], b=pa.nulls(1))
    land.commit()
    land.sink.close()
    assert [table(out / name) for name in names(out)] == [
        {"a": [1, None, 3, 5], "b": ["x", "y", "z", None]},
        {"a": [4, None], "b": [None, None], "c": [True, False]},
    ]


def test_types_that_alternate_make_two_files_and_not_many(out: Path) -> None:
    land = Land(made(out))
    for _ in range(5):
        land.write(a=[1])
        land.write(a=["x"])
    land.commit()
    land.sink.close()
    assert sorted(str(table(out / name)["a"]) for name in names(out)) == [str(["x"] * 5), str([1] * 5)]


def test_columns_without_a_type_are_left_out_and_rows_of_nothing_else_are_set_aside(out: Path) -> None:
    land = Land(made(out))
    assert land.write(a=[1], b=pa.nulls(1)) == []
    assert land.write(b=pa.nulls(2)) == [
        Reject(0, "no_columns", "the row has no value in any column"),
        Reject(1, "no_columns", "the row has no value in any column"),
    ]
    land.commit()
    land.sink.close()
    assert [table(out / name) for name in names(out)] == [{"a": [1]}]


def test_declared_types_hold_and_what_does_not_fit_is_set_aside(out: Path) -> None:
    land = Land(made(out, columns=pa.schema([("n", pa.int16())])))
    rejects = land.write(n=["1", "x", "70000", "4"], other=[1, 2, 3, 4])
    assert [(reject.index, reject.reason) for reject in rejects] == [(1, "type_mismatch"), (2, "int_range")]
    land.commit()
    land.sink.close()
    (name,) = names(out)
    assert pq.ParquetFile(out / name).schema_arrow.field("n").type == pa.int16()
    assert table(out / name) == {"n": [1, 4], "other": [1, 4]}


def test_a_row_that_the_format_refuses_does_not_cost_its_neighbours(out: Path) -> None:
    land = Land(made(out, format="plain", partition_by="p"))
    rejects = land.write(n=["0", "bad", "2", "3", "bad"], p=["x", "y", "x", "y", "x"])
    assert rejects == [Reject(1, "value_unsupported", "a value is bad"), Reject(4, "value_unsupported", "a value is bad")]
    land.commit()
    land.sink.close()
    assert {name.partition("/")[0]: (out / name).read_bytes() for name in names(out)} == {"p=x": b"0\n2\n", "p=y": b"3\n"}


def test_columns_that_the_format_cannot_write_stop_the_run_and_leave_no_file(out: Path) -> None:
    land = Land(made(out, format="plain"))
    with pytest.raises(ConfigError) as caught:
        land.write(n=[[1], [2]])
    assert str(caught.value) == (
        "format plain cannot write these columns: lists cannot be written\nChoose another format, such as -o sink.format=json."
    )
    land.sink.close()
    assert names(out) == []
    assert [path for path in out.glob("_ddpm/staging/**/*") if path.is_file()] == []


def test_a_round_is_full_at_its_size_or_after_its_time(out: Path) -> None:
    land = Land(made(out / "size", format="plain", target_bytes=10))
    assert land.sink.full is False
    land.write(n=["1234"])
    assert land.sink.full is False
    land.write(n=["5678"])
    assert land.sink.full is True
    land.commit()
    assert land.sink.full is False
    land.sink.close()
    land = Land(made(out / "time", max_wait=1e-9))
    assert land.sink.full is False
    land.write(n=[1])
    assert land.sink.full is True
    land.sink.rollback()
    assert land.sink.full is False
    land.sink.close()


def test_rows_that_a_writer_keeps_count_too(out: Path) -> None:
    """Parquet writes a row group at a time: without its rows the size would be seen late."""
    land = Land(made(out, target_bytes=100_000))
    while not land.sink.full:
        land.write(n=list(range(land.at, land.at + 10_000)), text=[f"{n * 7919}" for n in range(10_000)])
        land.at += 10_000
        assert land.at < 122_880, "it waited for a whole row group"
    land.commit()
    land.sink.close()


def test_the_memory_of_many_partitions_is_bounded(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_round, "MOST_HELD", 50_000)
    monkeypatch.setattr(sink_round, "MOST_OPEN", 4)
    land = Land(made(out, partition_by="p"))
    for number in range(30):
        land.write(n=list(range(number * 100, number * 100 + 100)), p=[n % 8 for n in range(100)])
        current = land.sink._round
        assert current is not None
        assert len(current._documents()) <= 4
        assert sum(document.held for document in current._documents()) <= 50_000
    land.commit()
    land.sink.close()
    with duckdb.connect() as connection:
        sql = "select count(*), count(distinct n), count(distinct p) from read_parquet(?, hive_partitioning = true)"
        assert connection.execute(sql, [str(out / "*" / "*.parquet")]).fetchone() == (3000, 3000, 8)


def test_too_many_partitions_are_a_mistake(out: Path) -> None:
    land = Land(made(out, partition_by="id", max_partitions=10))
    with pytest.raises(FatalError) as caught:
        land.write(id=list(range(11)), n=[0] * 11)
    assert str(caught.value) == (
        "more than 10 values of id in one commit, and each would be a file of its own\n"
        "Partition by columns with fewer values, sort the input by them, or raise max_partitions."
    )
    land.sink.rollback()
    land.sink.close()


def test_checkpoints_make_opening_cheap_and_change_nothing(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_log, "CHECKPOINT_EVERY", 5)
    land = Land(made(out))
    for number in range(23):
        land.write(n=[number])
        land.commit()
    land.sink.close()
    assert sorted(path.name for path in (out / "_ddpm/checkpoints").iterdir()) == ["0000000015.json", "0000000020.json"]
    assert len(list((out / "_ddpm/log").iterdir())) == 23
    read: list[str] = []
    original = LocalStore.read

    def counted(self: LocalStore, name: str) -> bytes | None:
        read.append(name)
        return original(self, name)

    monkeypatch.setattr(LocalStore, "read", counted)
    again = made(out)
    again.open()
    assert read == ["_ddpm/checkpoints/0000000020.json", *(f"_ddpm/log/00000000{number}.json" for number in (21, 22, 23, 24))]
    with_checkpoint = again.claim(["file:a"])
    again.close()
    for path in (out / "_ddpm/checkpoints").iterdir():
        path.unlink()
    without = made(out)
    without.open()
    assert without.claim(["file:a"]) == with_checkpoint == {"file:a#1": Position(23)}
    without.close()


def test_pipelines_that_share_a_folder_keep_positions_of_their_own(out: Path) -> None:
    land = Land(made(out))
    land.write(n=[1])
    land.commit()
    values = check_options(FilesSinkOptions, {"path": str(out)}, owner="sink files")
    other = build(values, BuildContext(pipeline="other", output=give))
    other.open()
    assert other.claim(["file:a"]) == {}
    other.close()
    land.sink.close()


def test_claiming_what_is_finished_writes_nothing(out: Path) -> None:
    land = Land(made(out))
    land.write(n=[1])
    land.sink.commit({"file:a#1": Position(1, {"finished": True})}, [])
    before = sorted(out.rglob("*"))
    again = made(out)
    again.open()
    assert again.claim(["file:a", "file:b"]) == {"file:a#1": Position(1, {"finished": True})}
    again.close()
    land.sink.close()
    assert set(out.rglob("*")) <= set(before)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 1, "positions": []}'])
def test_a_damaged_log_stops_everything(out: Path, damage: bytes) -> None:
    land = Land(made(out))
    land.write(n=[1])
    land.commit()
    land.sink.close()
    (out / "_ddpm/log/0000000001.json").write_bytes(damage)
    with pytest.raises(FatalError) as caught:
        made(out).open()
    assert str(caught.value) == (
        f"{out}/_ddpm/log/0000000001.json is not what ddpm wrote there\n"
        "Restore it, or move the whole folder away and start over: without it nobody knows what has landed."
    )


def test_a_log_of_a_newer_ddpm_is_not_guessed_at(out: Path) -> None:
    (out / "_ddpm/log").mkdir(parents=True)
    (out / "_ddpm/log/0000000001.json").write_text('{"version": 2}')
    with pytest.raises(FatalError) as caught:
        made(out).open()
    assert str(caught.value) == f"{out}/_ddpm/log/0000000001.json was written by a newer ddpm\nUpdate ddpm-core here."


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError) as caught:
            made(path).open()
        assert str(caught.value) == f"{path} is not a folder, or lies below a file\nFiles go into folders; name another one."


def test_the_folder_is_made_again_when_it_has_gone_and_nothing_is_said_to_have_landed(out: Path) -> None:
    land = Land(made(out))
    land.write(n=[1])
    (out / "_ddpm").rename(out / "gone")
    with pytest.raises(RetryableError, match=r"cannot be written: no such file or directory\nCheck the folder and its disk\.$"):
        land.commit()
    land.sink.rollback()
    land.sink.close()
    land.sink.open()
    assert land.sink.claim(["file:a"]) == {}
    land.sink.close()


ERRORS: list[tuple[int, type[Exception], str, str]] = [
    (errno.ENOSPC, RetryableError, "no space left on device", "Free space on its disk; nothing of this round was kept."),
    (errno.EDQUOT, RetryableError, "disk quota exceeded", "Free space on its disk; nothing of this round was kept."),
    (errno.EACCES, FatalError, "permission denied", "Check who owns the folder, and its mode."),
    (errno.EROFS, FatalError, "read-only file system", "Check who owns the folder, and its mode."),
    (errno.ENAMETOOLONG, FatalError, "file name too long", "Name a shorter path or table."),
    (errno.EIO, RetryableError, "input/output error", "Check the folder and its disk."),
]


@pytest.mark.parametrize(("number", "kind", "said", "hint"), ERRORS, ids=lambda value: str(value)[:12])
def test_what_an_error_of_the_disk_means(out: Path, number: int, kind: type[Exception], said: str, hint: str) -> None:
    error = LocalStore(str(out)).failure(OSError(number, os.strerror(number)), "/a/b")
    assert type(error) is kind
    assert str(error) == f"/a/b cannot be written: {said}\n{hint}"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("name", ["parquet", "ndjson", "plain"])
def test_a_full_disk_is_the_environment_and_not_the_data(out: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalStore, "_open", lambda *_: open("/dev/full", "wb", buffering=0))  # noqa: SIM115 - the sink closes it
    land = Land(made(out, format=name))

    def fill() -> None:
        for number in range(100):
            land.write(n=[f"{number}"] * 10_000)
        land.commit()

    with pytest.raises(RetryableError, match=r"cannot be written: no space left on device\nFree space on its disk; "):
        fill()
    land.sink.rollback()
    land.sink.close()


def test_a_file_system_without_hard_links_is_refused(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    land = Land(made(out))
    land.write(n=[1])
    with pytest.raises(ConfigError) as caught:
        land.commit()
    assert str(caught.value) == (
        f"{out} lies on a file system without hard links (Operation not permitted), so commits there cannot be made safe\n"
        "Write to another file system, and move the files from there."
    )
    land.sink.close()


def test_a_cancelled_sink_stops_at_its_next_step(out: Path) -> None:
    land = Land(made(out))
    land.write(n=[1])
    land.sink.cancel()
    for call in (lambda: land.write(n=[1]), land.commit):
        with pytest.raises(RetryableError, match=rf"^the work on {out} was interrupted$"):
            call()  # type: ignore[operator]
    land.sink.close()
    with pytest.raises(RetryableError, match=rf"^{out} is not open$"):
        land.commit()


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"mode": "replace"},
        "option 'mode': files are only added, never changed: mode replace needs a database, or take an empty folder",
    ),
    (
        {"mode": "upsert"},
        "option 'mode': files are only added, never changed: mode upsert needs a database, or take an empty folder",
    ),
    ({"key": ("id",)}, "option 'key': a key is for mode upsert, which needs a database: files are only added, never changed"),
    ({"partition_by": "a,a"}, "option 'partition_by': names each column once"),
    ({"partition_by": "a,"}, "option 'partition_by': names each column once"),
    ({"format": "{csv"}, 'option \'format\': a format with options is written as JSON, such as {"csv": {"delimiter": ";"}}'),
    ({"format": {"a": {}, "b": {}}}, "option 'format': is the name of one format, or a mapping of its name to its options"),
]


@pytest.mark.parametrize(("options", "said"), WRONG, ids=str)
def test_wrong_options_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        made("/out", **options)
    assert str(caught.value) == f"sink files, {said}"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("ftp://host/x", "ftp://host/x: files cannot be written to ftp:// (use a folder, s3:// or gs://)"),
        ("https://host/x", "https://host/x: files cannot be written to https:// (use a folder, s3:// or gs://)"),
        ("s3://bucket/a//b", "s3://bucket/a//b: names a folder that is empty, `.` or `..` (object stores take names literally)"),
        ("s3://bucket/../b", "s3://bucket/../b: names a folder that is empty, `.` or `..` (object stores take names literally)"),
    ],
)
def test_addresses_that_are_no_folder_are_named(path: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        made(path)
    assert str(caught.value) == said


def test_the_format_may_have_options(out: Path) -> None:
    asked: list[tuple[str, Mapping[str, Any]]] = []

    def note(name: str, options: Mapping[str, Any]) -> OutputFormat:
        asked.append((name, options))
        return give("plain", {})

    for given in ("avro", '{"csv": {"delimiter": ";"}}', {"csv": None}, "jsonl"):
        values = check_options(FilesSinkOptions, {"path": str(out), "format": given}, owner="sink files")
        build(values, BuildContext(output=note))
    assert asked == [("avro", {}), ("csv", {"delimiter": ";"}), ("csv", {}), ("json", {})]


def test_an_instance_is_dead_when_its_process_is() -> None:
    mine = new_instance()
    assert is_dead(mine, 1e9) is False
    code = "from ddpm_files.sink_instance import new_instance; print(new_instance())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout.strip()
    assert is_dead(other, 0) is True
    machine, pid, started, token = mine.split("-")
    assert is_dead(f"{machine}-{pid}-{int(started) - 1}-{token}", 0) is True, "another process had the same number"
    assert is_dead(f"elsewhere-{pid}-{started}-{token}", 3600) is False
    assert is_dead(f"elsewhere-{pid}-{started}-{token}", 25 * 3600) is True


def test_dropping_what_is_open_leaves_nothing_to_be_written_later(out: Path) -> None:
    file = LocalStore(str(out)).stage("x.tmp")
    file.stream.write(b"abc")
    file.drop()
    assert file.stream.write(b"more") == 4
    assert (out / "x.tmp").read_bytes() == b"abc"
