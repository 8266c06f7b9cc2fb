"""Buckets by URL, for those who ask some of them again and again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ddpm_files.remote_options import RemoteOptions

if TYPE_CHECKING:
    from ddpm_files.remote import Place


class Buckets:
    """Buckets by URL, each opened once: requests of one bucket share their connections.

    Light while no bucket is asked for, so that whoever may need one can have it at hand.

    Args:
        options, retry_for: As for `open_store`.
    """

    def __init__(self, options: RemoteOptions, *, retry_for: float | None) -> None:
        self._options = options
        self._retry_for = retry_for
        self._opened: dict[str, Place] = {}

    def at(self, url: str) -> Place:
        """What `open_store` gives for this URL."""
        scheme, _, rest = url.partition("://")
        bucket, _, key = rest.partition("/")
        name = f"{scheme.lower()}://{bucket}"
        if name not in self._opened:
            from ddpm_files.remote import open_store

            self._opened[name] = open_store(url, self._options, retry_for=self._retry_for)
        return replace(self._opened[name], key=key)
