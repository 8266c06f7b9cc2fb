"""Names as users write them: `[schema.]table`, parts in double quotes where they hold a dot."""

from __future__ import annotations

from ddpm_core.errors import ConfigError


def split_table(text: str) -> tuple[str | None, str]:
    """The schema, or None, and the table that a user's `[schema.]table` names.

    A part in double quotes is taken as it stands, dots included; a double quote inside it is written twice. Outside quotes every
    character but the dot belongs to the name, spaces and capitals too: nothing is folded, so what is written is what is made.

    Raises:
        ConfigError: A part is empty, there are more than two, or a quote is left open.
    """
    parts = _parts(text)
    if len(parts) > 2:
        raise ConfigError(
            f"table {text!r} has {len(parts)} parts, and a table is named by `table` or `schema.table`",
            hint=f'Put double quotes around a name that holds a dot: "{parts[-2]}.{parts[-1]}"',
        )
    if "" in parts:
        raise ConfigError(f"table {text!r} has an empty name in it, and a table is named by `table` or `schema.table`")
    return (parts[0], parts[1]) if len(parts) == 2 else (None, parts[0])


def _parts(text: str) -> list[str]:
    parts: list[str] = []
    rest = text
    while True:
        if rest.startswith('"'):
            part, rest = _quoted(rest, text)
        else:
            part, dot, after = rest.partition(".")
            rest = dot + after
        parts.append(part)
        if not rest:
            return parts
        if not rest.startswith("."):
            raise ConfigError(f"table {text!r} goes on after a closing quote; only a dot may follow there")
        rest = rest[1:]


def _quoted(rest: str, text: str) -> tuple[str, str]:
    """The name that begins here with a quote, and what follows its closing quote."""
    at = 1
    while True:
        end = rest.find('"', at)
        if end < 0:
            raise ConfigError(f"table {text!r} opens a double quote and does not close it")
        if rest[end + 1 : end + 2] != '"':
            return rest[1:end].replace('""', '"'), rest[end + 1 :]
        at = end + 2


COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz")
"""Suffixes of compressed files. What is before them tells the format, and the table's name."""


def data_name(path: str) -> str:
    """The last part of a path or URL, without what says how it was packed or is reached.

    `https://host/a/events.json.gz?x=1` -> `events.json`. Only in web addresses do `?` and `#` end the path; keys of objects hold them.
    """
    if scheme_of(path) in ("http", "https"):
        path = path.partition("?")[0].partition("#")[0]
    name = path.rstrip("/").rpartition("/")[2]
    lower = name.lower()
    return next((name[: -len(suffix)] for suffix in COMPRESSIONS if lower.endswith(suffix) and len(name) > len(suffix)), name)


def scheme_of(address: str) -> str:
    """The scheme of a URL in lower case, without the driver that may follow it: `mysql` of `mysql+pymysql://host/db`. Empty for paths."""
    scheme, separator, _ = address.partition("://")
    return scheme.lower().partition("+")[0] if separator else ""
