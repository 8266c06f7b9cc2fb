"""What a run promises: every record once, whatever fails and whenever."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from ddpm_core.errors import ConfigError, FatalError, RetryableError
from ddpm_core.plugin.events import ChunkCommitted, Event, Recovered, RunEnded, RunStarted, Waiting
from ddpm_core.plugin.processor import Processed, Processor
from ddpm_core.records import Batch, Document, Messages, Parsed, Reject
from ddpm_core.testing.doubles import (
    Call,
    Crash,
    FailingProcessor,
    ForgetfulMemorySink,
    LineParser,
    ListDocument,
    ListSource,
    MemorySink,
    MemoryStore,
    RecordingProcessor,
)


def numbered(count: int, start: int = 0) -> list[str]:
    return [f"line {n}" for n in range(start, start + count)]


def text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def test_every_record_lands_once_and_in_order(engine) -> None:
    report = engine.run(ListSource.of_documents({"a": text(numbered(50)), "b": text(numbered(30, 50))}))
    assert engine.lines == numbered(80)
    assert (report.status, report.records, report.rows, report.rejects) == ("landed", 80, 80, {})
    assert [(d.name, d.status, d.rows) for d in report.documents] == [("a", "landed", 50), ("b", "landed", 30)]


def test_a_finished_document_is_skipped_the_next_time(engine) -> None:
    engine.run(ListSource.of_documents({"a": text(numbered(5))}))
    report = engine.run(ListSource.of_documents({"a": text(numbered(5))}))
    assert engine.lines == numbered(5)
    assert [(d.status, d.note) for d in report.documents] == [("skipped", "finished")]


def test_a_crash_in_the_middle_loses_and_doubles_nothing(engine) -> None:
    content = [text(numbered(10)), Crash(SystemError("power cut")), text(numbered(10, 10))]
    source = ListSource([ListDocument("a", content)])
    first = engine.run(source)
    assert first.status == "failed"
    engine.run(source)
    assert engine.lines == numbered(20)


def test_positions_say_how_many_rows_landed_and_that_the_document_ended(engine) -> None:
    engine.run(ListSource.of_documents({"a": text(["x", "bad", "y"])}))
    (position,) = engine.store.positions.values()
    assert position.offset == 3
    assert (position.detail["rows"], position.detail["finished"], position.detail["generation"]) == (2, True, "1")


def test_a_bad_record_does_not_cost_its_neighbours(engine) -> None:
    report = engine.run(ListSource.of_documents({"a": text(["x", "bad", "y"])}))
    assert engine.lines == ["x", "y"]
    assert (report.status, report.rejects) == ("dead_letters", {"bad_line": 1})
    (letter,) = engine.store.dead_letters
    assert (letter.source, letter.offset, letter.byte_offset, letter.payload) == ("a", 1, 2, b"bad")
    assert (letter.stage, letter.reason, letter.message) == ("parse", "bad_line", "the line is bad")
    assert (letter.plugin, letter.plugin_version, letter.payload_kind, letter.view) == ("lines", "1.0", "bytes", None)


def test_a_row_that_the_sink_refuses_becomes_a_dead_letter_with_its_original_bytes(engine) -> None:
    engine.store.refuse = lambda row: "too short" if len(row["line"]) < 2 else ""
    report = engine.run(ListSource.of_documents({"a": text(["long", "bad", "x", "enough"])}))
    assert engine.lines == ["long", "enough"]
    assert report.rejects == {"bad_line": 1, "refused": 1}
    letter = next(letter for letter in engine.store.dead_letters if letter.stage == "sink")
    assert (letter.offset, letter.payload, letter.sink, letter.message) == (2, b"x", "memory1", "too short")


def test_a_refused_row_without_bytes_of_its_own_is_kept_as_arrow_and_json(engine) -> None:
    from ddpm_core.plugin.format import Parser

    class Blind(Parser):
        def parse_document(self, document: Document):
            yield Parsed(pa.record_batch({"n": [1, 2], "x": [float("nan"), 0.5]}), 2)

    engine.store.refuse = lambda row: "no ones" if row["n"] == 1 else ""
    engine.run(ListSource.of_documents({"a": b"?"}), parser=Blind())
    (letter,) = engine.store.dead_letters
    assert letter.payload_kind == "arrow"
    assert json.loads(letter.view) == {"n": 1, "x": "nan"}
    row = pa.ipc.open_stream(letter.payload).read_all()
    assert row.column("n").to_pylist() == [1]


def test_dead_letters_of_a_sink_that_cannot_keep_them_go_to_a_file_first(engine) -> None:
    engine.run(ListSource.of_documents({"a": text(["x", "bad"])}), sinks=[ForgetfulMemorySink(engine.store)])
    (line,) = (engine.folder / "dead.ndjson").read_text().splitlines()
    kept = json.loads(line)
    assert (kept["source"], kept["offset"], kept["reason"], kept["payload"]) == ("a", 1, "bad_line", "YmFk")
    assert engine.lines == ["x"]


def test_the_first_reject_stops_a_run_that_must_not_have_any(engine) -> None:
    report = engine.run(ListSource.of_documents({"a": text(["x", "bad", "y"])}), on_error="fail")
    assert report.status == "failed"
    assert str(report.error) == (
        "a, record 1 (counted from 0): bad_line: the line is bad\nIt was not set aside because of --on-error fail; what was committed before stays."
    )
    assert engine.lines == []
    assert engine.store.dead_letters == []


def test_too_many_rejects_stop_the_run_and_leave_the_position(engine) -> None:
    source = ListSource.of_documents({"a": [text(numbered(1000)), text(["bad"] * 1000)]})
    report = engine.run(source)
    assert report.status == "failed"
    assert str(report.error).startswith(
        "1,000 records in a row were rejected (limit 1,000); the first: a, record 1,000 (counted from 0): bad_line: the line is bad\n"
    )
    assert "raise `reject_limit.in_a_row` in the pipeline (--max-rejects-in-a-row of `ddpm ingest`). What" in str(report.error)
    assert engine.store.dead_letters == []
    assert engine.lines in ([], numbered(1000))


@pytest.mark.parametrize("method", ["open", "claim", "write", "commit"])
def test_an_environment_that_fails_for_a_while_costs_nothing(engine, method: str) -> None:
    engine.store.fail(method, RetryableError("no server"), times=3)
    report = engine.run(ListSource.of_documents({"a": text(numbered(20)), "b": text(["bad", "z"])}), retry_for=30.0)
    assert report.status == "dead_letters"
    assert engine.lines == [*numbered(20), "z"]
    assert [type(e) for e in engine.events if isinstance(e, Waiting | Recovered)] == [Waiting, Waiting, Waiting, Recovered]
    assert report.rows == 21


@pytest.mark.parametrize("landed", [True, False])
@pytest.mark.parametrize("at", [0, 1])
def test_a_lost_commit_reply_neither_loses_nor_doubles(engine, landed: bool, at: int) -> None:
    engine.store.lose_commit_reply(landed=landed, after=at)
    source = ListSource([ListDocument("a", text([*numbered(20), "bad"])), ListDocument("b", text(numbered(20, 20)))])
    report = engine.run(source, retry_for=30.0)
    assert engine.lines == numbered(40)
    assert len(engine.store.dead_letters) == 1
    assert (report.rows, report.records, report.rejects) == (40, 41, {"bad_line": 1})
    assert [d.status for d in report.documents] == ["landed", "landed"]


def test_an_environment_that_does_not_come_back_ends_the_run_with_what_to_do(engine) -> None:
    engine.store.fail("write", RetryableError("no server at db:5432", hint="Start it."), times=10_000)
    report = engine.run(ListSource.of_documents({"a": text(["x"])}), retry_for=0.0)
    assert (report.status, str(report.error)) == ("failed", "no server at db:5432\nStart it.")
    assert report.documents[0].status == "failed"
    assert engine.store.positions == {}


def test_a_configuration_error_of_the_sink_reaches_the_caller(engine) -> None:
    engine.store.fail("open", ConfigError("there is no such schema"))
    with pytest.raises(ConfigError, match=r"^there is no such schema$"):
        engine.run(ListSource.of_documents({"a": text(["x"])}))


def test_a_broken_document_does_not_stop_the_others(engine) -> None:
    contents = {"a": text(["x"]), "b": [text(["y"]), b"torn\n"], "c": text(["z"])}
    report = engine.run(ListSource.of_documents(contents))
    assert [(d.name, d.status) for d in report.documents] == [("a", "landed"), ("b", "failed"), ("c", "landed")]
    assert str(report.documents[1].error) == "the document is torn"
    assert report.status == "failed"
    assert {"x", "z"} <= set(engine.lines)


def test_a_bug_in_a_plugin_ends_the_run_and_names_it(engine) -> None:
    report = engine.run(ListSource.of_documents({"a": text(["x", "boom"])}))
    assert report.status == "failed"
    assert str(report.error) == (
        "format lines (ddpm-test 1.0) failed: ZeroDivisionError: a bug in the parser\n"
        "Run with --debug for the traceback, and report it to the plugin's author."
    )


def test_a_processor_that_fails_is_named(engine) -> None:
    report = engine.run(
        ListSource.of_documents({"a": text(["x"])}), processors=[RecordingProcessor(), FailingProcessor(KeyError("age"))]
    )
    assert str(report.error).startswith("processor double (ddpm-test 1.0) failed: KeyError: 'age'\n")
    assert engine.lines == []


class Picky(Processor):
    """Drops lines that begin with `drop`, rejects those that begin with `no`."""

    def process(self, batch: Batch) -> Processed:
        lines = batch.data.column("line").to_pylist()
        rejects = [Reject(n, "picky", f"{line} is not wanted") for n, line in enumerate(lines) if line.startswith("no")]
        keep = [n for n, line in enumerate(lines) if not line.startswith(("no", "drop"))]
        return Processed(batch.take(pa.array(keep, pa.int64())) if keep else None, rejects)


def test_processors_filter_and_reject_and_the_position_moves_all_the_same(engine) -> None:
    source = ListSource.of_documents({"a": text(["bad", "drop me", "no way", "yes"])})
    report = engine.run(source, processors=[Picky()])
    assert engine.lines == ["yes"]
    assert report.rejects == {"bad_line": 1, "picky": 1}
    letter = next(letter for letter in engine.store.dead_letters if letter.stage == "process")
    assert (letter.offset, letter.payload, letter.plugin) == (2, b"no way", "double")
    assert next(iter(engine.store.positions.values())).offset == 4


class Seeing(MemorySink):
    """Notes whether rows come to it as looked at."""

    def write(self, batch: Batch) -> list[Reject]:
        self.seen = batch.valid
        return super().write(batch)


class Same(Processor):
    """Gives back what it got."""

    def process(self, batch: Batch) -> Processed:
        return Processed(batch)


@pytest.mark.parametrize("processors", [[], [Same()]])
def test_rows_that_a_parser_has_looked_at_are_unknown_again_behind_a_processor(engine, processors: list[Processor]) -> None:
    class Looking(LineParser):
        def parse_messages(self, messages: Messages) -> Parsed:
            return replace(super().parse_messages(messages), valid=True)

    sink = Seeing(engine.store)
    engine.run(ListSource.of_documents({"a": text(["x"])}), parser=Looking(), processors=processors, sinks=[sink])
    assert engine.lines == ["x"]
    assert sink.seen is not bool(processors)


def test_a_document_of_one_transaction_leaves_nothing_when_it_breaks_off(engine) -> None:
    content = [text(numbered(10)), b"torn\n"]
    report = engine.run(ListSource([ListDocument("pipe", content, atomic=True, seekable=False), ListDocument("b", text(["z"]))]))
    assert engine.lines == ["z"]
    assert [(d.name, d.status, d.rows) for d in report.documents] == [("pipe", "failed", 0), ("b", "landed", 1)]


def test_a_document_of_one_transaction_is_committed_once_at_its_end(engine) -> None:
    content = [text(numbered(10)), Call(lambda: seen.append(len(engine.store.rows))), text(numbered(10, 10))]
    seen: list[int] = []
    report = engine.run(ListSource([ListDocument("pipe", content, atomic=True, seekable=False)]))
    assert seen == [0]
    assert engine.lines == numbered(20)
    assert engine.store.commits == 1
    assert (report.status, report.rows) == ("landed", 20)


@pytest.mark.parametrize("landed", [True, False])
def test_a_lost_reply_at_the_end_of_a_pipe_is_found_out(engine, landed: bool) -> None:
    engine.store.lose_commit_reply(landed=landed)
    source = ListSource([ListDocument("pipe", text(numbered(10)), atomic=True, seekable=False)])
    report = engine.run(source, retry_for=30.0)
    if landed:
        assert (report.status, report.rows, engine.lines) == ("landed", 10, numbered(10))
    else:
        assert (report.status, engine.lines) == ("failed", [])
        assert str(report.error) == (
            "the connection to the memory store was lost during commit; nothing has landed\nRun the same command again."
        )


def test_replace_puts_the_new_rows_in_the_place_of_the_old_ones_all_at_once(engine) -> None:
    engine.run(ListSource.of_documents({"a": text(numbered(5))}))
    seen: list[list[str]] = []
    content = [text(["new 1"]), Call(lambda: seen.append(engine.lines)), text(["new 2"])]
    report = engine.run(ListSource([ListDocument("a", content, generation="2")]), sinks=[MemorySink(engine.store, replace=True)])
    assert seen == [numbered(5)]
    assert engine.lines == ["new 1", "new 2"]
    assert (report.status, report.rows) == ("landed", 2)


def test_replace_with_a_broken_document_replaces_nothing(engine) -> None:
    engine.run(ListSource.of_documents({"a": text(numbered(5))}))
    source = ListSource.of_documents({"b": text(["x"]), "c": [text(["y"]), b"torn\n"]})
    report = engine.run(source, sinks=[MemorySink(engine.store, replace=True)])
    assert engine.lines == numbered(5)
    assert report.status == "failed"
    assert str(report.error) == "the document is torn\nNothing was replaced, because c could not be read."


def test_two_sinks_that_stand_at_different_places_get_every_row_once(engine) -> None:
    other = MemoryStore()
    content = text(numbered(30))
    other.fail("write", FatalError("no privilege"))
    failed = engine.run(ListSource.of_documents({"a": content}), sinks=[MemorySink(engine.store), MemorySink(other)])
    assert failed.status == "failed"
    assert (len(engine.store.rows), len(other.rows)) == (30, 0)
    engine.run(ListSource.of_documents({"a": content}), sinks=[MemorySink(engine.store), MemorySink(other)])
    assert engine.lines == numbered(30)
    assert [row["line"] for row in other.rows] == numbered(30)


def test_a_document_that_another_process_took_over_fails_and_the_rest_goes_on(engine) -> None:
    def take_over() -> None:
        thief = MemorySink(engine.store)
        thief.open()
        thief.claim(["list:a"])

    engine.store.fail("write", take_over)
    source = ListSource([ListDocument("a", text(["x"])), ListDocument("b", text(["y"]))])
    report = engine.run(source)
    assert engine.lines == ["y"]
    assert [(d.name, d.status) for d in report.documents] == [("a", "failed"), ("b", "landed")]
    assert str(report.documents[0].error) == (
        "another ddpm process has taken over a\nWait until it has ended; then run the same command again."
    )


def test_a_document_that_another_process_landed_during_a_wait_is_landed(engine) -> None:
    def land_it_and_fail() -> None:
        engine.run(ListSource.of_documents({"a": text(["x"])}))
        raise RetryableError("both made the table at once")

    engine.store.fail("write", land_it_and_fail)
    report = engine.run(ListSource.of_documents({"a": text(["x"])}), retry_for=30.0)
    assert engine.lines == ["x"]
    assert (report.status, report.rows) == ("landed", 0)
    assert [(d.status, d.note) for d in report.documents] == [("landed", "another ddpm process landed the rest of it")]


def test_stopping_ends_the_transaction_at_hand_and_begins_no_other(engine) -> None:
    blockade = engine.store.block("write")
    later = Call(lambda: blockade.released.wait(60))
    source = ListSource([ListDocument("a", text(numbered(10))), later, ListDocument("b", text(numbered(10, 10)))])
    wait = engine.in_background(source)
    assert blockade.reached.wait(60)
    engine.runner.stop()
    blockade.release()
    report = wait()
    assert report.status == "stopped"
    assert engine.lines in ([], numbered(10))
    report = engine.run(source)
    assert engine.lines == numbered(20)


def test_a_blocked_sink_is_cancelled_when_the_user_stops(engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddpm_core.engine.runner.CANCEL_AFTER", 0.05)
    blockade = engine.store.block("write")
    wait = engine.in_background(ListSource.of_documents({"a": text(numbered(10))}))
    assert blockade.reached.wait(60)
    engine.runner.stop()
    report = wait()
    assert (report.status, engine.lines) == ("stopped", [])


def test_observers_see_the_run_from_start_to_end(engine) -> None:
    engine.run(ListSource.of_documents({"a": text(["x", "bad"])}))
    assert isinstance(engine.events[0], RunStarted)
    assert engine.events[-1] == RunEnded("test", "dead_letters")
    committed = [event for event in engine.events if isinstance(event, ChunkCommitted)]
    assert sum(event.rows for event in committed) == 1
    assert [dict(event.rejects) for event in committed if event.rejects] == [{"bad_line": 1}]


def test_an_observer_that_fails_does_not_harm_the_run(engine) -> None:
    from ddpm_core.engine.runner import Runner

    def observer(event: Event) -> None:
        raise ValueError("not interested")

    runner = Runner(engine.pipeline(ListSource.of_documents({"a": text(["x"])})), observers=[observer])
    assert runner.run().status == "landed"


def test_messages_land_with_their_own_coordinates(engine) -> None:
    source = ListSource(messages={"topic/0": [b"a", b"bad", b"c"], "topic/1": [b"d"]}, per_read=2)
    engine.run(source)
    assert sorted(engine.lines) == ["a", "c", "d"]
    (letter,) = engine.store.dead_letters
    assert (letter.source, letter.partition, letter.offset) == ("topic/0", "topic/0", 1)
    assert {name: at.offset for name, at in engine.store.positions.items()} == {"topic/0": 3, "topic/1": 1}
    assert {name: at.offset for sent in source.committed for name, at in sent.items()} == {"topic/0": 3, "topic/1": 1}


def test_a_rerun_of_messages_goes_on_behind_the_last_commit(engine) -> None:
    payloads = [b"a", b"b", Crash(SystemError("power cut")), b"c"]
    source = ListSource.of_messages(payloads, per_read=1)
    engine.run(source)
    engine.run(source)
    assert engine.lines == ["a", "b", "c"]
