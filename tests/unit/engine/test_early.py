"""A document is begun while its claim is on its way, and comes out as if it had not been."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddpm_core.engine import early as early_module
from ddpm_core.engine.early import EarlySteps
from ddpm_core.engine.intake import Intake
from ddpm_core.engine.report import Report
from ddpm_core.errors import DataError, FatalError, RetryableError
from ddpm_core.plugin.specs import BuildContext
from ddpm_core.records import Document, Item, Parsed, Position
from ddpm_core.testing.doubles import ListSource, MemorySink, MemoryStore
from ddpm_files import opener
from ddpm_files.options import FilesOptions
from ddpm_files.source import FilesSource
from ddpm_json.options import JsonOptions
from ddpm_json.parser import JsonParser
from ddpm_parquet.options import ParquetOptions
from ddpm_parquet.parser import ParquetParser
from tests.open_files import open_files

PATIENCE = 30
"""Seconds that a test waits for what should come at once."""


# The steps of one document.


class Letters:
    """Each byte of a stream is a step; `asked` is what has been parsed of it, `!` is damage."""

    def __init__(self, content: bytes, *, nbytes: int = 100) -> None:
        self.stream: BinaryIO = io.BytesIO(content)
        self.asked = ""
        self.closed = False
        self._nbytes = nbytes

    def steps(self) -> Iterator[Parsed]:
        try:
            while letter := self.stream.read(1).decode():
                self.asked += letter
                if letter == "!":
                    raise DataError("the document is damaged", reason="damaged")
                yield Parsed(pa.record_batch({"letter": [letter]}), 1, nbytes=self._nbytes)
        finally:
            self.closed = True

    def document(self, start: Position | None = None, *, stream: BinaryIO | None = None) -> Document:
        return Document("a", "list:a#1", stream or self.stream, start or Position(0))

    def early(self) -> EarlySteps:
        return EarlySteps(self.document(), self.steps())


def letters(steps: Iterator[Parsed]) -> str:
    return "".join(row["letter"] for step in steps if step.data is not None for row in step.data.to_pylist())


@pytest.mark.parametrize("ahead", [0, 1, 3, 4, 9])
def test_every_step_comes_once_and_in_order_however_many_were_parsed_early(ahead: int) -> None:
    made = Letters(b"abc")
    early = made.early()
    assert made.asked == "", "nothing is parsed before it is asked for"
    advanced = [early.advance() for _ in range(ahead)]
    assert made.asked == "abc"[:ahead]
    assert advanced == [number < 4 for number in range(ahead)], "the fourth finds the end, and then there is nothing to do"
    steps = early.steps_of(made.document())
    assert steps is not None
    assert letters(steps) == "abc"
    assert letters(steps) == "", "steps that came once do not come again"
    assert made.asked == "abc"


@pytest.mark.parametrize("nbytes", [100, 0])
def test_no_step_is_parsed_early_once_the_room_is_full(nbytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Letters(b"abcdefgh", nbytes=nbytes)
    size = nbytes or pa.record_batch({"letter": ["a"]}).nbytes  # What has no bytes as read is as large as its rows.
    monkeypatch.setattr(early_module, "EARLY_BYTES", 2 * size + 1)
    early = made.early()
    assert [early.advance() for _ in range(5)] == [True, True, True, False, False]
    assert made.asked == "abc"
    steps = early.steps_of(made.document())
    assert steps is not None
    assert letters(steps) == "abcdefgh"


def test_another_documents_stream_is_left_where_it_stands() -> None:
    made, other = Letters(b"abc"), io.BytesIO(b"xyz")
    other.seek(2)
    early = made.early()
    early.advance()
    assert early.steps_of(made.document(stream=other)) is None
    assert other.tell() == 2


@pytest.mark.parametrize("start", [Position(2), Position(2, {"resume": {"byte": 2}}), Position(0, {"resume": {"byte": 1}})])
def test_a_document_that_begins_elsewhere_is_set_back_to_be_parsed_from_there(start: Position) -> None:
    made = Letters(b"abc")
    early = made.early()
    early.advance()
    assert made.stream.tell() == 1
    assert early.steps_of(made.document(start)) is None
    assert made.stream.tell() == 0
    del early
    assert made.closed, "what was begun in vain keeps nothing"


def test_rows_known_of_the_beginning_do_not_make_it_another_beginning() -> None:
    made = Letters(b"abc")
    steps = made.early().steps_of(made.document(Position(0, {"rows": 0, "resume": {}})))
    assert steps is not None
    assert letters(steps) == "abc"


@pytest.mark.parametrize(("content", "ahead"), [(b"!", 1), (b"ab!", 3), (b"ab!", 5)])
def test_damage_met_early_is_left_to_be_met_again(content: bytes, ahead: int) -> None:
    made = Letters(content)
    early = made.early()
    assert [early.advance() for _ in range(ahead)] == [number < len(content) for number in range(ahead)]
    assert early.steps_of(made.document()) is None
    assert made.stream.tell() == 0
    with pytest.raises(DataError, match=r"^the document is damaged$"):
        letters(made.steps())


def test_damage_that_was_not_reached_early_comes_in_its_place() -> None:
    made = Letters(b"ab!")
    early = made.early()
    early.advance()
    steps = early.steps_of(made.document())
    assert steps is not None
    assert next(steps).data.to_pylist() == [{"letter": "a"}]
    assert next(steps).data.to_pylist() == [{"letter": "b"}]
    with pytest.raises(DataError, match=r"^the document is damaged$"):
        next(steps)


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_an_empty_document_has_no_steps(ahead: int) -> None:
    made = Letters(b"")
    early = made.early()
    assert [early.advance() for _ in range(ahead)] == [True, False][:ahead]
    steps = early.steps_of(made.document())
    assert steps is not None
    assert list(steps) == []


# Whole runs.


class Watched(ParquetParser):
    """Tells when it was begun, when it has given its first step, and when it has ended."""

    resumable = True

    def __init__(self) -> None:
        super().__init__(ParquetOptions(), BuildContext(batch_rows=10))
        self.first_step = threading.Event()
        self.ended = threading.Event()
        self.streams: list[BinaryIO] = []
        self.starts: list[int] = []

    def parse_document(self, document: Document) -> Iterator[Parsed]:
        self.streams.append(document.stream)
        self.starts.append(document.start.offset)
        try:
            for number, step in enumerate(super().parse_document(document)):
                if not number:
                    self.first_step.set()
                yield step
        finally:
            self.ended.set()


class Small(MemorySink):
    """Commits each step by itself."""

    transaction_bytes = 1


def files(*paths: Path) -> FilesSource:
    return FilesSource(FilesOptions(paths=tuple(map(str, paths))), BuildContext())


def numbers(path: Path, rows: range = range(100), **options: Any) -> Path:
    """A Parquet file of row groups of ten rows."""
    pq.write_table(pa.table({"n": list(rows)}), path, **{"row_group_size": 10, "write_page_checksum": True, **options})
    return path


def hold_claim(store: MemoryStore, event: threading.Event) -> list[bool]:
    """Let the next claim wait for an event. The list gets whether that came."""
    came: list[bool] = []
    store.fail("claim", lambda: came.append(event.wait(PATIENCE)))
    return came


def landed(store: MemoryStore) -> list[int]:
    return [row["n"] for row in store.rows]


def told(report: Report) -> list[tuple[str, str, str]]:
    return [(document.status, document.note, str(document.error or "")) for document in report.documents]


def test_a_new_file_is_begun_before_its_claim_and_lands_once(engine, tmp_path: Path) -> None:
    parser = Watched()
    came = hold_claim(engine.store, parser.first_step)
    report = engine.run(files(numbers(tmp_path / "a.parquet")), parser=parser)
    assert came == [True], "the claim came back only after the first step was parsed"
    assert landed(engine.store) == list(range(100))
    assert (report.status, report.rows, told(report)) == ("landed", 100, [("landed", "new", "")])
    assert parser.starts == [0], "and was not begun a second time"
    assert [stream.closed for stream in parser.streams] == [True]


def test_each_large_file_of_a_run_is_begun_before_its_claim_and_they_land_in_their_order(
    engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opener, "SMALL_BYTES", 0)
    numbers(tmp_path / "a.parquet", range(30))
    numbers(tmp_path / "b.parquet", range(30, 60))
    parser = Watched()
    came: list[bool] = []

    def wait_for_its_step() -> None:
        came.append(parser.first_step.wait(PATIENCE))
        parser.first_step.clear()

    engine.store.fail("claim", wait_for_its_step, times=2)
    report = engine.run(files(tmp_path), parser=parser)
    assert came == [True, True]
    assert landed(engine.store) == list(range(60))
    assert told(report) == [("landed", "new", ""), ("landed", "new", "")]


def test_a_finished_file_that_was_begun_early_is_skipped_and_closed(engine, tmp_path: Path) -> None:
    path = numbers(tmp_path / "a.parquet")
    engine.run(files(path), parser=Watched())
    before, parser = open_files(), Watched()
    came = hold_claim(engine.store, parser.first_step)
    report = engine.run(files(path), parser=parser)
    assert came == [True]
    assert told(report) == [("skipped", "already landed (100 rows); use --again to take it again", "")]
    assert landed(engine.store) == list(range(100))
    assert [stream.closed for stream in parser.streams] == [True]
    assert open_files() == before


def test_a_file_whose_run_was_cut_goes_on_where_it_stood_though_it_was_begun_early(engine, tmp_path: Path) -> None:
    path = numbers(tmp_path / "a.parquet")
    engine.store.fail("commit", FatalError("power cut"), after=4)
    first = engine.run(files(path), parser=Watched(), sinks=[Small(engine.store)])
    assert (first.status, str(first.error)) == ("failed", "power cut")
    assert landed(engine.store) == list(range(40))
    parser = Watched()
    came = hold_claim(engine.store, parser.first_step)
    report = engine.run(files(path), parser=parser)
    assert came == [True]
    assert landed(engine.store) == list(range(100))
    assert told(report) == [("landed", "resumed at record 40", "")]
    assert parser.starts == [0, 40], "begun at its beginning in vain, and then where it stood"


def test_a_format_that_cannot_resume_goes_on_with_what_was_begun_early(engine, tmp_path: Path) -> None:
    class FromTheBeginning(Watched):
        resumable = False

    path = numbers(tmp_path / "a.parquet")
    engine.store.fail("commit", FatalError("power cut"), after=4)
    engine.run(files(path), parser=FromTheBeginning(), sinks=[Small(engine.store)])
    assert landed(engine.store) == list(range(40))
    parser = FromTheBeginning()
    came = hold_claim(engine.store, parser.first_step)
    report = engine.run(files(path), parser=parser)
    assert came == [True]
    assert (landed(engine.store), report.rows, parser.starts) == (list(range(100)), 60, [0])


def test_a_source_that_fails_while_its_file_is_read_ahead_is_opened_again(engine, tmp_path: Path) -> None:
    parser, failed = Watched(), threading.Event()

    class Flaky(FilesSource):
        def read(self, timeout: float) -> Item | None:
            if parser.first_step.is_set() and not failed.is_set():
                failed.set()
                raise RetryableError("no network")
            return super().read(timeout)

    came = hold_claim(engine.store, failed)
    path, before = numbers(tmp_path / "a.parquet"), open_files()
    report = engine.run(Flaky(FilesOptions(paths=(str(path),)), BuildContext()), parser=parser)
    assert came == [True]
    assert (report.status, landed(engine.store)) == ("landed", list(range(100)))
    assert all(stream.closed for stream in parser.streams)
    assert open_files() == before


def test_a_source_whose_upcoming_document_is_none_is_named(engine) -> None:
    class Confused(ListSource):
        def upcoming(self) -> Document | None:
            return "a.parquet"  # type: ignore[return-value]

    report = engine.run(Confused.of_documents({"a": b"?"}), parser=Watched())
    assert (report.status, engine.store.rows) == ("failed", [])
    assert str(report.error) == (
        "source list (ddpm-test 1.0) broke its contract: upcoming gave a str, not a Document\n"
        "What was committed before stays. Report it to the plugin's author."
    )


@pytest.mark.parametrize("group", [0, 6])
def test_a_damaged_file_fails_as_if_it_had_not_been_begun_early(
    engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    path = numbers(tmp_path / "a.parquet", compression="none", use_dictionary=False)
    found = pq.ParquetFile(path).metadata.row_group(group).column(0)
    data = bytearray(path.read_bytes())
    data[found.data_page_offset + found.total_compressed_size - 4] ^= 0xFF
    path.write_bytes(data)
    ahead = Watched()
    came = hold_claim(engine.store, ahead.ended)
    outcomes = [(told(engine.run(files(path), parser=ahead)), landed(engine.store))]
    assert came == [True], "the damage was met before the claim came back"
    assert len(ahead.starts) == 2
    monkeypatch.setattr(ParquetParser, "self_describing", False)
    engine.store, behind = MemoryStore(), Watched()
    outcomes.append((told(engine.run(files(path), parser=behind)), landed(engine.store)))
    assert behind.starts == [0]
    assert outcomes[0] == outcomes[1]
    [(status, note, error)] = outcomes[0][0]
    assert (status, note) == ("failed", "new")
    assert error == (
        f"{path} is damaged in row group {group + 1}, after record {group * 10}: a page does not match its checksum\n"
        "Fetch the file again from where it came from."
    )
    assert outcomes[0][1] == list(range(group * 10))


class Idle(FilesSource):
    """Tells when `read` has been called twice in vain: by then a document that is read ahead has been begun."""

    def __init__(self, *paths: Path) -> None:
        super().__init__(FilesOptions(paths=tuple(map(str, paths))), BuildContext())
        self.in_vain = 0
        self.idle = threading.Event()

    def read(self, timeout: float) -> Item | None:
        item = super().read(timeout)
        self.in_vain += item is None
        if self.in_vain == 2:
            self.idle.set()
        return item


@pytest.mark.parametrize(("tells_itself", "order"), [(False, ["claimed", "parsed"]), (True, ["parsed", "claimed"])])
def test_a_format_whose_columns_the_target_tells_is_not_begun_before_the_claim(
    engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tells_itself: bool, order: list[str]
) -> None:
    """The second case only shows that the first would notice."""
    happened: list[str] = []

    class Ndjson(JsonParser):
        def parse_document(self, document: Document) -> Iterator[Parsed]:
            happened.append("parsed")
            yield from super().parse_document(document)

    if tells_itself:
        monkeypatch.setattr(Ndjson, "self_describing", True)
    path = tmp_path / "a.ndjson"
    path.write_text('{"n": 1}\n{"n": 2}\n')
    source = Idle(path)

    def claim() -> None:
        assert source.idle.wait(PATIENCE)
        happened.append("claimed")

    engine.store.fail("claim", claim)
    with patch.object(Intake, "IDLE", 0.01):
        engine.run(source, parser=Ndjson(JsonOptions(), BuildContext()))
    assert happened == order
    assert landed(engine.store) == [1, 2]


def test_a_run_that_is_stopped_while_its_claim_hangs_ends_and_lands_nothing(
    engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddpm_core.engine.runner.CANCEL_AFTER", 0.05)
    path, before, parser = numbers(tmp_path / "a.parquet"), open_files(), Watched()
    blockade = engine.store.block("claim")
    wait = engine.in_background(files(path), parser=parser)
    assert blockade.reached.wait(PATIENCE)
    assert parser.first_step.wait(PATIENCE)
    engine.runner.stop()
    assert (wait().status, engine.store.rows) == ("stopped", [])
    assert [stream.closed for stream in parser.streams] == [True]
    assert open_files() == before
    assert engine.run(files(path), parser=Watched()).rows == 100
    assert landed(engine.store) == list(range(100))
