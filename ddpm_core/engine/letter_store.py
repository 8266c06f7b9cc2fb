"""Where dead letters are kept, by the address that a user gives."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from ddpm_core.engine.blame import blame
from ddpm_core.engine.build import DEFAULT_DATABASE, open_database, sink_for
from ddpm_core.engine.contract import of_type
from ddpm_core.engine.dead_letter_file import SUFFIX, DeadLetterFile
from ddpm_core.errors import ConfigError
from ddpm_core.plugin.database import DeadLetterFilter
from ddpm_core.plugin.dead_letters import DeadLetterStore
from ddpm_core.plugin.kept_letters import KeptLetters
from ddpm_core.plugin.specs import resolve
from ddpm_core.records import DeadLetter
from ddpm_core.registry import Registry


def letter_store(address: str | None, registry: Registry) -> DeadLetterStore:
    """The store at an address: a `.ndjson` file, what a sink's plugin makes of its own addresses (a topic), the tables of a database.

    Opens nothing.

    Raises:
        ConfigError: The address means nothing that keeps dead letters.
    """
    address = DEFAULT_DATABASE if address is None else address
    if address.lower().endswith(SUFFIX) and "://" not in address:
        return DeadLetterFile(Path(address), named=True)
    plugin = sink_for(address, registry)
    make = plugin.spec.dead_letters_at
    if make is not None:
        return of_type(plugin, "dead_letters_at", blame(plugin, lambda: resolve(make)(address)), DeadLetterStore)  # type: ignore[type-abstract]
    if plugin.spec.database is None:
        raise ConfigError(
            f"{plugin.owner} keeps no dead letters",
            hint="Name the .ndjson file that the run told of, ddpm-dead-letters.ndjson if nothing else was asked for.",
        )
    return KeptLetters(lambda: open_database(address, registry))


class JoinedLetters(DeadLetterStore):
    """Several stores as one: each sink of a pipeline keeps the letters that it refused beside its own rows.

    Args:
        stores: The first one gets letters that come from none of them.
    """

    def __init__(self, stores: Sequence[DeadLetterStore]) -> None:
        self._stores = stores
        self._home: dict[str, int] = {}
        """Id of a letter that was found -> where."""

    def open(self) -> None:
        for store in self._stores:
            store.open()

    def close(self) -> None:
        for store in self._stores:
            store.close()

    def find(self, wanted: DeadLetterFilter) -> Iterator[DeadLetter]:
        found = [self._noting(number, store.find(wanted)) for number, store in enumerate(self._stores)]
        yield from islice(heapq.merge(*found, key=lambda letter: letter.created_at, reverse=True), wanted.limit or None)

    def append(self, letters: Sequence[DeadLetter]) -> None:
        for number, store in enumerate(self._stores):
            mine = [letter for letter in letters if self._place(letter) == number]
            if mine:
                store.append(mine)

    def mark_replayed(self, letters: Sequence[DeadLetter]) -> None:
        for number, store in enumerate(self._stores):
            mine = [letter for letter in letters if self._place(letter) == number]
            if mine:
                store.mark_replayed(mine)

    def purge(self, letters: Sequence[DeadLetter]) -> int:
        gone = 0
        for number, store in enumerate(self._stores):
            mine = [letter for letter in letters if self._place(letter) == number]
            gone += store.purge(mine) if mine else 0
        return gone

    def _noting(self, number: int, letters: Iterator[DeadLetter]) -> Iterator[DeadLetter]:
        for letter in letters:
            self._home[letter.id] = number
            yield letter

    def _place(self, letter: DeadLetter) -> int:
        """Where it came from, or what it was made of."""
        return self._home.get(letter.id, self._home.get(letter.id.partition("/")[0], 0))
