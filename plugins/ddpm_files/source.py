"""The source `files`."""

from __future__ import annotations

import errno
import os
import stat
import sys
import uuid
from collections import deque
from dataclasses import dataclass

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
from ddpm_files.content import Content
from ddpm_files.listing import STDIN, local_path, what_is_there
from ddpm_files.options import FilesOptions
from ddpm_files.streams import FileWindow, OneWay, buffered, changed


def build(options: FilesOptions, context: BuildContext) -> FilesSource:
    """The source that these options describe."""
    return FilesSource(options)


@dataclass(slots=True)
class _Opened:
    """A document that is open. `content` is None for what cannot be read twice: a pipe, a terminal, standard input."""

    name: str
    partition: str
    raw: FileWindow | OneWay
    content: Content | None


class FilesSource(Source):
    """Hands out one document after the other, each from where the sinks stand in exactly this content.

    A file's partition is `file:` and its resolved path; its generations are named by size and hash of content, so another
    content at the same path is another generation, and the same content is never taken twice unasked. Standard input and pipes
    have a partition of their own each time, and are committed once, at their end.

    One document is open at a time. What is appended to a file while it is read is left for the next run. A file that was
    cut or rewritten meanwhile is reported as `Failed` after its document.
    """

    def __init__(self, options: FilesOptions) -> None:
        self._options = options
        self._names: deque[str] = deque()
        self._vanished: deque[Failed] = deque()
        self._opened: _Opened | None = None
        self._awaiting_seek = False
        self._handed_out = False
        self._positions: Positions = {}

    def open(self) -> None:
        names, problems = what_is_there(self._options)
        if not names:
            raise ConfigError(problem for found in problems.values() for problem in found)
        self._names = deque(names)
        # What has vanished since it was listed fails alone.
        self._vanished = deque(Failed(_printable(path), ConfigError(found)) for path, found in problems.items())

    def seek(self, positions: Positions) -> None:
        self._positions = positions
        self._awaiting_seek = False

    def read(self, timeout: float) -> Item | None:
        if self._awaiting_seek:
            return None
        if self._vanished:
            return self._vanished.popleft()
        if self._opened is not None:
            if not self._handed_out:
                return self._decide(self._opened)
            failed = self._verify(self._opened)
            self._release()
            if failed is not None:
                return failed
        if not self._names:
            return EndOfSource()
        name = self._names.popleft()
        try:
            self._opened = _open(name)
        except DdpmError as error:
            return Failed(_printable(name), error)
        self._awaiting_seek = True
        self._handed_out = False
        return Assigned([self._opened.partition])

    def close(self) -> None:
        self._names.clear()
        self._vanished.clear()
        self._awaiting_seek = False
        self._release()

    def _decide(self, opened: _Opened) -> Document | Skipped:
        self._handed_out = True
        if opened.content is None:
            return Document(opened.name, opened.partition, buffered(opened.raw), atomic=True)
        content, raw = opened.content, opened.raw
        assert isinstance(raw, FileWindow)  # noqa: S101 - only files have a content
        choice = choose(
            content,
            _generations(opened.partition, self._positions),
            again=self._options.again,
            begins=lambda older: older.begins(raw.descriptor, content.size),
        )
        if isinstance(choice, Skip):
            self._release()
            return Skipped(opened.name, choice.note)
        return Document(
            name=opened.name,
            partition=f"{opened.partition}#{choice.generation}",
            stream=buffered(raw),
            start=choice.start,
            size=content.size,
            detail=content.detail,
            note=choice.note,
        )

    def _verify(self, opened: _Opened) -> Failed | None:
        """Whether the file is still what it was; what was appended does not count. A stream that ended early has said so itself."""
        if opened.content is None or opened.raw.closed or not isinstance(opened.raw, FileWindow) or opened.raw.shrunk:
            return None
        try:
            same = Content.of(opened.raw.descriptor, opened.content.size) == opened.content
        except OSError as error:
            return Failed(opened.name, _cannot_open(opened.name, error))
        return None if same else Failed(opened.name, changed(opened.name))

    def _release(self) -> None:
        if self._opened is not None:
            self._opened.raw.close()
            self._opened = None


def _open(path: str) -> _Opened:
    """Open what a listed name stands for, and look at its content.

    Raises:
        FatalError: It is gone, or cannot be read.
    """
    name = _printable(path)
    if path == STDIN:
        if sys.stdin is None:
            raise FatalError("standard input is closed", hint="Pipe something into ddpm, or name a file.")
        return _Opened("stdin", f"stdin:{uuid.uuid4()}", OneWay(sys.stdin.buffer, "standard input", owned=False), None)
    path = local_path(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _cannot_open(name, error) from error
    try:
        return _look_at(name, path, descriptor)
    except OSError as error:
        os.close(descriptor)
        raise _cannot_open(name, error) from error


def _look_at(name: str, path: str, descriptor: int) -> _Opened:
    found = os.fstat(descriptor)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder now")
    if not stat.S_ISREG(found.st_mode):
        return _Opened(name, f"pipe:{uuid.uuid4()}", OneWay(os.fdopen(descriptor, "rb", 0), name, owned=True), None)
    content = Content.of(descriptor, found.st_size)
    return _Opened(name, f"file:{_printable(os.path.realpath(path))}", FileWindow(descriptor, found.st_size, name), content)


def _generations(partition: str, positions: Positions) -> Positions:
    """Generation -> position. A longer path that happens to begin alike is another partition, its generations hold a `#`."""
    prefix = f"{partition}#"
    found = {name[len(prefix) :]: position for name, position in positions.items() if name.startswith(prefix)}
    return {generation: position for generation, position in found.items() if "#" not in generation}


def _cannot_open(name: str, error: OSError) -> FatalError:
    if isinstance(error, FileNotFoundError):
        return FatalError(f"{name} cannot be read: it is not there any more")
    return FatalError(f"{name} cannot be read: {(error.strerror or str(error)).lower()}")


def _printable(path: str) -> str:
    r"""The path as text that every database takes: bytes that are no UTF-8 are written as `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
