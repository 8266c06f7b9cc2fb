"""Where in a document reading goes on."""

from __future__ import annotations

from ddpm_arrow.message import Envelope
from ddpm_core import Position


class Cursor:
    """Counts batches as they come, and says which need not be read.

    Args:
        start: A position that this format made; one with an offset alone is found by counting rows.

    Attributes:
        batch: The last batch that was wanted, counted from 0.
        rows: How many rows of it come before the start.
    """

    def __init__(self, start: Position) -> None:
        resume = start.detail.get("resume")
        self._batches = int(resume["batch"]) if resume else 0
        self._counted = not resume
        self.rows = int(resume["row"]) if resume else start.offset
        self.batch = -1

    def wants(self, envelope: Envelope) -> bool:
        """Whether this message is to be read. Called once for each, in order."""
        if envelope.kind != "batch":
            return True
        self.batch += 1
        if self.batch < self._batches:
            return False
        if self._counted and 0 < envelope.rows <= self.rows:
            self.rows -= envelope.rows
            return False
        return True

    def passed(self) -> None:
        """A batch has been read: nothing of the next one is left out."""
        self.rows = 0
        self._counted = False
