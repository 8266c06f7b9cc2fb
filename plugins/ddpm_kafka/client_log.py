"""librdkafka's log through ddpm's, so that an outage never floods a terminal.

With a broker down the library says so up to 20 times a second, forever (measured, 2.16). What it says about connections is told
once by `connection.Watch` in plain words; the library's own lines on them are for `--log-level info`.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable

AGAIN_AFTER = 60.0
"""Seconds after which the same line may be said again."""

KINDS_AT_ONCE = 20
"""So many different lines within `AGAIN_AFTER` are said; what comes then is counted."""

_TOLD_OTHERWISE = frozenset({"FAIL", "ERROR", "CLOSE", "MAXPOLL", "GETPID"})
"""What the library goes on with by itself; where it matters, it is told in plain words by who waits for it."""

_FENCED = re.compile(r"\bfenced\b|[Pp]roducer attempted an operation with an old epoch")
"""Another instance took over. That is no accident, and who is fenced says so himself."""

_PREFIX = re.compile(r"^\[thrd:[^]]*\]: ?")
_STATE = re.compile(r" \(after \d+ms in state [A-Z0-9_-]+(?:, \d+ identical error\(s\) suppressed)?\)")
_NUMBERS = re.compile(r"\d+")


class ClientLog:
    """What is passed to a client as `logger`. The library calls `log` from within `poll` and its like, on the caller's thread.

    Args:
        logger: Where lines go.
        clock: Seconds that only grow.
    """

    def __init__(self, logger: logging.Logger | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger or logging.getLogger("ddpm.kafka.librdkafka")
        self._clock = clock
        self._said: dict[tuple[str, str], float] = {}
        self._held_back = 0
        self._since = clock()

    def log(self, level: int, _form: str, facility: str = "", _client: str = "", text: str = "") -> None:
        """One line of the library: its level in the numbers of `logging`, a template, and the template's three parts."""
        if facility in _TOLD_OTHERWISE or (facility in ("FATAL", "TXNERR") and _FENCED.search(text)):
            level = min(level, logging.INFO)
        if not self._logger.isEnabledFor(level):
            return
        text = _STATE.sub("", _PREFIX.sub("", text))
        if level <= logging.DEBUG:  # Only where the user asked for it, by `client: {debug: ...}` and the log's level.
            self._logger.log(level, "%s: %s", facility, text)
        elif self._may_be_said(facility, text):
            self._logger.log(level, "%s", text)

    def _may_be_said(self, facility: str, text: str) -> bool:
        now = self._clock()
        if now - self._since >= AGAIN_AFTER:
            if self._held_back:
                self._logger.info("%d more lines of librdkafka in the last minute", self._held_back)
            self._said.clear()
            self._held_back, self._since = 0, now
        kind = (facility, _NUMBERS.sub("0", text))
        if kind in self._said or len(self._said) >= KINDS_AT_ONCE:
            self._held_back += 1
            return False
        self._said[kind] = now
        return True
