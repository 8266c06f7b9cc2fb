"""What the kit asserts of a processor."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pytest

from ddpm_core.plugin.processor import Processed, Processor
from ddpm_core.records import Batch
from ddpm_core.testing.compare import plain_rows
from ddpm_core.testing.plugin import PluginConformance
from ddpm_core.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class ProcessorCapabilities:
    """What your processor may do. Tests ask for a capability, never for a name.

    Attributes:
        filters: It may drop rows.
        keeps_state: What becomes of a row depends on rows before it, so a batch gives other rows the second time.
    """

    filters: bool = False
    keeps_state: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A batch, and what must become of it.

    Attributes:
        rows: What comes in; at least two rows in the first step.
        becomes: What goes on.
        rejects: The rows that cannot go on: (row, reason).
    """

    rows: Sequence[Mapping[str, Any]]
    becomes: Sequence[Mapping[str, Any]]
    rejects: Sequence[tuple[int, str]] = ()


class ProcessorConformance(PluginConformance):
    """Inherit it, name your plugin, and give steps. Every test method is one promise of the contract of `Processor`.

    Attributes:
        steps: Batches in their order, with what becomes of them.
        schema: Of what comes in, or None to infer it from the rows.
        capabilities: What your processor may do.
        seed: Of everything random.
    """

    kind = "processor"
    steps: ClassVar[Sequence[Step]]
    schema: ClassVar[Any] = None
    capabilities: ClassVar[ProcessorCapabilities] = ProcessorCapabilities()
    seed: ClassVar[int] = 20_000_101

    def processor(self) -> Processor:
        """A new processor, not open."""
        return cast(Processor, self.made(self.spec().build))

    # What is asserted.

    def test_steps_become_what_they_should(self) -> None:
        processor = self._opened()
        for step in self.steps:
            done = processor.process(Batch(self._data(step)))
            assert plain_rows(_rows(done)) == plain_rows(step.becomes)
            assert sorted((reject.index, reject.reason) for reject in done.rejects) == sorted(step.rejects)
        processor.close()

    def test_the_batch_that_came_in_stays_as_it_was(self) -> None:
        processor = self._opened()
        for step in self.steps:
            data = self._data(step)
            origin = _int32([number + 10 for number in range(data.num_rows)])
            batch, before = Batch(data, origin), _bytes_of(data)
            processor.process(batch)
            assert batch.data is data, "the batch was given other data"
            assert batch.origin is origin, "the batch was given other origins"
            assert _bytes_of(data) == before, "the values of the batch were changed in place"

    def test_every_row_goes_on_or_is_rejected(self) -> None:
        processor = self._opened()
        for step in self.steps:
            data = self._data(step)
            done = processor.process(Batch(data))
            rejected = [reject.index for reject in done.rejects]
            assert set(rejected) <= set(range(data.num_rows)), "a reject points at a row that did not come in"
            assert len(rejected) == len(set(rejected)), "a row is rejected twice"
            if not self.capabilities.filters:
                lost = set(range(data.num_rows)) - set(rejected) - set(_origins(done))
                assert not lost, f"rows {sorted(lost)[:10]} neither went on nor were rejected"

    def test_origins_still_name_the_records(self) -> None:
        """A processor is not alone: a row's origin is a record of the source, and not the number of the row that came in."""
        alone, behind = self._opened(), self._opened()
        for step in self.steps:
            data = self._data(step)
            records = [7 + 3 * row for row in range(data.num_rows)]
            wanted = [records[row] for row in _origins(alone.process(Batch(data)))]
            done = behind.process(Batch(data, _int32(records)))
            assert _origins(done) == wanted, "origin was not carried from the batch that came in"
            if done.batch is not None and done.batch.origin is not None:
                assert str(done.batch.origin.type) == "int32", "origin must be int32"
                assert len(done.batch.origin) == done.batch.data.num_rows, "origin must have one entry for each row"

    def test_an_empty_batch_gives_no_rows(self) -> None:
        done = self._opened().process(Batch(self._data(self.steps[0]).slice(0, 0)))
        assert (_rows(done), done.rejects) == ([], [])

    def test_a_slice_is_that_slice(self) -> None:
        data = self._data(self.steps[0])
        sliced = self._opened().process(Batch(data.slice(1)))
        alone = self._opened().process(Batch(data.take(list(range(1, data.num_rows)))))
        assert plain_rows(_rows(sliced)) == plain_rows(_rows(alone))

    def test_the_schema_does_not_change_from_batch_to_batch(self) -> None:
        data = self._data(self.steps[0])
        processor = self._opened()
        schemas = [
            done.batch.data.schema
            for done in (processor.process(Batch(piece)) for piece in (data, data.slice(0, 1), data.slice(1), data))
            if done.batch is not None and done.batch.data.num_rows
        ]
        assert all(schema.equals(schemas[0]) for schema in schemas), "the same columns in, other columns out"

    def test_two_processors_share_nothing(self) -> None:
        data = self._data(self.steps[0])
        first, second = self._opened(), self._opened()
        first.process(Batch(data))
        assert plain_rows(_rows(second.process(Batch(data)))) == plain_rows(self.steps[0].becomes)

    def test_the_same_batch_gives_the_same_rows(self) -> None:
        if self.capabilities.keeps_state:
            pytest.skip("declared: keeps_state")
        data = self._data(self.steps[0])
        processor = self._opened()
        once = plain_rows(_rows(processor.process(Batch(data))))
        assert plain_rows(_rows(processor.process(Batch(data)))) == once

    def test_any_mix_of_rows_is_accounted_for(self) -> None:
        """Batches of any size, of any of the steps' rows in any order, with nulls where the schema allows them."""
        processor = self._opened()
        for number, data in enumerate(self._mixes()):
            batch, before = Batch(data), _bytes_of(data)
            done = processor.process(batch)
            assert _bytes_of(data) == before, f"mix {number} of seed {self.seed}: the values of the batch were changed in place"
            rejected = [reject.index for reject in done.rejects]
            gone = set(range(data.num_rows)) - set(_origins(done))
            assert set(rejected) <= set(range(data.num_rows)), f"mix {number} of seed {self.seed}: a reject of no row"
            assert self.capabilities.filters or gone <= set(rejected), f"mix {number} of seed {self.seed}: a row was lost"
            assert done.batch is None or set(_origins(done)) <= set(range(data.num_rows)), "an origin is no row that came in"

    def test_how_rows_are_batched_makes_no_difference(self) -> None:
        """A run that goes on after a crash, or on another day, cuts its batches elsewhere."""
        if self.capabilities.keeps_state:
            pytest.skip("declared: keeps_state")
        processor = self._opened()
        for number, data in enumerate(self._mixes()):
            cut = number % (data.num_rows + 1)
            pieces = [piece for piece in (data.slice(0, cut), data.slice(cut)) if piece.num_rows]
            done = [processor.process(Batch(piece)) for piece in pieces]
            whole = processor.process(Batch(data))
            assert plain_rows(_rows(whole)) == [row for piece in done for row in plain_rows(_rows(piece))]
            starts = [0, pieces[0].num_rows]
            rejects = [
                (reject.index + at, reject.reason) for at, piece in zip(starts, done, strict=False) for reject in piece.rejects
            ]
            assert sorted(rejects) == sorted((reject.index, reject.reason) for reject in whole.rejects)

    def test_reasons_are_stable_codes(self) -> None:
        processor = self._opened()
        for step in self.steps:
            for reject in processor.process(Batch(self._data(step))).rejects:
                assert re.fullmatch(r"[a-z][a-z0-9_]*", reject.reason), f"the reason {reject.reason!r} is not in snake case"
                assert reject.message.strip(), "a reject without a message"

    def test_close_is_safe_at_any_time(self) -> None:
        self.processor().close()
        processor = self._opened()
        assert isinstance(processor.held(), dict)
        processor.close()
        processor.close()

    # How.

    def _opened(self) -> Processor:
        processor = self.processor()
        processor.open()
        return processor

    def _mixes(self) -> Iterator[pa.RecordBatch]:
        """Rows of the steps, mixed; the same in each run."""
        import pyarrow as pa

        chosen = random.Random(self.seed)  # noqa: S311 - the same in each run
        for number in range(60):
            data = self._data(self.steps[number % len(self.steps)])
            size = chosen.randrange(1, 9)
            mixed = data.take([chosen.randrange(data.num_rows) for _ in range(size)])
            for place, field in enumerate(data.schema):
                if field.nullable and chosen.random() < 0.5:
                    values = [None if chosen.random() < 0.3 else value for value in mixed.column(place).to_pylist()]
                    mixed = mixed.set_column(place, field, pa.array(values, field.type))
            yield mixed

    def _data(self, step: Step) -> pa.RecordBatch:
        import pyarrow as pa

        return pa.RecordBatch.from_pylist([dict(row) for row in step.rows], schema=self.schema)


def _rows(done: Processed) -> list[dict[str, Any]]:
    return [] if done.batch is None else cast(list[dict[str, Any]], done.batch.data.to_pylist())


def _origins(done: Processed) -> list[int]:
    return [] if done.batch is None else [done.batch.record(row) for row in range(len(done.batch))]


def _int32(values: list[int]) -> pa.Int32Array:
    import pyarrow as pa

    return pa.array(values, pa.int32())


def _bytes_of(data: pa.RecordBatch) -> bytes:
    return cast(bytes, data.serialize().to_pybytes())
