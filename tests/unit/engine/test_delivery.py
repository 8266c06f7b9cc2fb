"""The commit order where it is tempted: rounds of a whole run, tables that vanish, retries in the middle."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence

import pyarrow as pa
import pytest

from ddpm_core.errors import ConfigError, RetryableError
from ddpm_core.plugin.format import Parser
from ddpm_core.records import Assigned, Batch, DeadLetter, Document, EndOfSource, Item, Messages, Parsed, Positions, Reject
from ddpm_core.testing.doubles import Call, ListDocument, ListSource, MemorySink, MemoryStore


def numbered(count: int, start: int = 0) -> list[str]:
    return [f"line {n}" for n in range(start, start + count)]


def text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


class OneByOne(ListSource):
    """Assigns each document when its turn comes, as a source of files does."""

    def read(self, timeout: float) -> Item | None:
        if self._awaiting_seek:
            return None
        if self._next_item == len(self.items):
            return EndOfSource()
        item = self.items[self._next_item]
        assert isinstance(item, ListDocument)
        if not self._assigned:
            self._assigned = self._awaiting_seek = True
            return Assigned([item.partition])
        self._assigned = False
        self._next_item += 1
        return item.document(self._known.get(f"{item.partition}#{item.generation}"))


@pytest.mark.parametrize("method", ["claim", "write"])
def test_replace_that_waited_for_the_database_still_takes_every_row_again(engine, method: str) -> None:
    source = ListSource.of_documents({"a": text(numbered(5))})
    engine.run(source)
    engine.store.fail(method, RetryableError("no server"))
    report = engine.run(source_again(source), sinks=[MemorySink(engine.store, replace=True)], retry_for=30.0)
    assert engine.lines == numbered(5)
    assert (report.status, report.rows) == ("landed", 5)
    assert next(iter(engine.store.positions.values())).detail["rows"] == 5


def source_again(source: ListSource) -> ListSource:
    return ListSource(source.items)


@pytest.mark.parametrize("landed", [True, False])
def test_a_lost_reply_at_the_end_of_replace_is_found_out(engine, landed: bool) -> None:
    engine.run(ListSource.of_documents({"a": text(["old"])}))
    engine.store.lose_commit_reply(landed=landed)
    report = engine.run(
        ListSource.of_documents({"a": text(["old"]), "b": text(["new"])}),
        sinks=[MemorySink(engine.store, replace=True)],
        retry_for=30.0,
    )
    if landed:
        assert (report.status, report.rows, engine.lines) == ("landed", 2, ["old", "new"])
    else:
        assert (report.status, engine.lines) == ("failed", ["old"])


def test_replace_whose_connection_is_lost_between_two_files_replaces_nothing(engine) -> None:
    engine.run(ListSource.of_documents({"old": text(["old"])}))
    engine.store.fail("claim", RetryableError("the connection was lost"), after=1)
    source = OneByOne([ListDocument("a", text(["x"])), ListDocument("b", text(["y"]))])
    report = engine.run(source, sinks=[MemorySink(engine.store, replace=True)], retry_for=30.0)
    assert engine.lines == ["old"]
    assert (report.status, str(report.error)) == (
        "failed",
        "the connection was lost; nothing has landed\nRun the same command again.",
    )


def steal(engine, partition: str) -> None:
    thief = MemorySink(engine.store)
    thief.open()
    thief.claim([partition])


def test_a_document_of_one_transaction_that_is_taken_over_leaves_nothing_and_the_rest_goes_on(engine) -> None:
    engine.store.fail("commit", lambda: steal(engine, "list:pipe"))
    source = ListSource([ListDocument("pipe", text(numbered(3)), atomic=True, seekable=False), ListDocument("b", text(["z"]))])
    report = engine.run(source)
    assert engine.lines == ["z"]
    assert [(d.name, d.status, d.rows) for d in report.documents] == [("pipe", "failed", 0), ("b", "landed", 1)]


def test_every_document_has_its_line_in_the_report_even_if_two_are_alike(engine) -> None:
    blockade = engine.store.block("write")
    items = [ListDocument("x", text(["1"])), ListDocument("x", text(["torn"]), generation="2"), Call(blockade.release)]
    report = engine.run(ListSource(items))
    assert [(d.name, d.status, d.rows) for d in report.documents] == [("x", "landed", 1), ("x", "failed", 0)]


def test_a_target_that_turns_out_to_be_wrong_after_rows_have_landed_does_not_hide_them(engine) -> None:
    engine.store.fail("write", ConfigError("the new column's type has no equal"), after=1)
    committed = threading.Event()
    content = [text(["1"]), Call(lambda: committed.wait(60)), text(["2"])]
    sink = Telling(engine.store, committed)
    report = engine.run(ListSource.of_documents({"a": content}), sinks=[sink], parser=Stepping())
    assert (report.status, report.rows, str(report.error)) == ("failed", 1, "the new column's type has no equal")
    assert [(d.name, d.status, d.rows) for d in report.documents] == [("a", "failed", 1)]


def test_messages_beside_those_of_a_partition_that_was_taken_over_land(engine) -> None:
    class Mixed(ListSource):
        """Hands out the messages of both partitions together."""

        def read(self, timeout: float) -> Item | None:
            item = super().read(timeout)
            other = super().read(timeout) if isinstance(item, Messages) else None
            if not isinstance(item, Messages) or not isinstance(other, Messages):
                return item
            return Messages(
                item.values + other.values,
                item.partitions + other.partitions,
                item.offsets + other.offsets,
                item.first | other.first,
                item.next | other.next,
            )

    engine.store.fail("write", lambda: steal(engine, "p"))
    source = Mixed(messages={"p": [b"p0", b"p1"], "q": [b"q0", b"bad", b"q2", b"q3"]}, per_read=2)
    report = engine.run(source)
    assert engine.lines == ["q0", "q2", "q3"]
    assert [letter.payload for letter in engine.store.dead_letters] == [b"bad"]
    assert (report.records, report.rows, report.rejected) == (4, 3, 1)
    assert {name: at.offset for name, at in engine.store.positions.items()} == {"q": 4}


class Telling(MemorySink):
    """Says when it has committed."""

    def __init__(self, store: MemoryStore, committed: threading.Event) -> None:
        super().__init__(store)
        self.committed = committed

    def commit(self, positions: Positions, dead_letters: Sequence[DeadLetter]) -> None:
        super().commit(positions, dead_letters)
        self.committed.set()


class Stepping(Parser):
    """Each line is a record and a step of its own; resumable, and a longer file may be continued."""

    resumable = True

    def parse_document(self, document: Document):
        at = int(document.start.detail.get("resume", {}).get("byte", 0))
        document.stream.seek(at)
        while line := document.stream.readline():
            at += len(line)
            data = pa.record_batch({"line": [line.decode().rstrip("\n")]})
            yield Parsed(data, 1, resume={"byte": at, "grows": True}, nbytes=len(line))


def test_a_table_that_is_dropped_in_the_middle_is_noticed_when_the_sink_is_opened_again(engine) -> None:
    committed = threading.Event()

    def drop() -> None:
        engine.store.rows.clear()
        engine.store.positions.clear()
        raise RetryableError("there is no such table")

    content = [text(["1"]), Call(lambda: committed.wait(60)), text(["2"])]
    engine.store.fail("write", drop, after=1)
    source = ListSource.of_documents({"a": content})
    report = engine.run(source, sinks=[Telling(engine.store, committed)], parser=Stepping(), retry_for=30.0)
    assert (report.status, engine.lines) == ("failed", [])
    assert str(report.error) == (
        "memory1 no longer has what had landed of list:a#1\n"
        "Its table was dropped or replaced, or the server lost commits. Run the same command again."
    )
    assert engine.run(source, parser=Stepping()).status == "landed"
    assert engine.lines == ["1", "2"]


def test_a_run_of_one_transaction_gives_the_memory_budget_back_whatever_its_parser_says(
    engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(Stepping):
        def parse_document(self, document: Document):
            for step in super().parse_document(document):
                step.nbytes = 0
                yield step

    monkeypatch.setattr("ddpm_core.engine.runner.IN_FLIGHT_BYTES", 1)
    source = ListSource.of_documents({"a": text(numbered(50))})
    report = engine.run(source, sinks=[MemorySink(engine.store, replace=True)], parser=Silent())
    assert (report.status, engine.lines) == ("landed", numbered(50))


def test_a_run_of_one_transaction_keeps_no_rows_that_are_written(engine) -> None:
    batches: list[weakref.ref[pa.RecordBatch]] = []
    alive: list[int] = []

    class Watched(Stepping):
        def parse_document(self, document: Document):
            for step in super().parse_document(document):
                batches.append(weakref.ref(step.data))
                yield step

    class Forgetting(MemorySink):
        def write(self, batch: Batch) -> list[Reject]:
            alive.append(sum(ref() is not None for ref in batches[: len(alive)]))
            self._round.append(batch.data.slice(0, 0))
            return []

        def commit(self, positions: object, dead_letters: object) -> None:
            alive.append(sum(ref() is not None for ref in batches))

    one_at_a_time = [part for n in numbered(5) for part in (text([n]), Call(lambda: None))]
    report = engine.run(
        ListSource.of_documents({"a": one_at_a_time}), sinks=[Forgetting(engine.store, replace=True)], parser=Watched()
    )
    assert (report.status, report.rows) == ("landed", 5)
    assert alive[-1] == 0
