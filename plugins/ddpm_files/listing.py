"""Which documents the paths of a user mean, near and far. Of archives the directories are read, of nothing else the content."""

from __future__ import annotations

import os

from ddpm_core import ConfigError, DdpmError, FatalError, Problem
from ddpm_files import local_listing
from ddpm_files.names import STDIN, is_archive, is_remote, is_web, member_name, printable
from ddpm_files.opener import Opener
from ddpm_files.options import FilesOptions
from ddpm_files.patterns import MAGIC, matches

LISTING_SECONDS = 5.0
"""How long a listing waits for a server: what is wrong with it is to be seen at once."""

_AT_ONCE = 16


def documents(options: FilesOptions) -> list[str]:
    """The documents that the options mean, in the order given; those of one folder or pattern sorted.

    Folders are searched to any depth. Files and folders whose names begin with `.` or `_` are left out, unless they are named.
    An archive means its members. A file that several paths lead to is listed once, under its first name.

    Raises:
        ConfigError: Some paths lead to nothing that can be read; every one of them is in it.
        RetryableError: A server fails or cannot be reached.
    """
    names, problems = what_is_there(options)
    if problems:
        raise ConfigError(problem for found in problems.values() for problem in found)
    return names


def what_is_there(options: FilesOptions) -> tuple[list[str], dict[str, tuple[Problem, ...]]]:
    """The documents as in `documents`, and the paths that lead to nothing that can be read, each with why."""
    opener = Opener(options, retry_for=LISTING_SECONDS)
    remote = [path for path in dict.fromkeys(options.paths) if is_remote(path)]
    found: dict[str, list[str] | DdpmError] = {}
    if remote:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(_AT_ONCE, len(remote))) as pool:
            found = dict(zip(remote, pool.map(lambda path: _attempt(path, opener), remote), strict=True))
    problems: dict[str, tuple[Problem, ...]] = {}
    names: dict[str, str] = {}
    for path in options.paths:
        result = found[path] if path in found else _attempt(path, opener)
        match result:
            case ConfigError():
                problems[path] = result.problems
            case FatalError():
                problems[path] = (Problem("", result.message, result.hint),)
            case DdpmError():
                raise result
            case _:
                for name in result:
                    names.setdefault(_identity(name, opener), name)
    return list(names.values()), problems


def _attempt(path: str, opener: Opener) -> list[str] | DdpmError:
    try:
        return _resolve(path, opener)
    except DdpmError as error:
        return error


def _resolve(path: str, opener: Opener) -> list[str]:
    if path == STDIN:
        return [STDIN]
    if is_web(path):
        from ddpm_files import web_address

        web_address.check(path)
    inside = opener.member_of(path)
    if inside is not None:
        return _members(path, *inside, opener)
    if is_web(path):
        opener.web_exists(path)
        found = [path]
    elif is_remote(path):
        from ddpm_files import remote_listing

        found = remote_listing.objects(path, opener.buckets.at(path))
    else:
        found = local_listing.files(path)
    return [name for one in found for name in _unpacked(one, opener)]


def _unpacked(name: str, opener: Opener) -> list[str]:
    """The members of an archive; of anything else its own name."""
    if not opener.archives or not is_archive(name):
        return [name]
    inside = opener.directory(name)
    if not inside:
        raise ConfigError(Problem(printable(name), "the archive holds no files", "names that begin with . or _ are left out"))
    return [member_name(name, member) for member in inside]


def _members(given: str, archive: str, wanted: str, opener: Opener) -> list[str]:
    inside = opener.directory(archive)
    if wanted in inside:
        return [given]
    magic = MAGIC.search(wanted)
    found = [member for member in inside if magic and matches(member.split("/"), wanted.split("/"))]
    if not found:
        what = "the pattern matches no member of the archive" if magic else "there is no such member in the archive"
        raise ConfigError(Problem(printable(given), what))
    return [member_name(archive, member) for member in found]


def _identity(name: str, opener: Opener) -> str:
    """What is the same for all names of one document."""
    if name == STDIN or is_remote(name):
        return name
    inside = opener.member_of(name)
    if inside is not None:
        return f"{os.path.realpath(inside[0])}/{inside[1]}"
    return os.path.realpath(local_listing.local_path(name))
