"""Names of documents, and what of an archive they mean."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import quote, unquote, urlsplit, urlunsplit

STDIN = "-"

STORES = ("s3", "gs")
"""The schemes of object stores, as opposed to web servers."""
SERVERS = ("http", "https")
"""The schemes of web servers."""

ARCHIVE = ".zip"
COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
"""Suffix -> the compression, as the option `compression` calls it."""


def scheme_of(path: str) -> str:
    """The scheme of a URL in lower case; of anything else an empty string."""
    scheme, separator, _ = path.partition("://")
    return scheme.lower() if separator else ""


def is_remote(name: str) -> bool:
    """Whether a name is the URL of an object or of a web server's file."""
    return scheme_of(name) in (*STORES, *SERVERS)


def is_web(name: str) -> bool:
    """Whether a name is the URL of a web server's file."""
    return scheme_of(name) in SERVERS


def suffixed(name: str) -> str:
    """The name as far as suffixes go: of a web server's URL, the path."""
    return urlsplit(name).path if is_web(name) else name


def is_archive(name: str) -> bool:
    """Whether the suffix is an archive's."""
    return suffixed(name).lower().endswith(ARCHIVE)


def compression_of(name: str) -> str | None:
    """The compression that a name's suffix says."""
    lower = name.lower()
    return next((compression for suffix, compression in COMPRESSED.items() if lower.endswith(suffix)), None)


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
    if is_web(name):
        from ddpm_files import web_address

        name = web_address.clean(name)
    return os.fsencode(name).decode("utf-8", "backslashreplace")
