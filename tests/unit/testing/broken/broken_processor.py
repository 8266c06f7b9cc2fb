"""Processors that break one promise each. Each class names the one test that must fail."""

from __future__ import annotations

from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from kit_reference.parts import Doubler

from ddpm_core import Batch, Processed, Processor, Reject
from ddpm_core.testing import ProcessorConformance, Step


class Double(ProcessorConformance):
    plugin = "kit_reference.plugin"
    name = "kit_double"
    steps = (
        Step([{"n": 1}, {"n": -2}, {"n": 3}], becomes=[{"n": 1, "twice": 2}, {"n": 3, "twice": 6}], rejects=[(1, "negative")]),
        Step([{"n": 4}], becomes=[{"n": 4, "twice": 8}]),
    )
    broken: ClassVar[type[Processor]] = Doubler

    def processor(self) -> Processor:
        return self.broken()


class Passes(Processor):
    def process(self, batch: Batch) -> Processed:
        return Processed(batch)


class WrongRows(Double):
    fails = "test_steps_become_what_they_should"
    broken = Passes


class InPlace(Doubler):
    def process(self, batch: Batch) -> Processed:
        batch.data = batch.data.slice(0)
        return super().process(batch)


class ChangesTheBatch(Double):
    fails = "test_the_batch_that_came_in_stays_as_it_was"
    broken = InPlace


class Drops(Doubler):
    def process(self, batch: Batch) -> Processed:
        return Processed(super().process(batch).batch)


class LosesRows(Double):
    fails = "test_every_row_goes_on_or_is_rejected"
    broken = Drops


class Alone(Doubler):
    def process(self, batch: Batch) -> Processed:
        return super().process(Batch(batch.data))


class ForgetsOrigins(Double):
    fails = "test_origins_still_name_the_records"
    broken = Alone


class NeedsRows(Doubler):
    def process(self, batch: Batch) -> Processed:
        batch.data["n"][0]
        return super().process(batch)


class EmptyBatchCrash(Double):
    fails = "test_an_empty_batch_gives_no_rows"
    broken = NeedsRows


class RawBuffers(Doubler):
    def process(self, batch: Batch) -> Processed:
        column = batch.data["n"]
        whole = pa.Array.from_buffers(column.type, len(column), column.buffers())  # The offset of a slice is forgotten.
        return super().process(Batch(pa.RecordBatch.from_arrays([whole], ["n"]), batch.origin))


class IgnoresSlices(Double):
    fails = "test_a_slice_is_that_slice"
    broken = RawBuffers


class Guesses(Doubler):
    def process(self, batch: Batch) -> Processed:
        done = super().process(batch)
        if done.batch is None or len(batch) > 1:
            return done
        return Processed(
            done.batch.replace(done.batch.data.cast(pa.schema({"n": pa.int64(), "twice": pa.float64()}))), done.rejects
        )


class SchemaFlips(Double):
    fails = "test_the_schema_does_not_change_from_batch_to_batch"
    broken = Guesses


class Shares(Doubler):
    seen: ClassVar[list[Any]] = []

    def process(self, batch: Batch) -> Processed:
        self.seen.append(batch)
        return super().process(batch) if len(self.seen) == 1 else Processed(batch)


class SharedState(Double):
    fails = "test_two_processors_share_nothing"
    broken = Shares


class Counts(Doubler):
    calls = 0

    def process(self, batch: Batch) -> Processed:
        self.calls += 1
        return super().process(batch) if self.calls == 1 else Processed(batch)


class UndeclaredState(Double):
    fails = "test_the_same_batch_gives_the_same_rows"
    broken = Counts


class InWords(Doubler):
    def process(self, batch: Batch) -> Processed:
        done = super().process(batch)
        return Processed(done.batch, [Reject(reject.index, "Is negative", reject.message) for reject in done.rejects])


class ReasonInWords(Double):
    fails = "test_reasons_are_stable_codes"
    broken = InWords


class NeedsOpen(Doubler):
    def open(self) -> None:
        self.file = object()

    def close(self) -> None:
        del self.file


class CloseTwice(Double):
    fails = "test_close_is_safe_at_any_time"
    broken = NeedsOpen


class NullsVanish(Doubler):
    """A comparison with null is neither true nor false: a filter on it and one on its opposite both drop the row."""

    def process(self, batch: Batch) -> Processed:
        values = pc.fill_null(batch.data["n"], 0)
        negative = pc.indices_nonzero(pc.less(values, 0)).to_pylist()
        good = batch.take(pc.indices_nonzero(pc.fill_null(pc.greater_equal(batch.data["n"], 0), False)))
        doubled = good.data.append_column("twice", pc.multiply(good.data["n"], 2))
        return Processed(good.replace(doubled), [Reject(row, "negative", "the number is negative") for row in negative])


class LosesNulls(Double):
    fails = "test_any_mix_of_rows_is_accounted_for"
    broken = NullsVanish


class NumbersItsRows(Doubler):
    def process(self, batch: Batch) -> Processed:
        done = super().process(batch)
        if done.batch is None or not len(done.batch):
            return done
        numbered = done.batch.data.set_column(1, "twice", pa.array(range(len(done.batch)), pa.int64()))
        return Processed(done.batch.replace(numbered), done.rejects)


class DependsOnTheBatch(Double):
    fails = "test_how_rows_are_batched_makes_no_difference"
    broken = NumbersItsRows
