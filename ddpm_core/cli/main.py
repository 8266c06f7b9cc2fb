"""`ddpm`: the group of all commands, and the entry point of the console script."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import NoReturn

import click

from ddpm_core import __version__
from ddpm_core.cli.lazy import Place, RootGroup
from ddpm_core.cli.settings import Settings, global_options

COMMANDS = {
    "ingest": Place("ddpm_core.cli.ingest", "ingest", "Read files, queries or standard input into databases or files."),
    "schema": Place("ddpm_core.cli.schema", "schema", "Show how tables would have to change for some data."),
    "query": Place("ddpm_core.cli.query", "query", "Ask a database, and print a table."),
    "dlq": Place("ddpm_core.cli.dlq", "dlq", "Look at records that were set aside."),
    "plugins": Place("ddpm_core.cli.plugins", "plugins", "List plugins, show one, begin a new one."),
    "completion": Place("ddpm_core.cli.completion", "completion", "Print the script that completes commands in a shell."),
}

_EXAMPLES = """\b
Examples:
  ddpm ingest events.avro
  ddpm ingest 'data/*.parquet' --to postgresql://localhost/shop --table orders --key order_id
  cat events.ndjson | ddpm ingest --format json --table events
  ddpm query 'select count(*) from events'
"""


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        python = ".".join(str(part) for part in sys.version_info[:3])
        click.echo(f"ddpm {__version__} (Python {python})")
        ctx.exit()


@click.group(
    cls=RootGroup,
    places=COMMANDS,
    epilog=_EXAMPLES,
    params=[
        click.Option(
            ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
        ),
        *global_options(),
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Files and streams into databases, exactly once, every part a plugin."""
    ctx.ensure_object(Settings)


def main() -> None:
    """Run the command line, and exit with its code."""
    try:
        cli(prog_name="ddpm")
    except SystemExit as end:
        if any(thread.daemon and thread.name.startswith("ddpm-") for thread in threading.enumerate()):
            # A thread that is blocked in a read of standard input cannot be woken, and holds a lock without which the interpreter
            # aborts instead of ending. What had to be closed has been.
            _end_now(end.code if isinstance(end.code, int) else 1)
        raise


def _end_now(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
