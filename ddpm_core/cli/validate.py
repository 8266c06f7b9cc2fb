"""`ddpm validate`: every mistake of pipelines' files at once, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ddpm_core.cli.errors import ExitCode
from ddpm_core.cli.lazy import Command
from ddpm_core.cli.output import count, printable_lines
from ddpm_core.cli.settings import Settings

if TYPE_CHECKING:
    from ddpm_core.engine.build import Pipeline
    from ddpm_core.errors import Problem
    from ddpm_core.registry import Registry

RETRY_FOR = 5.0
"""Seconds that --live waits for what cannot be reached: it is asked by people and by deployments that wait for the answer."""


@click.command(
    cls=Command,
    short_help="Check pipelines' files: every mistake at once.",
    epilog="""\b
Examples:
  ddpm validate pipeline.yaml
  ddpm validate pipelines/*.yaml --live
""",
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--live", is_flag=True, help="Connect too: check topics, tables, types and privileges, and say what each sink guarantees."
)
@click.pass_obj
def validate(settings: Settings, files: tuple[Path, ...], live: bool) -> int:
    """Check pipelines' files: keys, plugins, options and variables. Every mistake of all files is listed, each with its line.

    Nothing is read or written, and no code runs that a file names. Exits with 2 when there is a mistake, and with 1 when --live finds
    that something cannot be used.
    """
    from ddpm_core.errors import ConfigError

    registry = settings.registry()
    problems: list[Problem] = []
    names: dict[str, Path] = {}
    code = ExitCode.OK
    for path in dict.fromkeys(files):
        try:
            pipeline = _composed(path, registry)
            _refuse_same_name(pipeline.name, path, names)
        except ConfigError as error:
            problems += _problems(error)
            continue
        click.echo(printable_lines(f"{path}: ok: {_described(pipeline)}"))
        if live:
            code = max(code, _look(path, pipeline, settings))
    if problems:
        raise ConfigError(problems)
    return code


def _composed(path: Path, registry: Registry) -> Pipeline:
    from ddpm_core.config.pipeline_file import load_pipeline
    from ddpm_core.engine.compose import RunRequest, compose

    # As for a run that ends: an endless source then looks, and joins nothing.
    return compose(load_pipeline(path), registry, request=RunRequest(until_end=True, retry_for=RETRY_FOR), load=False)


def _refuse_same_name(name: str, path: Path, names: dict[str, Path]) -> None:
    """Positions are kept under the name: two pipelines with one would take each other's place."""
    from ddpm_core.errors import ConfigError, Problem

    other = names.setdefault(name, path)
    if other != path:
        raise ConfigError(
            Problem(f"{path}: name", f"{name!r} is the name of {other} too", "positions are kept under it: choose another name")
        )


def _problems(error: Exception) -> list[Problem]:
    """The mistakes, each with what to do."""
    from ddpm_core.errors import ConfigError, Problem

    assert isinstance(error, ConfigError)  # noqa: S101
    return [Problem(p.where, p.what, p.hint or error.hint.rstrip(".")) for p in error.problems]


def _described(pipeline: Pipeline) -> str:
    """`source kafka to postgres (exactly once) and stdout (at least once)`."""
    from ddpm_core.engine.live_check import guarantee_of

    sinks = " and ".join(f"{use.name} ({guarantee_of(use.sink)})" for use in pipeline.sinks)
    return f"{pipeline.name} reads {pipeline.source[1].spec.name} into {sinks}"


def _look(path: Path, pipeline: Pipeline, settings: Settings) -> ExitCode:
    from ddpm_core.engine.live_check import look

    failed = 0
    for finding in look(pipeline):
        if finding.error is None:
            click.echo(printable_lines(f"{path}: {finding.part}: {finding.found}"))
        else:
            failed += 1
            settings.show_error(finding.error, where=f"{path}: {finding.part}")
    if failed:
        settings.say(f"{path}: {count(failed, 'part')} cannot be used")
    return ExitCode.FAILED if failed else ExitCode.OK
