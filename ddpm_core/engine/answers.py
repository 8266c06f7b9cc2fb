"""What load answers intake, by a queue that intake looks at between two reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ddpm_core.records import Positions
from ddpm_core.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Claimed:
    """The answer to a claim: where to go on, and the columns that the target expects."""

    positions: Positions
    schema: pa.Schema | None


@dataclass(frozen=True, slots=True)
class Committed:
    """Every sink has reached these positions."""

    positions: Positions


@dataclass(frozen=True, slots=True)
class Drained:
    """Everything before the `Drain` of this number has been dealt with."""

    number: int


@dataclass(frozen=True, slots=True)
class Finished:
    """Load's last word: no more answers will come."""


Answer = Claimed | Committed | Drained | Finished
