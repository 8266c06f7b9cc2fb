"""Which local files a path or a pattern means. Nothing is opened here."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase
from urllib.parse import unquote

from ddpm_core import ConfigError, Problem

_MAGIC = re.compile(r"[*?\[]")


def local_path(path: str) -> str:
    """The path that a `file://` URL names; any other path as it is.

    Raises:
        ConfigError: The URL names another machine.
    """
    if path[:7].lower() != "file://":
        return path
    host, slash, rest = path[7:].partition("/")
    if host not in ("", "localhost") or not slash:
        raise ConfigError(Problem(path, "is not a file of this machine", "file URLs look like file:///folder/name"))
    return unquote(slash + rest, errors="surrogateescape")


def files(given: str) -> list[str]:
    """The files that a path means, sorted: itself, all below a folder, or what matches a pattern.

    Folders are searched to any depth. Files and folders whose names begin with `.` or `_` are left out, unless they are named.

    Raises:
        ConfigError: It leads to nothing that can be read.
    """
    path = local_path(given)
    if not path or "\0" in path:
        raise ConfigError(Problem(repr(given), "is not a path"))
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        # What exists under exactly this name has been taken literally, pattern or not.
        if _MAGIC.search(path):
            return _pattern(given, path)
        raise ConfigError(_missing(given, path)) from None
    except OSError as error:
        raise ConfigError(_unreadable(given, error)) from None
    if stat.S_ISDIR(found.st_mode):
        return _folder(given, path)
    if stat.S_ISSOCK(found.st_mode):
        raise ConfigError(Problem(given, "is a socket, not a file"))
    _check_readable([path])
    return [path]


def _folder(given: str, folder: str) -> list[str]:
    files = _files_below(folder)
    if not files:
        raise ConfigError(Problem(given, "the folder holds no files", "names that begin with . or _ are left out"))
    _check_readable(files)
    return files


def _pattern(given: str, pattern: str) -> list[str]:
    root = "/" if pattern.startswith("/") else ""
    own_dot = "./" if pattern.startswith("./") else ""  # Scanning the working folder puts one before every name.
    found = _expand(root, [part for part in pattern.split("/") if part])
    matches = sorted({own_dot + path.removeprefix("./") for path in found})
    files: list[str] = []
    for match in matches:
        if os.path.isdir(match):
            files += _files_below(match)
        elif os.path.isfile(match) or os.path.islink(match):
            files.append(match)
    if not files:
        raise ConfigError(Problem(given, "the pattern matches nothing" if not matches else "the pattern matches no files"))
    _check_readable(files)
    return files


def _expand(base: str, parts: list[str]) -> Iterator[str]:
    """The paths below `base` that match. Not glob's: its `**` never comes back from two links that form loops."""
    if not parts:
        yield base
        return
    head, rest = parts[0], parts[1:]
    if head == "**":
        for folder in _folders_below(base):
            if rest:
                yield from _expand(folder, rest)
            else:
                yield from (entry.path for entry in _entries(folder) if not entry.is_dir())
    elif _MAGIC.search(head):
        for entry in _entries(base, hidden=head[0] in "._"):
            if fnmatchcase(entry.name, head):
                yield from _expand(entry.path, rest)
    else:
        path = os.path.join(base, head)
        if os.path.lexists(path):
            yield from _expand(path, rest)


def _files_below(folder: str) -> list[str]:
    """Regular files, and links that lead nowhere: opening them says so, where leaving them out would lose them in silence."""
    return sorted(
        entry.path
        for inner in _folders_below(folder)
        for entry in _entries(inner)
        if entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))
    )


def _folders_below(folder: str) -> Iterator[str]:
    """The folder itself and all below it, through links, each once."""
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            found = os.stat(current or ".")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError(_unreadable(current, error)) from None
        identity = (found.st_dev, found.st_ino)
        if identity in seen:
            continue
        seen.add(identity)
        yield current
        waiting += [entry.path for entry in _entries(current) if entry.is_dir()]


def _entries(folder: str, *, hidden: bool = False) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder or ".") as entries:
            found = [entry for entry in entries if hidden or entry.name[0] not in "._"]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigError(_unreadable(folder, error)) from None
    return found


def _check_readable(files: list[str]) -> None:
    problems = [
        Problem(path, "is not readable: permission denied")
        for path in files
        if not os.access(path, os.R_OK) and os.path.lexists(path) and os.path.exists(path)
    ]
    if problems:
        raise ConfigError(problems)


def _unreadable(path: str, error: OSError) -> Problem:
    return Problem(path, f"is not readable: {(error.strerror or str(error)).lower()}")


def _missing(given: str, path: str) -> Problem:
    if os.path.islink(path):
        return Problem(given, "is a link to a file that is not there")
    parent, name = os.path.split(path.rstrip("/"))
    try:
        beside = os.listdir(parent or ".")
    except FileNotFoundError:
        return Problem(given, "no such file", f"there is no folder {parent!r}")
    except OSError:
        beside = []
    import difflib

    near = difflib.get_close_matches(name, beside, n=1)
    return Problem(given, "no such file", f"did you mean {os.path.join(parent, near[0])!r}?" if near else "")
