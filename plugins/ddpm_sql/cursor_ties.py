"""Where rows in the order of the cursor may be cut: only between different values, since a position says nothing about ties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Ties:
    """Follows the cursor through pieces of rows, and says how much of them is complete.

    Rows with one value are complete when a greater one comes, or the end. Until then they are held by the caller.

    Attributes:
        held: How many of the rows given so far are not complete.
    """

    held: int = 0
    _last: Any = None

    def complete(self, keys: Sequence[Any]) -> int:
        """How many of the held rows and these, in their order, are complete now; the others are held.

        Args:
            keys: What tells the cursor's value in each row from another; equal for ties.
        """
        if not keys:
            return 0
        last, at = keys[-1], len(keys) - 1
        while at and keys[at - 1] == last:
            at -= 1
        if at == 0 and (not self.held or self._last == last):  # One group up to here, and perhaps further.
            self._last, self.held = last, self.held + len(keys)
            return 0
        done, self.held, self._last = self.held + at, len(keys) - at, last
        return done
