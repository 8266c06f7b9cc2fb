"""How often Python looks for garbage in cycles. Imports nothing, so that the command line can ask before it imports the rest."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLDS = (50_000, 20, 50)
"""For `gc.set_threshold`: fewer passes than by default, for a program that makes few cycles and keeps what it imports."""

STARTING = (200_000, 20, 50)
"""The same while a command starts: it makes 80,000 objects that stay, and looking for garbage among them takes 15 to 30 ms."""


@contextmanager
def few_passes() -> Iterator[None]:
    """Fewer passes of the cyclic collector: it cost a quarter of the throughput, for garbage that a batch engine hardly makes."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
