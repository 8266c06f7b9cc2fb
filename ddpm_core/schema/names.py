"""Which column of the data goes into which column of the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from ddpm_core.values import dataclass


@dataclass(slots=True)
class Matched:
    """Names brought together.

    Attributes:
        sources: Target name -> the columns (by number) that go into it, the one spelled the same first.
        unknown: The columns (by number) that have no place in the target.
    """

    sources: dict[str, list[int]] = field(default_factory=dict)
    unknown: list[int] = field(default_factory=list)


def match_names(names: Sequence[str], targets: Sequence[str]) -> Matched:
    """The same spelling wins; else the one target that differs in nothing but case."""
    exact = set(targets)
    folded: dict[str, list[str]] = {}
    for target in targets:
        folded.setdefault(target.casefold(), []).append(target)
    matched = Matched()
    for column, name in enumerate(names):
        if name in exact:
            matched.sources.setdefault(name, []).insert(0, column)
            continue
        candidates = folded.get(name.casefold(), [])
        if len(candidates) == 1:
            matched.sources.setdefault(candidates[0], []).append(column)
        else:
            matched.unknown.append(column)
    return matched
