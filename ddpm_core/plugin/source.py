"""The contract of a source: where undecoded data comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from ddpm_core.records import Document, Item, Positions


class Source(ABC):
    """A set of partitions, each an ordered sequence of records with an integer offset.

    Every method is called from one thread, the engine's intake. The order is: `open`, then `read` again and again. When `read`
    returns `Assigned`, the engine claims those partitions at the sinks and answers with one `seek`; until then `read` returns
    nothing of them. `close` comes last, and also after a failed `open`.

    Partitions may go again (a consumer group rebalances): before a source lets go of them it calls `drain`, and when they were taken
    without warning it calls `lost`, both from within `read` or `close`. When they come back they are `Assigned` again.
    """

    drain: Callable[[Sequence[str]], None] = staticmethod(lambda _: None)
    """Set by the engine before `open`. Returns when all that was handed out of these partitions has been committed, `commit` having been
    called for it, or when it cannot be waited for any longer. What is not committed by then is dropped: who reads them next has it."""

    lost: Callable[[Sequence[str]], None] = staticmethod(lambda _: None)
    """Set by the engine before `open`. Nothing of these partitions is committed any more; what was handed out of them is dropped."""

    @abstractmethod
    def open(self) -> None:
        """Connect, list what there is. Called once.

        Raises:
            ConfigError: What was asked for does not exist; no sink has been touched yet.
            RetryableError: It is not reachable now; the engine closes, waits and opens again.
        """

    def inspect(self) -> None:
        """As `open`, for looking only: what is missing is told, and nothing is made or joined. Called instead of it; `close` follows."""
        self.open()

    @abstractmethod
    def seek(self, positions: Positions) -> None:
        """Go on from where the sinks stand. Called once for each `Assigned`, in their order: it answers the oldest that is not answered
        yet. Partitions of it that were given up meanwhile are to be ignored.

        Args:
            positions: For each partition assigned, and for each generation of it that a sink knows, the lowest position of the
                sinks. A partition that no sink has seen is absent: begin at its beginning.
        """

    def upcoming(self) -> Document | None:
        """The first document that the partitions returned last will give, if no sink knows it. None, as here, where that cannot be told.

        Called at most once after each `Assigned`, before its `seek`. The engine may parse its beginning meanwhile. When `read` then returns a
        document with the same stream it goes on, or sets the stream back to its beginning where the document does not start there. So
        this is for streams that can seek, and that cost little to read in vain.
        """
        return None

    @abstractmethod
    def read(self, timeout: float) -> Item | None:
        """The next piece, or None when there is nothing within `timeout` seconds or while a `seek` is awaited.

        A `Document` is read to its end by the engine before `read` is called again. After `EndOfSource` it is not called again.

        Raises:
            RetryableError: As in `open`.
        """

    def pause(self, partitions: Sequence[str]) -> None:
        """Return nothing of these partitions until `resume`, and keep connections alive. The memory budget is used up.

        Called only for sources that hand out Messages, and only when a sink has not taken anything for a while: a short wait is simply
        a pause between two `read`s. `read` is called on, so that the source stays alive. A document is simply not read on.
        """

    def resume(self, partitions: Sequence[str]) -> None:
        """The opposite of `pause`."""

    def reassign(self, partitions: Sequence[str]) -> None:
        """Another instance claimed these at a sink, though they are still this source's: return them as `Assigned` once more, and
        nothing of them until the `seek` that follows. Called for sources that hand out Messages, at most every few seconds."""

    def commit(self, positions: Positions) -> None:
        """Every sink has committed up to here. For sources that keep a position of their own (a consumer group's offset).

        May come late, and not for every chunk. Where a sink keeps positions (`BuildContext.positions_kept`), what is kept here is a gauge
        and never believed over theirs; where none does, it is where the next run goes on.
        """

    def close(self) -> None:
        """Give everything back. Safe without `open` and when called again; nothing is read afterwards."""
