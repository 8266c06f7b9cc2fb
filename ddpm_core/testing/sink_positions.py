"""What the kit asserts of what a sink keeps beside the rows: positions, ownership and dead letters."""

from __future__ import annotations

import pytest

from ddpm_core.errors import FencedError, RetryableError
from ddpm_core.records import Batch, Position
from ddpm_core.testing.sink_target import (
    GENERATION,
    OTHER,
    PARTITION,
    Build,
    SinkTarget,
    Target,
    dead_letter,
    known,
    land,
    some_rows,
)


class SinkPositions(SinkTarget):
    """Of positions, for sinks that keep them, and of dead letters, for those that keep them too."""

    def test_a_new_sink_knows_the_committed_positions(self, build: Build, target_options: Target) -> None:
        self.skip_without_positions(target_options)
        detail = {
            "file": {"size": 2**53, "hash": "ab\"'\\"},
            "resume": {"byte": 7},
            "text": "Ä漢😀\n",
            "none": None,
            "list": [1.5, True],
        }
        sink = build()
        sink.write(Batch(some_rows(0, 5)))
        sink.commit({GENERATION: Position(5, detail)}, [])
        sink.write(Batch(some_rows(5, 6)))
        sink.commit({OTHER: Position(1)}, [])
        sink.close()
        again = self.build_sink(target_options)
        again.open()
        try:
            assert known(again, PARTITION) == {GENERATION: Position(5, detail)}
            assert known(again, OTHER, "kit/unknown") == {OTHER: Position(1)}
        finally:
            again.close()

    def test_claiming_a_partition_gives_all_its_generations(self, build: Build, target_options: Target) -> None:
        self.skip_without_positions(target_options)
        sink = build()
        wanted = {f"{OTHER}#aaa": Position(3, {"finished": True}), f"{OTHER}#bbb": Position(2)}
        sink.write(Batch(some_rows(0, 5)))
        sink.commit(wanted, [])
        sink.close()
        again = self.build_sink(target_options)
        again.open()
        try:
            assert known(again, OTHER) == wanted
            again.write(Batch(some_rows(5, 6)))
            again.commit({f"{OTHER}#bbb": Position(3)}, [])
        finally:
            again.close()

    def test_another_owner_fences_this_one(self, build: Build, target_options: Target) -> None:
        self.skip_without_positions(target_options)
        first = build()
        first.write(Batch(some_rows(0, 5)))
        first.commit({GENERATION: Position(5)}, [])
        second = build()
        first.write(Batch(some_rows(5, 10)))
        with pytest.raises(FencedError):
            first.commit({GENERATION: Position(10)}, [])
        first.rollback()
        second.write(Batch(some_rows(5, 10)))
        second.commit({GENERATION: Position(10)}, [])
        self.holds(target_options, some_rows(0, 10))

    def test_of_two_first_commits_one_lands(self, build: Build, target_options: Target) -> None:
        self.skip_without_positions(target_options)
        first, second = build(), build()
        second.write(Batch(some_rows(0, 5)))
        second.commit({GENERATION: Position(5)}, [])
        with pytest.raises((FencedError, RetryableError)):  # Retryable: it may find out as soon as it makes the same table.
            land(first, some_rows(0, 5), 5)
        first.rollback()
        self.holds(target_options, some_rows(0, 5))

    def test_a_round_may_hold_nothing_but_a_position(self, build: Build, target_options: Target) -> None:
        sink = build()
        sink.commit({GENERATION: Position(7)}, [])
        sink.commit({GENERATION: Position(9)}, [])
        assert known(sink, PARTITION) == ({GENERATION: Position(9)} if sink.keeps_positions else {})
        assert self.read_rows(target_options) == []

    def test_dead_letters_are_kept_once(self, build: Build, target_options: Target) -> None:
        sink = build()
        if not sink.keeps_dead_letters:
            pytest.skip("this sink keeps no dead letters")
        sink.write(Batch(some_rows(0, 1)))
        sink.commit({GENERATION: Position(1)}, [dead_letter("first"), dead_letter("second")])
        sink.commit({GENERATION: Position(2)}, [dead_letter("second"), dead_letter("third")])
        assert sorted(self.read_dead_letter_ids(target_options)) == ["first", "second", "third"]

    def test_dead_letters_are_rolled_back_with_their_round(self, build: Build, target_options: Target) -> None:
        first = build()
        if not first.keeps_dead_letters:
            pytest.skip("this sink keeps no dead letters")
        first.commit({GENERATION: Position(1)}, [dead_letter("before")])
        build()
        with pytest.raises(FencedError):
            first.commit({GENERATION: Position(2)}, [dead_letter("fenced")])
        first.rollback()
        assert self.read_dead_letter_ids(target_options) == ["before"]

    def test_a_reopened_sink_knows_what_it_committed(self, build: Build, target_options: Target) -> None:
        """When the reply to a commit was lost, the engine asks the same instance whether it happened."""
        self.skip_without_positions(target_options)
        sink = build()
        land(sink, some_rows(0, 5), 5)
        sink.rollback()
        sink.close()
        sink.open()
        assert known(sink, PARTITION, OTHER) == {GENERATION: Position(5)}
        land(sink, some_rows(5, 10), 10)
        self.holds(target_options, some_rows(0, 10))

    def test_owners_of_other_partitions_are_left_alone(self, target_options: Target) -> None:
        self.skip_without_positions(target_options)
        sinks = [self.build_sink(target_options), self.build_sink(target_options)]
        try:
            for sink, partition in zip(sinks, (PARTITION, OTHER), strict=True):
                sink.open()
                sink.claim([partition])
            for number, (sink, partition) in enumerate([*zip(sinks, (GENERATION, OTHER), strict=True)] * 2):
                land(sink, some_rows(number, number + 1), number + 1, partition=partition)
            self.holds(target_options, some_rows(0, 4))
        finally:
            for sink in sinks:
                sink.rollback()
                sink.close()

    def test_partitions_may_be_claimed_one_after_the_other(self, target_options: Target) -> None:
        """As sources assign them: what was claimed before stays claimed."""
        self.skip_without_positions(target_options)
        sink = self.build_sink(target_options)
        sink.open()
        try:
            sink.claim([PARTITION])
            land(sink, some_rows(0, 1), 1)
            sink.claim([OTHER])
            sink.write(Batch(some_rows(1, 2)))
            sink.commit({GENERATION: Position(2), OTHER: Position(1)}, [])
            assert known(sink, PARTITION, OTHER) == {GENERATION: Position(2), OTHER: Position(1)}
            self.holds(target_options, some_rows(0, 2))
        finally:
            sink.rollback()
            sink.close()
