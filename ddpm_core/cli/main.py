"""`ddpm`: the group of all commands."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading

import click

from ddpm_core import __version__
from ddpm_core.cli.lazy import Place, RootGroup
from ddpm_core.cli.settings import Settings, global_options

COMMANDS = {
    "ingest": Place("ddpm_core.cli.ingest", "ingest", "Read files, queries or standard input into databases or files."),
    "run": Place("ddpm_core.cli.run", "run", "Run a pipeline from its file, endless or to an end."),
    "validate": Place("ddpm_core.cli.validate", "validate", "Check pipelines' files: every mistake at once."),
    "config": Place("ddpm_core.cli.config", "config", "Print the schema of pipeline files, or a file as it is read."),
    "schema": Place("ddpm_core.cli.schema", "schema", "Show how tables would have to change for some data."),
    "query": Place("ddpm_core.cli.query", "query", "Ask a database, and print a table."),
    "dlq": Place("ddpm_core.cli.dlq", "dlq", "Look at records that were set aside."),
    "plugins": Place("ddpm_core.cli.plugins", "plugins", "List plugins, show one, begin a new one."),
    "services": Place("ddpm_core.cli.services", "services", "A local Kafka and Postgres, without containers."),
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


def run() -> None:
    """Run the command line, and end the process with its code. Called by `start.main`."""
    try:
        cli(prog_name="ddpm")
    except SystemExit as end:
        others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
        if any(thread.daemon and thread.name.startswith("ddpm-") for thread in others):
            # A thread that is blocked in a read of standard input cannot be woken, and holds a lock without which the interpreter
            # aborts instead of ending. What had to be closed has been.
            with contextlib.suppress(OSError, ValueError):
                _flush()
            os._exit(end.code if isinstance(end.code, int) else 1)
        if isinstance(end.code, int) and all(thread.daemon for thread in others):
            # What is registered to run at the end runs. Only taking all modules apart is left out, 0.1 s of CPU after an ingest.
            atexit._run_exitfuncs()
            with contextlib.suppress(OSError, ValueError):
                _flush()
                os._exit(end.code)
        raise


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # As it is where the shell closed it: `>&-`.
            stream.flush()
