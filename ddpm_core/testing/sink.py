"""What the kit asserts of a sink."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pytest

from ddpm_core.errors import FencedError, RetryableError
from ddpm_core.plugin.sink import Sink
from ddpm_core.plugin.specs import BuildContext
from ddpm_core.records import Batch, DeadLetter, Position, Positions
from ddpm_core.testing.compare import difference, in_any_order
from ddpm_core.testing.data import TYPE_FAMILIES, all_types, hostile_names, hostile_texts
from ddpm_core.testing.plugin import PluginConformance

if TYPE_CHECKING:
    import pyarrow as pa

PARTITION = "kit:/data/a #file with 'hostile' \"marks\".json"
"""A partition with generations: it is claimed by this name."""

GENERATION = f"{PARTITION}#1"
"""The generation that the kit commits."""

OTHER = "kit/1"
"""A partition without generations."""


@dataclass(frozen=True, slots=True)
class SinkCapabilities:
    """What your sink can do. Tests ask for a capability, never for a name.

    Attributes:
        transactional: Rows are seen by others after `commit` and not before, and `rollback` forgets them.
        types: The type families (`TYPE_FAMILIES`) that come back from `read_rows` as they went in, or as `expected` says.
        hostile_columns: Any text that `hostile_names` gives can be the name of a column.
        refuses_rows: A row whose value does not fit the column that is there is refused alone. Without, it lands or fails as a whole.
    """

    transactional: bool = True
    types: tuple[str, ...] = TYPE_FAMILIES
    hostile_columns: bool = True
    refuses_rows: bool = True


class SinkConformance(PluginConformance):
    """Inherit it, name your plugin, and override `target_options`, `read_rows`, and `read_dead_letter_ids` if it keeps them.

    The readers go past the sink, with the database's own client, so that what is written is not judged by what wrote it.
    """

    kind = "sink"
    capabilities: ClassVar[SinkCapabilities] = SinkCapabilities()

    @pytest.fixture
    def target_options(self) -> Mapping[str, Any]:
        """Options for a target that is new and empty. Override it as a fixture; it may use `tmp_path` and others."""
        raise NotImplementedError("override the fixture target_options")

    def read_rows(self, target_options: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What another client sees in the target now, in any order. Empty when the target is not there yet."""
        raise NotImplementedError("override read_rows")

    def read_dead_letter_ids(self, target_options: Mapping[str, Any]) -> list[str]:
        """The ids of the dead letters that another client sees."""
        raise NotImplementedError("override read_dead_letter_ids")

    def expected(self, data: pa.RecordBatch) -> list[dict[str, Any]]:
        """What `read_rows` gives when these rows have landed. Override it where the target's values look different."""
        return cast(list[dict[str, Any]], data.to_pylist())

    def build_sink(self, target_options: Mapping[str, Any]) -> Sink:
        """A new sink on this target, as another process would build it."""
        return cast(Sink, self.made(self.spec().build, target_options, BuildContext(pipeline="kit")))

    @pytest.fixture
    def build(self, target_options: Mapping[str, Any]) -> Iterator[Callable[[], Sink]]:
        """Makes open sinks that own both partitions of the kit, and closes them when the test ends."""
        made: list[Sink] = []

        def ready() -> Sink:
            sink = self.build_sink(target_options)
            made.append(sink)
            sink.open()
            sink.claim([PARTITION, OTHER])
            return sink

        yield ready
        for sink in made:
            sink.rollback()
            sink.close()

    @pytest.fixture(autouse=True)
    def _options(self, target_options: Mapping[str, Any]) -> None:
        self._target_options = target_options

    def options_for_checks(self) -> Mapping[str, Any]:
        return getattr(self, "_target_options", self.options)

    # What is asserted.

    def test_the_guarantee_is_what_the_sink_keeps(self, target_options: Mapping[str, Any]) -> None:
        sink = self.build_sink(target_options)
        assert (self.spec().guarantee == "exactly_once") == sink.keeps_positions
        assert not sink.keeps_dead_letters or sink.keeps_positions, "dead letters kept here must be in a transaction"

    def test_every_type_lands_as_it_is(self, build: Callable[[], Sink], target_options: Mapping[str, Any]) -> None:
        data = all_types(families=self.capabilities.types)
        sink = build()
        assert sink.write(Batch(data)) == []
        sink.commit({GENERATION: Position(data.num_rows)}, [])
        self._holds(target_options, data)

    def test_rows_are_seen_after_commit(self, build: Callable[[], Sink], target_options: Mapping[str, Any]) -> None:
        sink = build()
        sink.write(Batch(_rows(0, 10)))
        sink.write(Batch(_rows(10, 11)))
        if self.capabilities.transactional:
            assert self.read_rows(target_options) == [], "rows are seen before commit"
        sink.commit({GENERATION: Position(11)}, [])
        self._holds(target_options, _rows(0, 11))

    def test_round_after_round_lands(self, build: Callable[[], Sink], target_options: Mapping[str, Any]) -> None:
        sink = build()
        for start in range(0, 30, 10):
            sink.write(Batch(_rows(start, start + 10)))
            sink.commit({GENERATION: Position(start + 10)}, [])
        self._holds(target_options, _rows(0, 30))

    def test_a_slice_of_a_batch_lands_as_that_slice(self, build: Callable[[], Sink], target_options: Mapping[str, Any]) -> None:
        sink = build()
        sink.write(Batch(_rows(0, 20).slice(5, 10)))
        sink.commit({GENERATION: Position(10)}, [])
        self._holds(target_options, _rows(5, 15))

    def test_rollback_forgets_the_round(self, build: Callable[[], Sink], target_options: Mapping[str, Any]) -> None:
        sink = build()
        sink.write(Batch(_rows(0, 10)))
        sink.rollback()
        sink.rollback()
        if not self.capabilities.transactional:
            return
        sink.write(Batch(_rows(10, 20)))
        sink.commit({GENERATION: Position(20)}, [])
        self._holds(target_options, _rows(10, 20))

    def test_closing_does_not_commit(self, build: Callable[[], Sink], target_options: Mapping[str, Any]) -> None:
        sink = build()
        sink.write(Batch(_rows(0, 10)))
        sink.close()
        if self.capabilities.transactional:
            assert self.read_rows(target_options) == []

    def test_a_new_sink_knows_the_committed_positions(self, build: Callable[[], Sink], target_options: Mapping[str, Any]) -> None:
        self._keeps_positions(target_options)
        detail = {
            "file": {"size": 2**53, "hash": "ab\"'\\"},
            "resume": {"byte": 7},
            "text": "Ä漢😀\n",
            "none": None,
            "list": [1.5, True],
        }
        sink = build()
        sink.write(Batch(_rows(0, 5)))
        sink.commit({GENERATION: Position(5, detail)}, [])
        sink.write(Batch(_rows(5, 6)))
        sink.commit({OTHER: Position(1)}, [])
        sink.close()
        again = self.build_sink(target_options)
        again.open()
        try:
            assert _known(again, PARTITION) == {GENERATION: Position(5, detail)}
            assert _known(again, OTHER, "kit/unknown") == {OTHER: Position(1)}
        finally:
            again.close()

    def test_claiming_a_partition_gives_all_its_generations(
        self, build: Callable[[], Sink], target_options: Mapping[str, Any]
    ) -> None:
        self._keeps_positions(target_options)
        sink = build()
        wanted = {f"{OTHER}#aaa": Position(3, {"finished": True}), f"{OTHER}#bbb": Position(2)}
        sink.write(Batch(_rows(0, 5)))
        sink.commit(wanted, [])
        sink.close()
        again = self.build_sink(target_options)
        again.open()
        try:
            assert _known(again, OTHER) == wanted
            again.write(Batch(_rows(5, 6)))
            again.commit({f"{OTHER}#bbb": Position(3)}, [])
        finally:
            again.close()

    def test_a_failed_round_written_again_lands_once(self, build: Callable[[], Sink], target_options: Mapping[str, Any]) -> None:
        """As the engine does after a `RetryableError`: roll back, close, open, claim, and write what the positions lack."""
        sink = build()
        sink.write(Batch(_rows(0, 10)))
        sink.commit({GENERATION: Position(10)}, [])
        sink.write(Batch(_rows(10, 20)))
        sink.rollback()
        sink.close()
        sink.open()
        known = sink.claim([PARTITION, OTHER])
        start = known[GENERATION].offset if sink.keeps_positions else 0
        sink.write(Batch(_rows(start, 20)))
        sink.commit({GENERATION: Position(20)}, [])
        if sink.keeps_positions:
            self._holds(target_options, _rows(0, 20))
        else:
            landed = {row["id"] for row in self.read_rows(target_options)}
            assert landed == set(range(20)), "at least once: no row may be missing"

    def test_another_owner_fences_this_one(self, build: Callable[[], Sink], target_options: Mapping[str, Any]) -> None:
        self._keeps_positions(target_options)
        first = build()
        first.write(Batch(_rows(0, 5)))
        first.commit({GENERATION: Position(5)}, [])
        second = build()
        first.write(Batch(_rows(5, 10)))
        with pytest.raises(FencedError):
            first.commit({GENERATION: Position(10)}, [])
        first.rollback()
        second.write(Batch(_rows(5, 10)))
        second.commit({GENERATION: Position(10)}, [])
        self._holds(target_options, _rows(0, 10))

    def test_of_two_first_commits_one_lands(self, build: Callable[[], Sink], target_options: Mapping[str, Any]) -> None:
        self._keeps_positions(target_options)
        first, second = build(), build()
        second.write(Batch(_rows(0, 5)))
        second.commit({GENERATION: Position(5)}, [])
        with pytest.raises((FencedError, RetryableError)):  # Retryable: it may find out as soon as it makes the same table.
            _round(first, _rows(0, 5), Position(5))
        first.rollback()
        self._holds(target_options, _rows(0, 5))

    def test_hostile_column_names(self, build: Callable[[], Sink], target_options: Mapping[str, Any]) -> None:
        import pyarrow as pa

        if not self.capabilities.hostile_columns:
            pytest.skip("not declared: hostile_columns")
        data = pa.RecordBatch.from_pydict({name: pa.array([number, number + 1]) for number, name in enumerate(hostile_names())})
        sink = build()
        assert sink.write(Batch(data)) == []
        sink.commit({GENERATION: Position(2)}, [])
        self._holds(target_options, data)

    def test_hostile_texts(self, build: Callable[[], Sink], target_options: Mapping[str, Any]) -> None:
        import pyarrow as pa

        texts = [*hostile_texts(), None]
        data = pa.RecordBatch.from_pydict({"id": pa.array(range(len(texts)), pa.int64()), "text": pa.array(texts, pa.string())})
        sink = build()
        assert sink.write(Batch(data)) == []
        sink.commit({GENERATION: Position(len(texts))}, [])
        self._holds(target_options, data)

    def test_a_nul_in_a_text_does_not_cost_its_neighbours(
        self, build: Callable[[], Sink], target_options: Mapping[str, Any]
    ) -> None:
        import pyarrow as pa

        data = pa.RecordBatch.from_pydict({"id": [0, 1, 2], "text": ["a", "b\x00c", "d"]})
        sink = build()
        refused = {reject.index for reject in sink.write(Batch(data))}
        sink.commit({GENERATION: Position(3)}, [])
        assert refused <= {1}
        self._holds(target_options, data.take([row for row in range(3) if row not in refused]))

    def test_a_refused_row_does_not_cost_its_neighbours(self, build: Callable[[], Sink], target_options: Mapping[str, Any]) -> None:
        import pyarrow as pa

        if not self.capabilities.refuses_rows:
            pytest.skip("not declared: refuses_rows")
        sink = build()
        sink.write(Batch(_rows(0, 1)))
        sink.commit({GENERATION: Position(1)}, [])
        data = pa.RecordBatch.from_pydict({"id": ["1", "no number", "3"], "text": ["row 1", "row 2", "row 3"]})
        rejects = sink.write(Batch(data))
        sink.commit({GENERATION: Position(4)}, [])
        assert [reject.index for reject in rejects] == [1]
        assert rejects[0].reason.replace("_", "").isalnum(), f"the reason {rejects[0].reason!r} is no stable code"
        assert rejects[0].message, "a reject without a message"
        assert {row["id"] for row in self.read_rows(target_options)} == {0, 1, 3}

    def test_an_empty_batch_changes_nothing(self, build: Callable[[], Sink], target_options: Mapping[str, Any]) -> None:
        sink = build()
        assert sink.write(Batch(_rows(0, 0))) == []
        assert sink.write(Batch(_rows(0, 3))) == []
        assert sink.write(Batch(_rows(0, 0))) == []
        sink.commit({GENERATION: Position(3)}, [])
        self._holds(target_options, _rows(0, 3))

    def test_a_round_may_hold_nothing_but_a_position(self, build: Callable[[], Sink], target_options: Mapping[str, Any]) -> None:
        sink = build()
        sink.commit({GENERATION: Position(7)}, [])
        sink.commit({GENERATION: Position(9)}, [])
        known = _known(sink, PARTITION)
        assert known == ({GENERATION: Position(9)} if sink.keeps_positions else {})
        assert self.read_rows(target_options) == []

    def test_dead_letters_are_kept_once(self, build: Callable[[], Sink], target_options: Mapping[str, Any]) -> None:
        sink = build()
        if not sink.keeps_dead_letters:
            pytest.skip("this sink keeps no dead letters")
        sink.write(Batch(_rows(0, 1)))
        sink.commit({GENERATION: Position(1)}, [dead_letter("first"), dead_letter("second")])
        sink.commit({GENERATION: Position(2)}, [dead_letter("second"), dead_letter("third")])
        assert sorted(self.read_dead_letter_ids(target_options)) == ["first", "second", "third"]

    def test_dead_letters_are_rolled_back_with_their_round(
        self, build: Callable[[], Sink], target_options: Mapping[str, Any]
    ) -> None:
        first = build()
        if not first.keeps_dead_letters:
            pytest.skip("this sink keeps no dead letters")
        first.commit({GENERATION: Position(1)}, [dead_letter("before")])
        build()
        with pytest.raises(FencedError):
            first.commit({GENERATION: Position(2)}, [dead_letter("fenced")])
        first.rollback()
        assert self.read_dead_letter_ids(target_options) == ["before"]

    def test_the_columns_of_the_target_are_told(self, build: Callable[[], Sink]) -> None:
        import pyarrow as pa

        sink = build()
        before = sink.expected_schema()
        sink.write(Batch(_rows(0, 1)))
        sink.commit({GENERATION: Position(1)}, [])
        after = sink.expected_schema()
        for schema in (before, after):
            assert schema is None or isinstance(schema, pa.Schema)
        assert after is None or {"id", "text"} <= set(after.names), "a schema is told, and it lacks columns of the target"

    def test_close_is_safe_at_any_time(self, target_options: Mapping[str, Any]) -> None:
        sink = self.build_sink(target_options)
        sink.rollback()
        sink.close()
        sink.close()
        sink.open()
        sink.rollback()
        sink.close()
        sink.rollback()
        sink.close()

    def test_a_closed_sink_can_be_opened_again(self, build: Callable[[], Sink], target_options: Mapping[str, Any]) -> None:
        sink = build()
        sink.close()
        sink.open()
        sink.claim([PARTITION, OTHER])
        sink.write(Batch(_rows(0, 3)))
        sink.commit({GENERATION: Position(3)}, [])
        self._holds(target_options, _rows(0, 3))

    def test_cancel_is_safe_when_nothing_runs(self, target_options: Mapping[str, Any]) -> None:
        self.build_sink(target_options).cancel()
        sink = self.build_sink(target_options)
        sink.open()
        sink.cancel()
        sink.close()
        sink.cancel()

    # How.

    def _keeps_positions(self, target_options: Mapping[str, Any]) -> None:
        if not self.build_sink(target_options).keeps_positions:
            pytest.skip("this sink keeps no positions")

    def _holds(self, target_options: Mapping[str, Any], data: pa.RecordBatch) -> None:
        got, wanted = in_any_order(self.read_rows(target_options)), in_any_order(self.expected(data))
        assert got == wanted, difference(got, wanted)


def dead_letter(name: str) -> DeadLetter:
    """A dead letter with this id, and something awkward in every other field."""
    return DeadLetter(
        id=name,
        pipeline="kit",
        source='/data/it\'s "here".json',
        partition=GENERATION,
        offset=2**40,
        byte_offset=None,
        stage="parse",
        reason="json_invalid",
        message="bad \x00 text\nÄ漢😀 \\",
        plugin="json",
        plugin_version="1.0",
        sink="",
        payload=b"\x00\xff'\"\\",
        payload_kind="bytes",
        view=None,
        attempts=1,
        created_at=datetime(2020, 1, 2, 3, 4, 5, 678_000, tzinfo=timezone.utc),  # noqa: UP017
    )


def _round(sink: Sink, data: pa.RecordBatch, position: Position) -> None:
    sink.write(Batch(data))
    sink.commit({GENERATION: position}, [])


def _known(sink: Sink, *partitions: str) -> Positions:
    """What a claim tells. A partition with generations may have a position of its own, which stays at 0."""
    return {name: at for name, at in sink.claim(partitions).items() if at != Position(0)}


def _rows(start: int, stop: int) -> pa.RecordBatch:
    import pyarrow as pa

    numbers: Sequence[int] = range(start, stop)
    return pa.RecordBatch.from_pydict(
        {"id": pa.array(numbers, pa.int64()), "text": pa.array([f"row {number}" for number in numbers], pa.string())}
    )
