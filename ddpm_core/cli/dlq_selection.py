"""Which dead letters a command of `ddpm dlq` is about: the options that they share, and the store that they are in."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddpm_core.cli.settings import Settings
from ddpm_core.values import dataclass

if TYPE_CHECKING:
    from ddpm_core.engine.replay_pipeline import PipelineTarget
    from ddpm_core.plugin.database import DeadLetterFilter
    from ddpm_core.plugin.dead_letters import DeadLetterStore
    from ddpm_core.records import DeadLetter

_AGES = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Moment(click.ParamType[datetime]):
    """`2026-01-31`, `2026-01-31T12:00`, `2026-01-31T12:00+01:00`: a time, in UTC where no zone is named. `2h`, `7d`: so long ago."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        age = re.fullmatch(r"(\d{1,9})([smhd])", text)
        try:
            if age is not None:
                return datetime.now(UTC) - timedelta(**{_AGES[age[2]]: int(age[1])})
            time = datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time; write 2026-01-31, 2026-01-31T12:00, or 2h or 7d for so long ago", param, ctx)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


where = (
    click.option(
        "--db", metavar="URL|PATH", help="Which database or topic, or the .ndjson file that a run named.  [default: ./ddpm.duckdb]"
    ),
    click.option(
        "--pipeline",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Instead of --db: those of the pipeline of this file, where it keeps them.",
    ),
    click.option("--as", "as_name", metavar="NAME", help="With --pipeline: those of its run under this name."),
)
"""The options that name the store."""

which = (
    click.option("--table", "-t", default="", metavar="[SCHEMA.]TABLE", help="Only those meant for this table."),
    click.option("--reason", default="", metavar="CODE", help="Only those with this reason, such as json_invalid."),
    click.option("--source", default="", metavar="TEXT", help="Only those whose source has this text in its name."),
    click.option("--stage", default="", type=click.Choice(["", "parse", "process", "sink"]), help="Only those set aside there.",
                 metavar="[parse|process|sink]", show_choices=False),
    click.option("--sink", default="", metavar="NAME", help="Only those that this sink refused."),
    click.option("--since", type=Moment(), help="Only those set aside then or later; 2026-01-31T12:00, 2h, 7d."),
    click.option("--until", type=Moment(), help="Only those set aside before."),
    click.option("--id", "id_", default="", metavar="ID", help="Only those whose id begins like this."),
)  # fmt: skip
"""The options that restrict."""

state = click.option(
    "--replayed/--not-replayed", default=False, help="Those that got through, or those that are open.  [default: open]"
)
"""The option that looks at what was replayed. A replay itself never does."""


def options(*given: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Give a command these options, in this order."""

    def decorate(command: Any) -> Any:
        for option in reversed(given):
            command = option(command)
        return command

    return decorate


def wanted(given: dict[str, Any], *, limit: int) -> DeadLetterFilter:
    """What the options in `which` and `state` say; they are taken out of `given`."""
    from ddpm_core.plugin.database import DeadLetterFilter

    return DeadLetterFilter(
        **{name: given.pop(name) for name in ("table", "reason", "source", "stage", "sink", "since", "until")},
        replayed=given.pop("replayed", False),
        id=given.pop("id_"),
        limit=limit,
    )


@dataclass(frozen=True, slots=True)
class Where:
    """What the options in `where` say, as typed."""

    db: str | None
    pipeline: Path | None
    as_name: str | None

    @classmethod
    def of(cls, given: dict[str, Any]) -> Where:
        """Take the options out of `given`."""
        found = cls(given.pop("db"), given.pop("pipeline"), given.pop("as_name"))
        if found.as_name is not None and found.pipeline is None:
            raise click.UsageError("--as names a run of a pipeline: name its file with --pipeline.")
        return found

    def target(self, settings: Settings) -> PipelineTarget | None:
        """The pipeline, where one is named."""
        if self.pipeline is None:
            return None
        from ddpm_core.engine.replay_pipeline import PipelineTarget

        return PipelineTarget(self.pipeline, settings.registry(), as_name=self.as_name)

    def store(self, settings: Settings, wanted: DeadLetterFilter) -> tuple[DeadLetterStore, DeadLetterFilter]:
        """The store, and what of it is meant: with `--pipeline` only the letters of that one, for others may use the same place."""
        if self.db is not None and self.pipeline is not None:
            raise click.UsageError("--db and --pipeline both say where the dead letters are; give one of them.")
        target = self.target(settings)
        if target is not None:
            return target.store(), replace(wanted, pipeline=target.name)
        return store_at(settings, self.db), wanted


def store_at(settings: Settings, db: str | None) -> DeadLetterStore:
    """The store at an address."""
    from ddpm_core.engine.letter_store import letter_store

    return letter_store(db, settings.registry())


def ask(store: DeadLetterStore, wanted: DeadLetterFilter) -> list[DeadLetter]:
    """The letters; the store is closed again. Ctrl+C ends the process at once."""
    from ddpm_core.cli.stopping import die_on_ctrl_c

    with die_on_ctrl_c(), closing(store):
        store.open()
        return list(store.find(wanted))
