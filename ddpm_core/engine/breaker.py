"""A circuit breaker: whether a sink is worth waiting for, told from its failures in a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

BreakerState: TypeAlias = Literal["closed", "open", "half_open"]

OPENS_AFTER = 5
"""Failures in a row."""


class Breaker:
    """The state that everybody may look at while one thread tries again and again.

    Closed: all is well, or hardly begun to fail. Open: it failed `OPENS_AFTER` times in a row; nothing is asked of it until the next
    probe. Half open: one probe is under way; it closes the breaker or opens it again.

    Args:
        changed: Told of each new state.
    """

    def __init__(self, changed: Callable[[BreakerState], None] = lambda _: None) -> None:
        self._changed = changed
        self._failures = 0
        self.state: BreakerState = "closed"

    @property
    def open(self) -> bool:
        """Whether waiting for the sink is hopeless for now."""
        return self.state != "closed"

    def failed(self) -> None:
        """A try failed for reasons that time can mend."""
        self._failures += 1
        if self._failures >= OPENS_AFTER:
            self._become("open")

    def probing(self) -> None:
        """The next try begins."""
        if self.state == "open":
            self._become("half_open")

    def succeeded(self) -> None:
        """A try went through."""
        self._failures = 0
        self._become("closed")

    def _become(self, state: BreakerState) -> None:
        if state != self.state:
            self.state = state
            self._changed(state)
