"""`ddpm schema`: what would have to change in a table before some data could land in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ddpm_core.cli.lazy import Command, LazyGroup
from ddpm_core.cli.output import printable_lines
from ddpm_core.cli.reading import request_fields, what_to_read
from ddpm_core.cli.settings import Settings

if TYPE_CHECKING:
    from ddpm_core.engine.plan import TablePlan


@click.group(cls=LazyGroup, short_help="Show how tables would have to change for some data.")
def schema() -> None:
    """Tables change only by adding columns and by widening types; `ddpm ingest --schema` says whether they may."""


@schema.command(
    cls=Command,
    short_help="Print the statements that ingest would run, and why.",
    epilog="""\b
Examples:
  ddpm schema plan orders.csv --to postgresql://localhost/shop
  ddpm schema plan 'data/*.parquet' --schema evolve --table orders --all
""",
)
@what_to_read
@click.option("--all", "everything", is_flag=True, help="Look at all records, not only at the first ones of each file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_obj
def plan(settings: Settings, /, everything: bool, as_json: bool, **given: Any) -> None:
    """Print the statements that `ddpm ingest` with the same arguments would run on its tables, and why. Nothing is changed.

    Looks at the first records of each file, about 2 MB of them, or at all with --all.
    """
    from ddpm_core.cli.stopping import die_on_ctrl_c
    from ddpm_core.engine.ingest import Ingest, IngestRequest
    from ddpm_core.engine.plan import plan_tables

    with die_on_ctrl_c():
        run = Ingest(IngestRequest(**request_fields(given), again=True), settings.registry())
        plans = plan_tables(run.pipelines, everything=everything)
    if as_json:
        from ddpm_core.cli.cells import dump

        click.echo(dump([_as_dict(plan) for plan in plans], indent=True))
    else:
        click.echo(printable_lines("\n".join(line for plan in plans for line in _lines(plan))))


def _lines(plan: TablePlan) -> list[str]:
    if not plan.changes:
        return [f"-- {plan.table}: nothing to change"]
    lines = []
    for change in plan.changes:
        lines += [f"-- {plan.table}: {change.why} ({change.source})", f"{change.ddl};"]
    return lines


def _as_dict(plan: TablePlan) -> dict[str, Any]:
    changes = [{"ddl": change.ddl, "why": change.why, "source": change.source} for change in plan.changes]
    return {"table": plan.table, "changes": changes}
