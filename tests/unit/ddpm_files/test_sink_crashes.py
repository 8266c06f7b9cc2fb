"""A commit that is cut off between any two steps, by a crash or by an answer that is lost, leaves all of the round or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pytest

from ddpm_core import Batch, BuildContext, FencedError, OutputFormat, Position, RetryableError
from ddpm_files import sink_staging
from ddpm_files.output_local import LocalStore
from ddpm_files.output_store import StagedFile
from ddpm_files.sink import FilesSink
from ddpm_files.sink_options import FilesSinkOptions
from ddpm_json.options import JsonOptions
from ddpm_json.serializer import build as json_serializer

T = TypeVar("T")
ROWS = 12
PARTITION, GENERATION = "file:a", "file:a#1"


class CrashError(BaseException):
    """The process is gone."""


class FailingStore(LocalStore):
    """Fails at one of the things it does, before or after having done it."""

    def __init__(self, root: str, at: int = -1, *, after: bool = False, error: type[BaseException] = CrashError) -> None:
        super().__init__(root)
        self.steps = 0
        self._at, self._after, self._error = at, after, error
        self._files: list[StagedFile] = []

    def bury(self) -> None:
        """Close what a process that is gone would not have open."""
        for file in self._files:
            file.drop()

    def step(self, do: Callable[[], T]) -> T:
        self.steps += 1
        if self.steps != self._at:
            return do()
        if self._after:
            do()
        raise self._error("the power went out")

    def create(self, name: str, data: bytes, *, scratch: str) -> bool:
        return self.step(lambda: super(FailingStore, self).create(name, data, scratch=scratch))

    def settle(self, folder: str) -> None:
        self.step(lambda: super(FailingStore, self).settle(folder))

    def move(self, moves: Iterable[tuple[str, str]]) -> None:
        for one in moves:
            self.step(lambda one=one: super(FailingStore, self).move([one]))  # type: ignore[misc]

    def remove(self, names: Iterable[str]) -> None:
        self.step(lambda: super(FailingStore, self).remove(names))

    def stage(self, name: str) -> StagedFile:
        def stage() -> StagedFile:
            self._files.append(super(FailingStore, self).stage(name))
            return self._files[-1]

        file = self.step(stage)
        finish = file.finish
        file.finish = lambda: self.step(finish)  # type: ignore[method-assign]
        return file


def sink_on(store: LocalStore, **options: Any) -> FilesSink:
    output = OutputFormat("ndjson", ".ndjson", json_serializer(JsonOptions(), BuildContext()))
    values = FilesSinkOptions(path=store.where, table="t", partition_by=("day",), keep_partition_columns=True, **options)
    return FilesSink(values, BuildContext(), output, store)


def rows(start: int, stop: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"id": list(range(start, stop)), "day": [f"d{n % 3}" for n in range(start, stop)]})


def landed(folder: Path) -> list[int]:
    files = [path for path in folder.rglob("*.ndjson") if "_ddpm" not in path.parts]
    return sorted(json.loads(line)["id"] for path in files for line in path.read_bytes().splitlines())


def staged(folder: Path) -> list[Path]:
    return [path for path in folder.glob("_ddpm/staging/**/*") if path.is_file()]


def load(sink: FilesSink) -> None:
    """As the engine: what the positions lack, in two rounds."""
    sink.open()
    known = sink.claim([PARTITION])
    start = known[GENERATION].offset if GENERATION in known else 0
    for stop in (ROWS // 2, ROWS):
        if start < stop:
            sink.write(Batch(rows(start, stop)))
            sink.commit({GENERATION: Position(stop, {"finished": stop == ROWS})}, [])
            start = stop
    sink.close()


@pytest.fixture
def _others_are_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_staging, "is_dead", lambda *_: True)


def all_steps(tmp_path: Path) -> int:
    store = FailingStore(str(tmp_path / "undisturbed"))
    load(sink_on(store))
    assert landed(tmp_path / "undisturbed") == list(range(ROWS))
    return store.steps


@pytest.mark.usefixtures("_others_are_dead")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_after_a_crash_at_any_step_the_next_run_makes_each_row_there_once(tmp_path: Path, after: bool) -> None:
    seen = set()
    for at in range(1, all_steps(tmp_path) + 1):
        folder = tmp_path / str(at)
        store = FailingStore(str(folder), at, after=after)
        with pytest.raises(CrashError):
            load(sink_on(store))
        store.bury()
        there = landed(folder)
        again = sink_on(LocalStore(str(folder)))
        again.open()
        position = again.claim([PARTITION]).get(GENERATION, Position(0)).offset
        assert landed(folder) == list(range(position)), f"step {at}: the rows are not those that the position tells"
        assert set(there) <= set(range(position)), f"step {at}: rows were seen that had not landed"
        assert staged(folder) == []
        again.close()
        load(sink_on(LocalStore(str(folder))))
        assert landed(folder) == list(range(ROWS)), f"step {at}"
        assert list(folder.glob("_ddpm/staging/*")) == []
        seen.add((len(there), position))
    assert {position for _, position in seen} == {0, ROWS // 2, ROWS}
    assert any(0 < count < position for count, position in seen), "no crash fell between the record and the last move"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_after_an_error_at_any_step_the_same_sink_goes_on(tmp_path: Path, after: bool) -> None:
    """As the engine does: roll back, close, open, claim, write what the positions lack."""
    for at in range(1, all_steps(tmp_path) + 1):
        folder = tmp_path / str(at)
        store = FailingStore(str(folder), at, after=after, error=RetryableError)
        sink = sink_on(store)
        try:
            load(sink)
        except RetryableError:
            sink.rollback()
            sink.close()
        store.bury()
        load(sink)
        assert landed(folder) == list(range(ROWS)), f"step {at}"
        assert staged(folder) == [], f"step {at}"


@pytest.mark.usefixtures("_others_are_dead")
def test_a_record_that_arrives_late_cannot_name_files_that_are_gone(tmp_path: Path) -> None:
    """The request that creates a record may be on its way when its sender has given up: the number is taken before files are removed."""

    class Late(LocalStore):
        on_its_way: tuple[str, bytes, str] | None = None

        def create(self, name: str, data: bytes, *, scratch: str) -> bool:
            if self.on_its_way is None and b'"files":{"' in data:
                self.on_its_way = (name, data, scratch)
                raise RetryableError("no answer")
            return super().create(name, data, scratch=scratch)

        def arrive(self) -> bool:
            assert self.on_its_way is not None
            name, data, scratch = self.on_its_way
            return super().create(name, data, scratch=f"{scratch}.late")

    store = Late(str(tmp_path / "t"))
    sink = sink_on(store)
    with pytest.raises(RetryableError, match=r"^no answer$"):
        load(sink)
    sink.rollback()
    assert len(staged(tmp_path / "t")) == 3
    sink.open()
    assert staged(tmp_path / "t") == []
    assert store.arrive() is False
    load(sink)
    assert landed(tmp_path / "t") == list(range(ROWS))


@pytest.mark.usefixtures("_others_are_dead")
def test_who_was_taken_for_dead_and_is_not_starts_over(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    first, second = sink_on(LocalStore(str(folder))), sink_on(LocalStore(str(folder)))
    first.open()
    first.claim([PARTITION])
    first.write(Batch(rows(0, ROWS)))
    second.open()
    assert staged(folder) == []
    with pytest.raises(RetryableError) as caught:
        first.commit({GENERATION: Position(ROWS)}, [])
    assert str(caught.value).startswith(
        f"another ddpm process took this one for dead, and discarded what it had not committed in {folder}\n"
    )
    first.rollback()
    first.close()
    load(first)
    second.close()
    assert landed(folder) == list(range(ROWS))


def test_what_a_living_instance_has_staged_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    first, second = sink_on(LocalStore(str(folder))), sink_on(LocalStore(str(folder)))
    first.open()
    first.claim([PARTITION])
    first.write(Batch(rows(0, ROWS)))
    second.open()
    second.close()
    first.commit({GENERATION: Position(ROWS)}, [])
    first.close()
    assert landed(folder) == list(range(ROWS))


def test_two_that_read_different_sources_both_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    one, two = sink_on(LocalStore(str(folder))), sink_on(LocalStore(str(folder)))
    one.open()
    two.open()
    one.claim(["file:a"])
    two.claim(["file:b"])
    for number in range(4):
        one.write(Batch(rows(number * 2, number * 2 + 1)))
        two.write(Batch(rows(number * 2 + 1, number * 2 + 2)))
        one.commit({"file:a#1": Position(number + 1)}, [])
        two.commit({"file:b#1": Position(number + 1)}, [])
    one.close()
    two.close()
    assert landed(folder) == list(range(8))
    assert len(list(folder.glob("_ddpm/log/*.json"))) == 8


def test_a_zombie_commits_nothing_after_its_successor_has_claimed(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    zombie, successor = sink_on(LocalStore(str(folder))), sink_on(LocalStore(str(folder)))
    zombie.open()
    zombie.claim([PARTITION])
    zombie.write(Batch(rows(0, 3)))
    zombie.commit({GENERATION: Position(3)}, [])
    zombie.write(Batch(rows(3, 6)))
    successor.open()
    assert successor.claim([PARTITION]) == {GENERATION: Position(3)}
    with pytest.raises(FencedError, match=r"^another ddpm process has taken over file:a$"):
        zombie.commit({GENERATION: Position(6)}, [])
    zombie.rollback()
    successor.write(Batch(rows(3, ROWS)))
    successor.commit({GENERATION: Position(ROWS)}, [])
    zombie.close()
    successor.close()
    assert landed(folder) == list(range(ROWS))
    assert staged(folder) == []


def test_of_two_first_commits_of_one_path_with_different_contents_the_second_is_fenced(tmp_path: Path) -> None:
    one, two = sink_on(LocalStore(str(tmp_path / "t"))), sink_on(LocalStore(str(tmp_path / "t")))
    for sink in (one, two):
        sink.open()
        sink.claim([PARTITION])
        sink.write(Batch(rows(0, 3)))
    one.commit({"file:a#old": Position(3, {"finished": True})}, [])
    with pytest.raises(FencedError, match=r"^another ddpm process has taken over file:a$"):
        two.commit({"file:a#new": Position(3)}, [])
    one.close()
    two.close()


def test_a_log_that_begins_anew_overwrites_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    load(sink_on(LocalStore(str(folder))))
    before = landed(folder)
    (folder / "_ddpm").rename(tmp_path / "moved away")
    load(sink_on(LocalStore(str(folder))))
    assert landed(folder) == sorted(before * 2)
