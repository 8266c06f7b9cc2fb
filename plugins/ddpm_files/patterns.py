"""Patterns over names that are no paths of this machine: keys of objects, members of archives."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

MAGIC = re.compile(r"[*?\[]")
"""What makes a name a pattern."""


def matches(parts: list[str], wanted: list[str]) -> bool:
    """Whether a pattern matches a name or a folder in it: as with files, a folder that matches means all that is in it."""
    if not wanted or wanted == [""]:
        return not hidden(parts)
    if not parts:
        return False
    head = wanted[0]
    if head == "**":
        if matches(parts, wanted[1:]):
            return True
        return not hidden(parts[:1]) and len(parts) > 1 and matches(parts[1:], wanted)
    fits = parts[0] == head
    if MAGIC.search(head):
        fits = fnmatchcase(parts[0], head) and (head[0] in "._" or not hidden(parts[:1]))
    return fits and matches(parts[1:], wanted[1:])


def hidden(parts: list[str]) -> bool:
    """Whether a part of a name begins with `.` or `_`. What leads to a folder above is not hidden: in an archive it is only a name."""
    return any(part[:1] in (".", "_") and part not in (".", "..") for part in parts)
