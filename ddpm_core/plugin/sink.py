"""The contract of a sink: where rows land, and how a sink says what it has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from ddpm_core.errors import ConfigError
from ddpm_core.records import Batch, DeadLetter, Positions, Reject
from ddpm_core.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A statement that a sink would run to change its target, and why."""

    ddl: str
    why: str


class Sink(ABC):
    """Takes batches, and makes them durable together with the position they reach.

    All methods but `cancel` are called from one thread, the engine's load. The order is: `open`, `claim`, then any number of
    rounds of `write`s and one `commit` or `rollback`, then `close`. A round begins with its first `write` (or with `commit`,
    when a chunk holds nothing but a position). After an error in a round the engine calls `rollback`; after a `RetryableError`
    also `close`, and later `open` and `claim` again, so an instance must survive being reopened.
    """

    keeps_positions: bool = False
    """Whether positions are kept with the rows in one transaction. Without, delivery is at least once. Fixed when the sink is built."""

    keeps_dead_letters: ClassVar[bool] = False
    """Whether `commit` stores dead letters in the same transaction. Without, the engine keeps them in a file."""

    transaction_bytes: int = 4 << 20
    """About how much one round should hold, in bytes as read or as decoded, where more waits to be written. Asked for again and again:
    a sink may change it when it sees its rows.

    The chunks of a round are kept in memory until its commit, so that it can be written again: what is named here, a run may need.
    With several sinks, the smallest counts.
    """

    transaction_seconds: float = 0.0
    """How long a round may stay open for more to come while it holds less than `transaction_bytes`, counted from its first chunk.

    With 0, what waits is committed at once. More is for sinks that write much data in one transaction for less than in many. It is
    also how much later rows may be seen than without. With several sinks, the smallest counts.
    """

    write_rows: int = 0
    """About how many rows `write` should get at once, where batches with the same columns wait for the same round; 0: as they come.

    A batch of several has neither `src` nor `origin`. Documents that land as a whole are never joined with others.
    """

    @property
    def atomic(self) -> bool:
        """True when the whole run is one round (`--mode replace`): the engine commits once, at the end."""
        return False

    @property
    def full(self) -> bool:
        """Whether the round should be committed. Asked before and after each group of chunks.

        False keeps the round open over more groups, for sinks whose commits are dear (a file each). The engine commits when it turns
        True, at the end of the source, and when the run is stopped. A long round's chunks are not kept: when the environment fails
        in its middle, the run ends, and the next one goes on behind the last commit. With several sinks, all have to be full.
        """
        return True

    @abstractmethod
    def open(self) -> None:
        """Connect, check privileges, look at the target.

        Raises:
            ConfigError: The target cannot take what is configured.
            RetryableError: It cannot be reached, and waiting may help.
            FatalError: It cannot be used, and waiting does not help (wrong password, no privilege, locked by another process).
        """

    def expected_schema(self) -> pa.Schema | None:
        """The target's columns as Arrow types, when it exists or is declared: a hint for parsers. Called after `claim`."""
        return None

    def claim(self, partitions: Sequence[str]) -> Positions:
        """Take ownership of these partitions and of their generations; return the position of each one that is known.

        From now on a commit by an earlier owner must fail with `FencedError`. Sinks that keep no positions return nothing.
        """
        return {}

    def plan(self, data: pa.RecordBatch) -> list[SchemaChange]:
        """What `write` would change of the target's schema for these rows; changes nothing. For `ddpm schema plan`.

        Called after `inspect`, once for each batch in turn; a later call takes earlier changes as made.
        """
        raise ConfigError("this sink has no schema that a plan could change")

    def inspect(self) -> None:
        """As `open`, for `plan` only: look at the target, and leave everything as it is."""
        raise ConfigError("this sink has no schema that a plan could change")

    def problems(self) -> list[str]:
        """What would keep rows from landing although `inspect` went well: rights that are missing, declared columns that cannot fit.

        For `ddpm validate --live`: called after `inspect`, changes nothing. A sentence each, without its full stop.
        """
        return []

    @abstractmethod
    def write(self, batch: Batch) -> list[Reject]:
        """Take these rows into the current round. Returns the rows that the target cannot take, `index` = row number.

        The other rows are in, whatever the returned ones were: a bad row never costs its neighbours.

        Raises:
            RetryableError: The environment failed; nothing of this round counts.
            FatalError: As in `open`.
        """

    @abstractmethod
    def commit(self, positions: Positions, dead_letters: Sequence[DeadLetter]) -> None:
        """Make the round durable: the rows, the dead letters (if kept here), and last the positions, in one transaction.

        A position that is not what this instance read at `claim` or committed last, or an epoch that is not its own, means that
        another instance took over.

        Args:
            positions: Partition or generation -> where it stands after this round.
            dead_letters: What was set aside in this round, for sinks that keep them.

        Raises:
            FencedError: Another instance owns a partition; nothing was committed.
            RetryableError: The environment failed. Whether the commit happened may be unknown; the engine finds out by `claim`.
        """

    def rollback(self) -> None:
        """Forget the current round. Never raises; safe without a round and without a connection."""

    def cancel(self) -> None:
        """Make a call that is blocked in another thread return soon, with any error. Called when the user wants to stop."""

    def close(self) -> None:
        """Give everything back, without committing. Safe without `open` and when called again."""


class AtLeastOnceSink(Sink):
    """Base of sinks without transactions: an author writes `write` and `flush`.

    Rows are durable when `flush` returns. A run that is killed between `flush` and its end writes rows again when it is
    repeated, since no position is kept.
    """

    @abstractmethod
    def flush(self) -> None:
        """Make everything written so far durable.

        Raises:
            RetryableError: The environment failed; the engine writes the round again.
        """

    def commit(self, positions: Positions, dead_letters: Sequence[DeadLetter]) -> None:
        """Flush. Positions and dead letters are not kept here."""
        self.flush()
