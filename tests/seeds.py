"""Seeds of tests that choose moments and places by chance."""

from __future__ import annotations

import os
import random
import time


def seed_of(variable: str) -> int:
    """A seed, which is printed; this variable of the environment repeats it.

    In CI the same seed each time, so that a change is judged by itself; on a developer's machine another one, which finds more.
    """
    in_ci = os.environ.get("CI", "").casefold() in ("true", "1")
    seed = int(os.environ.get(variable, 1 if in_ci else time.time_ns() % 1_000_000))
    print(f"\n{variable}={seed}")
    return seed


def seeded(variable: str) -> random.Random:
    """A generator of such a seed."""
    return random.Random(seed_of(variable))
