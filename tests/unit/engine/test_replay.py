"""A replay sends dead letters through again: each lands once, and what fails again stays open."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from ddpm_core.engine import replay as replaying
from ddpm_core.engine.build import Pipeline, SinkUse
from ddpm_core.engine.replay import Replay, ReplayReport
from ddpm_core.engine.replay_source import ROWS, SOURCE, ReplaySource, RowsOfLetters, schema_of
from ddpm_core.engine.replay_watch import of_sink
from ddpm_core.errors import DataError, FatalError, RetryableError
from ddpm_core.plugin.database import DeadLetterFilter
from ddpm_core.plugin.dead_letters import DeadLetterStore, supersedes
from ddpm_core.plugin.format import Parser
from ddpm_core.plugin.processor import Processed, Processor
from ddpm_core.plugin.specs import FormatSpec, Plugin, ProcessorSpec, SinkSpec
from ddpm_core.records import Batch, DeadLetter, Reject, letter_partition
from ddpm_core.testing.memory_sink import ForgetfulMemorySink, MemorySink, MemoryStore

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FORMAT = Plugin(FormatSpec(name="json", summary="JSON", parser="x:y"), "test", "1")
PROCESSOR = Plugin(ProcessorSpec(name="check", summary="Check", build="x:y"), "test", "1")
SINK = Plugin(SinkSpec(name="memory", summary="Memory", build="x:y"), "test", "1")
ALL = DeadLetterFilter(limit=0, replayed=False)


def letter(number: int, payload: bytes | None = None, **fields: Any) -> DeadLetter:
    given: dict[str, Any] = {
        "id": f"{number:08x}", "pipeline": "p", "source": "a.json", "partition": "file:a#1", "offset": number, "byte_offset": None,
        "stage": "parse", "reason": "json_invalid", "message": "bad", "plugin": "json", "plugin_version": "1", "sink": "",
        "payload": b'{"id": %d}' % number if payload is None else payload, "payload_kind": "bytes", "view": None, "attempts": 1,
        "created_at": NOW + timedelta(seconds=number), "format": "json",
    }  # fmt: skip
    return DeadLetter(**{**given, **fields})


class ListStore(DeadLetterStore):
    """Letters in memory; refuses to be used while it is closed."""

    def __init__(self, *letters: DeadLetter) -> None:
        self.letters = {one.id: one for one in letters}
        self.is_open = False
        self.fail_to_mark = False

    def open(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False

    def append(self, letters: Sequence[DeadLetter]) -> None:
        assert self.is_open
        for one in letters:
            if one.id not in self.letters or supersedes(one, self.letters[one.id]):
                self.letters[one.id] = one

    def find(self, wanted: DeadLetterFilter) -> Iterator[DeadLetter]:
        assert self.is_open
        found = [one for one in self.letters.values() if wanted.takes(one)]
        yield from sorted(found, key=lambda one: one.created_at, reverse=True)[: wanted.limit or None]

    def mark_replayed(self, letters: Sequence[DeadLetter]) -> None:
        if self.fail_to_mark:
            raise RetryableError("killed")
        self.append(letters)

    def purge(self, letters: Sequence[DeadLetter]) -> int:
        raise AssertionError("a replay removes nothing")

    def open_ids(self) -> list[str]:
        return sorted(one.id for one in self.letters.values() if one.replayed_at is None)


class JsonParser(Parser):
    """An object is a row, an array of objects several."""

    def parse_payload(self, payload: bytes) -> Any:
        try:
            return json.loads(payload)
        except ValueError as error:
            raise DataError("still bad", reason="json_invalid") from error


class Even(Processor):
    """Refuses odd numbers."""

    def process(self, batch: Batch) -> Processed:
        odd = [row for row, value in enumerate(batch.data.column("id").to_pylist()) if value % 2]
        even = [row for row in range(len(batch)) if row not in odd]
        return Processed(batch.take(pa.array(even, pa.int64())), [Reject(row, "odd", "it is odd") for row in odd])


class Target:
    """A pipeline of memory sinks, by name."""

    def __init__(self, *, processors: Sequence[Processor] = (), kind: type[MemorySink] = MemorySink, **stores: MemoryStore) -> None:
        self.stores = stores
        self.processors = processors
        self.kind = kind
        self.conditions: dict[str, str] = {}

    def refuses(self, one: DeadLetter) -> str:
        return "" if one.pipeline == "p" else f"of pipeline {one.pipeline}"

    def way(self, one: DeadLetter) -> Hashable:
        return one.payload_kind, schema_of(one), one.sink

    def pipeline(self, one: DeadLetter) -> Pipeline:
        names = [one.sink] if one.sink else list(self.stores)
        parser: tuple[Parser, Plugin[FormatSpec]] = (JsonParser(), FORMAT)
        return Pipeline(
            name="p",
            source=(ReplaySource([]), SOURCE),
            parser=(RowsOfLetters(), ROWS) if one.payload_kind == "arrow" else parser,
            processors=[(processor, PROCESSOR) for processor in self.processors],
            sinks=[SinkUse(name, self.kind(self.stores[name]), SINK, self.conditions.get(name, "")) for name in names],
        )


def replay(store: ListStore, target: Target, **given: Any) -> ReplayReport:
    return Replay(store, ALL, target, retry_for=60.0, **given).run()


def ids(store: MemoryStore) -> list[int]:
    return [row["id"] for row in store.rows]


def refuse(*numbers: int) -> Callable[[Any], str]:
    return lambda row: "no room" if row["id"] in numbers else ""


def test_what_gets_through_lands_once_and_is_marked_oldest_first() -> None:
    store, memory = ListStore(*(letter(number) for number in (3, 1, 2))), MemoryStore()
    report = replay(store, Target(a=memory))
    assert (report.status, report.selected, report.landed, report.failed) == ("landed", 3, 3, {})
    assert ids(memory) == [1, 2, 3]
    assert store.open_ids() == []
    assert all(one.attempts == 1 for one in store.letters.values())
    assert set(memory.positions) == {letter_partition(one) for one in store.letters.values()}
    assert not store.is_open


def test_what_was_replayed_is_not_selected_again() -> None:
    store, memory = ListStore(letter(1)), MemoryStore()
    replay(store, Target(a=memory))
    report = replay(store, Target(a=memory))
    assert (report.status, report.selected, ids(memory)) == ("landed", 0, [1])


def test_a_mark_that_was_lost_costs_no_double() -> None:
    store, memory = ListStore(letter(1), letter(2, b"{")), MemoryStore()
    store.fail_to_mark = True
    with pytest.raises(RetryableError, match="killed"):
        replay(store, Target(a=memory))
    assert (ids(memory), store.open_ids()) == ([1], ["00000001", "00000002"])
    store.fail_to_mark = False
    store.letters["00000002"] = letter(2, attempts=3)  # It was corrected.
    report = replay(store, Target(a=memory))
    assert (report.landed, ids(memory), store.open_ids()) == (2, [1, 2], [])


def test_what_fails_again_keeps_its_id_counts_an_attempt_and_can_be_sent_again() -> None:
    store, memory = ListStore(letter(1, b"{"), letter(2), letter(3)), MemoryStore(refuse=refuse(3))
    report = replay(store, Target(a=memory))
    assert (report.status, report.landed) == ("failed_again", 1)
    assert report.failed == {"json_invalid": 1, "refused": 1}
    assert store.open_ids() == ["00000001", "00000003"]
    parse, sink = store.letters["00000001"], store.letters["00000003"]
    assert (parse.stage, parse.message, parse.attempts, parse.payload) == ("parse", "still bad", 2, b"{")
    assert (sink.stage, sink.reason, sink.sink, sink.attempts, sink.offset) == ("sink", "refused", "a", 2, 3)
    assert memory.dead_letters == []
    assert len(memory.positions) == 1
    memory.refuse = lambda row: ""
    report = replay(store, Target(a=memory))
    assert (report.landed, ids(memory)) == (1, [2, 3])
    assert store.letters["00000001"].attempts == 3


def test_a_letter_that_was_tried_too_often_is_left_out_and_told() -> None:
    store, memory = (
        ListStore(letter(1, attempts=5), letter(2, attempts=4, payload=b"{"), letter(3, pipeline="other")),
        MemoryStore(),
    )
    report = replay(store, Target(a=memory))
    assert report.left_out == {"tried 5 times or more": 1, "of pipeline other": 1}
    assert report.selected == 1
    report = replay(store, Target(a=memory))
    assert (report.status, report.selected, report.left_out["tried 5 times or more"]) == ("landed", 0, 2)


def test_many_bad_letters_do_not_stop_a_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    store, memory = ListStore(*(letter(number, b"{") for number in range(2_500)), letter(2_500)), MemoryStore()
    report = replay(store, Target(a=memory))
    assert (report.failed, report.landed, report.error) == ({"json_invalid": 2_500}, 1, None)


def test_large_selections_go_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "PIECE_LETTERS", 2)
    store, memory = ListStore(*(letter(number) for number in range(5))), MemoryStore()
    replay(store, Target(a=memory))
    assert (memory.commits, ids(memory)) == (3, [0, 1, 2, 3, 4])
    monkeypatch.setattr(replaying, "PIECE_BYTES", 1)
    store, memory = ListStore(*(letter(number) for number in range(3))), MemoryStore()
    replay(store, Target(a=memory))
    assert memory.commits == 3


def test_processors_see_letters_again() -> None:
    store, memory = ListStore(letter(1), letter(2, stage="process", reason="odd")), MemoryStore()
    report = replay(store, Target(processors=[Even()], a=memory))
    assert (report.failed, ids(memory)) == ({"odd": 1}, [2])
    assert (store.letters["00000001"].stage, store.letters["00000001"].plugin) == ("process", "check")


def test_rows_are_read_back_exactly() -> None:
    row = pa.RecordBatch.from_pydict(
        {"id": pa.array([7], pa.int16()), "t": pa.array([1_767_225_600_000_001_000], pa.timestamp("ns"))}
    )
    other = pa.RecordBatch.from_pydict({"id": pa.array([8], pa.uint64())})
    store = ListStore(*(letter(n, ipc(data), payload_kind="arrow", view="{}") for n, data in ((1, row), (2, other), (3, row))))
    store.letters["4"] = letter(4, b"no stream", payload_kind="arrow", view="{}")
    memory = MemoryStore()
    report = replay(store, Target(a=memory))
    assert (report.error, report.failed) == (None, {"letter_unreadable": 1})
    assert [batch.schema for batch in memory.batches] == [row.schema, other.schema]
    assert ids(memory) == [7, 7, 8]


def ipc(data: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, data.schema) as writer:
        writer.write_batch(data)
    return bytes(sink.getvalue())


# Several sinks.


def test_what_one_sink_refused_goes_to_that_sink_only() -> None:
    a, b = MemoryStore(), MemoryStore()
    store = ListStore(letter(1, sink="b", stage="sink"), letter(2))
    replay(store, Target(a=a, b=b))
    assert (ids(a), ids(b)) == ([2], [1, 2])


def test_a_letter_for_all_that_one_refuses_becomes_one_for_that_sink() -> None:
    a, b = MemoryStore(), MemoryStore(refuse=refuse(1))
    store = ListStore(letter(1))
    report = replay(store, Target(a=a, b=b))
    assert (report.status, report.failed, ids(a), ids(b)) == ("failed_again", {"refused": 1}, [1], [])
    (left,) = store.open_ids()
    assert store.letters[left] == replace(
        of_sink(letter(1), "b"), stage="sink", reason="refused", message="no room", plugin="memory", sink="b", attempts=2
    )
    b.refuse = lambda row: ""
    replay(store, Target(a=a, b=b))
    assert (ids(a), ids(b), store.open_ids()) == ([1], [1], [])


def test_a_letter_for_all_and_the_one_made_of_it_land_once() -> None:
    a, b = MemoryStore(), MemoryStore(refuse=refuse(1))
    store = ListStore(letter(1))
    store.fail_to_mark = True
    with pytest.raises(RetryableError):
        replay(store, Target(a=a, b=b))
    assert len(store.open_ids()) == 2
    store.fail_to_mark, b.refuse = False, lambda row: ""
    replay(store, Target(a=a, b=b))
    assert (ids(a), ids(b), store.open_ids()) == ([1], [1], [])


def test_a_sink_that_has_a_letter_does_not_get_it_again() -> None:
    a, b = MemoryStore(), MemoryStore()
    b.fail("commit", FatalError("the process is killed"))
    store = ListStore(letter(1), letter(2))
    assert replay(store, Target(a=a, b=b)).status == "failed"
    assert (ids(a), ids(b), len(store.open_ids())) == ([1, 2], [], 2)
    replay(store, Target(a=a, b=b))
    assert (ids(a), ids(b), store.open_ids()) == ([1, 2], [1, 2], [])


# Faults.


@pytest.mark.parametrize("landed", [True, False])
def test_a_lost_reply_to_commit_neither_loses_nor_doubles(landed: bool) -> None:
    memory = MemoryStore(refuse=refuse(2))
    memory.lose_commit_reply(landed=landed)
    store = ListStore(*(letter(number) for number in range(4)))
    report = replay(store, Target(a=memory))
    assert (report.landed, report.failed, ids(memory)) == (3, {"refused": 1}, [0, 1, 3])
    assert store.open_ids() == ["00000002"]


def test_the_sink_may_fail_and_come_back_after_a_letter_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "PIECE_LETTERS", 2)
    memory = MemoryStore(refuse=refuse(0))
    memory.fail("write", RetryableError("away", after=0.0), after=1)
    store = ListStore(*(letter(number) for number in range(4)))
    report = replay(store, Target(a=memory))
    assert (report.status, ids(memory), store.open_ids()) == ("failed_again", [1, 2, 3], ["00000000"])


def test_another_replay_of_the_same_letters_fences_this_one() -> None:
    memory = MemoryStore()
    other = MemorySink(memory)
    one = letter(1)

    def claimed_by_another() -> None:
        other.open()
        other.claim([letter_partition(one).rpartition("#")[0]])

    memory.fail("write", claimed_by_another)
    store = ListStore(one)
    report = replay(store, Target(a=memory))
    assert (report.status, ids(memory), store.open_ids()) == ("failed", [], ["00000001"])
    assert str(report.error) == (
        "another ddpm process has taken 1 of the dead letters\nWait until it has ended; then run the same command again."
    )


def test_a_stop_leaves_the_rest_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "PIECE_LETTERS", 1)
    memory, store = MemoryStore(), ListStore(*(letter(number) for number in range(3)))
    run = Replay(store, ALL, Target(a=memory))
    memory.fail("commit", run.stop)
    report = run.run()
    assert (report.status, ids(memory), store.open_ids()) == ("stopped", [0], ["00000001", "00000002"])


def test_without_positions_the_mark_is_what_is_known() -> None:
    memory, store = MemoryStore(), ListStore(letter(1), letter(2, b"{"))
    report = replay(store, Target(kind=ForgetfulMemorySink, a=memory))
    assert (report.landed, ids(memory), store.open_ids()) == (1, [1], ["00000002"])


# Letters of several rows.


def test_a_letter_of_several_rows_lands_whole_or_not_at_all() -> None:
    memory = MemoryStore(refuse=refuse(11))
    store = ListStore(letter(1, b'[{"id": 10}, {"id": 11}]'), letter(2, b'[{"id": 20}, {"id": 21}]'), letter(3))
    report = replay(store, Target(a=memory))
    assert (report.landed, report.failed, ids(memory)) == (2, {"refused": 1}, [20, 21, 3])
    memory.refuse = lambda row: ""
    replay(store, Target(a=memory))
    assert (ids(memory), store.open_ids()) == ([20, 21, 3, 10, 11], [])


def test_a_row_that_the_condition_of_a_sink_cannot_judge_takes_the_others_of_its_letter_along() -> None:
    a, b = MemoryStore(), MemoryStore()
    store = ListStore(letter(1, b'[{"id": 10, "x": "1"}, {"id": 11, "x": "?"}]'), letter(2, b'{"id": 2, "x": "1"}'))
    target = Target(a=a, b=b)
    target.conditions = {"b": "CAST(x AS INTEGER) > 0"}
    report = replay(store, target)
    assert (report.landed, report.failed, ids(a), ids(b)) == (1, {"when_failed": 1}, [10, 11, 2], [2])
    (left,) = (one for one in store.letters.values() if one.replayed_at is None)
    assert (left.sink, left.stage, left.reason) == ("b", "process", "when_failed")
    target.conditions = {"b": "TRY_CAST(x AS INTEGER) > 0 OR id = 11"}
    replay(store, target)
    assert (ids(a), ids(b), store.open_ids()) == ([10, 11, 2], [2, 10, 11], [])


def test_a_letter_whose_other_rows_have_landed_the_first_time_is_not_sent_again() -> None:
    memory = MemoryStore()
    store = ListStore(
        letter(1, b'[{"id": 10}, {"id": 11}]', stage="sink", sink="a", reason="refused"), letter(2, stage="sink", sink="a")
    )
    for attempts in (2, 3):
        report = replay(store, Target(a=memory))
        assert (report.failed, ids(memory)) == ({"partly_landed": 1}, [2])
        assert store.letters["00000001"].attempts == attempts
    assert store.letters["00000001"].message == (
        "2 rows were made of this record, and those that were not refused have landed: sent again, they would be there twice"
    )


def test_a_row_that_a_processor_refuses_takes_the_others_of_its_letter_along() -> None:
    memory, store = MemoryStore(), ListStore(letter(1, b'[{"id": 2}, {"id": 3}]'), letter(4))
    report = replay(store, Target(processors=[Even()], a=memory))
    assert (report.failed, ids(memory)) == ({"odd": 1}, [4])


# Dry runs.


def test_a_dry_run_says_what_would_fail_and_changes_nothing() -> None:
    memory, store = MemoryStore(), ListStore(letter(1), letter(2, b"{"), letter(3, b"["), letter(4))
    report = Replay(store, ALL, Target(processors=[Even()], a=memory)).dry_run()
    assert (report.status, report.selected, report.would_land) == ("failed_again", 4, 1)
    assert report.failed == {"json_invalid": 2, "odd": 1}
    assert (memory.rows, memory.positions, memory.commits, store.open_ids()) == ([], {}, 0, [f"{n:08x}" for n in (1, 2, 3, 4)])
    assert all(one.attempts == 1 for one in store.letters.values())
