"""Sinks that break one promise each. Each class names the one test that must fail."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from kit_reference.options import SqliteOptions
from kit_reference.parts import STORES, ReferenceSink
from kit_reference.sink import SqliteSink

from ddpm_core import Batch, BuildContext, DeadLetter, FencedError, Position, Positions, Reject, Sink
from ddpm_core.testing import ForgetfulMemorySink, MemorySink, MemoryStore, SinkCapabilities, SinkConformance

NUMBERS = itertools.count(10_000)


class Memory(SinkConformance):
    plugin = "kit_reference.plugin"
    name = "kit_memory"
    broken: ClassVar[type[MemorySink]] = ReferenceSink

    @pytest.fixture
    def target_options(self) -> Mapping[str, Any]:
        number = next(NUMBERS)
        STORES[number] = MemoryStore()
        return {"store": number}

    def build_sink(self, target_options: Mapping[str, Any]) -> Sink:
        sink = self.broken(STORES[target_options["store"]])
        if isinstance(sink, ReferenceSink):
            sink.gather = target_options.get("gather", 0)
        return sink

    def read_rows(self, target_options: Mapping[str, Any]) -> list[dict[str, Any]]:
        return STORES[target_options["store"]].rows

    def read_dead_letter_ids(self, target_options: Mapping[str, Any]) -> list[str]:
        return [letter.id for letter in STORES[target_options["store"]].dead_letters]


class PromisesTooMuch(Memory):
    fails = "test_the_guarantee_is_what_the_sink_keeps"
    broken = ForgetfulMemorySink


class Rounds(ReferenceSink):
    def write(self, batch: Batch) -> list[Reject]:
        if "float64" not in batch.data.schema.names:
            return super().write(batch)
        place = batch.data.schema.names.index("float64")
        return super().write(Batch(batch.data.set_column(place, "float64", batch.data["float64"].cast(pa.float32(), safe=False))))


class LosesDigits(Memory):
    fails = "test_every_type_lands_as_it_is"
    broken = Rounds


class Eager(ReferenceSink):
    def write(self, batch: Batch) -> list[Reject]:
        self.store.rows.extend(batch.data.to_pylist())
        return []


class SeenBeforeCommit(Memory):
    fails = "test_rows_are_seen_after_commit"
    broken = Eager


class OneRound(ReferenceSink):
    def write(self, batch: Batch) -> list[Reject]:
        return [] if self.store.commits > 1 else super().write(batch)


class LosesLaterRounds(Memory):
    fails = "test_round_after_round_lands"
    broken = OneRound


class Unsliced(ReferenceSink):
    def write(self, batch: Batch) -> list[Reject]:
        columns = [
            c if pa.types.is_string(c.type) else pa.Array.from_buffers(c.type, len(c), c.buffers()) for c in batch.data.columns
        ]
        return super().write(Batch(pa.RecordBatch.from_arrays(columns, batch.data.schema.names)))


class ForgetsTheSlice(Memory):
    fails = "test_a_slice_of_a_batch_lands_as_that_slice"
    broken = Unsliced


class KeepsTheRound(ReferenceSink):
    def rollback(self) -> None:
        pass


class NoRollback(Memory):
    fails = "test_rollback_forgets_the_round"
    broken = KeepsTheRound


class NoRollbackBeforeReplay(Memory):
    fails = "test_a_failed_round_written_again_lands_once"

    class WritesTwice(Eager):
        pass

    broken = WritesTwice


class CommitsOnClose(ReferenceSink):
    def close(self) -> None:
        for data in self._round:
            self.store.rows.extend(data.to_pylist())
        super().close()


class CloseCommits(Memory):
    fails = "test_closing_does_not_commit"
    broken = CommitsOnClose


class DropsDetail(ReferenceSink):
    def commit(self, positions: Positions, dead_letters: Sequence[DeadLetter]) -> None:
        super().commit({name: Position(at.offset) for name, at in positions.items()}, dead_letters)


class LosesDetail(Memory):
    fails = "test_a_new_sink_knows_the_committed_positions"
    broken = DropsDetail


class NoGenerations(ReferenceSink):
    def claim(self, partitions: Sequence[str]) -> Positions:
        return {name: at for name, at in super().claim(partitions).items() if name in partitions}


class GenerationsUnknown(Memory):
    fails = "test_claiming_a_partition_gives_all_its_generations"
    broken = NoGenerations


class NeverFenced(ReferenceSink):
    def _check_owned(self, positions: Positions) -> None:
        pass


class NoFence(Memory):
    fails = "test_another_owner_fences_this_one"
    broken = NeverFenced


class NoFenceAtFirst(Memory):
    fails = "test_of_two_first_commits_one_lands"
    broken = NeverFenced


class DeadLettersOfTheFenced(Memory):
    fails = "test_dead_letters_are_rolled_back_with_their_round"

    class EagerDeadLetters(ReferenceSink):
        def commit(self, positions: Positions, dead_letters: Sequence[DeadLetter]) -> None:
            self.store.dead_letters.extend(dead_letters)
            super().commit(positions, dead_letters)

    broken = EagerDeadLetters


class Twice(ReferenceSink):
    def commit(self, positions: Positions, dead_letters: Sequence[DeadLetter]) -> None:
        super().commit(positions, ())
        self.store.dead_letters.extend(dead_letters)


class DeadLettersTwice(Memory):
    fails = "test_dead_letters_are_kept_once"
    broken = Twice


class CleansNames(ReferenceSink):
    def write(self, batch: Batch) -> list[Reject]:
        names = ["".join(c if c.isalnum() else "_" for c in name) for name in batch.data.schema.names]
        return super().write(Batch(batch.data.rename_columns(names)))


class ChangesNames(Memory):
    fails = "test_hostile_column_names"
    broken = CleansNames


class ThroughCsv(ReferenceSink):
    def write(self, batch: Batch) -> list[Reject]:
        place = batch.data.schema.names.index("text")
        texts = [text or None for text in batch.data["text"].to_pylist()]  # An empty text and null look the same.
        return super().write(Batch(batch.data.set_column(place, "text", pa.array(texts, pa.string()))))


class EmptyIsNull(Memory):
    fails = "test_hostile_texts"
    broken = ThroughCsv


class BatchOrNothing(ReferenceSink):
    def write(self, batch: Batch) -> list[Reject]:
        if any("\x00" in text for text in batch.data["text"].to_pylist()):
            return [Reject(row, "nul", "a NUL") for row in range(len(batch))]
        return super().write(batch)


class NulCostsNeighbours(Memory):
    fails = "test_a_nul_in_a_text_does_not_cost_its_neighbours"
    broken = BatchOrNothing


class TakesTexts(ReferenceSink):
    def write(self, batch: Batch) -> list[Reject]:
        return MemorySink.write(self, batch)


class RefusesNothing(Memory):
    fails = "test_a_refused_row_does_not_cost_its_neighbours"
    broken = TakesTexts


class NeedsRows(ReferenceSink):
    def write(self, batch: Batch) -> list[Reject]:
        batch.data[0][0]
        return super().write(batch)


class EmptyBatchCrash(Memory):
    fails = "test_an_empty_batch_changes_nothing"
    broken = NeedsRows


class NoRowsNoCommit(ReferenceSink):
    def commit(self, positions: Positions, dead_letters: Sequence[DeadLetter]) -> None:
        if self._round:
            super().commit(positions, dead_letters)


class PositionDropped(Memory):
    fails = "test_a_round_may_hold_nothing_but_a_position"
    broken = NoRowsNoCommit


class TellsWrong(ReferenceSink):
    def expected_schema(self) -> pa.Schema:
        return pa.schema({"other": pa.int64()})


class WrongSchema(Memory):
    fails = "test_the_columns_of_the_target_are_told"
    broken = TellsWrong


class ClosesOnce(ReferenceSink):
    def close(self) -> None:
        if not self._open:
            raise RuntimeError("not open")
        super().close()


class CloseTwice(Memory):
    fails = "test_close_is_safe_at_any_time"
    broken = ClosesOnce


class OpensOnce(ReferenceSink):
    opened = False

    def open(self) -> None:
        if self.opened:
            raise RuntimeError("opened twice")
        self.opened = True
        super().open()


class CannotReopen(Memory):
    fails = "test_a_closed_sink_can_be_opened_again"
    broken = OpensOnce


class CancelNeedsACall(ReferenceSink):
    def cancel(self) -> None:
        raise RuntimeError("nothing to cancel")


class CancelCrash(Memory):
    fails = "test_cancel_is_safe_when_nothing_runs"
    broken = CancelNeedsACall


class ByPlace(ReferenceSink):
    def write(self, batch: Batch) -> list[Reject]:
        if set(batch.data.schema.names) == {"id", "text"}:
            batch = Batch(batch.data.rename_columns(["id", "text"]))
        return super().write(batch)


class MatchesColumnsByPlace(Memory):
    fails = "test_columns_are_matched_by_name"
    broken = ByPlace


class FirstColumns(ReferenceSink):
    known: Sequence[str] = ()

    def write(self, batch: Batch) -> list[Reject]:
        self.known = self.known or [field.name for field in batch.data.schema if field.type != pa.null()]
        return super().write(Batch(batch.data.select([name for name in batch.data.schema.names if name in self.known])))


class DropsFurtherColumns(Memory):
    fails = "test_a_further_column_lands"
    broken = FirstColumns


class DropsLateColumns(Memory):
    fails = "test_a_column_without_a_value_waits_for_one"
    broken = FirstColumns


class Limited(ReferenceSink):
    def write(self, batch: Batch) -> list[Reject]:
        return super().write(Batch(batch.data.slice(0, 10_000)))


class LargeBatchCut(Memory):
    fails = "test_a_batch_as_large_as_they_come_lands"
    broken = Limited


class SilentlyGathers(Memory):
    fails = "test_a_sink_that_gathers_says_when_it_is_full"

    class Gathers(ReferenceSink):
        full = False  # type: ignore[assignment]

    broken = Gathers


class NeverFull(SilentlyGathers):
    fails = "test_a_sink_that_gathers_says_when_it_is_full"
    capabilities = SinkCapabilities(fills={})


class RemainsFull(Memory):
    fails = "test_a_gathered_round_can_be_forgotten"
    capabilities = SinkCapabilities(fills={"gather": 100})

    class Counts(ReferenceSink):
        taken = 0

        @property
        def full(self) -> bool:
            return self.taken >= self.gather

        def write(self, batch: Batch) -> list[Reject]:
            self.taken += len(batch)
            return super().write(batch)

    broken = Counts


class StandsStill(ReferenceSink):
    """It believes what it was told when it was first opened."""

    first: Positions | None = None

    def claim(self, partitions: Sequence[str]) -> Positions:
        found = super().claim(partitions)
        self.first = found if self.first is None else self.first
        return self.first


class BelievesTheFirstClaim(Memory):
    fails = "test_a_reopened_sink_knows_what_it_committed"
    broken = StandsStill


class OneOwner(ReferenceSink):
    owners: ClassVar[dict[int, Any]] = {}

    def claim(self, partitions: Sequence[str]) -> Positions:
        self.owners[id(self.store)] = self
        return super().claim(partitions)

    def _check_owned(self, positions: Positions) -> None:
        if self.owners[id(self.store)] is not self:
            raise FencedError(list(positions))


class FencesEveryone(Memory):
    fails = "test_owners_of_other_partitions_are_left_alone"
    broken = OneOwner


class LastClaim(ReferenceSink):
    def claim(self, partitions: Sequence[str]) -> Positions:
        self._epochs = {}
        return super().claim(partitions)


class ForgetsEarlierClaims(Memory):
    fails = "test_partitions_may_be_claimed_one_after_the_other"
    broken = LastClaim


class Table(SinkConformance):
    plugin = "kit_reference.plugin"
    name = "kit_sqlite"
    capabilities = SinkCapabilities(types=("integers", "text"))
    broken: ClassVar[type[SqliteSink]] = SqliteSink

    @pytest.fixture
    def target_options(self, tmp_path: Path) -> Mapping[str, Any]:
        return {"path": str(tmp_path / "kit.sqlite"), "table": "t"}

    def build_sink(self, target_options: Mapping[str, Any]) -> Sink:
        return self.broken(SqliteOptions(**target_options), BuildContext(pipeline="kit"), schema="main", table="t")

    def read_rows(self, target_options: Mapping[str, Any]) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(target_options["path"])) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute("SELECT * FROM t")]


class OtherModes(Memory):
    fails = "test_the_modes_are_what_the_options_take"

    def spec(self) -> Any:
        import dataclasses

        return dataclasses.replace(super().spec(), modes=("append",))


class Appends(SqliteSink):
    def upsert(self, data: pa.RecordBatch) -> list[Reject]:
        self._put("INSERT OR IGNORE", data)
        return []


class KeepsTheFirst(Table):
    fails = "test_upsert_replaces_the_row_of_the_same_key"
    broken = Appends


class KeepsTheFirstOfARound(Table):
    fails = "test_of_rows_with_one_key_the_last_one_stays"
    broken = Appends


class TakesNoKey(SqliteSink):
    def write(self, batch: Batch) -> list[Reject]:
        super().write(batch)
        return []


class NullKeyGoesUnsaid(Table):
    fails = "test_upsert_refuses_a_row_without_a_key"
    broken = TakesNoKey


class OnlyAdds(SqliteSink):
    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        return 0 if sql.startswith(f"DELETE FROM {self.qualified}") else super().change(sql, parameters)


class ReplaceAdds(Table):
    fails = "test_replace_puts_new_rows_in_the_place_of_the_old_ones"
    broken = OnlyAdds


class KeepsPositions(SqliteSink):
    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        return 0 if sql.startswith("DELETE FROM") and "_ddpm_positions" in sql else super().change(sql, parameters)


class PositionsOfRowsThatAreGone(Table):
    fails = "test_replace_voids_the_positions_of_what_it_replaced"
    broken = KeepsPositions


class EmptiesAtOnce(SqliteSink):
    def insert(self, data: pa.RecordBatch) -> list[Reject]:
        if self.atomic:
            self.end()
            self.begin()
        return super().insert(data)


class FailedReplaceEmpties(Table):
    fails = "test_a_replace_that_failed_changes_nothing_and_can_be_repeated"
    broken = EmptiesAtOnce
