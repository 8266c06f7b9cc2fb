"""Rounds that grow while they are written: larger transactions, and nothing lost or twice because of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pytest

from ddpm_core.engine.runner import AHEAD_BYTES
from ddpm_core.errors import DataError, FencedError, RetryableError
from ddpm_core.plugin.events import ChunkCommitted
from ddpm_core.plugin.format import Parser
from ddpm_core.records import Batch, DeadLetter, Document, Parsed, Positions, Reject
from ddpm_core.testing.doubles import Call, ListDocument, ListSource, MemorySink, MemoryStore

WITHOUT_END = 1 << 30


class EachLine(Parser):
    """Each line is a record and a step of its own."""

    resumable = True

    def parse_document(self, document: Document) -> Iterator[Parsed]:
        at = int(document.start.detail.get("resume", {}).get("byte", 0))
        document.stream.seek(at)
        while line := document.stream.readline():
            at += len(line)
            data = pa.record_batch({"line": [line.decode().rstrip("\n")]})
            yield Parsed(data, 1, resume={"byte": at}, nbytes=1000)


class Gathering(MemorySink):
    """Lets its rounds grow. Tells when a row is written and when a round is committed."""

    def __init__(self, store: MemoryStore, *, nbytes: int = WITHOUT_END, seconds: float = 600.0) -> None:
        super().__init__(store)
        self.transaction_bytes = nbytes
        self.transaction_seconds = seconds
        self.written, self.committed = threading.Event(), threading.Event()

    def write(self, batch: Batch) -> list[Reject]:
        rejects = super().write(batch)
        self.written.set()
        return rejects

    def commit(self, positions: Positions, dead_letters: Sequence[DeadLetter]) -> None:
        super().commit(positions, dead_letters)
        self.committed.set()


def of_lines(count: int, sink: Gathering) -> ListSource:
    """A document of so many lines; the others come when the first one has been written, and so in a round that is open."""
    rest = "".join(f"a{n}\n" for n in range(1, count)).encode()
    return ListSource.of_documents({"a": [b"a0\n", Call(lambda: sink.written.wait(60)), rest]})


def commits(engine) -> list[int]:
    return [event.records for event in engine.events if isinstance(event, ChunkCommitted) and event.records]


def test_a_round_takes_in_what_comes_while_it_is_written(engine) -> None:
    sink = Gathering(engine.store)
    report = engine.run(of_lines(30, sink), sinks=[sink], parser=EachLine())
    assert (report.status, engine.lines) == ("landed", [f"a{n}" for n in range(30)])
    assert commits(engine) == [30]


def test_a_round_ends_when_it_holds_as_much_as_the_sink_wants(engine) -> None:
    sink = Gathering(engine.store, nbytes=10_500)
    engine.run(of_lines(30, sink), sinks=[sink], parser=EachLine())
    assert engine.lines == [f"a{n}" for n in range(30)]
    assert commits(engine) == [10, 10, 10]


@pytest.mark.parametrize(("first", "then", "expected"), [(5_500, 10_500, [10, 10, 10]), (20_500, 5_500, [5] * 6)])
def test_a_sink_may_change_what_it_wants_when_it_sees_its_rows(engine, first: int, then: int, expected: list[int]) -> None:
    class Adapting(Gathering):
        def write(self, batch: Batch) -> list[Reject]:
            self.transaction_bytes = then
            return super().write(batch)

    sink = Adapting(engine.store, nbytes=first)
    engine.run(of_lines(30, sink), sinks=[sink], parser=EachLine())
    assert engine.lines == [f"a{n}" for n in range(30)]
    assert commits(engine) == expected


def test_a_sink_that_wants_more_gets_it_although_that_is_more_than_could_be_read_ahead_before(engine) -> None:
    class Long(EachLine):
        def parse_document(self, document: Document) -> Iterator[Parsed]:
            for step in super().parse_document(document):
                yield replace(step, nbytes=AHEAD_BYTES)

    class Adapting(Gathering):
        def write(self, batch: Batch) -> list[Reject]:
            self.transaction_bytes = 10 * AHEAD_BYTES
            return super().write(batch)

    sink = Adapting(engine.store, nbytes=AHEAD_BYTES, seconds=20.0)
    engine.run(of_lines(30, sink), sinks=[sink], parser=Long())
    assert engine.lines == [f"a{n}" for n in range(30)]
    assert commits(engine) == [10, 10, 10]


def test_a_round_is_open_no_longer_than_the_sink_allows(engine) -> None:
    sink = Gathering(engine.store, seconds=0.01)
    content = [b"a0\n", Call(lambda: sink.committed.wait(60)), b"a1\n"]
    report = engine.run(ListSource.of_documents({"a": content}), sinks=[sink], parser=EachLine())
    assert (report.status, commits(engine)) == ("landed", [1, 1])


def test_a_round_that_waits_for_more_is_committed_when_the_run_is_stopped(engine) -> None:
    sink = Gathering(engine.store)
    stopped = threading.Event()

    def stop() -> None:
        sink.written.wait(60)
        engine.runner.stop()
        stopped.wait(0.01)

    content = [b"a0\n", Call(stop), b"a1\n"]
    report = engine.run(ListSource.of_documents({"a": content}), sinks=[sink], parser=EachLine())
    assert (report.status, engine.lines) == ("stopped", ["a0"])


@pytest.mark.parametrize("method", ["write", "commit"])
def test_a_round_that_has_grown_is_written_again_when_the_environment_failed(engine, method: str) -> None:
    engine.store.fail(method, RetryableError("not now"), after=7 if method == "write" else 0, times=2)
    sink = Gathering(engine.store, nbytes=10_500)
    report = engine.run(of_lines(20, sink), sinks=[sink], parser=EachLine())
    assert (report.status, report.rows, engine.lines) == ("landed", 20, [f"a{n}" for n in range(20)])


@pytest.mark.parametrize("landed", [True, False])
def test_a_lost_reply_to_the_commit_of_a_round_that_has_grown_costs_no_row(engine, landed: bool) -> None:
    engine.store.lose_commit_reply(landed=landed)
    sink = Gathering(engine.store, nbytes=10_500)
    report = engine.run(of_lines(20, sink), sinks=[sink], parser=EachLine())
    assert (report.status, report.rows, engine.lines) == ("landed", 20, [f"a{n}" for n in range(20)])


def test_every_sink_commits_the_same_rounds(engine) -> None:
    other = MemoryStore()
    sinks = [Gathering(engine.store, nbytes=10_500), Gathering(other, nbytes=20_500)]
    report = engine.run(of_lines(30, sinks[0]), sinks=sinks, parser=EachLine())
    assert (report.status, report.rows, commits(engine)) == ("landed", 30, [10, 10, 10])
    assert [row["line"] for row in other.rows] == engine.lines == [f"a{n}" for n in range(30)]
    assert {name: at.offset for name, at in other.positions.items()} == {
        name: at.offset for name, at in engine.store.positions.items()
    }


def test_a_round_grows_no_further_once_the_first_sink_has_committed_it(engine) -> None:
    started, handed_over = threading.Event(), threading.Event()

    class Slow(Gathering):
        def write(self, batch: Batch) -> list[Reject]:
            started.set()
            handed_over.wait(60)
            return super().write(batch)

    other = MemoryStore()
    content = [b"a0\n", Call(lambda: started.wait(60)), b"a1\n", Call(handed_over.set)]
    sinks = [Gathering(engine.store, seconds=0.01), Slow(other)]
    report = engine.run(ListSource.of_documents({"a": content}), sinks=sinks, parser=EachLine())
    assert (report.status, report.rows, commits(engine)) == ("landed", 2, [1, 1])
    assert [row["line"] for row in other.rows] == engine.lines == ["a0", "a1"]


def test_what_joined_a_round_lands_although_another_process_took_over_its_first_file(engine) -> None:
    engine.store.fail("commit", FencedError(["list:a"]))
    sink = Gathering(engine.store)
    both = [ListDocument("a", b"a0\n"), Call(lambda: sink.written.wait(60)), ListDocument("b", b"b0\nb1\n")]
    report = engine.run(ListSource(both), sinks=[sink], parser=EachLine())
    assert (report.status, engine.lines) == ("failed", ["b0", "b1"])
    assert [(line.name, line.status) for line in report.documents] == [("a", "failed"), ("b", "landed")]


def test_beside_a_sink_that_wants_small_rounds_no_round_waits(engine) -> None:
    sink = Gathering(MemoryStore())
    content = [b"a0\n", Call(lambda: sink.committed.wait(60)), b"a1\n"]
    engine.run(ListSource.of_documents({"a": content}), sinks=[sink, MemorySink(engine.store)], parser=EachLine())
    assert commits(engine) == [1, 1]


def test_what_was_gathered_of_a_document_that_breaks_off_lands(engine) -> None:
    class Torn(EachLine):
        def parse_document(self, document: Document) -> Iterator[Parsed]:
            yield from super().parse_document(document)
            raise DataError("the file is torn", reason="torn")

    sink = Gathering(engine.store)
    report = engine.run(of_lines(3, sink), sinks=[sink], parser=Torn())
    assert (report.status, engine.lines, commits(engine)) == ("failed", ["a0", "a1", "a2"], [3])


class RefusingAllButTheFirst(Gathering):
    """Takes one row, when all others are in the queue, and none of those."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.writing, self.all_read = threading.Event(), threading.Event()
        self.asked = 0

    def write(self, batch: Batch) -> list[Reject]:
        self.writing.set()
        assert self.all_read.wait(60)
        self.asked += len(batch)
        if self.asked == 1:
            return super().write(batch)
        return [Reject(row, "refused", "this sink takes no more") for row in range(len(batch))]


def test_a_group_that_is_refused_altogether_is_not_written_to_its_end(engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddpm_core.engine.sink_slot.PORTION_RECORDS", 10)
    sink = RefusingAllButTheFirst(engine.store)
    rest = "".join(f"a{n}\n" for n in range(1, 95)).encode()
    first_alone = Call(lambda: sink.writing.wait(60))
    source = ListSource.of_documents({"a": [b"a0\n", first_alone, rest, Call(sink.all_read.set)]})
    report = engine.run(source, sinks=[sink], parser=EachLine(), on_error="fail")
    assert str(report.error).startswith("a, record 1 (counted from 0): refused: this sink takes no more\n")
    assert sink.asked == 11
    assert engine.lines == []
