"""The options that say what is read and where to: of `ddpm ingest`, and of `ddpm schema plan`, which looks at the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ddpm_core.cli.params import ByteSize, NameList, PluginName

STDIN = "-"

_PARAMETERS = (
    click.argument("paths", metavar="[PATH]...", nargs=-1),
    click.option(
        "--format", "-f", "format_", type=PluginName("format"), help="What the data is in.  [default: by the file's suffix]"
    ),
    click.option("--to", metavar="URL|PATH", help="Where the rows go; it picks the sink.  [default: ./ddpm.duckdb]"),
    click.option("--table", "-t", metavar="[SCHEMA.]TABLE", help="Target table.  [default: each file's name without its suffixes]"),
    click.option(
        "--mode",
        type=click.Choice(["append", "replace", "upsert"]),
        help="Add rows, put them in the place of all that were there, or replace rows by key.  "
        "[default: append; upsert when --key is given]",
    ),
    click.option("--key", "-k", type=NameList(), multiple=True, help="Columns that identify a row."),
    click.option("--columns", metavar="'NAME=TYPE,...'", help="Types of columns, such as 'ts=timestamp,amount=decimal(12,2)'."),
    click.option(
        "--option",
        "-o",
        "options",
        metavar="KIND.NAME=VALUE",
        multiple=True,
        help="An option of the source, format or sink, such as format.delimiter=';'; `ddpm plugins show` lists them.",
    ),
    click.option(
        "--schema",
        type=click.Choice(["evolve", "freeze"]),
        help="Whether tables may gain columns and be widened, or stay as they are.  [default: evolve those that DDPM created]",
    ),
    click.option(
        "--max-record-bytes", type=ByteSize(), help="Longer records are set aside; 1000000, 16MiB.  [default: the format's, 16MiB]"
    ),
    click.option(
        "--max-depth",
        type=click.IntRange(min=1),
        metavar="N",
        help="Records nested deeper are set aside.  [default: the format's, 128]",
    ),
)


def what_to_read(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options and the paths."""
    for parameter in reversed(_PARAMETERS):
        command = parameter(command)
    return command


def request_fields(given: dict[str, Any]) -> dict[str, Any]:
    """What was typed, as fields of an `IngestRequest`."""
    return {
        "paths": tuple(given["paths"]) or (STDIN,),
        "format": given["format_"],
        "to": given["to"],
        "table": given["table"],
        "mode": given["mode"],
        "key": tuple(name for names in given["key"] for name in names),
        "columns": given["columns"],
        "options": tuple(given["options"]),
        "evolve": None if given["schema"] is None else given["schema"] == "evolve",
        "max_record_bytes": given["max_record_bytes"],
        "max_depth": given["max_depth"],
    }
