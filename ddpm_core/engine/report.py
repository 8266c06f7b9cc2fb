"""What a run came to: counted by the engine, printed by the command line."""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeAlias

from ddpm_core.errors import DdpmError
from ddpm_core.values import dataclass

DocumentStatus: TypeAlias = Literal["landed", "skipped", "failed", "stopped"]
RunStatus: TypeAlias = Literal["landed", "dead_letters", "stopped", "failed"]


@dataclass(slots=True)
class DocumentReport:
    """One document (a file, standard input) of a run.

    Attributes:
        name: As the user calls it.
        status: `landed`: read to its end and committed. `skipped`: not read. `failed`: `error` says why; what was committed before
            stays. `stopped`: the run ended before the document did.
        note: Why it was read and from where, or why it was skipped and how to force it.
        table: The table it goes to, or an empty string.
        records, rows, rejects: Committed in this run: records consumed, rows written, dead letters.
        error: For `failed`.
    """

    name: str
    status: DocumentStatus
    note: str
    table: str = ""
    records: int = 0
    rows: int = 0
    rejects: int = 0
    error: DdpmError | None = None


@dataclass(slots=True)
class Report:
    """A whole run.

    Attributes:
        pipeline: Its name.
        target: Where the rows went, as the sink calls it, with secrets masked.
        status: `landed`; `dead_letters`: landed, with some records set aside; `stopped` by the user; `failed`.
        records: Records committed: rows, rejects, and what processors filtered.
        rows: Rows written to the first sink.
        nbytes: Bytes of the source that these records took.
        rejects: Reason code -> dead letters committed.
        seconds: Wall time.
        documents: In the order in which they came.
        error: Why it failed, when the run itself did; a document's own failure is in `documents`.
        dead_letter_file: Where the dead letters are, when the sink could not keep them beside the data; else empty.
        queryable: Whether `ddpm query` and `ddpm dlq` can look at the target.
    """

    pipeline: str
    target: str = ""
    status: RunStatus = "landed"
    records: int = 0
    rows: int = 0
    nbytes: int = 0
    rejects: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    documents: list[DocumentReport] = field(default_factory=list)
    error: DdpmError | None = None
    dead_letter_file: str = ""
    queryable: bool = True

    @property
    def rejected(self) -> int:
        """Dead letters in all."""
        return sum(self.rejects.values())
