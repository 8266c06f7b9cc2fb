"""What observers are told, in the order in which it happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TypeAlias

from ddpm_core.values import dataclass


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The plugins are built; nothing is open yet."""

    pipeline: str


@dataclass(frozen=True, slots=True)
class DocumentStarted:
    """A document is being read. `note` says why and from where: `new`, `resumed at record 12,000`."""

    name: str
    note: str
    size: int | None
    start_byte: int = 0


@dataclass(frozen=True, slots=True)
class DocumentEnded:
    """A document is over. `status`: `landed`, `skipped` or `failed`; `note` says more. Rows of it may still be on their way."""

    name: str
    status: str
    note: str


@dataclass(frozen=True, slots=True)
class ChunkRead:
    """A piece has been parsed and processed, and waits for the sinks."""

    records: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class ChunkCommitted:
    """Every sink has committed these rows; they are safe. `rejects`: reason -> how many."""

    records: int
    rows: int
    nbytes: int
    rejects: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The environment failed; the engine tries again in `seconds`."""

    who: str
    why: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was waited for is back."""

    who: str
    seconds: float


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """A sink's circuit breaker is `closed`, `open` (it failed again and again) or `half_open` (one more try is under way)."""

    who: str
    state: str


@dataclass(frozen=True, slots=True)
class PartitionsChanged:
    """Partitions came to this run (`assigned`) or left it (`revoked`, `lost`, or `taken` at a sink by another instance)."""

    change: str
    partitions: Sequence[str]


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run is over. `status`: `landed`, `dead_letters`, `stopped` or `failed`."""

    pipeline: str
    status: str


Event: TypeAlias = (
    RunStarted
    | DocumentStarted
    | DocumentEnded
    | ChunkRead
    | ChunkCommitted
    | Waiting
    | Recovered
    | BreakerChanged
    | PartitionsChanged
    | RunEnded
)
