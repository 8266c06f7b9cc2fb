"""The contract of a processor: batches in, batches out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import field

from ddpm_core.records import Batch, Positions, Reject
from ddpm_core.values import dataclass


@dataclass(slots=True)
class Processed:
    """What became of a batch.

    Attributes:
        batch: The rows that go on, with `origin` telling which record each came from; None when none does. Rows that a filter
            dropped are in neither place.
        rejects: The rows that cannot go on; `index` is the row number in the batch that came in.
    """

    batch: Batch | None
    rejects: list[Reject] = field(default_factory=list)


class Processor(ABC):
    """Changes, checks, drops or multiplies rows.

    Every method is called from one thread, the engine's intake, batches of a partition in their order.
    """

    def open(self) -> None:
        """Called once, before the first batch.

        Raises:
            ConfigError: It cannot work as configured.
        """

    @abstractmethod
    def process(self, batch: Batch) -> Processed:
        """Called for each batch that has rows. The batch that came in must stay as it was.

        `batch.take(rows)` and `batch.replace(data)` keep each row's origin, so that a later failure still finds the original
        bytes. An exception that is no `DdpmError` stops the run and names the plugin.
        """

    def held(self) -> Positions:
        """Positions that commits may not pass, because this processor still keeps rows from there on. Usually none."""
        return {}

    def close(self) -> None:
        """Give everything back. Safe without `open` and when called again."""
