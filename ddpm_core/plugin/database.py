"""The contract of what `ddpm query` and `ddpm dlq` ask: a sink's database, read by people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ddpm_core.plugin.ledger import DEAD_LETTERS
from ddpm_core.records import DeadLetter

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters. Empty fields do not restrict.

    Attributes:
        table: Target table, as `[schema.]table`.
        reason: Reason code.
        source: Part of the source's name.
        id: Beginning of the id.
        limit: At most so many, newest first.
    """

    table: str = ""
    reason: str = ""
    source: str = ""
    id: str = ""
    limit: int = 20


class Database(ABC):
    """A connection for questions. One is opened for each command, used from one thread, and closed."""

    dead_letter_table: ClassVar[str] = DEAD_LETTERS
    """The name of the table that dead letters are kept in, beside the data: one in each schema that has any."""

    @abstractmethod
    def query(self, sql: str, *, write: bool = False) -> pa.RecordBatchReader:
        """The statement's result. Without `write` the database itself refuses any change.

        Statements without a result give a reader without columns.

        Raises:
            ConfigError: The statement is wrong; the message is the database's own.
            RetryableError, FatalError: It cannot be reached.
        """

    @abstractmethod
    def dead_letters(self, wanted: DeadLetterFilter) -> list[DeadLetter]:
        """The dead letters kept in this database, newest first. Empty when none were ever kept."""

    @abstractmethod
    def close(self) -> None:
        """Give the connection back. Safe to call again."""
