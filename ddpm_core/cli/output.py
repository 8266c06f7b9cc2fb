"""What commands print: numbers, cells, tables."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import unicodedata
from collections.abc import Iterator, Sequence

import click

from ddpm_core.config.redact import mask_url as mask_url
from ddpm_core.config.redact import redact as redact

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {9: "\\t", 10: "\\n", 13: "\\r"}
NARROWEST = 12
"""Columns of a table on a terminal are cut to this width before it is turned on its side."""


def count(number: int, noun: str) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(nbytes: int) -> str:
    """`812 bytes`, `4.7 MB`."""
    if nbytes < 1000:
        return count(nbytes, "byte")
    amount = float(nbytes)
    for unit in ("kB", "MB", "GB"):
        amount /= 1000
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:,.1f} TB"


def duration(seconds: float) -> str:
    """`0.4 s`, `1 min 20 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def shell(*words: str) -> str:
    """A command that can be pasted into a shell."""
    return " ".join(_shell_word(word) for word in words)


def sql_name(name: str) -> str:
    """An identifier as SQL needs it: in double quotes unless it is plain lower case."""
    plain = name.isascii() and name.isidentifier() and name == name.lower() and name not in _SQL_WORDS
    return name if plain else '"' + name.replace('"', '""') + '"'


def printable(text: str) -> str:
    """Text without control characters: data must not be able to talk to the terminal, nor break a line of a table."""
    return text.translate(_CONTROLS)


def printable_lines(text: str) -> str:
    """The same for text of several lines: its line ends stay."""
    return "\n".join(printable(line) for line in text.split("\n"))


def width(text: str) -> int:
    """How many cells of a terminal this text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[bool] = (), rule: bool = False) -> str:
    """Plain columns with two spaces between. `right`: which columns are numbers. `rule`: a line of dashes below the header."""
    right = right or [False] * len(header)
    lines = [header, *rows]
    widths = [max(width(line[column]) for line in lines) for column in range(len(header))]
    if rule:
        lines = [header, ["-" * w for w in widths], *rows]
    return "\n".join("  ".join(_pad(*cell) for cell in zip(line, widths, right, strict=True)).rstrip() for line in lines)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    """A table on standard output: drawn on a terminal, with long cells shortened; plain and whole elsewhere."""
    header = [printable(name) for name in header]
    if not sys.stdout.isatty():
        click.echo(aligned(header, rows, right=right, rule=True))
        return
    from rich.console import Console

    console = Console(highlight=False)
    widths = fitting(
        [max(width(line[column]) for line in (header, *rows)) for column in range(len(header))],
        room=console.width - 3 * len(header) - 1,  # Each column has a line and two spaces.
        narrowest=[max(NARROWEST, width(name)) for name in header],
    )
    if widths is None:
        _print_sideways(header, rows)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for name, cells, numbers in zip(header, widths, right, strict=True):
        table.add_column(Text(name), width=cells, justify="right" if numbers else "left", no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def fitting(widths: Sequence[int], room: int, narrowest: Sequence[int]) -> list[int] | None:
    """These widths with the widest ones cut, all to the same width, so that they fit. None when they would get too narrow."""
    for level in range(min(max(widths), room), 0, -1):
        cut = [min(wanted, max(level, least)) for wanted, least in zip(widths, narrowest, strict=True)]
        if sum(cut) <= room:
            return cut
    return None


def forget_stdout() -> None:
    """The reader is gone: what is still buffered goes nowhere, and the interpreter says nothing of it at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def closed_stdout_is_fine() -> Iterator[None]:
    """For printing what nobody has to read: a pipe that is closed loses it, and nothing else happens."""
    try:
        yield
    except BrokenPipeError:
        forget_stdout()


def _print_sideways(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Each row as lines of `column  value`, for tables that are wider than the terminal."""
    longest = max(map(width, header))
    for number, row in enumerate(rows, 1):
        click.echo(f"--- row {number:,}")
        for name, cell in zip(header, row, strict=True):
            click.echo(f"{_pad(name, longest, False)}  {cell}")


def _pad(cell: str, to: int, numbers: bool) -> str:
    gap = " " * (to - width(cell))
    return gap + cell if numbers else cell + gap


def _shell_word(word: str) -> str:
    # Double quotes where they are safe read better around SQL, which is full of single ones.
    if "'" in word and not set(word) & set('"\\$`!'):
        return f'"{word}"'
    return shlex.quote(word)


_RESERVED = (
    "all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate column concurrently "
    "constraint create cross current_date current_role current_time current_timestamp current_user default deferrable desc describe "
    "distinct do else end except false fetch for foreign freeze from full grant group having ilike in initially inner intersect into "
    "is isnull join lateral leading left like limit localtime localtimestamp natural not notnull null offset on only or order outer "
    "overlaps pivot placing primary qualify references returning right select session_user show similar some summarize symmetric "
    "table tablesample then to trailing true union unique unpivot user using variadic verbose when where window with"
)
_SQL_WORDS = frozenset(_RESERVED.split())
"""Words that Postgres or DuckDB reserve."""
