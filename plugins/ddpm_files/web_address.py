"""Addresses of files of web servers: which are some, and what of them may be shown and kept."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit, urlunsplit

from ddpm_core import ConfigError, Problem

_PASSES = re.compile(
    r"(?i)x-(amz|goog|ms)-.*|aws_?access_?key_?id|google_?access_?id|.*signature|sig|expires|policy|key-pair-id|"
    r".*token|.*password|.*secret.*|api_?key|access_?key|key"
)


def check(url: str) -> None:
    """Refuse what cannot be taken apart. Such a URL is not repeated: where in it a password would be is not known.

    Raises:
        ConfigError: It is no URL of a server.
    """
    try:
        parts = urlsplit(url)
        fine = bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        scheme = url.partition("://")[0]
        raise ConfigError(Problem(f"{scheme}://...", "is not the URL of a server", f"they look like {scheme}://host/folder/name"))


def clean(url: str) -> str:
    """The URL without what lets its bearer in: user, password, and parameters like a signature. For messages and positions: a
    link that was signed anew leads to the same file."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = "&".join(one for one in parts.query.split("&") if one and not _PASSES.fullmatch(unquote(one.partition("=")[0])))
    return urlunsplit((parts.scheme.lower(), host.lower(), parts.path, query, ""))
