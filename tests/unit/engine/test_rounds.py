"""Sinks whose commits are dear gather a round over several groups: nothing of it is lost or doubled, whatever ends it."""

from __future__ import annotations

import threading
import time

import pyarrow as pa
import pytest

from ddpm_core.errors import FatalError, RetryableError
from ddpm_core.plugin.format import Parser
from ddpm_core.records import Batch, Document, Parsed, Reject
from ddpm_core.testing.doubles import ListDocument, ListSource, MemorySink, MemoryStore


class GatheringSink(MemorySink):
    """Full at so many rows."""

    def __init__(self, store: MemoryStore, rows: int) -> None:
        super().__init__(store)
        self.wanted = rows
        self.gathered = 0

    @property
    def full(self) -> bool:
        return self.gathered >= self.wanted

    def write(self, batch: Batch) -> list[Reject]:
        rejects = super().write(batch)
        self.gathered += len(batch)
        return rejects

    def commit(self, positions, dead_letters) -> None:
        super().commit(positions, dead_letters)
        self.gathered = 0

    def rollback(self) -> None:
        super().rollback()
        self.gathered = 0


class OneLineSteps(Parser):
    """Each line is a step of its own, large enough to be a group of its own."""

    resumable = True

    def parse_document(self, document: Document):
        document.stream.seek(document.start.detail.get("resume", {}).get("byte", 0))
        for line in document.stream:
            yield Parsed(
                pa.record_batch({"line": [line.decode().rstrip()]}), 1, resume={"byte": document.stream.tell()}, nbytes=8 << 20
            )


def documents(*names: str, lines: int = 4) -> ListSource:
    return ListSource([ListDocument(name, "".join(f"{name}{n}\n" for n in range(lines)).encode()) for name in names])


def names(*documents: str, lines: int = 4) -> list[str]:
    return [f"{name}{n}" for name in documents for n in range(lines)]


def test_a_round_stays_open_until_the_sink_is_full(engine) -> None:
    report = engine.run(documents("a", "b"), parser=OneLineSteps(), sinks=[GatheringSink(engine.store, 3)])
    assert engine.lines == names("a", "b")
    assert [batch.num_rows for batch in engine.store.batches] == [1] * 8
    assert engine.store.commits == 3  # Three rows, three rows, and the last two at the end.
    assert (report.status, report.rows) == ("landed", 8)
    assert [(document.rows, document.status, document.note) for document in report.documents] == [(4, "landed", "new")] * 2


def test_what_was_gathered_is_committed_when_the_run_is_stopped(engine) -> None:
    read = threading.Event()

    class Stopping(OneLineSteps):
        def parse_document(self, document: Document):
            for number, step in enumerate(super().parse_document(document)):
                if number == 2:
                    until = time.monotonic() + 60
                    while len(engine.store.calls) < 4:  # open, claim, and two writes
                        assert time.monotonic() < until, engine.store.calls
                        read.wait(0.01)
                    engine.runner.stop()
                yield step

    report = engine.run(documents("a"), parser=Stopping(), sinks=[GatheringSink(engine.store, 100)])
    assert report.status == "stopped"
    landed = len(engine.lines)
    assert landed >= 2
    engine.run(documents("a"), parser=OneLineSteps(), sinks=[GatheringSink(engine.store, 100)])
    assert engine.lines == names("a")


def test_a_document_that_breaks_off_leaves_what_others_gathered(engine) -> None:
    class Torn(OneLineSteps):
        def parse_document(self, document: Document):
            from ddpm_core.errors import DataError

            for step in super().parse_document(document):
                yield step
                if document.name == "b":
                    raise DataError("torn")

    report = engine.run(documents("a", "b", "c"), parser=Torn(), sinks=[GatheringSink(engine.store, 100)])
    assert engine.lines == [*names("a"), "b0", *names("c")]
    assert [document.status for document in report.documents] == ["landed", "failed", "landed"]


def test_a_document_that_lands_as_a_whole_takes_no_other_with_it_when_it_breaks_off(engine) -> None:
    class Torn(OneLineSteps):
        resumable = False

        def parse_document(self, document: Document):
            from ddpm_core.errors import DataError

            yield from super().parse_document(document)
            if document.name == "pipe":
                raise DataError("torn")

    source = ListSource([ListDocument("a", b"a0\n"), ListDocument("pipe", b"p0\np1\n", atomic=True), ListDocument("c", b"c0\n")])
    report = engine.run(source, parser=Torn(), sinks=[GatheringSink(engine.store, 100)])
    assert engine.lines == ["a0", "c0"]
    assert [document.status for document in report.documents] == ["landed", "failed", "landed"]


def test_an_environment_that_fails_in_a_long_round_ends_the_run_and_the_next_one_goes_on(engine) -> None:
    engine.store.fail("write", RetryableError("the disk is full"), after=4)
    report = engine.run(documents("a", lines=6), parser=OneLineSteps(), sinks=[GatheringSink(engine.store, 3)])
    assert isinstance(report.error, FatalError)
    assert str(report.error) == (
        "the disk is full; what was written since the last commit has not landed\nRun the same command again."
    )
    assert engine.lines == ["a0", "a1", "a2"]
    engine.run(documents("a", lines=6), parser=OneLineSteps(), sinks=[GatheringSink(engine.store, 3)])
    assert engine.lines == names("a", lines=6)


def test_a_round_that_another_process_fences_is_not_half_lost(engine) -> None:
    def steal() -> None:
        with engine.store.lock:
            engine.store.epochs["list:a"] += 1

    engine.store.fail("commit", steal)
    report = engine.run(documents("a", "b"), parser=OneLineSteps(), sinks=[GatheringSink(engine.store, 100)])
    assert engine.lines == []
    assert str(report.error) == ("another ddpm process took over list:a; nothing has landed\nRun the same command again.")
    engine.run(documents("a", "b"), parser=OneLineSteps(), sinks=[GatheringSink(engine.store, 100)])
    assert engine.lines == names("a", "b")


@pytest.mark.parametrize("wanted", [1, 2, 3, 5, 100])
def test_the_source_is_told_only_of_what_was_committed(engine, wanted: int) -> None:
    source = documents("a", "b")
    told: list[int] = []
    source.commit = lambda positions: told.extend(  # type: ignore[method-assign]
        min(position.offset, len([line for line in engine.lines if line[0] == name[5]])) - position.offset
        for name, position in positions.items()
    )
    engine.run(source, parser=OneLineSteps(), sinks=[GatheringSink(engine.store, wanted)])
    assert set(told) == {0}


def test_a_full_sink_beside_one_that_gathers_waits_for_it(engine) -> None:
    other = MemoryStore()
    engine.run(documents("a"), parser=OneLineSteps(), sinks=[GatheringSink(engine.store, 3), MemorySink(other)])
    assert (engine.store.commits, other.commits) == (2, 2)
    assert [row["line"] for row in other.rows] == engine.lines == names("a")
