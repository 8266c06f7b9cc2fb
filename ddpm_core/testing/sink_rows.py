"""What the kit asserts of a sink's rows: whatever comes lands as it is, in its column, and a bad row alone is refused."""

from __future__ import annotations

import pytest

from ddpm_core.records import Batch, Position
from ddpm_core.testing.compare import difference
from ddpm_core.testing.data import all_types, hostile_names, hostile_texts
from ddpm_core.testing.sink_target import GENERATION, Build, SinkTarget, Target, land, some_rows, stacked


class SinkRows(SinkTarget):
    """Of rows. The other mix-ins of `SinkConformance` are about rounds, positions and modes."""

    def test_every_type_lands_as_it_is(self, build: Build, target_options: Target) -> None:
        data = all_types(families=self.capabilities.types)
        sink = build()
        assert sink.write(Batch(data)) == []
        sink.commit({GENERATION: Position(data.num_rows)}, [])
        self.holds(target_options, data)

    def test_a_slice_of_a_batch_lands_as_that_slice(self, build: Build, target_options: Target) -> None:
        sink = build()
        sink.write(Batch(some_rows(0, 20).slice(5, 10)))
        sink.commit({GENERATION: Position(10)}, [])
        self.holds(target_options, some_rows(5, 15))

    def test_hostile_column_names(self, build: Build, target_options: Target) -> None:
        import pyarrow as pa

        if not self.capabilities.hostile_columns:
            pytest.skip("not declared: hostile_columns")
        data = pa.RecordBatch.from_pydict({name: pa.array([number, number + 1]) for number, name in enumerate(hostile_names())})
        sink = build()
        assert sink.write(Batch(data)) == []
        sink.commit({GENERATION: Position(2)}, [])
        self.holds(target_options, data)

    def test_hostile_texts(self, build: Build, target_options: Target) -> None:
        import pyarrow as pa

        texts = [*hostile_texts(), None]
        data = pa.RecordBatch.from_pydict({"id": pa.array(range(len(texts)), pa.int64()), "text": pa.array(texts, pa.string())})
        sink = build()
        assert sink.write(Batch(data)) == []
        sink.commit({GENERATION: Position(len(texts))}, [])
        self.holds(target_options, data)

    def test_a_nul_in_a_text_does_not_cost_its_neighbours(self, build: Build, target_options: Target) -> None:
        import pyarrow as pa

        data = pa.RecordBatch.from_pydict({"id": [0, 1, 2], "text": ["a", "b\x00c", "d"]})
        sink = build()
        refused = {reject.index for reject in sink.write(Batch(data))}
        sink.commit({GENERATION: Position(3)}, [])
        assert refused <= {1}
        self.holds(target_options, data.take([row for row in range(3) if row not in refused]))

    def test_a_refused_row_does_not_cost_its_neighbours(self, build: Build, target_options: Target) -> None:
        import pyarrow as pa

        if not self.capabilities.refuses_rows:
            pytest.skip("not declared: refuses_rows")
        sink = build()
        sink.write(Batch(some_rows(0, 1)))
        sink.commit({GENERATION: Position(1)}, [])
        data = pa.RecordBatch.from_pydict({"id": ["1", "no number", "3"], "text": ["row 1", "row 2", "row 3"]})
        rejects = sink.write(Batch(data))
        sink.commit({GENERATION: Position(4)}, [])
        assert [reject.index for reject in rejects] == [1]
        assert rejects[0].reason.replace("_", "").isalnum(), f"the reason {rejects[0].reason!r} is no stable code"
        assert rejects[0].message, "a reject without a message"
        assert {row["id"] for row in self.read_rows(target_options)} == {0, 1, 3}

    def test_an_empty_batch_changes_nothing(self, build: Build, target_options: Target) -> None:
        sink = build()
        assert sink.write(Batch(some_rows(0, 0))) == []
        assert sink.write(Batch(some_rows(0, 3))) == []
        assert sink.write(Batch(some_rows(0, 0))) == []
        sink.commit({GENERATION: Position(3)}, [])
        self.holds(target_options, some_rows(0, 3))

    def test_the_columns_of_the_target_are_told(self, build: Build) -> None:
        import pyarrow as pa

        sink = build()
        before = sink.expected_schema()
        sink.write(Batch(some_rows(0, 1)))
        sink.commit({GENERATION: Position(1)}, [])
        after = sink.expected_schema()
        for schema in (before, after):
            assert schema is None or isinstance(schema, pa.Schema)
        assert after is None or {"id", "text"} <= set(after.names), "a schema is told, and it lacks columns of the target"

    def test_columns_are_matched_by_name(self, build: Build, target_options: Target) -> None:
        """Later batches may have the columns in another order, or lack some of them."""
        sink = build()
        land(sink, some_rows(0, 3), 3)
        sink.write(Batch(some_rows(3, 6).select(["text", "id"])))
        sink.write(Batch(some_rows(6, 9).select(["id"])))
        sink.commit({GENERATION: Position(9)}, [])
        self.holds(target_options, stacked(some_rows(0, 6), some_rows(6, 9).select(["id"])))

    def test_a_further_column_lands(self, build: Build, target_options: Target) -> None:
        """In the middle of a round, in a later one, and in one of another instance."""
        import pyarrow as pa

        if not self.capabilities.grows:
            pytest.skip("not declared: grows")
        wide = [some_rows(n, n + 2).append_column(f"more{n}", pa.array([n, None], pa.int64())) for n in (2, 4, 6)]
        sink = build()
        sink.write(Batch(some_rows(0, 2)))
        assert sink.write(Batch(wide[0])) == []
        sink.commit({GENERATION: Position(4)}, [])
        land(sink, wide[1], 6)
        sink.close()
        land(build(), wide[2], 8)
        self.holds(target_options, stacked(some_rows(0, 2), *wide))

    def test_a_column_without_a_value_waits_for_one(self, build: Build, target_options: Target) -> None:
        """A column of the null type has no type yet: the first value that comes decides."""
        import pyarrow as pa

        if not self.capabilities.grows:
            pytest.skip("not declared: grows")
        nothing = some_rows(0, 2).append_column("late", pa.nulls(2))
        something = some_rows(2, 4).append_column("late", pa.array(["at last", None]))
        sink = build()
        land(sink, nothing, 2)
        land(sink, something, 4)
        land(sink, some_rows(4, 5).append_column("late", pa.nulls(1)), 5)
        self.holds(target_options, stacked(some_rows(0, 2), something, some_rows(4, 5)))

    def test_a_batch_as_large_as_they_come_lands(self, build: Build, target_options: Target) -> None:
        """A step's 16,384 rows in one write: 81,920 values are more than a statement's parameters may be."""
        data = some_rows(0, 16_384)
        for number in range(3):
            data = data.append_column(f"n{number}", data["id"])
        land(build(), data, data.num_rows)
        got = sorted(self.read_rows(target_options), key=lambda row: int(row["id"]))
        assert difference(got, self.expected(data)) == ""
