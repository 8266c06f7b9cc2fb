"""What holds for sources of messages: nothing waits for a sink but the sink's own thread, and partitions come and go without loss."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ddpm_core.engine.stream as stream_module
from ddpm_core.engine.breaker import Breaker
from ddpm_core.engine.build import Settings
from ddpm_core.engine.intake import Intake
from ddpm_core.engine.recovery import Recovery
from ddpm_core.engine.runner import Runner
from ddpm_core.errors import FencedError, RetryableError
from ddpm_core.plugin.events import BreakerChanged, ChunkCommitted, PartitionsChanged
from ddpm_core.plugin.sink import AtLeastOnceSink
from ddpm_core.plugin.specs import Plugin, SourceSpec
from ddpm_core.records import Batch, Messages, Position, Reject
from ddpm_core.testing.doubles import MemorySink, MemoryStore
from ddpm_core.testing.group_source import GroupSource, MemoryGroup

WAIT = 60.0


class Member:
    """A running pipeline that is a member of the group."""

    def __init__(
        self, engine: Any, group: MemoryGroup, *, sinks: Any = None, source: GroupSource | None = None, **more: Any
    ) -> None:
        self.source = source or GroupSource(group)
        self.events: list[Any] = []
        self.happened = threading.Condition()
        pipeline = engine.pipeline(self.source, sinks=sinks, **{"endless": True, "retry_for": None, **more})
        pipeline.source = (
            self.source,
            Plugin(SourceSpec(name="group", summary="A group", build="x:y", endless=True), "ddpm-test", "1.0"),
        )
        self.runner = Runner(pipeline, observers=[self._saw])
        self.reports: list[Any] = []
        self.thread = threading.Thread(target=lambda: self.reports.append(self.runner.run()), daemon=True)
        self.thread.start()

    def _saw(self, event: Any) -> None:
        with self.happened:
            self.events.append(event)
            self.happened.notify_all()

    def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true; looked at after each event and now and then."""
        deadline = time.monotonic() + WAIT
        with self.happened:
            while not true():
                assert time.monotonic() < deadline, f"it did not become true; events: {self.events[-10:]}"
                self.happened.wait(0.05)

    def committed(self) -> list[int]:
        """The rows of each transaction that had some. Of a run that has ended: a commit is told of when its rows are there."""
        assert not self.thread.is_alive()
        return [event.rows for event in self.events if isinstance(event, ChunkCommitted) and event.rows]

    def stop(self) -> Any:
        self.runner.stop()
        return self.ended()

    def ended(self) -> Any:
        self.thread.join(WAIT)
        assert not self.thread.is_alive()
        return self.reports[0]


def numbered(partition: int, count: int, start: int = 0) -> list[bytes]:
    return [f"p{partition}-{n}".encode() for n in range(start, start + count)]


def test_messages_land_as_they_come_and_a_stop_ends_the_run_well(engine) -> None:
    group = MemoryGroup(2)
    member = Member(engine, group)
    group.move("mem:0", member.source)
    group.move("mem:1", member.source)
    group.produce("mem:0", b"a", b"bad")
    member.until(lambda: engine.lines == ["a"])
    group.produce("mem:1", b"b")
    member.until(lambda: engine.lines == ["a", "b"])
    report = member.stop()
    assert (report.status, report.records, report.rows, report.rejects) == ("dead_letters", 3, 2, {"bad_line": 1})
    assert {name: at.offset for name, at in group.told.items()} == {"mem:0": 2, "mem:1": 1}
    assert member.source.closed


def test_what_is_in_flight_when_the_run_is_stopped_is_delivered(engine) -> None:
    blockade = engine.store.block("write")
    group = MemoryGroup(1)
    member = Member(engine, group)
    group.move("mem:0", member.source)
    group.produce("mem:0", b"a")
    assert blockade.reached.wait(WAIT)
    group.produce("mem:0", b"b", b"c")
    member.until(lambda: member.source.at.get("mem:0") == 3)
    member.runner.stop()
    blockade.release()
    assert member.ended().status == "landed"
    assert engine.lines == ["a", "b", "c"]


def test_a_sink_that_takes_nothing_pauses_the_source_which_is_read_on(engine, monkeypatch) -> None:
    monkeypatch.setattr(stream_module, "ROOM_WITHIN", 0.01)
    monkeypatch.setattr("ddpm_core.engine.gather.FULL_MESSAGES", 10)
    blockade = engine.store.block("write")
    group = MemoryGroup(1)
    member = Member(engine, group, in_flight_bytes=20)
    group.produce("mem:0", *numbered(0, 200))
    group.move("mem:0", member.source)
    member.until(lambda: member.source.paused == {"mem:0"})
    before = member.source.reads
    member.until(lambda: member.source.reads > before + 3)
    assert engine.lines == []
    blockade.release()
    member.until(lambda: len(engine.lines) == 200)
    member.until(lambda: member.source.paused == set())
    assert member.stop().status == "landed"
    assert engine.lines == [value.decode() for value in numbered(0, 200)]


def test_messages_gather_while_the_sink_is_busy(engine) -> None:
    blockade = engine.store.block("write")
    group = MemoryGroup(1)
    member = Member(engine, group)
    group.move("mem:0", member.source)
    group.produce("mem:0", b"first")
    assert blockade.reached.wait(WAIT)
    group.produce("mem:0", *numbered(0, 100))
    member.until(lambda: member.source.at.get("mem:0") == 101)
    blockade.release()
    member.until(lambda: len(engine.lines) == 101)
    member.stop()
    assert member.committed() == [1, 100]


def test_a_position_moves_over_what_is_no_message(engine) -> None:
    class Marked(GroupSource):
        def _messages(self) -> Messages | None:
            found = super()._messages()
            if found is None and self.at.get("mem:0") == 2:
                self.at["mem:0"] = 3
                return Messages([], [], [], {"mem:0": Position(2)}, {"mem:0": Position(3)})
            return found

        def _ready(self) -> list[str]:
            return super()._ready() or (["mem:0"] if self.at.get("mem:0") == 2 else [])

    group = MemoryGroup(1)
    group.produce("mem:0", b"a", b"b")
    member = Member(engine, group, source=Marked(group))
    group.move("mem:0", member.source)
    member.until(lambda: engine.store.positions.get("mem:0", Position(0)).offset == 3)
    report = member.stop()
    assert (report.status, report.records, engine.lines) == ("landed", 2, ["a", "b"])


def test_linger_lets_messages_gather_though_the_sink_is_free(engine) -> None:
    group = MemoryGroup(1)
    group.produce("mem:0", *numbered(0, 40))
    member = Member(engine, group, linger=60.0)
    group.move("mem:0", member.source)
    member.until(lambda: member.source.at.get("mem:0") == 40)
    assert engine.lines == []
    member.stop()
    assert (len(engine.lines), member.committed()) == (40, [40])


def test_linger_lets_messages_gather_no_longer_than_it_says(engine) -> None:
    group = MemoryGroup(1)
    group.produce("mem:0", *numbered(0, 4))
    member = Member(engine, group, linger=0.05)
    group.move("mem:0", member.source)
    member.until(lambda: len(engine.lines) == 4)
    member.stop()


def test_a_partition_goes_when_all_of_it_is_committed_and_the_next_reader_goes_on_there(engine) -> None:
    group = MemoryGroup(2)
    first, second = Member(engine, group), Member(engine, group)
    group.produce("mem:0", *numbered(0, 50))
    group.produce("mem:1", *numbered(1, 50))
    group.move("mem:0", first.source)
    group.move("mem:1", first.source)
    first.until(lambda: bool(engine.lines))
    group.move("mem:0", second.source)
    first.until(lambda: any(event == PartitionsChanged("revoked", ["mem:0"]) for event in first.events))
    group.produce("mem:0", *numbered(0, 5, start=50))
    first.until(lambda: len(engine.lines) == 105)
    first.stop()
    second.stop()
    assert sorted(engine.lines) == sorted(v.decode() for v in [*numbered(0, 55), *numbered(1, 50)])
    assert engine.store.positions["mem:0"].offset == 55


def test_what_was_read_of_a_partition_that_is_lost_is_dropped(engine) -> None:
    blockade = engine.store.block("write")
    group = MemoryGroup(2)
    first = Member(engine, group)
    second = Member(engine, group)
    group.produce("mem:0", *numbered(0, 20))
    group.move("mem:0", first.source)
    assert blockade.reached.wait(WAIT)
    group.move("mem:0", second.source, lost=True)
    second.until(lambda: len(engine.lines) == 20)
    blockade.release()
    group.produce("mem:0", *numbered(0, 5, start=20))
    group.produce("mem:1", b"x")
    group.move("mem:1", first.source)
    second.until(lambda: len(engine.lines) == 26)
    assert sorted(engine.lines) == sorted(v.decode() for v in [*numbered(0, 25), b"x"])
    assert (first.stop().status, second.stop().status) == ("landed", "landed")


def test_a_partition_that_was_taken_at_the_sink_is_claimed_again_while_it_is_still_ours(engine, monkeypatch) -> None:
    monkeypatch.setattr(stream_module, "CLAIM_AGAIN_AFTER", 0.05)
    group = MemoryGroup(1)
    member = Member(engine, group)
    group.move("mem:0", member.source)
    group.produce("mem:0", b"a")
    member.until(lambda: engine.lines == ["a"])
    stranger = MemorySink(engine.store)
    stranger.open()
    stranger.claim(["mem:0"])
    group.produce("mem:0", b"b", b"c")
    member.until(lambda: PartitionsChanged("taken", ["mem:0"]) in member.events)
    member.until(lambda: engine.lines == ["a", "b", "c"])
    assert member.stop().status == "landed"


def test_a_sink_without_positions_gets_each_group_before_the_one_that_keeps_them(engine) -> None:
    order: list[str] = []

    class Log(AtLeastOnceSink):
        def open(self) -> None:
            """Nothing."""

        def write(self, batch: Batch) -> list[Reject]:
            order.append("log")
            return []

        def flush(self) -> None:
            order.append("flushed")

    class Kept(MemorySink):
        def write(self, batch: Batch) -> list[Reject]:
            order.append("kept")
            return super().write(batch)

    group = MemoryGroup(1)
    member = Member(engine, group, sinks=[Kept(engine.store), Log()])
    group.move("mem:0", member.source)
    group.produce("mem:0", b"a")
    member.until(lambda: engine.lines == ["a"])
    report = member.stop()
    assert order == ["log", "flushed", "kept"]
    assert report.rows == 1


def test_an_endless_run_that_rejects_too_much_keeps_still_and_loses_nothing(engine, caplog, monkeypatch) -> None:
    group = MemoryGroup(1)
    group.produce("mem:0", *[b"bad"] * 30)
    member = Member(engine, group, reject_run=10)
    monkeypatch.setattr("ddpm_core.engine.limit.RejectLimit.problem", lambda *_: "10 records in a row were rejected (limit 10)")
    group.move("mem:0", member.source)
    member.until(lambda: "held: 10 records in a row were rejected (limit 10)" in caplog.text)
    report = member.stop()
    assert report.status == "failed"
    assert str(report.error).startswith("10 records in a row were rejected (limit 10); the first: mem:0, record 0")
    assert engine.store.positions == {}


def test_a_sink_that_is_down_opens_its_breaker_and_comes_back_without_a_restart(engine, monkeypatch) -> None:
    monkeypatch.setattr("ddpm_core.engine.recovery.Recovery.LONGEST_WAIT", 0.01)
    store = MemoryStore()
    engine.store = store
    down = {"left": 8}

    class Flaky(MemorySink):
        def write(self, batch: Batch) -> list[Reject]:
            if down["left"]:
                down["left"] -= 1
                raise RetryableError("the sink is down")
            return super().write(batch)

    group = MemoryGroup(1)
    member = Member(engine, group, sinks=[Flaky(store)])
    group.move("mem:0", member.source)
    group.produce("mem:0", b"a", b"b")
    member.until(lambda: engine.lines == ["a", "b"])
    assert member.stop().status == "landed"
    states = [event.state for event in member.events if isinstance(event, BreakerChanged)]
    assert states == ["open", "half_open", "open", "half_open", "open", "half_open", "open", "half_open", "closed"]


def assignments(member: Member) -> int:
    return len([event for event in member.events if isinstance(event, PartitionsChanged) and event.change == "assigned"])


def test_a_partition_that_goes_and_comes_back_while_a_chunk_waits_for_room_leaves_no_gap(engine, monkeypatch) -> None:
    monkeypatch.setattr(stream_module, "ROOM_WITHIN", 0.01)
    monkeypatch.setattr("ddpm_core.engine.gather.FULL_MESSAGES", 10)
    blockade = engine.store.block("write")
    group = MemoryGroup(1)
    member = Member(engine, group, in_flight_bytes=100)
    group.produce("mem:0", *numbered(0, 400))
    group.move("mem:0", member.source)
    member.until(lambda: member.source.paused == {"mem:0"})
    group.move("mem:0", member.source, lost=True)
    member.until(lambda: assignments(member) == 2)
    blockade.release()
    member.until(lambda: engine.store.positions.get("mem:0", Position(0)).offset == 400)
    member.stop()
    assert engine.lines == [value.decode() for value in numbered(0, 400)]


def test_a_partition_that_went_before_its_claim_was_dealt_with_is_left_to_its_new_reader(engine, monkeypatch) -> None:
    monkeypatch.setattr("ddpm_core.engine.recovery.Recovery.LONGEST_WAIT", 0.01)
    group = MemoryGroup(2)
    first = Member(engine, group)
    group.produce("mem:0", b"a")
    group.move("mem:0", first.source)
    first.until(lambda: engine.lines == ["a"])
    blockade = engine.store.block("write")
    group.produce("mem:0", b"b")
    assert blockade.reached.wait(WAIT)
    group.move("mem:1", first.source)
    first.until(lambda: PartitionsChanged("assigned", ["mem:1"]) in first.events)
    second = Member(engine, group)
    group.move("mem:1", second.source, lost=True)
    first.until(lambda: PartitionsChanged("lost", ["mem:1"]) in first.events)
    group.produce("mem:1", b"x")
    second.until(lambda: "x" in engine.lines)
    blockade.release()
    group.produce("mem:0", b"c")
    first.until(lambda: "c" in engine.lines)
    before = engine.store.epochs["mem:1"]
    engine.store.fail("commit", RetryableError("down"))
    group.produce("mem:0", b"d")
    first.until(lambda: "d" in engine.lines)
    assert engine.store.epochs["mem:1"] == before
    assert {first.stop().status, second.stop().status} == {"landed"}


class Gathering(MemorySink):
    """Never full: it commits when the run ends, or when a partition goes."""

    @property
    def full(self) -> bool:
        return False


def test_a_sink_that_gathers_reads_again_what_it_loses_and_the_run_goes_on(engine, monkeypatch) -> None:
    monkeypatch.setattr(stream_module, "CLAIM_AGAIN_AFTER", 0.05)
    group = MemoryGroup(1)
    member = Member(engine, group, sinks=[Gathering(engine.store)])
    group.move("mem:0", member.source)
    group.produce("mem:0", b"a")
    member.until(lambda: "write" in engine.store.calls)
    engine.store.fail("write", RetryableError("down"))
    group.produce("mem:0", b"b")
    member.until(lambda: engine.store.calls.count("write") >= 3)
    assert (member.stop().status, engine.lines) == ("landed", ["a", "b"])


def test_a_sink_that_gathers_commits_when_it_is_full_though_nothing_more_comes(engine) -> None:
    ready = threading.Event()

    class Timed(MemorySink):
        @property
        def full(self) -> bool:
            return ready.is_set()

    group = MemoryGroup(1)
    member = Member(engine, group, sinks=[Timed(engine.store)])
    group.move("mem:0", member.source)
    group.produce("mem:0", b"a")
    member.until(lambda: "write" in engine.store.calls)
    ready.set()
    member.until(lambda: engine.lines == ["a"])
    member.stop()


def test_a_sink_that_answers_closes_its_breaker_whatever_it_says() -> None:
    breaker, failures = Breaker(), iter(range(6))

    def action() -> None:
        if next(failures, None) is not None:
            raise RetryableError("down")
        raise FencedError(["p"])

    recovery = Recovery(retry_for=None, stopping=threading.Event(), emit=lambda _: None, wait=lambda _: False)
    with pytest.raises(FencedError):
        recovery.until_done("sink", action, restore=lambda: None, breaker=breaker)
    assert not breaker.open


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["move", "lost", "produce", "taken", "stop"]), st.integers(0, 2), st.integers(0, 2), st.integers(1, 30)
        ),
        min_size=1,
        max_size=12,
    )
)
def test_whatever_moves_and_whoever_stops_every_message_lands_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int, int]]
) -> None:
    with patch.object(Intake, "IDLE", 0.02), patch.object(stream_module, "CLAIM_AGAIN_AFTER", 0.05):
        _play(_Engine(tmp_path_factory.mktemp("model")), steps)


def _play(engine: Any, steps: list[tuple[str, int, int, int]]) -> None:
    group = MemoryGroup(3)
    members = [Member(engine, group) for _ in range(3)]
    produced = dict.fromkeys(group.logs, 0)
    for name in group.logs:
        group.move(name, members[0].source)
    for kind, partition, who, count in steps:
        name = f"mem:{partition}"
        if kind in ("move", "lost"):
            group.move(name, members[who].source, lost=kind == "lost")
        elif kind == "produce":
            group.produce(name, *numbered(partition, count, produced[name]))
            produced[name] += count
        elif kind == "taken":
            stranger = MemorySink(engine.store)
            stranger.open()
            stranger.claim([name])
        else:
            members[who].stop()
            members[who] = Member(engine, group)
    last = Member(engine, group)
    for member in members:
        member.stop()
    for name in group.logs:
        group.owners.pop(name, None)
        group.move(name, last.source)
        group.produce(name, *numbered(int(name[-1]), 1, produced[name]))
        produced[name] += 1
    last.until(lambda: len(engine.lines) >= sum(produced.values()))
    last.stop()
    for name, count in produced.items():
        prefix = f"p{name[-1]}-"
        assert [line for line in engine.lines if line.startswith(prefix)] == [f"{prefix}{n}" for n in range(count)]


class _Engine:
    """The fixture's engine, made anew for each example."""

    def __init__(self, folder: Any) -> None:
        self.folder = folder
        self.store = MemoryStore()

    def pipeline(self, source: Any, **more: Any) -> Any:
        from ddpm_core.engine.build import Pipeline, SinkUse
        from ddpm_core.plugin.specs import FormatSpec, SinkSpec
        from ddpm_core.testing.doubles import LineParser

        sinks = more.pop("sinks") or [MemorySink(self.store)]
        of = {"distribution": "ddpm-test", "version": "1.0"}
        return Pipeline(
            name="test",
            source=(source, Plugin(SourceSpec(name="group", summary="A group", build="x:y"), **of)),
            parser=(LineParser(), Plugin(FormatSpec(name="lines", summary="Lines", parser="x:y"), **of)),
            sinks=[SinkUse("memory", sinks[0], Plugin(SinkSpec(name="memory", summary="Memory", build="x:y"), **of))],
            settings=Settings(dead_letter_file=self.folder / "dead.ndjson", **more),
        )

    @property
    def lines(self) -> list[str]:
        return [row["line"] for row in self.store.rows]
