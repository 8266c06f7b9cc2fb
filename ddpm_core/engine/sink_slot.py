"""A sink in its place in a pipeline: what delivery knows about it, and the transaction it is in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from ddpm_core.engine.blame import blame
from ddpm_core.engine.breaker import Breaker
from ddpm_core.engine.chunk import Chunk, Refusal
from ddpm_core.engine.contract import check_claimed, check_refused
from ddpm_core.engine.joining import joined, neighbours, parted
from ddpm_core.engine.limit import Counted, RejectLimit
from ddpm_core.errors import FatalError, RetryableError
from ddpm_core.plugin.events import BreakerChanged, Event
from ddpm_core.plugin.sink import Sink
from ddpm_core.plugin.specs import Plugin, SinkSpec
from ddpm_core.records import Batch, DeadLetter, Positions, Reject, stream_of
from ddpm_core.values import dataclass

if TYPE_CHECKING:
    from ddpm_core.engine.routing import Route

T = TypeVar("T")

PORTION_RECORDS = 40_000
"""Records after which is looked whether too many were refused, since each of those costs two kilobytes. Statements that join batches
(`Sink.write_rows`) stay about as large."""


@dataclass(slots=True)
class Landed:
    """What became of a chunk at a sink: rows written and records set aside."""

    chunk: Chunk
    rows: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    def counted(self) -> Counted:
        """For the limit on rejects."""
        return Counted(self.chunk.records, frozenset(refusal.record for refusal in self.refusals))


Piece: TypeAlias = tuple[Landed, list[Batch]]
"""A chunk at a sink, with the rows that are for it."""


def portions(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """The pieces of a group in their order, each portion with `PORTION_RECORDS` or the few more that its last piece has."""
    portion: list[Piece] = []
    records = 0
    for piece in pieces:
        portion.append(piece)
        records += piece[0].chunk.records
        if records >= PORTION_RECORDS:
            yield portion
            portion, records = [], 0
    if portion:
        yield portion


@dataclass(slots=True)
class Round:
    """A sink's transaction in progress."""

    landed: list[Landed] = field(default_factory=list)
    positions: Positions = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)


class SinkSlot:
    """A sink of the pipeline with what delivery knows about it.

    Attributes:
        name: The sink's name in the pipeline.
        positions: What this sink has committed, as far as is known.
        route: Which rows go to it; None: all do.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        plugin: Plugin[SinkSpec],
        limit: RejectLimit,
        emit: Callable[[Event], None] = lambda _: None,
        route: Route | None = None,
    ) -> None:
        self.name = name
        self.sink = sink
        self.plugin = plugin
        self.limit = limit
        self.route = route
        self.positions: Positions = {}
        self.claimed: list[str] = []
        self.round = Round()
        self.breaker = Breaker(lambda state: emit(BreakerChanged(name, state)))

    def call(self, method: Callable[[], T]) -> T:
        """Call into the plugin; an error that is none of DDPM's becomes a `PluginError` that names it."""
        return blame(self.plugin, method)

    def open(self) -> None:
        """Open the sink, and claim again what was claimed before."""
        self.call(self.sink.open)
        if self.claimed:
            before, self.positions = self.positions, self.claim(self.claimed)
            if not self.sink.atomic:
                self._must_still_have(before)

    def claim(self, partitions: Sequence[str]) -> Positions:
        """Take ownership; where the sink stands."""
        found = self.call(lambda: self.sink.claim(partitions))
        check_claimed(self.plugin, found)
        return found

    def in_round(self, action: Callable[[], T]) -> T:
        """Do a part of a round. An error of the environment ends the round at once: it must hold no lock while the engine waits."""
        try:
            return action()
        except RetryableError:
            self.call(self.sink.rollback)
            raise

    def write(self, batches: Sequence[Batch]) -> list[list[Reject]]:
        """Write these in their order; a sink that wants much at once gets neighbours as one. Returns what it refused of each."""
        refused: list[list[Reject]] = []
        for group in neighbours(batches, self.sink.write_rows):
            batch = joined(group)
            rejects = self.call(partial(self.sink.write, batch))
            check_refused(self.plugin, rejects, batch)
            refused += parted(rejects, group)
        return refused

    def refusals(self, stage: str, batch: Batch, rejects: Sequence[Reject]) -> list[Refusal]:
        """What was rejected of a batch on its way here, as its chunk keeps it."""
        by = (stage, self.plugin.spec.name, self.plugin.version, self.name)
        return [Refusal(batch.record(reject.index), reject, *by) for reject in rejects]

    def restore(self) -> None:
        """After an error of the environment: start over, and learn what had been committed."""
        self.call(self.sink.rollback)
        self.call(self.sink.close)
        self.open()

    def _must_still_have(self, before: Positions) -> None:
        """The chunks at hand begin behind what had been committed: written without it, its rows would be missing for good."""
        for partition, position in before.items():
            now = self.positions.get(partition)
            if stream_of(partition) in self.claimed and (now is None or now.offset < position.offset):
                raise FatalError(
                    f"{self.name} no longer has what had landed of {partition}",
                    hint="Its table was dropped or replaced, or the server lost commits. Run the same command again.",
                )

    def forget(self, partitions: Sequence[str]) -> None:
        """What is known of these is out of date."""
        again = set(partitions)
        self.positions = {name: at for name, at in self.positions.items() if name not in again and stream_of(name) not in again}

    def give_up(self, partitions: Sequence[str]) -> None:
        """These are another instance's now: forget the round, and never claim them again."""
        self.call(self.sink.rollback)
        self.claimed = [partition for partition in self.claimed if partition not in partitions]
