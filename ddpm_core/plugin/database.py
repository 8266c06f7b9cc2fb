"""The contract of what `ddpm query` and `ddpm dlq` ask: a sink's database, read by people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from ddpm_core.plugin.ledger import POSITIONS
from ddpm_core.plugin.letter_table import DEAD_LETTERS
from ddpm_core.records import DeadLetter
from ddpm_core.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa

    from ddpm_core.plugin.kept_letters import LetterTables


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters. Empty fields do not restrict.

    Attributes:
        table: Target table, as `[schema.]table`.
        reason: Reason code.
        source: Part of the source's name.
        id: Beginning of the id.
        stage: `parse`, `process` or `sink`.
        sink: Name of the sink that refused it.
        since, until: Set aside at this time or later; before this time.
        replayed: Only those that got through when they were sent again, or only those that are still open. None: both.
        pipeline: Name of the pipeline that set it aside.
        limit: At most so many, newest first. 0: all.
    """

    table: str = ""
    reason: str = ""
    source: str = ""
    id: str = ""
    limit: int = 20
    stage: str = ""
    sink: str = ""
    since: datetime | None = None
    until: datetime | None = None
    replayed: bool | None = None
    pipeline: str = ""

    @property
    def restricts(self) -> bool:
        """Whether it leaves any out, but for `pipeline`, `replayed` and `limit`."""
        return bool(self.table or self.reason or self.source or self.id or self.stage or self.sink or self.since or self.until)

    def takes(self, letter: DeadLetter) -> bool:
        """Whether this one is wanted: for stores that look at each letter themselves. `table` must be spelled as the letter's `target`."""
        return (
            letter.id.startswith(self.id)
            and self.source in letter.source
            and self.table in ("", letter.target)
            and self.reason in ("", letter.reason)
            and self.stage in ("", letter.stage)
            and self.sink in ("", letter.sink)
            and self.pipeline in ("", letter.pipeline)
            and (self.since is None or letter.created_at >= self.since)
            and (self.until is None or letter.created_at < self.until)
            and (self.replayed is None or self.replayed == (letter.replayed_at is not None))
        )


class Database(ABC):
    """A connection for questions. One is opened for each command, used from one thread, and closed."""

    dead_letter_table: ClassVar[str] = DEAD_LETTERS
    """The name of the table that dead letters are kept in, beside the data: one in each schema that has any."""

    position_table: ClassVar[str] = POSITIONS
    """The name of the table of positions, likewise."""

    @abstractmethod
    def query(self, sql: str, *, write: bool = False) -> pa.RecordBatchReader:
        """The statement's result. Without `write` the database itself refuses any change.

        Statements without a result give a reader without columns.

        Raises:
            ConfigError: The statement is wrong; the message is the database's own.
            RetryableError, FatalError: It cannot be reached.
        """

    @abstractmethod
    def letter_tables(self, *, write: bool) -> AbstractContextManager[LetterTables]:
        """The tables of dead letters in this database, within one transaction: committed when the block ends, rolled back when it raises.

        Without `write` the database itself refuses any change. There may be none: no letter was ever kept.

        Raises:
            RetryableError, FatalError: It cannot be reached, or not be changed by this user.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the connection back. Safe to call again."""

    def dead_letters(self, wanted: DeadLetterFilter) -> list[DeadLetter]:
        """The dead letters kept in this database, newest first. Empty when none were ever kept."""
        from ddpm_core.plugin.kept_letters import KeptLetters

        return list(KeptLetters(lambda: self).find(wanted))
