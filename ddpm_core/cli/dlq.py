"""`ddpm dlq`: the records that were set aside, listed and looked at."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddpm_core.cli.lazy import Command, LazyGroup
from ddpm_core.cli.output import aligned, print_table, printable, printable_lines, size
from ddpm_core.cli.settings import Settings
from ddpm_core.errors import ConfigError

if TYPE_CHECKING:
    from ddpm_core.plugin.database import Database, DeadLetterFilter
    from ddpm_core.records import DeadLetter

SHORT_ID = 12
DUMPED = 1024
"""Of a payload that is no text, so many bytes are dumped."""

_DB = click.option(
    "--db", metavar="URL|PATH", help="Which database, or the .ndjson file that a run named.  [default: ./ddpm.duckdb]"
)


@click.group(cls=LazyGroup, short_help="Look at records that were set aside.")
def dlq() -> None:
    """Records that could not be read or written are set aside as dead letters: in the same database as the rows, or, where there is
    none, in the file ddpm-dead-letters.ndjson."""


@dlq.command(
    "list",
    cls=Command,
    short_help="List dead letters, newest first.",
    epilog="""\b
Examples:
  ddpm dlq list
  ddpm dlq list --db postgresql://localhost/shop --table orders --reason json_invalid
""",
)
@_DB
@click.option("--table", "-t", default="", metavar="[SCHEMA.]TABLE", help="Only those meant for this table.")
@click.option("--reason", default="", metavar="CODE", help="Only those with this reason, such as json_invalid.")
@click.option("--source", default="", metavar="TEXT", help="Only those whose source has this text in its name.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", default=20, show_default=True, help="At most N, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array, payloads included.")
@click.pass_obj
def list_(settings: Settings, db: str | None, table: str, reason: str, source: str, limit: int, as_json: bool) -> None:
    """List dead letters, newest first."""
    from ddpm_core.plugin.database import DeadLetterFilter

    # One more than asked for, to know whether there are more.
    letters = _ask(settings, db, DeadLetterFilter(table=table, reason=reason, source=source, limit=limit + 1))
    shown = letters[:limit]
    if as_json:
        from ddpm_core.cli.cells import dump

        click.echo(dump([_as_dict(letter) for letter in shown], indent=True))
    elif not shown:
        restricted = table or reason or source
        click.echo("No dead letters match." if restricted else "There are no dead letters.")
    else:
        _print_list(shown)
    if len(letters) > limit:
        settings.say(f"there are more than {limit:,}; --limit N shows more")


@dlq.command(
    cls=Command,
    short_help="Show one dead letter with its payload.",
    epilog="""\b
Examples:
  ddpm dlq show 4f1c2a
  ddpm dlq show 4f1c2a --raw > record.json
""",
)
@click.argument("id_", metavar="ID")
@_DB
@click.option("--raw", is_flag=True, help="Write the payload's bytes to standard output, and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def show(settings: Settings, id_: str, db: str | None, raw: bool, as_json: bool) -> None:
    """Show one dead letter with its payload. The beginning of its id is enough."""
    from ddpm_core.plugin.database import DeadLetterFilter

    letter = _one(_ask(settings, db, DeadLetterFilter(id=id_, limit=4)), id_)
    if raw:
        sys.stdout.flush()
        sys.stdout.buffer.write(letter.payload)
        sys.stdout.buffer.flush()
    elif as_json:
        from ddpm_core.cli.cells import dump

        click.echo(dump(_as_dict(letter), indent=True))
    else:
        click.echo(_fields(letter))
        click.echo(f"\n{_payload(letter)}")


def _ask(settings: Settings, db: str | None, wanted: DeadLetterFilter) -> list[DeadLetter]:
    from ddpm_core.cli.stopping import die_on_ctrl_c
    from ddpm_core.engine.build import open_database

    with die_on_ctrl_c():
        if db is not None and db.endswith(".ndjson"):
            from ddpm_core.engine.dead_letter_file import DeadLetterFile

            return DeadLetterFile(Path(db)).find(wanted)
        database: Database = open_database(db, settings.registry())
        with closing(database):
            return database.dead_letters(wanted)


def _one(letters: list[DeadLetter], asked: str) -> DeadLetter:
    exact = [letter for letter in letters if letter.id == asked]
    if len(letters) == 1 or exact:
        return (exact or letters)[0]
    if not letters:
        raise ConfigError(f"there is no dead letter whose id begins with {asked!r}", hint="`ddpm dlq list` shows them.")
    ids = ", ".join(letter.id for letter in letters[:3])
    raise ConfigError(
        f"more than one dead letter's id begins with {asked!r}", hint=f"Write more of it: {ids}{', …' if len(letters) > 3 else ''}"
    )


def _print_list(letters: list[DeadLetter]) -> None:
    header = ["id", "created", "table", "source", "record", "stage", "reason", "message"]
    rows = [
        [
            printable(text)
            for text in (
                letter.id[:SHORT_ID],
                _when(letter),
                letter.target,
                letter.source,
                str(letter.offset),
                letter.stage,
                letter.reason,
                letter.message,
            )
        ]
        for letter in letters
    ]
    print_table(header, rows, [name == "record" for name in header])


def _when(letter: DeadLetter) -> str:
    return letter.created_at.isoformat(sep=" ", timespec="seconds")


def _fields(letter: DeadLetter) -> str:
    at = f"{letter.offset} (counted from 0)"
    rows = [
        ("id", letter.id),
        ("created", _when(letter)),
        ("pipeline", letter.pipeline),
        ("table", letter.target or "-"),
        ("source", letter.source),
        ("partition", letter.partition),
        ("record", at if letter.byte_offset is None else f"{at}, at byte {letter.byte_offset}"),
        ("stage", letter.stage),
        ("reason", letter.reason),
        ("message", letter.message),
        ("plugin", f"{letter.plugin} {letter.plugin_version}".strip()),
        ("sink", letter.sink or "-"),
        ("attempts", str(letter.attempts)),
        ("payload", f"{size(len(letter.payload))}, {_PAYLOAD_KINDS.get(letter.payload_kind, letter.payload_kind)}"),
    ]
    return aligned(["field", "value"], [[name, printable(value)] for name, value in rows]).partition("\n")[2]


_PAYLOAD_KINDS = {"bytes": "as they came", "arrow": "the row as an Arrow stream; here as JSON"}


def _payload(letter: DeadLetter) -> str:
    if letter.view is not None:
        return printable_lines(letter.view)
    try:
        return printable_lines(letter.payload.decode()) if letter.payload else "(empty)"
    except UnicodeDecodeError:
        return _hexdump(letter.payload)


def _hexdump(payload: bytes) -> str:
    lines = []
    for at in range(0, min(len(payload), DUMPED), 16):
        piece = payload[at : at + 16]
        seen = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
        lines.append(f"{at:08x}  {piece.hex(' '):<47}  {seen}")
    if len(payload) > DUMPED:
        lines.append(f"… {size(len(payload) - DUMPED)} more; --raw writes all")
    return "\n".join(lines)


def _as_dict(letter: DeadLetter) -> dict[str, Any]:
    """All fields; `payload` as text where it is UTF-8, else as base64, and `payload_encoding` says which: `utf-8`, `base64`."""
    import base64
    from dataclasses import fields

    entry = {field.name: getattr(letter, field.name) for field in fields(letter)}
    try:
        return entry | {"payload": letter.payload.decode(), "payload_encoding": "utf-8"}
    except UnicodeDecodeError:
        return entry | {"payload": base64.b64encode(letter.payload).decode(), "payload_encoding": "base64"}
