"""Where dead letters go that are not kept in the rows' own transaction: a store, opened when the first one comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ddpm_core.engine.blame import blame
from ddpm_core.errors import RetryableError
from ddpm_core.plugin.dead_letters import DeadLetterStore
from ddpm_core.plugin.specs import Plugin, SinkSpec
from ddpm_core.records import DeadLetter

T = TypeVar("T")


class LetterBox:
    """A store of dead letters as delivery uses it. Used from load's thread.

    Args:
        store: The store.
        plugin: Whose it is; None for the core's own file.
        takes_all: Whether the letters of every sink go here, also of those that could keep them beside their data.
    """

    def __init__(self, store: DeadLetterStore, plugin: Plugin[SinkSpec] | None = None, *, takes_all: bool = False) -> None:
        self._store = store
        self._plugin = plugin
        self.takes_all = takes_all
        self._open = False
        self.used = False

    def open(self) -> None:
        """Connect now, where all letters go here: a place that cannot be had is to be known before anything is read.

        Raises:
            ConfigError, FatalError, RetryableError: As `DeadLetterStore.open`.
        """
        if self.takes_all and not self._open:
            self._call(self._store.open)
            self._open = True

    def append(self, letters: Sequence[DeadLetter]) -> None:
        """Make these durable. Raises `RetryableError`, after which the next call connects anew."""
        try:
            if not self._open:
                self._call(self._store.open)
                self._open = True
            self._call(lambda: self._store.append(letters))
        except RetryableError:
            self.close()
            raise
        self.used = True

    def close(self) -> None:
        """Give the connection back."""
        self._open = False
        self._call(self._store.close)

    def _call(self, method: Callable[[], T]) -> T:
        return method() if self._plugin is None else blame(self._plugin, method)
