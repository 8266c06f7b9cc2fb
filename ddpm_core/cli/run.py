"""`ddpm run`: pipelines from their files, endless or to an end."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddpm_core.cli.errors import ExitCode
from ddpm_core.cli.ingest import exit_code_of_report, print_failure, print_report
from ddpm_core.cli.lazy import Command
from ddpm_core.cli.output import shell
from ddpm_core.cli.params import Duration, OffsetOrTime, WorkerOf
from ddpm_core.cli.reading import STDIN
from ddpm_core.cli.settings import Settings
from ddpm_core.errors import ConfigError

if TYPE_CHECKING:
    from ddpm_core.engine.compose import RunRequest
    from ddpm_core.engine.report import Report

STOPPING = "stopping: delivering what is in flight (Ctrl+C again to abort now)"


@click.command(
    cls=Command,
    short_help="Run a pipeline from its file, endless or to an end.",
    epilog="""\b
Examples:
  ddpm run pipeline.yaml
  ddpm run pipeline.yaml --until-end
  ddpm run pipeline.yaml --start 2026-01-01 --end 2026-02-01 --as january
  ddpm run pipeline.yaml --dry-run
""",
)
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--until-end", is_flag=True, help="Read what is there now, then end.")
@click.option("--start", type=OffsetOrTime(), help="Where to begin, in every partition: an offset or a time; needs --as.")
@click.option("--end", type=OffsetOrTime(), help="Where to end: the first offset or time that is not read any more; needs --as.")
@click.option(
    "--as", "as_name", metavar="NAME", help="Run under this name, with positions of its own: a backfill beside the live run."
)
@click.option("--timeout", type=Duration(), help="Stop after this time, as by Ctrl+C.")
@click.option("--dry-run", is_flag=True, help="Look at a sample: nothing is written, nothing is committed.")
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", default=1, show_default=True, help="Processes that share the work."
)
@click.option("--worker", type=WorkerOf(), hidden=True, help="Which of how many processes this is.")
@click.option("--retry-for", type=Duration(), help="How long to wait for what cannot be reached.  [default: as the file says]")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object at the end.")
@click.pass_obj
def run(settings: Settings, /, files: tuple[Path, ...], as_json: bool, workers: int, **given: Any) -> int:
    """Run pipelines, each from a YAML file; without one, from the file that CONFIG_PATH names.

    An endless run goes on until Ctrl+C or SIGTERM, delivers what is in flight, and exits with 0. Kill it at any moment and start it
    again: every row lands exactly once in sinks that keep positions.
    """
    from ddpm_core.cli.workers import supervise

    paths = files or _configured()
    if given["worker"] is None and len(paths) * workers > 1:
        if given["dry_run"]:
            raise ConfigError("--dry-run looks at one pipeline at a time", hint="Name one FILE, without --workers.")
        return supervise(paths, workers, settings)
    try:
        request = _request(given)
        if given["dry_run"]:
            from ddpm_core.cli.dry_run import show_sample

            return show_sample(paths[0], request, settings, as_json=as_json)
        return run_file(
            paths[0], request, settings, as_json=as_json, timeout=given["timeout"], supervised=given["worker"] is not None
        )
    except Exception as error:
        if as_json:
            print_failure(error)
        raise


def _configured() -> tuple[Path, ...]:
    path = os.environ.get("CONFIG_PATH")
    if not path:
        raise ConfigError("no FILE is given, and CONFIG_PATH is not set", hint="Name a pipeline's file: ddpm run pipeline.yaml")
    return (Path(path),)


def _request(given: dict[str, Any]) -> RunRequest:
    from ddpm_core.engine.compose import RunRequest

    start: int | datetime | None = given["start"]
    end: int | datetime | None = given["end"]
    if (start is not None or end is not None) and given["as_name"] is None:
        raise ConfigError(
            "--start and --end read a part of the source again, which needs a name of its own",
            hint="Add --as NAME. The positions of the live run stay as they are.",
        )
    worker, workers = given["worker"] or (0, 1)
    return RunRequest(
        until_end=given["until_end"] or end is not None or start is not None,
        start=start,
        end=end,
        as_name=given["as_name"],
        retry_for=given["retry_for"],
        worker=worker,
        workers=workers,
    )


def run_file(
    path: Path,
    request: RunRequest,
    settings: Settings,
    *,
    as_json: bool = False,
    timeout: float | None = None,
    supervised: bool = False,
) -> ExitCode:
    """Run the pipeline of this file, print its report, and say how the command ends.

    Args:
        timeout: Seconds after which it is stopped.
        supervised: It is a worker: it ends when the process that started it has gone.
    """
    from ddpm_core.cli.progress import progress
    from ddpm_core.cli.stopping import Stoppable
    from ddpm_core.cli.workers import end_with_parent
    from ddpm_core.engine.run import Run

    with progress(settings) as observers:
        run = Run(path, settings.registry(), request, timeout=timeout, observers=observers)
        if run.level and not settings.log_level:
            settings.log_level = run.level
            settings.start_log()

        def stop() -> None:
            settings.say(STOPPING)
            run.stop()

        if supervised:
            end_with_parent(run.stop)
        stoppable = Stoppable(run.run, stop)
        report = stoppable.run()
    code = _exit_code(report, stoppable.exit_code, ends_when_stopped=run.endless or run.timed_out)
    # Where a sink prints rows, the report is not among them.
    print_report(report, code, STDIN if run.prints_rows else None, settings, as_json=as_json)
    if report.rejected and not report.dead_letter_file and not as_json:
        settings.say(f"Look at the rejects:  {shell('ddpm', 'dlq', 'list', '--pipeline', str(path))}")
    return code


def _exit_code(report: Report, by_signal: ExitCode | None, *, ends_when_stopped: bool) -> ExitCode:
    """A run that has no end, or whose time was up, has ended well when it was stopped. Dead letters are its daily business."""
    code = exit_code_of_report(report, by_signal)
    stopped = (ExitCode.INTERRUPTED, ExitCode.TERMINATED, ExitCode.DEAD_LETTERS)
    return ExitCode.OK if ends_when_stopped and code in stopped else code
