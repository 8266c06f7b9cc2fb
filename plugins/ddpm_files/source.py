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
    FatalError,
    Item,
    Positions,
    Skipped,
    Source,
)
from ddpm_files.choice import Skip, choose
from ddpm_files.listing import what_is_there
from ddpm_files.names import printable
from ddpm_files.opened import Opened, most_open_files
from ddpm_files.opener import Opener
from ddpm_files.options import FilesOptions

AT_ONCE = 64
"""So many small documents are claimed together, if so many may be open: for each by itself, a claim takes a sink longer than all the
rest."""


def build(options: FilesOptions, context: BuildContext) -> FilesSource:
    """The source that these options describe."""
    return FilesSource(options, context)


class FilesSource(Source):
    """Hands out one document after the other, each from where the sinks stand in exactly this content.

    A file's partition is `file:` and its resolved path, an object's is its URL, a member's is the archive's and its name. Their
    generations are named by size and what tells the content, so another content at the same place is another generation, and the
    same content is never taken twice unasked. Standard input and pipes have a partition of their own each time, and are committed
    once, at their end.

    Documents are read one after the other, and opened one by one too but for small ones, of which several are opened and assigned at
    once. What is appended to a file while it is open is left for the next run. A file that was cut or rewritten meanwhile is reported
    as `Failed` after its document.
    """

    def __init__(self, options: FilesOptions, context: BuildContext) -> None:
        self._options = options
        self._at_once = min(AT_ONCE, max(most_open_files() // 8, 1))
        self._opener = Opener(options, retry_for=context.retry_for)
        self._names: deque[str] = deque()
        self._vanished: deque[Failed] = deque()
        self._opened: deque[tuple[str, Opened | Failed]] = deque()
        """What was assigned and is still to be handed out, and what could not be opened among it; each with its name as listed."""
        self._handed_out: Opened | None = None
        """What was handed out last, until it is found unchanged."""
        self._stream: BinaryIO | None = None
        self._awaiting_seek = False
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
        opened = next((one for _, one in self._opened if isinstance(one, Opened)), None)
        if opened is None or not opened.plain:
            return None
        return Document(opened.name, opened.partition, self._stream_of(opened), size=opened.size)

    def read(self, timeout: float) -> Item | None:
        if self._awaiting_seek:
            return None
        if self._vanished:
            return self._vanished.popleft()
        if self._handed_out is not None:
            read, error = self._handed_out, self._handed_out.verify()
            self._release(read)
            if error is not None:
                return Failed(read.name, error)
        if not self._opened and (partitions := self._open_next()):
            self._awaiting_seek = True
            return Assigned(partitions)
        if not self._opened:
            return EndOfSource()
        name, following = self._opened.popleft()
        if isinstance(following, Failed):
            return following
        try:
            fresh = self._fresh(name, following)
        except DdpmError as error:
            return Failed(following.name, error)
        return self._decide(fresh)

    def close(self) -> None:
        self._names.clear()
        self._vanished.clear()
        self._awaiting_seek = False
        for opened in [self._handed_out, *(opened for _, opened in self._opened)]:
            if isinstance(opened, Opened):
                self._release(opened)
        self._opened.clear()

    def _open_next(self) -> list[str]:
        """Open the next document, or several small ones. Returns their partitions; none where all of them could not be opened."""
        partitions: list[str] = []
        while self._names and len(partitions) < self._at_once:
            small = self._opener.is_small(self._names[0])
            if partitions and not small:
                break
            name = self._names.popleft()
            try:
                opened = self._opener.open(name)
            except DdpmError as error:  # Also of a server that fails: to begin anew would take finished files twice.
                self._opened.append((name, Failed(printable(name), error)))
                if not small:
                    break
                continue
            if opened.partition in partitions:  # Whether it is to be read again is known when it has been read.
                opened.raw.close()
                self._names.appendleft(name)
                break
            self._opened.append((name, opened))
            partitions.append(opened.partition)
            if not small:
                break
        return partitions

    def _fresh(self, name: str, opened: Opened) -> Opened:
        """A document whose turn has come, as it is now: what was rewritten while it waited is opened anew."""
        if opened.verify() is None:
            return opened
        self._release(opened)
        anew = self._opener.open(name)
        if anew.partition != opened.partition:
            anew.raw.close()
            hint = "Run the same command again."
            raise FatalError(f"{opened.name} leads to another file than when it was claimed", hint=hint)
        return anew

    def _decide(self, opened: Opened) -> Document | Skipped:
        self._handed_out = opened
        opened.hand_out()
        content = opened.content
        if content is None:
            return Document(opened.name, opened.partition, self._stream_of(opened), atomic=True)
        known = _generations(opened.partition, self._positions)
        choice = choose(content, known, again=self._options.again, begins=opened.begins)
        if isinstance(choice, Skip):
            self._release(opened)
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

    def _release(self, opened: Opened) -> None:
        opened.raw.close()
        self._handed_out = self._stream = None


def _generations(partition: str, positions: Positions) -> Positions:
    """Generation -> position. A longer path that happens to begin alike is another partition, its generations hold a `#`."""
    prefix = f"{partition}#"
    found = {name[len(prefix) :]: position for name, position in positions.items() if name.startswith(prefix)}
    return {generation: position for generation, position in found.items() if "#" not in generation}
