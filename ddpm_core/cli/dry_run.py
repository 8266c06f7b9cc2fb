"""`ddpm run --dry-run`: a pipeline's first rows and its rejects, for people to look at before anything is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ddpm_core.cli.errors import ExitCode
from ddpm_core.cli.output import closed_stdout_is_fine, count, print_table, printable, redact
from ddpm_core.cli.settings import Settings

if TYPE_CHECKING:
    from ddpm_core.engine.compose import RunRequest
    from ddpm_core.engine.sample import Sample

SHOWN = 10
"""Rows that are printed."""


def show_sample(path: Path, request: RunRequest, settings: Settings, *, as_json: bool) -> ExitCode:
    """Print what the pipeline makes of its first records. Its sinks are not opened, and no position is kept."""
    from ddpm_core.config.pipeline_file import load_pipeline
    from ddpm_core.engine.compose import compose
    from ddpm_core.engine.sample import sample

    found = sample(compose(load_pipeline(path), settings.registry(), request=replace(request, until_end=True, sample=True)))
    with closed_stdout_is_fine():
        if as_json:
            _print_json(found)
        else:
            _print(found)
    return ExitCode.DEAD_LETTERS if found.rejects else ExitCode.OK


def _print(found: Sample) -> None:
    from ddpm_core.cli.cells import is_number, text_columns

    if found.batches:
        batch = found.batches[0].slice(0, SHOWN)
        print_table(
            batch.schema.names, list(zip(*text_columns(batch), strict=True)), [is_number(field.type) for field in batch.schema]
        )
    rejected = found.rejects.total()
    click.echo(f"Looked at {count(found.records, 'record')}: {count(found.rows, 'row')} for the sinks, {rejected:,} rejected.")
    for reason, number in found.rejects.most_common():
        click.echo(printable(redact(f"  {number:,} {reason}, the first: {found.first[reason]}")))
    click.echo("Nothing was written, and no position has moved.")


def _print_json(found: Sample) -> None:
    from ddpm_core.cli.cells import dump, json_rows

    shown = json_rows(found.batches[0].slice(0, SHOWN)) if found.batches else []
    first = {reason: redact(message) for reason, message in found.first.items()}
    click.echo(
        dump(
            {
                "records": found.records,
                "rows": found.rows,
                "rejects": dict(found.rejects),
                "first_rejects": first,
                "first_rows": shown,
            }
        )
    )
