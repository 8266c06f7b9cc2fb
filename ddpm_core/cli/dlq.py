"""`ddpm dlq`: the records that were set aside, listed, looked at, counted, removed."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from ddpm_core.cli.dlq_selection import Where, ask, options, state, wanted, where, which
from ddpm_core.cli.lazy import Command, LazyGroup, Place
from ddpm_core.cli.output import aligned, count, print_table, printable, printable_lines, size
from ddpm_core.cli.settings import Settings
from ddpm_core.errors import ConfigError

if TYPE_CHECKING:
    from ddpm_core.plugin.database import DeadLetterFilter
    from ddpm_core.records import DeadLetter

SHORT_ID = 12
DUMPED = 1024
"""Of a payload that is no text, so many bytes are dumped."""


@click.group(
    cls=LazyGroup,
    places={"replay": Place("ddpm_core.cli.dlq_replay", "replay", "Send dead letters through again.")},
    short_help="Look at records that were set aside.",
)
def dlq() -> None:
    """Records that could not be read or written are set aside as dead letters: in the same database as the rows, or, where there is
    none, in the file ddpm-dead-letters.ndjson; or where a pipeline says."""


@dlq.command(
    "list",
    cls=Command,
    short_help="List dead letters, newest first.",
    epilog="""\b
Examples:
  ddpm dlq list
  ddpm dlq list --db postgresql://localhost/shop --table orders --reason json_invalid
  ddpm dlq list --pipeline events.yaml --since 2h --stage sink
""",
)
@options(*where, *which, state)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", default=20, show_default=True, help="At most N, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array, payloads included.")
@click.pass_obj
def list_(settings: Settings, /, limit: int, as_json: bool, **given: Any) -> None:
    """List dead letters, newest first."""
    # One more than asked for, to know whether there are more.
    place, asked = Where.of(given), wanted(given, limit=limit + 1)
    letters = ask(*place.store(settings, asked))
    shown = letters[:limit]
    if as_json:
        from ddpm_core.cli.cells import dump

        click.echo(dump([_as_dict(letter) for letter in shown], indent=True))
    elif not shown:
        click.echo(_none(asked))
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
@options(*where)
@click.option("--raw", is_flag=True, help="Write the payload's bytes to standard output, and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def show(settings: Settings, /, id_: str, raw: bool, as_json: bool, **given: Any) -> None:
    """Show one dead letter with its payload. The beginning of its id is enough."""
    from ddpm_core.plugin.database import DeadLetterFilter

    letter = _one(ask(*Where.of(given).store(settings, DeadLetterFilter(id=id_, limit=4))), id_)
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


@dlq.command(
    cls=Command,
    short_help="Count dead letters by reason, stage and source.",
    epilog="""\b
Examples:
  ddpm dlq stats
  ddpm dlq stats --db postgresql://localhost/shop --since 7d
""",
)
@options(*where, *which, state)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def stats(settings: Settings, /, as_json: bool, **given: Any) -> None:
    """Count dead letters by reason, stage and source, with the times of the first and the last one. The most frequent come first."""
    from ddpm_core.cli.dlq_stats import count_letters, print_stats

    place, asked = Where.of(given), wanted(given, limit=0)
    counted = count_letters(*place.store(settings, asked))
    if as_json:
        from ddpm_core.cli.cells import dump

        total = sum(group.count for group in counted)
        click.echo(dump({"total": total, "groups": [group.as_dict() for group in counted]}, indent=True))
    elif not counted:
        click.echo(_none(asked))
    else:
        print_stats(counted)


@dlq.command(
    cls=Command,
    short_help="Remove dead letters for good.",
    epilog="""\b
Examples:
  ddpm dlq purge --replayed
  ddpm dlq purge --reason json_invalid --until 30d --dry-run
""",
)
@options(*where, *which, state)
@click.option("--dry-run", is_flag=True, help="Say how many would go, and change nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_obj
def purge(settings: Settings, /, dry_run: bool, yes: bool, **given: Any) -> None:
    """Remove dead letters for good: what `ddpm dlq list` shows with the same options."""
    from ddpm_core.cli.dlq_stats import count_letters, print_stats

    place = Where.of(given)
    store, asked = place.store(settings, wanted(given, limit=0))
    found: list[DeadLetter] = []
    counted = count_letters(store, asked, into=found)
    if not found:
        click.echo(_none(asked))
        return
    if dry_run or not yes:
        print_stats(counted)
    if dry_run:
        click.echo(f"{count(len(found), 'dead letter')} would be removed.")
        return
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("There is nobody to ask; --yes removes them, --dry-run says what would go.")
        click.confirm(
            f"Remove {'this dead letter' if len(found) == 1 else f'these {len(found):,} dead letters'} for good?", abort=True
        )
    with closing(store):
        store.open()
        gone = store.purge(found)
    click.echo(f"Removed {count(gone, 'dead letter')}.")


def _none(asked: DeadLetterFilter) -> str:
    if asked.restricts:
        return "No dead letters match."
    return "No dead letter was replayed." if asked.replayed else "There are no dead letters."


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
        *([("replayed", letter.replayed_at.isoformat(sep=" ", timespec="seconds"))] if letter.replayed_at else []),
        *([("format", letter.format)] if letter.format else []),
        *([("key", _text(letter.key))] if letter.key is not None else []),
        *([("header", f"{name}: {_text(value)}") for name, value in letter.headers or ()]),
        ("payload", f"{size(len(letter.payload))}, {_PAYLOAD_KINDS.get(letter.payload_kind, letter.payload_kind)}"),
    ]
    return aligned(["field", "value"], [[name, printable(value)] for name, value in rows]).partition("\n")[2]


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


_PAYLOAD_KINDS = {"bytes": "as they came", "none": "a tombstone", "arrow": "the row as an Arrow stream; here as JSON"}


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
    """All fields; `payload` as text where it is UTF-8, else as base64, and `payload_encoding` says which: `utf-8`, `base64`.

    The key and the values of headers are always base64.
    """
    import base64
    from dataclasses import fields

    entry = {field.name: getattr(letter, field.name) for field in fields(letter)}
    if letter.key is not None:
        entry["key"] = base64.b64encode(letter.key).decode()
    if letter.headers is not None:
        entry["headers"] = [[name, base64.b64encode(value).decode()] for name, value in letter.headers]
    try:
        return entry | {"payload": letter.payload.decode(), "payload_encoding": "utf-8"}
    except UnicodeDecodeError:
        return entry | {"payload": base64.b64encode(letter.payload).decode(), "payload_encoding": "base64"}
