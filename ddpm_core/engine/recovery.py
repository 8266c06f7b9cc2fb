"""The one recovery for everything that the environment does: wait, restore, do it again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from ddpm_core.errors import FatalError, RetryableError
from ddpm_core.plugin.events import Event, Recovered, Waiting

T = TypeVar("T")


class Stopped(Exception):  # noqa: N818 - not an error: the user wants to stop
    """The run was asked to stop while it was waiting."""


class Recovery:
    """Repeats what failed for reasons that time can mend, with exponential backoff and full jitter.

    Args:
        retry_for: Seconds from the first failure after which it gives up; None never does.
        stopping: Set when the user wants to stop; ends every wait.
        emit: Told of each wait and of each recovery.
        clock: Monotonic seconds.
    """

    FIRST_WAIT = 0.1
    LONGEST_WAIT = 5.0

    def __init__(
        self,
        *,
        retry_for: float | None,
        stopping: threading.Event,
        emit: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._retry_for = retry_for
        self._stopping = stopping
        self._emit = emit
        self._clock = clock

    def until_done(self, who: str, action: Callable[[], T], *, restore: Callable[[], None]) -> T:
        """What `action` returns, however often it takes.

        Args:
            who: Whose action it is, for messages.
            action: May raise `RetryableError`; every other error goes through.
            restore: Called before each further try: roll back, reopen, read the positions. May raise `RetryableError` too.

        Raises:
            FatalError: It did not work for `retry_for` seconds; the last error says why.
            Stopped: The user wanted to stop meanwhile.
        """
        try:
            return action()
        except RetryableError as error:
            last = error
        began, longest = self._clock(), self.FIRST_WAIT
        while True:
            self._wait(who, last, began, longest)
            longest = min(longest * 2, self.LONGEST_WAIT)
            try:
                restore()
                result = action()
            except RetryableError as error:
                last = error
                continue
            self._emit(Recovered(who, self._clock() - began))
            return result

    def _wait(self, who: str, error: RetryableError, began: float, longest: float) -> None:
        spent = self._clock() - began
        if self._retry_for is not None and spent >= self._retry_for:
            tried = f" (tried for {spent:.0f} s)" if spent >= 1 else ""
            raise FatalError(f"{error.message}{tried}", hint=error.hint) from error
        seconds = error.after if error.after is not None else random.uniform(0, longest)  # noqa: S311 - jitter, no secret
        if self._retry_for is not None:
            seconds = min(seconds, self._retry_for - spent)
        self._emit(Waiting(who, error.message, seconds))
        if self._stopping.wait(seconds):
            raise Stopped
