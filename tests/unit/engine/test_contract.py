"""What plugins that break their contract cost: the run, by name, and never a record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest

from ddpm_core.errors import PluginError
from ddpm_core.plugin.format import Parser
from ddpm_core.plugin.processor import Processed, Processor
from ddpm_core.plugin.source import Source
from ddpm_core.records import Assigned, Batch, Document, EndOfSource, Item, Messages, Parsed, Position, Positions, Reject
from ddpm_core.testing.doubles import ListDocument, ListSource, MemorySink, RecordingProcessor

WHOSE = "What was committed before stays. Report it to the plugin's author."


def rows(*lines: str) -> pa.RecordBatch:
    return pa.record_batch({"line": pa.array(lines, pa.string())})


def int32(*numbers: int | None) -> pa.Array:
    return pa.array(numbers, pa.int32())


class Steps(Parser):
    """Gives what it was made with."""

    def __init__(self, *steps: Any, resumable: bool = False) -> None:
        self.steps = steps
        self.resumable = resumable  # type: ignore[misc]

    def parse_document(self, document: Document) -> Any:
        return iter(self.steps)


class Makes(Processor):
    """Makes of a batch what a function says."""

    def __init__(self, make: Callable[[Batch], Any]) -> None:
        self.make = make

    def process(self, batch: Batch) -> Processed:
        return self.make(batch)  # type: ignore[no-any-return]


class Items(Source):
    """Gives these items one after the other."""

    def __init__(self, *items: Any) -> None:
        self.items = items

    def open(self) -> None:
        self.left = list(self.items)

    def seek(self, positions: Positions) -> None:
        pass

    def read(self, timeout: float) -> Item | None:
        return self.left.pop(0) if self.left else EndOfSource()


def messages(
    first: int, *values: bytes, following: int | None = None, offsets: Sequence[int] | None = None, of: str = "p"
) -> Messages:
    end = first + len(values) if following is None else following
    numbers = list(range(first, first + len(values))) if offsets is None else list(offsets)
    return Messages(list(values), [of] * len(values), numbers, {of: Position(first)}, {of: Position(end)})


def complaint(engine: Any, source: Source | None = None, **more: Any) -> tuple[str, str]:
    """What the run says of the plugin, and its advice; nothing has landed of the piece."""
    report = engine.run(source or ListSource.of_documents({"a": b"x\ny\n"}), **more)
    assert report.status == "failed"
    error = report.error
    assert isinstance(error, PluginError)
    assert error.distribution == "ddpm-test 1.0"
    what, _, hint = str(error).partition("\n")
    return what, hint


@pytest.mark.parametrize(
    ("step", "what", "hint"),
    [
        (None, "gave None, not a Parsed", WHOSE),
        ({"line": "x"}, "gave a dict, not a Parsed", WHOSE),
        (
            Parsed(pa.table({"line": ["x"]}), 1),
            "gave a Table, not a RecordBatch",
            "A table becomes batches with `table.combine_chunks().to_batches()`.",
        ),
        (Parsed(rows("x"), -1), "gave records=-1, which is no count", WHOSE),
        (Parsed(rows("x"), 1, nbytes=None), "gave nbytes=None, which is no count", WHOSE),  # type: ignore[arg-type]
        (Parsed(rows("x", "y", "z"), 1), "gave 3 rows of 1 records without saying which row is whose", "Set `origin`."),
        (Parsed(rows("x"), 1, origin=int32(0, 0)), "gave 1 rows and an origin for 2", WHOSE),
        (Parsed(rows("x"), 3, origin=int32(3)), "gave a row of record 3, and there are 3 records, from 0", WHOSE),
        (Parsed(rows("x"), 3, origin=int32(-1)), "gave a row of record -1, and there are 3 records, from 0", WHOSE),
        (
            Parsed(rows("x"), 1, origin=[0]),
            "gave an origin that is a list, not an Arrow array of int32 without nulls",
            WHOSE,
        ),
        (
            Parsed(rows("x"), 1, origin=int32(None)),
            "gave an origin that is an Int32Array, not an Arrow array of int32 without nulls",
            WHOSE,
        ),
        (Parsed(rows("x"), 1, filtered=-1), "gave filtered=-1, which is no count", WHOSE),
        (
            Parsed(rows("x"), 3, [Reject(2, "bad", "bad")], origin=int32(0)),
            "gave 3 records, of which 2 are in its rows and rejects and 0 in `filtered`",
            "Every record is the origin of a row, a Reject, or counted in `filtered`.",
        ),
        (
            Parsed(rows("x", "y"), 3, origin=int32(1, 1), filtered=3),
            "gave 3 records, of which 1 are in its rows and rejects and 3 in `filtered`",
            "Every record is the origin of a row, a Reject, or counted in `filtered`.",
        ),
        (Parsed(None, 1, [Reject(1, "bad", "bad")]), "rejected number 1 of 1 records of the step, counted from 0", WHOSE),
        (Parsed(None, 1, [Reject(-1, "bad", "bad")]), "rejected number -1 of 1 records of the step, counted from 0", WHOSE),
        (Parsed(None, 1, ["bad"]), "in its rejects gave a str, not a Reject", WHOSE),  # type: ignore[list-item]
        (
            Parsed(None, 1, [Reject(0, "bad", ValueError("bad"))]),  # type: ignore[arg-type]
            "gave a Reject whose reason and message are not text, or whose raw is not bytes",
            WHOSE,
        ),
    ],
)  # fmt: skip
def test_a_step_that_cannot_be_right_stops_the_run_before_it_lands(engine, step: Any, what: str, hint: str) -> None:
    parser = Steps(Parsed(rows("before"), 1), step)
    said = f"format lines (ddpm-test 1.0) broke its contract: parse_document {what}"
    assert complaint(engine, parser=parser) == (said, hint)
    assert engine.lines in ([], ["before"])


def test_records_that_a_format_filters_are_accounted_for(engine) -> None:
    step = Parsed(rows("x", "y"), 5, [Reject(4, "bad", "bad"), Reject(1, "bad", "its second row")], origin=int32(0, 1), filtered=2)
    report = engine.run(ListSource.of_documents({"a": b"x"}), parser=Steps(step), reject_share=1.0)
    assert (report.records, report.rows, report.rejected) == (5, 2, 2)


def test_a_parser_that_forgets_to_yield_is_told_so(engine) -> None:
    class Forgetful(Parser):
        def parse_document(self, document: Document) -> Any:
            return None

    assert complaint(engine, parser=Forgetful()) == (
        "format lines (ddpm-test 1.0) broke its contract: parse_document gave None, not an iterator of Parsed",
        "Yield each step.",
    )


def test_a_resumable_parser_must_say_where_the_next_step_starts(engine) -> None:
    parser = Steps(Parsed(rows("x"), 1), resumable=True)
    assert complaint(engine, parser=parser) == (
        "format lines (ddpm-test 1.0) broke its contract: it is resumable, and a step of it does not say where the next one starts",
        "Set `resume` in each Parsed, or `resumable = False`.",
    )
    assert engine.lines == []
    source = ListSource([ListDocument("pipe", b"x", atomic=True)])
    assert engine.run(source, parser=Steps(Parsed(rows("x"), 1), resumable=True)).status == "landed"  # Nobody can go on there.


def test_a_resume_that_is_no_json_is_the_parsers_fault(engine) -> None:
    parser = Steps(Parsed(rows("x"), 1, resume={"at": b"\x00"}), resumable=True)
    assert complaint(engine, parser=parser)[0] == (
        "format lines (ddpm-test 1.0) broke its contract: the resume of parse_document cannot be kept as JSON: "
        "Object of type bytes is not JSON serializable"
    )


def test_a_parser_that_does_not_come_forward_is_stopped(engine) -> None:
    class Stuck(Parser):
        def parse_document(self, document: Document) -> Any:
            while True:
                yield Parsed(None, 0)

    assert complaint(engine, parser=Stuck())[0] == (
        "format lines (ddpm-test 1.0) broke its contract: 10,000 steps in a row consumed nothing"
    )


def test_messages_that_a_parser_forgets_stop_the_run(engine) -> None:
    class Forgets(Parser):
        def parse_messages(self, messages: Messages) -> Parsed:
            return Parsed(rows("x"), 1)

    source = ListSource.of_messages([b"x", b"y"])
    assert complaint(engine, source, parser=Forgets())[0] == (
        "format lines (ddpm-test 1.0) broke its contract: parse_messages was given 2 messages and accounts for 1"
    )
    assert engine.store.positions == {}


def test_a_callback_for_original_bytes_that_fails_names_the_plugin(engine) -> None:
    def fails(record: int) -> bytes:
        raise KeyError(record)

    engine.store.refuse = lambda row: "no"
    assert complaint(engine, parser=Steps(Parsed(rows("x"), 1, raw=fails)))[0] == "format lines (ddpm-test 1.0) failed: KeyError: 0"
    text = Steps(Parsed(rows("x"), 1, raw=lambda _: "x"))  # type: ignore[arg-type,return-value]
    assert complaint(engine, parser=text)[0] == "format lines (ddpm-test 1.0) broke its contract: raw gave a str, not a bytes"


@pytest.mark.parametrize(
    ("make", "what", "hint"),
    [
        (lambda batch: None, "gave None, not a Processed", "Return Processed(batch, rejects)."),
        (lambda batch: batch, "gave a Batch, not a Processed", "Return Processed(batch, rejects)."),
        (lambda batch: Processed(batch.data), "gave a RecordBatch, not a Batch", WHOSE),
        (
            lambda batch: Processed(Batch(rows("x"))),
            "gave a batch that does not say which record each row came from",
            "Use batch.take or batch.replace.",
        ),
        (lambda batch: Processed(Batch(rows("x"), int32(7))), "gave a row of record 7, and there are 2 records, from 0", WHOSE),
        (
            lambda batch: Processed(batch, [Reject(2, "bad", "bad")]),
            "rejected number 2 of 2 rows of the batch, counted from 0",
            WHOSE,
        ),
    ],
)
def test_what_a_processor_may_not_do(engine, make: Callable[[Batch], Any], what: str, hint: str) -> None:
    said = f"processor double (ddpm-test 1.0) broke its contract: process {what}"
    assert complaint(engine, processors=[Makes(make)]) == (said, hint)
    assert engine.lines == []


def test_a_processor_may_filter_and_multiply(engine) -> None:
    twice = pa.array([1, 1], pa.int64())
    report = engine.run(
        ListSource.of_documents({"a": b"x\ny\n"}),
        processors=[Makes(lambda batch: Processed(batch.take(twice))), RecordingProcessor()],
    )
    assert (report.status, engine.lines) == ("landed", ["y", "y"])


@pytest.mark.parametrize(
    ("answer", "what", "hint"),
    [
        (None, "write gave None, not a list of Reject", "Return [] when every row is in."),
        (2, "write gave an int, not a list", WHOSE),
        ([Reject(2, "bad", "bad")], "write rejected number 2 of 2 rows of the batch, counted from 0", WHOSE),
        ([Reject(-1, "bad", "bad")], "write rejected number -1 of 2 rows of the batch, counted from 0", WHOSE),
        ([Reject(0, "bad", "bad"), Reject(0, "worse", "bad")], "write refused a row twice", WHOSE),
    ],
)
def test_a_sink_that_refuses_what_it_was_not_given_commits_nothing(engine, answer: Any, what: str, hint: str) -> None:
    class Answers(MemorySink):
        def write(self, batch: Batch) -> list[Reject]:
            super().write(batch)
            return answer  # type: ignore[no-any-return]

    said = f"sink memory (ddpm-test 1.0) broke its contract: {what}"
    assert complaint(engine, sinks=[Answers(engine.store)]) == (said, hint)
    assert engine.lines == []


def test_a_sink_says_what_it_has_as_positions(engine) -> None:
    class Claims(MemorySink):
        def claim(self, partitions: Sequence[str]) -> Positions:
            return {partitions[0]: 3}  # type: ignore[dict-item]

    assert complaint(engine, sinks=[Claims(engine.store)])[0] == (
        "sink memory (ddpm-test 1.0) broke its contract: claim gave 'list:a': 3, not the name of a partition and its Position"
    )


ASSIGNED = Assigned(["p"])
OF_MESSAGES = "`first` is the first message's offset, `next` the one after the last."


@pytest.mark.parametrize(
    ("items", "what", "hint"),
    [
        ([b"payload"], "read gave b'payload', which is none of the things that it may give", WHOSE),
        ([Assigned("p")], "Assigned('p') is no list of names", WHOSE),
        ([messages(0, b"x")], "it handed out partition p, which it has not assigned", "Return Assigned([...]) first."),
        (
            [ASSIGNED, messages(0, b"x", b"y"), messages(0, b"z")],
            "partition p went back to offset 0 after 2",
            "Offsets of a partition grow from one Messages to the next.",
        ),
        (
            [ASSIGNED, messages(0, b"x", b"y", following=1)],
            "partition p has the offsets 0 to 1 in Messages from 0 to 1",
            OF_MESSAGES,
        ),
        ([ASSIGNED, messages(5, b"x", offsets=[4])], "partition p has the offsets 4 to 4 in Messages from 5 to 6", OF_MESSAGES),
        (
            [ASSIGNED, Messages([b"x", b"y"], ["p"], [0], {"p": Position(0)}, {"p": Position(1)})],
            "Messages has 2 values, 1 partitions and 1 offsets",
            WHOSE,
        ),
        (
            [ASSIGNED, Messages([b"x"], ["p"], [0], {}, {})],
            "Messages.first and Messages.next do not name the partitions of its messages",
            WHOSE,
        ),
        (
            [ASSIGNED, Messages([b"x"], ["p"], [0], {"p": 0}, {"p": 1})],  # type: ignore[dict-item]
            "Messages.first gave 'p': 0, not the name of a partition and its Position",
            WHOSE,
        ),
    ],
)
def test_a_source_that_loses_count_is_stopped(engine, items: Sequence[Any], what: str, hint: str) -> None:
    assert complaint(engine, Items(*items)) == (f"source list (ddpm-test 1.0) broke its contract: {what}", hint)


def test_a_document_is_handed_out_once(engine) -> None:
    class Twice(ListSource):
        def open(self) -> None:
            super().open()
            self.items = [ListDocument("a", b"x\n"), ListDocument("a", b"y\n")]

    assert complaint(engine, Twice([ListDocument("a", b"x\n")])) == (
        "source list (ddpm-test 1.0) broke its contract: it handed out a as list:a#1, which has been read already",
        "Each document needs a partition or a generation of its own.",
    )


def test_offsets_may_have_gaps_and_begin_again_after_an_assignment(engine) -> None:
    read = [ASSIGNED, messages(3, b"x", b"y", offsets=[3, 7], following=9), messages(12, b"z")]
    report = engine.run(Items(*read, *read))
    assert (report.status, engine.lines) == ("landed", ["x", "y", "z"])


def test_a_plugin_that_ends_the_process_is_stopped_by_name(engine) -> None:
    class Exits(Parser):
        def parse_document(self, document: Document) -> Any:
            raise SystemExit(0)

    assert complaint(engine, parser=Exits())[0] == "format lines (ddpm-test 1.0) failed: SystemExit: 0"


def test_rows_that_arrow_keeps_nowhere_are_in_the_memory_budget() -> None:
    from ddpm_core.engine.chunk import Chunk

    document = ListDocument("a", b"").document(None)
    nulls = pa.record_batch({"n": pa.nulls(1_000)})
    assert nulls.nbytes == 0
    assert Chunk(document, Parsed(nulls, 1_000), {}, {}).held_bytes == 1_000


def test_rows_of_a_parser_that_does_not_count_bytes_are_in_the_memory_budget() -> None:
    from ddpm_core.engine.chunk import MESSAGE_BYTES, REJECT_BYTES, Chunk

    batch = rows("x" * 100)
    source = messages(0, b"x")
    bad = [Reject(0, "bad", "bad")]
    assert Chunk(source, Parsed(batch, 1), source.first, source.next).held_bytes == batch.nbytes + MESSAGE_BYTES
    assert Chunk(source, Parsed(batch, 1, nbytes=7_000), source.first, source.next).held_bytes == 7_000 + MESSAGE_BYTES
    assert Chunk(source, Parsed(None, 1, bad), source.first, source.next).held_bytes == MESSAGE_BYTES + REJECT_BYTES
