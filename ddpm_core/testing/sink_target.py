"""What the kit needs of a sink's author, and what its assertions of sinks share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, cast

import pytest

from ddpm_core.plugin.sink import Sink
from ddpm_core.plugin.specs import BuildContext, OutputFormat
from ddpm_core.records import Batch, DeadLetter, Position, Positions
from ddpm_core.registry import Registry
from ddpm_core.testing.compare import difference, in_any_order
from ddpm_core.testing.data import TYPE_FAMILIES
from ddpm_core.testing.plugin import PluginConformance
from ddpm_core.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa

Build: TypeAlias = Callable[..., Sink]
"""What the fixture `build` is: option name=value, beside the target's -> an open sink."""

Target: TypeAlias = Mapping[str, Any]
"""What the fixture `target_options` gives."""

PARTITION = "kit:/data/a #file with 'hostile' \"marks\".json"
"""A partition with generations: it is claimed by this name."""

GENERATION = f"{PARTITION}#1"
"""The generation that the kit commits."""

OTHER = "kit/1"
"""A partition without generations."""


@dataclass(frozen=True, slots=True)
class SinkCapabilities:
    """What your sink can do. Tests ask for a capability, never for a name. How it can write is asked of the spec's `modes`.

    Attributes:
        transactional: Rows are seen by others after `commit` and not before, and `rollback` forgets them.
        types: The type families (`TYPE_FAMILIES`) that come back from `read_rows` as they went in, or as `expected` says.
        hostile_columns: Any text that `hostile_names` gives can be the name of a column.
        refuses_rows: A row whose value does not fit the column that is there is refused alone. Without, it lands or fails as a whole.
        grows: Rows with a further column land with it, in a target that DDPM made.
        fills: Options, beside the target's, under which a new round is not `full` and becomes so before 10,000 rows of a number and a
            text. Needed by sinks whose `full` is ever False.
    """

    transactional: bool = True
    types: tuple[str, ...] = TYPE_FAMILIES
    hostile_columns: bool = True
    refuses_rows: bool = True
    grows: bool = True
    fills: Mapping[str, Any] | None = None


class SinkTarget(PluginConformance):
    """The target under test: how it is made, written and read. `SinkConformance` adds what is asserted."""

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
        """A new sink on this target, as another process would build it. The formats that it may write are those installed here."""
        return cast(Sink, self.made(self.spec().build, target_options, BuildContext(pipeline="kit", output=installed_format)))

    @pytest.fixture
    def build(self, target_options: Mapping[str, Any]) -> Iterator[Build]:
        """Makes open sinks that own both partitions of the kit, and closes them when the test ends."""
        made: list[Sink] = []

        def ready(**options: Any) -> Sink:
            sink = self.build_sink({**target_options, **options})
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

    def skip_without_positions(self, target_options: Mapping[str, Any]) -> None:
        """For assertions about positions."""
        if not self.build_sink(target_options).keeps_positions:
            pytest.skip("this sink keeps no positions")

    def skip_without_mode(self, mode: str) -> None:
        """For assertions about a way to write."""
        if mode not in self.spec().modes:
            pytest.skip(f"the spec has no mode {mode}")

    def holds(self, target_options: Mapping[str, Any], data: pa.RecordBatch) -> None:
        """Assert that these rows are what another client sees, and no others."""
        got, wanted = in_any_order(self.read_rows(target_options)), in_any_order(self.expected(data))
        assert got == wanted, difference(got, wanted)


def installed_format(name: str, options: Mapping[str, Any]) -> OutputFormat:
    """A format for a sink to write, as the engine hands it out."""
    from ddpm_core.engine.build import output_format

    return output_format(Registry.discover(), name, options)


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


def known(sink: Sink, *partitions: str) -> Positions:
    """What a claim tells. A partition with generations may have a position of its own, which stays at 0."""
    return {name: at for name, at in sink.claim(partitions).items() if at != Position(0)}


def some_rows(start: int, stop: int, *, text: str = "row {}") -> pa.RecordBatch:
    """Rows with the columns `id`, which counts from `start`, and `text`."""
    import pyarrow as pa

    numbers: Sequence[int] = range(start, stop)
    return pa.RecordBatch.from_pydict(
        {"id": pa.array(numbers, pa.int64()), "text": pa.array([text.format(number) for number in numbers], pa.string())}
    )


def land(sink: Sink, data: pa.RecordBatch, upto: int, *, partition: str = GENERATION) -> None:
    """A round of these rows, none of which may be refused."""
    rejects = sink.write(Batch(data))
    assert rejects == [], f"rows were refused: {rejects[:3]}"
    sink.commit({partition: Position(upto)}, [])


def stacked(*batches: pa.RecordBatch) -> pa.RecordBatch:
    """The rows of these batches as one, by the names of their columns; a column that one of them lacks is null there."""
    import pyarrow as pa

    table = pa.concat_tables([pa.Table.from_batches([batch]) for batch in batches], promote_options="default")
    return table.combine_chunks().to_batches()[0]
