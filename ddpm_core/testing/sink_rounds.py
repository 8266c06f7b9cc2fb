"""What the kit asserts of a sink's rounds: what is seen when, what is forgotten, and that it can be opened, closed and cancelled."""

from __future__ import annotations

import pytest

from ddpm_core.records import Batch, Position
from ddpm_core.testing.sink_target import GENERATION, OTHER, PARTITION, Build, SinkTarget, Target, land, some_rows


class SinkRounds(SinkTarget):
    """Of rounds. A round begins with its first `write` and ends with one `commit` or `rollback`."""

    def test_the_guarantee_is_what_the_sink_keeps(self, target_options: Target) -> None:
        sink = self.build_sink(target_options)
        assert (self.spec().guarantee == "exactly_once") == sink.keeps_positions
        assert not sink.keeps_dead_letters or sink.keeps_positions, "dead letters kept here must be in a transaction"

    def test_rows_are_seen_after_commit(self, build: Build, target_options: Target) -> None:
        sink = build()
        sink.write(Batch(some_rows(0, 10)))
        sink.write(Batch(some_rows(10, 11)))
        if self.capabilities.transactional:
            assert self.read_rows(target_options) == [], "rows are seen before commit"
        sink.commit({GENERATION: Position(11)}, [])
        self.holds(target_options, some_rows(0, 11))

    def test_round_after_round_lands(self, build: Build, target_options: Target) -> None:
        sink = build()
        for start in range(0, 30, 10):
            sink.write(Batch(some_rows(start, start + 10)))
            sink.commit({GENERATION: Position(start + 10)}, [])
        self.holds(target_options, some_rows(0, 30))

    def test_rollback_forgets_the_round(self, build: Build, target_options: Target) -> None:
        sink = build()
        sink.write(Batch(some_rows(0, 10)))
        sink.rollback()
        sink.rollback()
        if not self.capabilities.transactional:
            return
        sink.write(Batch(some_rows(10, 20)))
        sink.commit({GENERATION: Position(20)}, [])
        self.holds(target_options, some_rows(10, 20))

    def test_closing_does_not_commit(self, build: Build, target_options: Target) -> None:
        sink = build()
        sink.write(Batch(some_rows(0, 10)))
        sink.close()
        if self.capabilities.transactional:
            assert self.read_rows(target_options) == []

    def test_a_failed_round_written_again_lands_once(self, build: Build, target_options: Target) -> None:
        """As the engine does after a `RetryableError`: roll back, close, open, claim, and write what the positions lack."""
        sink = build()
        sink.write(Batch(some_rows(0, 10)))
        sink.commit({GENERATION: Position(10)}, [])
        sink.write(Batch(some_rows(10, 20)))
        sink.rollback()
        sink.close()
        sink.open()
        known = sink.claim([PARTITION, OTHER])
        start = known[GENERATION].offset if sink.keeps_positions else 0
        sink.write(Batch(some_rows(start, 20)))
        sink.commit({GENERATION: Position(20)}, [])
        if sink.keeps_positions:
            self.holds(target_options, some_rows(0, 20))
        else:
            landed = {row["id"] for row in self.read_rows(target_options)}
            assert landed == set(range(20)), "at least once: no row may be missing"

    def test_close_is_safe_at_any_time(self, target_options: Target) -> None:
        sink = self.build_sink(target_options)
        sink.rollback()
        sink.close()
        sink.close()
        sink.open()
        sink.rollback()
        sink.close()
        sink.rollback()
        sink.close()

    def test_a_closed_sink_can_be_opened_again(self, build: Build, target_options: Target) -> None:
        sink = build()
        sink.close()
        sink.open()
        sink.claim([PARTITION, OTHER])
        sink.write(Batch(some_rows(0, 3)))
        sink.commit({GENERATION: Position(3)}, [])
        self.holds(target_options, some_rows(0, 3))

    def test_cancel_is_safe_when_nothing_runs(self, target_options: Target) -> None:
        self.build_sink(target_options).cancel()
        sink = self.build_sink(target_options)
        sink.open()
        sink.cancel()
        sink.close()
        sink.cancel()

    def test_a_sink_that_gathers_says_when_it_is_full(self, build: Build, target_options: Target) -> None:
        """The engine commits a round when the sink is full, and at the end whatever there is. Before that nothing is seen."""
        fills = self.capabilities.fills
        if fills is None:
            assert build().full is True, "this sink gathers: declare `fills`"
            pytest.skip("a round of this sink is always full")
        sink = build(**fills)
        landed = reached = 0
        for _ in range(2):
            assert sink.full is False, "a new round is full"
            while not sink.full:
                assert reached - landed < 10_000, "it does not become full"
                sink.write(Batch(some_rows(reached, reached + 100)))
                reached += 100
            if self.capabilities.transactional:
                assert len(self.read_rows(target_options)) == landed, "rows are seen before commit"
            sink.commit({GENERATION: Position(reached)}, [])
            landed = reached
        land(sink, some_rows(reached, reached + 1), reached + 1)
        self.holds(target_options, some_rows(0, reached + 1))

    def test_a_gathered_round_can_be_forgotten(self, build: Build, target_options: Target) -> None:
        if self.capabilities.fills is None:
            pytest.skip("a round of this sink is always full")
        sink = build(**self.capabilities.fills)
        sink.write(Batch(some_rows(0, 100)))
        sink.rollback()
        assert sink.full is False, "a round that was forgotten still fills it"
        land(sink, some_rows(100, 200), 200)
        if self.capabilities.transactional:
            self.holds(target_options, some_rows(100, 200))
