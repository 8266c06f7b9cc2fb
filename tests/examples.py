"""How many examples a property is tried with."""

from __future__ import annotations

import hypothesis


def examples(thorough: int) -> int:
    """`max_examples` of a property whose examples are slow: so many in a thorough run (`DDPM_THOROUGH=1`), a quarter of them else.

    A run on a developer's machine tries other examples than the run before it, so that a quarter finds, run by run, what all would.
    """
    return max(5, thorough * hypothesis.settings().max_examples // 100)


def every(thorough: int) -> int:
    """The step of a loop over places in a file: this one in a thorough run, four times as far else."""
    return thorough * 100 // hypothesis.settings().max_examples
