"""What a query is called: by people, and by the sinks that keep its position."""

from __future__ import annotations

import hashlib
import os

from ddpm_sql.connect import Address
from ddpm_sql.source_options import SqlSourceOptions


def document_name(options: SqlSourceOptions, place: Address) -> str:
    """For logs and the summary."""
    return f"{options.name or options.table or 'query'} at {place.where}"


def partition_name(options: SqlSourceOptions, place: Address) -> str:
    """What positions are kept under: without user, password, driver or parameters, so that those may change."""
    if options.name:
        return f"sql:{options.name}"
    url = place.url
    at = os.path.realpath(place.path) if place.family == "sqlite" else f"//{(url.host or '').casefold()}"
    if place.family != "sqlite":
        at += (f":{url.port}" if url.port else "") + f"/{url.database or ''}"
    what = f"table {options.table}" if options.table else f"query {_digest(options.query)}"
    return f"sql:{place.family}:{at} {what}"


def _digest(query: str) -> str:
    """Of the query's very text: of two that differ in anything but the space around them, one may give other rows."""
    plain = query.strip().rstrip("; \t\r\n")
    return hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
