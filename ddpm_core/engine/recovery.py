"""The one recovery for everything that the environment does: wait, restore, do it again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from ddpm_core.engine.breaker import Breaker
from ddpm_core.errors import DdpmError, FatalError, RetryableError
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
        wait: Spends the seconds between two tries, and says whether the run was asked to stop; set when something is to go on meanwhile.
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
        wait: Callable[[float], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._retry_for = retry_for
        self._pass_time = stopping.wait if wait is None else wait
        self._emit = emit
        self._clock = clock

    def until_done(self, who: str, action: Callable[[], T], *, restore: Callable[[], None], breaker: Breaker | None = None) -> T:
        """What `action` returns, however often it takes.

        Args:
            who: Whose action it is, for messages.
            action: May raise `RetryableError`; every other error goes through.
            restore: Called before each further try: roll back, reopen, read the positions. May raise `RetryableError` too.
            breaker: Told of each try.

        Raises:
            FatalError: It did not work for `retry_for` seconds; the last error says why.
            Stopped: The user wanted to stop meanwhile.
        """
        try:
            return action()
        except RetryableError as error:
            last = error
        began, longest = self._clock(), self.FIRST_WAIT
        breaker = breaker or Breaker()
        while True:
            breaker.failed()
            self._wait(who, last, began, longest)
            longest = min(longest * 2, self.LONGEST_WAIT)
            breaker.probing()
            try:
                restore()
                result = action()
            except RetryableError as error:
                last = error
                continue
            except DdpmError:
                breaker.succeeded()  # It answered: what it said is another matter.
                raise
            breaker.succeeded()
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
        if self._pass_time(seconds):
            raise Stopped
