"""What the kit asserts of the ways in which a sink can write, as its spec's `modes` has them."""

from __future__ import annotations

from typing import get_args

from ddpm_core.records import Batch, Position
from ddpm_core.testing.sink_target import (
    GENERATION,
    OTHER,
    PARTITION,
    Build,
    SinkTarget,
    Target,
    known,
    land,
    some_rows,
    stacked,
)

UPSERT = {"mode": "upsert", "key": ("id",)}


class SinkModes(SinkTarget):
    """Of `upsert` and `replace`. What is asserted elsewhere is true of the mode that `target_options` asks for."""

    def test_the_modes_are_what_the_options_take(self) -> None:
        spec = self.spec()
        field = spec.options_model().model_fields.get("mode")
        assert set(spec.modes) == set(get_args(field.annotation) if field else ()), "the spec's modes are not those of the options"

    def test_upsert_replaces_the_row_of_the_same_key(self, build: Build, target_options: Target) -> None:
        self.skip_without_mode("upsert")
        sink = build(**UPSERT)
        land(sink, some_rows(0, 5), 5)
        land(sink, some_rows(3, 8, text="later {}"), 10)
        sink.close()
        again = build(**UPSERT)
        land(again, some_rows(7, 9, text="last {}"), 12)
        wanted = (some_rows(0, 3), some_rows(3, 7, text="later {}"), some_rows(7, 9, text="last {}"))
        self.holds(target_options, stacked(*wanted))

    def test_of_rows_with_one_key_the_last_one_stays(self, build: Build, target_options: Target) -> None:
        """In a batch, and in the batches of a round."""
        self.skip_without_mode("upsert")
        sink = build(**UPSERT)
        assert sink.write(Batch(stacked(some_rows(0, 3), some_rows(1, 2, text="later {}")))) == []
        assert sink.write(Batch(stacked(some_rows(2, 3, text="last {}"), some_rows(3, 4)))) == []
        sink.commit({GENERATION: Position(6)}, [])
        wanted = (some_rows(0, 1), some_rows(1, 2, text="later {}"), some_rows(2, 3, text="last {}"), some_rows(3, 4))
        self.holds(target_options, stacked(*wanted))

    def test_upsert_refuses_a_row_without_a_key(self, build: Build, target_options: Target) -> None:
        self.skip_without_mode("upsert")
        sink = build(**UPSERT)
        rejects = sink.write(Batch(stacked(some_rows(0, 1), some_rows(1, 2).select(["text"]), some_rows(2, 3))))
        sink.commit({GENERATION: Position(3)}, [])
        assert [reject.index for reject in rejects] == [1]
        self.holds(target_options, stacked(some_rows(0, 1), some_rows(2, 3)))

    def test_replace_puts_new_rows_in_the_place_of_the_old_ones(self, build: Build, target_options: Target) -> None:
        self.skip_without_mode("replace")
        before = build(mode="append")
        assert not before.atomic, "append is not one round"
        land(before, some_rows(0, 5), 5)
        before.close()
        sink = build(mode="replace")
        assert sink.atomic, "replace is one round for the whole run"
        sink.write(Batch(some_rows(10, 13)))
        sink.write(Batch(some_rows(13, 15)))
        if self.capabilities.transactional:
            self.holds(target_options, some_rows(0, 5))
        sink.commit({OTHER: Position(5)}, [])
        self.holds(target_options, some_rows(10, 15))

    def test_replace_voids_the_positions_of_what_it_replaced(self, build: Build, target_options: Target) -> None:
        """Else the next run would pass over a file whose rows are gone."""
        self.skip_without_mode("replace")
        self.skip_without_positions(target_options)
        before = build(mode="append")
        land(before, some_rows(0, 5), 5)
        before.close()
        sink = build(mode="replace")
        land(sink, some_rows(10, 15), 5, partition=OTHER)
        sink.close()
        assert known(build(mode="append"), PARTITION, OTHER) == {OTHER: Position(5)}

    def test_a_replace_that_failed_changes_nothing_and_can_be_repeated(self, build: Build, target_options: Target) -> None:
        self.skip_without_mode("replace")
        before = build(mode="append")
        land(before, some_rows(0, 5), 5)
        before.close()
        sink = build(mode="replace")
        sink.write(Batch(some_rows(10, 12)))
        sink.rollback()
        sink.close()
        if self.capabilities.transactional:
            self.holds(target_options, some_rows(0, 5))
        sink.open()
        sink.claim([PARTITION, OTHER])
        land(sink, some_rows(10, 15), 5)
        self.holds(target_options, some_rows(10, 15))
