"""Which objects the URLs of a user mean."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from ddpm_core import ConfigError, Problem
from ddpm_files.patterns import MAGIC, hidden, matches
from ddpm_files.remote import Place
from ddpm_files.remote_errors import translated


def objects(url: str, place: Place) -> list[str]:
    """The URLs of the objects that a URL means, sorted: an object, all below a prefix, or those that match a pattern.

    Objects are left out whose names, or a folder in their names, begin with `.` or `_`, unless it is named.

    Raises:
        ConfigError: It means none, or the bucket cannot be read.
        RetryableError: The server fails or cannot be reached.
    """
    key = place.key
    if key and not key.endswith("/") and exists(place, key):
        return [place.url(key)]
    if MAGIC.search(key):
        return _pattern(url, place, key)
    folder = f"{key}/" if key and not key.endswith("/") else key
    found = [name for name in _below(place, folder) if not hidden(name[len(folder) :].split("/"))]
    if found:
        return sorted(place.url(name) for name in found)
    if key == folder:
        raise ConfigError(Problem(url, "the folder holds no objects", "names that begin with . or _ are left out"))
    raise ConfigError(Problem(url, "there is no such object"))


def exists(place: Place, key: str) -> bool:
    """Whether there is an object under exactly this key.

    Raises:
        ConfigError: It may not be known.
        RetryableError: The server fails or cannot be reached.
    """
    import obstore

    try:
        translated(place, place.url(key), partial(_head, obstore, place, key))
    except _NotThereError:
        return False
    except ConfigError:
        # A refusal of this request does not say why; that of another one does.
        translated(place, place.url(key), lambda: obstore.list_with_delimiter(place.store, None))
        raise
    return True


class _NotThereError(ConfigError):
    def __init__(self) -> None:
        super().__init__("it is not there")


def _head(obstore: Any, place: Place, key: str) -> None:
    try:
        obstore.head(place.store, key)
    except FileNotFoundError:
        raise _NotThereError from None


def _pattern(url: str, place: Place, pattern: str) -> list[str]:
    fixed = pattern[: MAGIC.search(pattern).start()]  # type: ignore[union-attr]
    folder = fixed[: fixed.rfind("/") + 1]
    wanted = pattern.split("/")
    found = sorted(place.url(name) for name in _below(place, folder) if matches(name.split("/"), wanted))
    if not found:
        raise ConfigError(Problem(url, "the pattern matches nothing"))
    return found


def _below(place: Place, folder: str) -> Iterator[str]:
    """The keys of all objects below a folder. Markers that stand for folders themselves are left out."""
    import obstore

    listing = obstore.list(place.store, prefix=folder or None)
    following = iter(listing)
    while (page := translated(place, place.url(folder), partial(next, following, None))) is not None:
        for meta in page:
            name = str(meta["path"])
            # A marker that stands for a folder is an object of no bytes; here it has lost the `/` that its key ends with.
            if meta["size"] or exists(place, name):
                yield name
