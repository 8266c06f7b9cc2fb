"""A request made again while the server fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ddpm_core import RetryableError

_T = TypeVar("_T")


def repeated(call: Callable[[], _T], retry_for: float | None) -> _T:
    """The call, again and again while it fails in a way that may pass, for so many seconds (None: for ever).

    Raises:
        RetryableError: It still fails. All other errors at once.
    """
    began, pause = time.monotonic(), 0.1
    while True:
        try:
            return call()
        except RetryableError:
            if retry_for is not None and time.monotonic() - began + pause > retry_for:
                raise
        time.sleep(pause)
        pause = min(pause * 2, 5.0)
