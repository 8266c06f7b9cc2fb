"""`ddpm dlq replay`: dead letters through the pipeline again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from ddpm_core.cli.dlq_selection import Where, options, store_at, wanted, where, which
from ddpm_core.cli.errors import ExitCode, exit_code_of
from ddpm_core.cli.lazy import Command
from ddpm_core.cli.output import closed_stdout_is_fine, count
from ddpm_core.cli.params import ByteSize, Duration, NameList, PluginName
from ddpm_core.cli.settings import Settings

if TYPE_CHECKING:
    from ddpm_core.engine.replay import ReplayReport, ReplayTarget
    from ddpm_core.plugin.database import DeadLetterFilter
    from ddpm_core.plugin.dead_letters import DeadLetterStore

STOPPING = "stopping: finishing the current transaction (Ctrl+C again to abort now)"

_HOW = (
    click.option("--format", "-f", "format_", type=PluginName("format"), help="What they are in.  [default: each letter's own]"),
    click.option("--to", metavar="URL|PATH", help="Where the rows go.  [default: --db]"),
    click.option("--into", metavar="[SCHEMA.]TABLE", help="Target table.  [default: the one each letter was meant for]"),
    click.option("--mode", type=click.Choice(["append", "upsert"]), help="As in ddpm ingest."),
    click.option("--key", "-k", type=NameList(), multiple=True, help="Columns that identify a row."),
    click.option("--columns", metavar="'NAME=TYPE,...'", help="Types of columns, such as 'ts=timestamp,amount=decimal(12,2)'."),
    click.option("--option", "-o", "options_", metavar="KIND.NAME=VALUE", multiple=True, help="An option of the format or sink."),
    click.option("--schema", type=click.Choice(["evolve", "freeze"]), help="As in ddpm ingest."),
    click.option("--max-record-bytes", type=ByteSize(), help="As in ddpm ingest."),
    click.option("--max-depth", type=click.IntRange(min=1), metavar="N", help="As in ddpm ingest."),
)
_OF_INGEST = ("format_", "to", "into", "mode", "key", "columns", "options_", "schema", "max_record_bytes", "max_depth")


@click.command(
    cls=Command,
    short_help="Send dead letters through again.",
    epilog="""\b
Examples:
  ddpm dlq replay --reason schema_mismatch --columns 'amount=decimal(12,2)'
  ddpm dlq replay --db ddpm-dead-letters.ndjson --to postgresql://localhost/shop
  ddpm dlq replay --pipeline events.yaml --since 2h --dry-run
""",
)
@options(*where, *which)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N, the newest.  [default: all]")
@options(*_HOW)
@click.option("--max-attempts", type=click.IntRange(min=2), default=5, show_default=True, help="Leave out those tried so often.")
@click.option("--retry-for", type=Duration(), default="60s", show_default=True, help="How long to wait for what cannot be reached.")
@click.option("--dry-run", is_flag=True, help="Say how many would be refused before they reach the target, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.pass_obj
def replay(settings: Settings, /, limit: int | None, as_json: bool, **given: Any) -> int:
    """Send dead letters through again, oldest first, and mark those that got through.

    Letters of `ddpm ingest` go into the table that they were meant for, those of a pipeline (--pipeline) through its processors into
    its sinks; a letter that one sink refused goes to that sink only. Each lands once, however often the command is killed and run again.
    """
    from ddpm_core.cli.stopping import Stoppable
    from ddpm_core.engine.ingest import plugins_as_observers
    from ddpm_core.engine.replay import Replay

    place, asked, dry_run = Where.of(given), wanted(given, limit=limit or 0), given["dry_run"]
    store, target, asked = _ways(settings, place, asked, given)
    run = Replay(
        store,
        asked,
        target,
        max_attempts=given["max_attempts"],
        retry_for=given["retry_for"],
        observers=plugins_as_observers(settings.registry()),
    )

    def stop() -> None:
        settings.say(STOPPING)
        run.stop()

    stoppable = Stoppable(run.dry_run if dry_run else run.run, stop)
    report = stoppable.run()
    code = _exit_code(report, stoppable.exit_code)
    with closed_stdout_is_fine():
        if as_json:
            from ddpm_core.cli.cells import dump

            click.echo(dump(_as_dict(report, code, dry_run=dry_run), indent=True))
        elif not settings.quiet:
            click.echo("\n".join(_lines(report, dry_run=dry_run)))
    for why, number in report.left_out.items():
        settings.warn(f"{count(number, 'dead letter')} left out: {why}")
    if report.error is not None:
        settings.show_error(report.error)
    return code


def _ways(
    settings: Settings, place: Where, asked: DeadLetterFilter, given: dict[str, Any]
) -> tuple[DeadLetterStore, ReplayTarget, DeadLetterFilter]:
    """Where the letters are, where they go, and which ones are meant."""
    db = place.db
    if place.pipeline is not None:
        typed = [name.strip("_") for name in _OF_INGEST if given[name]]
        if typed:
            raise click.UsageError(f"--{typed[0].replace('_', '-')} has no meaning with --pipeline: the file says it.")
        target = place.target(settings)
        assert target is not None  # noqa: S101 - a pipeline is named
        return (target.store() if db is None else store_at(settings, db)), target, replace(asked, pipeline=target.name)
    from ddpm_core.engine.replay_ingest import IngestTarget, ReplayRequest
    from ddpm_core.plugin.kept_letters import KeptLetters

    store = store_at(settings, db)
    in_tables = isinstance(store, KeptLetters)
    if given["to"] is None and not in_tables:
        raise click.UsageError("Where shall the rows go? --db is no database: name one with --to.")
    request = ReplayRequest(
        to=given["to"] or db,
        format=given["format_"],
        table=given["into"],
        mode=given["mode"],
        key=tuple(name for names in given["key"] for name in names),
        columns=given["columns"],
        options=tuple(given["options_"]),
        evolve=None if given["schema"] is None else given["schema"] == "evolve",
        max_record_bytes=given["max_record_bytes"],
        max_depth=given["max_depth"],
        retry_for=given["retry_for"],
    )
    return store, IngestTarget(request, settings.registry(), in_tables=in_tables), asked


def _exit_code(report: ReplayReport, by_signal: ExitCode | None) -> ExitCode:
    match report.status:
        case "stopped":
            return by_signal or ExitCode.INTERRUPTED
        case "failed":
            return exit_code_of(report.error) if report.error else ExitCode.FAILED
        case "failed_again":
            return ExitCode.DEAD_LETTERS
        case "landed":
            return ExitCode.OK


def _lines(report: ReplayReport, *, dry_run: bool) -> list[str]:
    if not report.selected:
        return ["There is nothing to replay."]
    sent, failed = count(report.selected, "dead letter"), report.failed_again
    if dry_run:
        lines = [f"{sent}: {report.would_land:,} would be sent to the target, {failed:,} would fail again. Nothing was changed."]
    else:
        rest = report.selected - report.landed - failed
        lines = [f"{sent}: {report.landed:,} landed, {failed:,} failed again" + (f", {rest:,} not sent" if rest else "") + "."]
    return [*lines, *(f"  {number:,} {reason}" for reason, number in report.failed.most_common())]


def _as_dict(report: ReplayReport, code: ExitCode, *, dry_run: bool) -> dict[str, Any]:
    return {
        "status": report.status,
        "exit_code": int(code),
        "dry_run": dry_run,
        "selected": report.selected,
        **({"would_land": report.would_land} if dry_run else {"landed": report.landed}),
        "failed_again": report.failed_again,
        "reasons": dict(report.failed),
        "left_out": dict(report.left_out),
        "error": None if report.error is None else report.error.message,
    }
