"""`ddpm ingest`: files or standard input into a database."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddpm_core.cli.errors import ExitCode, exit_code_of, is_panic
from ddpm_core.cli.lazy import Command
from ddpm_core.cli.output import closed_stdout_is_fine, forget_stdout
from ddpm_core.cli.params import Duration, Share
from ddpm_core.cli.reading import STDIN, request_fields, what_to_read
from ddpm_core.cli.settings import Settings
from ddpm_core.errors import DataError, DdpmError

if TYPE_CHECKING:
    from ddpm_core.engine.ingest import IngestRequest
    from ddpm_core.engine.report import Report
    from ddpm_core.registry import Registry

STOPPING = "stopping: finishing the current transaction (Ctrl+C again to abort now)"


@click.command(
    cls=Command,
    short_help="Read files, queries or standard input into databases or files.",
    epilog="""\b
Examples:
  ddpm ingest events.avro
  ddpm ingest 'data/*.parquet' --to postgresql://localhost/shop --table orders --key order_id
  cat access.log | ddpm ingest --format logline --table access
  ddpm ingest 's3://lake/orders/*.csv.gz' --to out/ -o sink.format=parquet
  ddpm ingest postgresql://localhost/shop -o source.table=orders -o source.cursor=id
""",
)
@what_to_read
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Run the pipeline of this file to its end, where no PATH is given.  [default: what CONFIG_PATH names]",
)
@click.option("--again", is_flag=True, help="Read files again that were finished before.")
@click.option(
    "--on-error",
    type=click.Choice(["dead-letter", "fail"]),
    default="dead-letter",
    show_default=True,
    help="What becomes of a record that cannot be read or written: set it aside, or fail.",
)
@click.option(
    "--retry-for",
    type=Duration(),
    default="60s",
    show_default=True,
    help="How long to wait for a database or file that cannot be reached; 90, 90s, 5m.",
)
@click.option(
    "--max-reject-share",
    type=Share(),
    default="5%",
    show_default=True,
    help="More rejected than this, and the run fails; 5%, 0.05.",
)
@click.option(
    "--max-rejects-in-a-row",
    type=click.IntRange(min=1),
    metavar="N",
    default=1000,
    show_default=True,
    help="More rejected one after the other than this, and the run fails.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.pass_obj
def ingest(settings: Settings, /, as_json: bool, **given: Any) -> int:
    """Read files, folders, patterns, URLs or standard input (`-`, or no path) into tables or files.

    Run it again after it was stopped or killed: every row lands exactly once, and files already finished are skipped.
    """
    try:
        pipeline = _pipeline_instead(given)
        if pipeline is not None:
            from ddpm_core.cli.run import run_file
            from ddpm_core.engine.compose import RunRequest

            return run_file(pipeline, RunRequest(until_end=True), settings, as_json=as_json)
        registry = settings.registry()
        report, code = _run(_request(given), registry, settings)
    except Exception as error:
        if as_json:
            print_failure(error)
        raise
    except BaseException as error:
        if as_json and is_panic(error):
            print_failure(error)
        raise
    print_report(report, code, given["to"], settings, as_json=as_json)
    return code


def _pipeline_instead(given: dict[str, Any]) -> Path | None:
    """The pipeline file that is meant where nothing says what to read. A format says that standard input is meant."""
    if given["paths"]:
        return None
    named = os.environ.get("CONFIG_PATH") if given["format_"] is None else None
    return given["config"] or (Path(named) if named else None)


def _request(given: dict[str, Any]) -> IngestRequest:
    from ddpm_core.engine.ingest import IngestRequest

    return IngestRequest(
        **request_fields(given),
        again=given["again"],
        on_error=given["on_error"],
        retry_for=given["retry_for"],
        reject_share=given["max_reject_share"],
        reject_run=given["max_rejects_in_a_row"],
    )


def _run(request: IngestRequest, registry: Registry, settings: Settings) -> tuple[Report, ExitCode]:
    from ddpm_core.cli.progress import progress
    from ddpm_core.cli.stopping import Stoppable
    from ddpm_core.engine.ingest import Ingest

    with progress(settings) as observers:
        run = Ingest(request, registry, observers=observers)
        if STDIN in request.paths and sys.stdin.isatty():
            settings.say("reading standard input (end with Ctrl+D)")

        def stop() -> None:
            settings.say(STOPPING)
            run.stop()

        stoppable = Stoppable(run.run, stop)
        report = stoppable.run()
    return report, exit_code_of_report(report, stoppable.exit_code)


def _reader_left(report: Report) -> bool:
    """Whether rows went to a pipe whose reader has gone (`| head`): the run is over, and there is nothing to complain about."""
    return report.error is not None and isinstance(report.error.__cause__, BrokenPipeError)


def exit_code_of_report(report: Report, by_signal: ExitCode | None) -> ExitCode:
    """What the shell gets for this report; `by_signal` is the code of the signal that came."""
    if _reader_left(report):
        return ExitCode.PIPE_CLOSED
    failed = any(document.status == "failed" for document in report.documents)
    match report.status:
        case "stopped":
            return by_signal or ExitCode.INTERRUPTED
        case "failed":
            return exit_code_of(report.error) if report.error else ExitCode.FAILED
        case "dead_letters":
            return ExitCode.FAILED if failed else ExitCode.DEAD_LETTERS
        case "landed":
            return ExitCode.FAILED if failed else ExitCode.OK


def print_report(report: Report, code: ExitCode, to: str | None, settings: Settings, *, as_json: bool) -> None:
    """The report on standard output, then every error on standard error. A reader that is gone does not change what the run came to.

    Where the rows went to standard output, the report goes to standard error.
    """
    from ddpm_core.cli.summary import summary_lines

    if _reader_left(report):
        forget_stdout()
        return
    lines = [] if settings.quiet else summary_lines(report, to)
    with closed_stdout_is_fine():
        if as_json:
            _print_json(report, code, err=to == STDIN)
        elif lines:
            click.echo("\n".join(lines), err=to == STDIN)
    for error, where in _errors(report):
        settings.show_error(error, where=where)


def _errors(report: Report) -> Iterator[tuple[DdpmError, str]]:
    """Every error once, with the document that it belongs to: what is wrong with the data is a document's, all else is not."""
    told: set[int] = set()
    found = [(document.error, document.name) for document in report.documents] + [(report.error, "")]
    for error, name in found:
        if error is not None and id(error) not in told:
            told.add(id(error))
            yield error, name if isinstance(error, DataError) or error is not report.error else ""


def _print_json(report: Report, code: ExitCode, *, err: bool) -> None:
    from ddpm_core.cli.cells import dump
    from ddpm_core.cli.report_json import report_dict

    click.echo(dump(report_dict(report, code)), err=err)


def print_failure(error: BaseException) -> None:
    """The report of a run that never began, as JSON."""
    from ddpm_core.cli.cells import dump
    from ddpm_core.cli.report_json import failure_dict

    with closed_stdout_is_fine():
        click.echo(dump(failure_dict(error, exit_code_of(error))))
