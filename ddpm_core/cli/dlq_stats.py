"""How many dead letters there are of each reason, stage and source."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ddpm_core.cli.output import print_table, printable
from ddpm_core.values import dataclass

if TYPE_CHECKING:
    from ddpm_core.plugin.database import DeadLetterFilter
    from ddpm_core.plugin.dead_letters import DeadLetterStore
    from ddpm_core.records import DeadLetter


@dataclass(slots=True)
class Group:
    """Letters that have reason, stage and source in common, and when the first and the last of them were set aside."""

    reason: str
    stage: str
    source: str
    first: datetime
    last: datetime
    count: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: getattr(self, name) for name in ("count", "reason", "stage", "source", "first", "last")}


def count_letters(store: DeadLetterStore, wanted: DeadLetterFilter, *, into: list[DeadLetter] | None = None) -> list[Group]:
    """The groups, the largest first. Reads every letter and keeps none; the store is closed again. Ctrl+C ends the process at once.

    Args:
        store, wanted: Which letters.
        into: Gets every letter, without its payload.
    """
    from ddpm_core.cli.stopping import die_on_ctrl_c

    groups: dict[tuple[str, str, str], Group] = {}
    with die_on_ctrl_c(), closing(store):
        store.open()
        for letter in store.find(wanted):
            at = letter.created_at
            group = groups.setdefault(
                (letter.reason, letter.stage, letter.source), Group(letter.reason, letter.stage, letter.source, at, at)
            )
            group.count += 1
            group.first, group.last = min(group.first, at), max(group.last, at)
            if into is not None:
                into.append(replace(letter, payload=b"", view=None))
    return sorted(groups.values(), key=lambda group: (-group.count, group.reason, group.stage, group.source))


def print_stats(groups: list[Group]) -> None:
    """A table."""
    rows = [
        [
            f"{group.count:,}",
            *map(printable, (group.reason, group.stage, group.source)),
            *(time.isoformat(sep=" ", timespec="seconds") for time in (group.first, group.last)),
        ]
        for group in groups
    ]
    print_table(["count", "reason", "stage", "source", "first", "last"], rows, [True, False, False, False, False, False])
