"""Names of documents, and what of an archive they mean."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from ddpm_files import web_address
from ddpm_files.compression import ARCHIVE
from ddpm_files.remote import STORES, scheme_of

STDIN = "-"


def is_remote(name: str) -> bool:
    """Whether a name is the URL of an object or of a web server's file."""
    return scheme_of(name) in (*STORES, *web_address.SCHEMES)


def is_web(name: str) -> bool:
    """Whether a name is the URL of a web server's file."""
    return scheme_of(name) in web_address.SCHEMES


def suffixed(name: str) -> str:
    """The name as far as suffixes go: of a web server's URL, the path."""
    return urlsplit(name).path if is_web(name) else name


def is_archive(name: str) -> bool:
    """Whether the suffix is an archive's."""
    return suffixed(name).lower().endswith(ARCHIVE)


def member_name(archive: str, member: str) -> str:
    """What a member is called; `split` finds both again."""
    if not is_web(archive):
        return f"{archive}/{member}"
    parts = urlsplit(archive)
    return urlunsplit(parts._replace(path=f"{parts.path}/{quote(member)}"))


def split(name: str) -> Iterator[tuple[str, str]]:
    """The ways to take a name for that of an archive and a member, the shortest archive first."""
    path = suffixed(name)
    end = path.lower().find(f"{ARCHIVE}/")
    while end >= 0:
        cut = end + len(ARCHIVE)
        if is_web(name):
            parts = urlsplit(name)
            yield urlunsplit(parts._replace(path=path[:cut])), unquote(path[cut + 1 :])
        else:
            yield path[:cut], path[cut + 1 :]
        end = path.lower().find(f"{ARCHIVE}/", cut)


def printable(name: str) -> str:
    r"""The name as text that every database takes and everybody may see: bytes that are no UTF-8 are written as `\xff`, and what lets
    the bearer of a URL in is left out."""
    text = web_address.clean(name) if is_web(name) else name
    return os.fsencode(text).decode("utf-8", "backslashreplace")
