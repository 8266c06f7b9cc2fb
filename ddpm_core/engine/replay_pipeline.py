"""Dead letters of a pipeline's file: where they are, and their way through that pipeline again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path

from ddpm_core.config.pipeline_file import PipelineDocument, load_pipeline
from ddpm_core.engine.build import Pipeline, open_database
from ddpm_core.engine.compose import RunRequest, compose
from ddpm_core.engine.dead_letter_file import DeadLetterFile
from ddpm_core.engine.letter_store import JoinedLetters
from ddpm_core.engine.replay_source import ROWS, RowsOfLetters, schema_of
from ddpm_core.errors import ConfigError
from ddpm_core.plugin.database import Database
from ddpm_core.plugin.dead_letters import DeadLetterStore
from ddpm_core.plugin.kept_letters import KeptLetters
from ddpm_core.records import DeadLetter
from ddpm_core.registry import Registry


class PipelineTarget:
    """Letters of one pipeline. The file is read and checked once; each run of the engine gets plugins of its own.

    Args:
        path: The pipeline's file.
        registry: What is installed.
        as_name: The letters of its run under this name (`ddpm run --as`), which has positions of its own.

    Raises:
        ConfigError: Every mistake in the file.
    """

    def __init__(self, path: Path, registry: Registry, *, as_name: str | None = None) -> None:
        self._document: PipelineDocument = load_pipeline(path)
        self._registry = registry
        # Bounded, as a replay is: its sinks are no members of the source's group, and leave those of the live run in peace.
        self._request = RunRequest(until_end=True, as_name=as_name)
        self._first: Pipeline | None = self._compose()
        self.name = self._first.name
        self._sinks = {use.name for use in self._first.sinks}

    def store(self) -> DeadLetterStore:
        """Where the pipeline keeps its dead letters: what it names, else beside the rows of each sink that can, and in the local file."""
        assert self._first is not None  # noqa: S101 - asked for before anything else
        if self._first.dead_letters is not None:
            return self._first.dead_letters[0]
        places: dict[str | None, DeadLetterStore] = {}
        for use, entry in zip(self._first.sinks, self._document.sinks, strict=True):
            if use.plugin.spec.database is not None and use.sink.keeps_dead_letters:
                node = entry.use.options.entries.get(use.plugin.spec.address)
                address = None if node is None else str(node.value)
                places.setdefault(address, KeptLetters(self._connecting(address)))
        file = self._first.settings.dead_letter_file
        stores = list(places.values())
        if not stores or file.exists():
            stores.append(DeadLetterFile(file))
        return stores[0] if len(stores) == 1 else JoinedLetters(stores)

    def refuses(self, letter: DeadLetter) -> str:
        """Letters of others, and of sinks that the pipeline has no more."""
        if letter.pipeline != self.name:
            return f"of pipeline {letter.pipeline}"
        if letter.sink and letter.sink not in self._sinks:
            return f"of sink {letter.sink}, which the pipeline does not have"
        return ""

    def way(self, letter: DeadLetter) -> Hashable:
        """By columns, and by the sink that refused it: the others have it."""
        return letter.payload_kind, schema_of(letter), letter.sink

    def pipeline(self, letter: DeadLetter) -> Pipeline:
        """See `ReplayTarget`."""
        made, self._first = self._first or self._compose(), None
        if letter.payload_kind == "arrow":
            made.parser = (RowsOfLetters(), ROWS)
        elif made.parser is None:
            raise ConfigError(f"dead letter {letter.id} holds bytes, and the pipeline has no format that reads them")
        if letter.sink:
            made.sinks = [use for use in made.sinks if use.name == letter.sink]
        return made

    def _compose(self) -> Pipeline:
        return compose(self._document, self._registry, request=self._request)

    def _connecting(self, address: str | None) -> Callable[[], Database]:
        return lambda: open_database(address, self._registry)
