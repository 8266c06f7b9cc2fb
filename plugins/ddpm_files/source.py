"""The source `files`."""

from __future__ import annotations

from collections import deque
from typing import BinaryIO

from ddpm_core import (
    Assigned,
    BuildContext,
    ConfigError,
    DdpmError,
    Document,
    EndOfSource,
    Failed,
    Item,
    Positions,
    Skipped,
    Source,
)
from ddpm_files.choice import Skip, choose
from ddpm_files.listing import what_is_there
from ddpm_files.names import printable
from ddpm_files.opened import Opened
from ddpm_files.opener import Opener
from ddpm_files.options import FilesOptions


def build(options: FilesOptions, context: BuildContext) -> FilesSource:
    """The source that these options describe."""
    return FilesSource(options, context)


class FilesSource(Source):
    """Hands out one document after the other, each from where the sinks stand in exactly this content.

    A file's partition is `file:` and its resolved path, an object's is its URL, a member's is the archive's and its name. Their
    generations are named by size and what tells the content, so another content at the same place is another generation, and the
    same content is never taken twice unasked. Standard input and pipes have a partition of their own each time, and are committed
    once, at their end.

    One document is open at a time. What is appended to a file while it is read is left for the next run. A file that was
    cut or rewritten meanwhile is reported as `Failed` after its document.
    """

    def __init__(self, options: FilesOptions, context: BuildContext) -> None:
        self._options = options
        self._opener = Opener(options, retry_for=context.retry_for)
        self._names: deque[str] = deque()
        self._vanished: deque[Failed] = deque()
        self._opened: Opened | None = None
        self._stream: BinaryIO | None = None
        self._awaiting_seek = False
        self._handed_out = False
        self._positions: Positions = {}

    def open(self) -> None:
        names, problems = what_is_there(self._options)
        if not names:
            raise ConfigError(problem for found in problems.values() for problem in found)
        self._names = deque(names)
        # What has vanished since it was listed fails alone.
        self._vanished = deque(Failed(printable(path), ConfigError(found)) for path, found in problems.items())

    def seek(self, positions: Positions) -> None:
        self._positions = positions
        self._awaiting_seek = False

    def upcoming(self) -> Document | None:
        opened = self._opened
        if opened is None or not opened.plain:
            return None
        return Document(opened.name, opened.partition, self._stream_of(opened), size=opened.size)

    def read(self, timeout: float) -> Item | None:
        if self._awaiting_seek:
            return None
        if self._vanished:
            return self._vanished.popleft()
        if self._opened is not None:
            if not self._handed_out:
                return self._decide(self._opened)
            error = self._opened.verify()
            name = self._opened.name
            self._release()
            if error is not None:
                return Failed(name, error)
        if not self._names:
            return EndOfSource()
        name = self._names.popleft()
        try:
            self._opened = self._opener.open(name)
        except DdpmError as error:
            return Failed(printable(name), error)  # Also of a server that fails: to begin anew would take finished files twice.
        self._awaiting_seek = True
        self._handed_out = False
        return Assigned([self._opened.partition])

    def close(self) -> None:
        self._names.clear()
        self._vanished.clear()
        self._awaiting_seek = False
        self._release()

    def _decide(self, opened: Opened) -> Document | Skipped:
        self._handed_out = True
        opened.hand_out()
        content = opened.content
        if content is None:
            return Document(opened.name, opened.partition, self._stream_of(opened), atomic=True)
        known = _generations(opened.partition, self._positions)
        choice = choose(content, known, again=self._options.again, begins=opened.begins)
        if isinstance(choice, Skip):
            self._release()
            return Skipped(opened.name, choice.note)
        return Document(
            name=opened.name,
            partition=f"{opened.partition}#{choice.generation}",
            stream=self._stream_of(opened),
            start=choice.start,
            size=opened.size,
            detail=content.detail,
            note=choice.note,
        )

    def _stream_of(self, opened: Opened) -> BinaryIO:
        if self._stream is None:
            self._stream = opened.stream()
        return self._stream

    def _release(self) -> None:
        if self._opened is not None:
            self._opened.raw.close()
            self._opened = self._stream = None


def _generations(partition: str, positions: Positions) -> Positions:
    """Generation -> position. A longer path that happens to begin alike is another partition, its generations hold a `#`."""
    prefix = f"{partition}#"
    found = {name[len(prefix) :]: position for name, position in positions.items() if name.startswith(prefix)}
    return {generation: position for generation, position in found.items() if "#" not in generation}
