"""Passwords out of text that people see: URLs, connection strings, log lines, error messages."""

from __future__ import annotations

import re

MASK = "***"

_NAMES_OF_SECRETS = (
    r"\w*password|passwd|pwd|passphrase|\w*secret\w*|\w*token|api_?key|\w*access_?key\w*|sig|[\w-]*signature|[\w-]*credentials?"
)
_NAME = re.compile(rf"(?:.*[._-])?(?:{_NAMES_OF_SECRETS})", re.IGNORECASE)
_QUERY = re.compile(rf"([?&;](?:{_NAMES_OF_SECRETS})=)[^&;#\s]*", re.IGNORECASE)
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://\S+")
_SETTING = re.compile(r"\b((?:ssl)?password\s*=\s*)('(?:[^'\\]|\\.)*'|\"[^\"]*\"|[^\s,;&]+)", re.IGNORECASE)


def mask_url(url: str) -> str:
    """This URL without its password: `postgresql://user:***@host/db`. What is no URL comes back as it is.

    Where a password is not percent-encoded and so cannot be told from what follows it, more is masked than needed.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    return f"{scheme}://" + _QUERY.sub(_masked, _mask_user(rest))


def is_secret_name(name: str) -> bool:
    """Whether an option or variable of this name holds what must not be printed: `DB_PASSWORD`, `api_key`, `sasl.password`."""
    return _NAME.fullmatch(name) is not None


def redact(text: str) -> str:
    """This text with the passwords in it masked: those of URLs, and those written as `password=...`."""
    if "://" in text:
        text = _URL.sub(lambda found: mask_url(found[0]), text)
    return _SETTING.sub(_masked, text)


def _masked(found: re.Match[str]) -> str:
    return f"{found[1]}{MASK}"


def _mask_user(rest: str) -> str:
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    if "@" in authority:
        user, _, host = authority.rpartition("@")
        name, colon, _ = user.partition(":")
        return f"{name}:{MASK}@{host}{tail}" if colon else rest
    name, colon, port = authority.partition(":")
    if colon and not name.startswith("[") and "@" in tail and not (port.isdigit() and _no_password(tail)):
        # The password holds a character that ends a host: `user:pa/ss@host`.
        return f"{name}:{MASK}@{rest.rpartition('@')[2]}"
    return rest


def _no_password(tail: str) -> bool:
    """Whether what follows a port is a path and parameters, and the `@` belongs to a parameter."""
    return re.fullmatch(r"(/[^@?#]*)?\?\w+=.*", tail) is not None
