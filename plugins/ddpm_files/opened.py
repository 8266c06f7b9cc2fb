"""A document that is open, and how it was opened."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from ddpm_core import DdpmError, FatalError
from ddpm_files.content import Content
from ddpm_files.local_listing import local_path
from ddpm_files.names import printable
from ddpm_files.streams import BUFFER_BYTES, FileWindow, ForwardReader, OneWay, buffered, changed


@dataclass(slots=True)
class Opened:
    """A document that is open.

    Attributes:
        name: What people call it.
        partition: What its rows are committed under.
        raw: Its bytes. Closing it closes all that is beneath.
        content: Its identity, or None for what cannot be read twice: a pipe, a terminal, standard input.
        size: Bytes that come out of `raw`, or None where that is not known.
        begins: Whether it is longer than a content recorded earlier, and begins with it.
        verify: Called after it was read: what is wrong with what was read, if it is no longer what it was.
        forward: Whether to read here and there would cost too much, as in what is decompressed.
    """

    name: str
    partition: str
    raw: io.RawIOBase
    content: Content | None
    size: int | None
    begins: Callable[[Content], bool]
    verify: Callable[[], DdpmError | None]
    forward: bool = False

    @classmethod
    def fixed(cls, name: str, partition: str, raw: io.RawIOBase, content: Content | None, size: int | None) -> Opened:
        """One that cannot grow, and whose stream itself says when it has changed."""
        return cls(name, partition, raw, content, size, lambda _: False, lambda: None)

    @property
    def plain(self) -> bool:
        """Whether it is a file of this machine as it is: its bytes are at hand, in any order."""
        return isinstance(self.raw, FileWindow)

    def hand_out(self) -> None:
        """From here on somebody is told what goes wrong in its stream. Before, it was only looked at ahead."""
        if isinstance(self.raw, FileWindow):
            self.raw.shrunk = False

    def stream(self) -> BinaryIO:
        """The stream that parsers get. Made once: when it goes, it closes `raw`."""
        return ForwardReader(self.raw, BUFFER_BYTES) if self.forward else buffered(self.raw)


def most_open_files() -> int:
    """How many files this process may have open. What cannot be told is enough."""
    try:
        import resource
    except ImportError:  # Windows.
        return 512
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


def open_stdin() -> Opened:
    """Standard input, from where it stands.

    Raises:
        FatalError: It is closed.
    """
    if sys.stdin is None:
        raise FatalError("standard input is closed", hint="Pipe something into ddpm, or name a file.")
    raw = OneWay(sys.stdin.buffer, "standard input", owned=False)
    return Opened.fixed("stdin", f"stdin:{uuid.uuid4()}", raw, None, None)


def open_local(given: str) -> Opened:
    """A file of this machine, or a pipe or device.

    Raises:
        FatalError: It is gone, or cannot be read.
    """
    name, path = printable(given), local_path(given)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _cannot_open(name, error) from error
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder now")
        if not stat.S_ISREG(found.st_mode):
            raw = OneWay(os.fdopen(descriptor, "rb", 0), name, owned=True)
            return Opened.fixed(name, f"pipe:{uuid.uuid4()}", raw, None, None)
        return open_descriptor(name, f"file:{printable(os.path.realpath(path))}", descriptor, found.st_size)
    except OSError as error:
        os.close(descriptor)
        raise _cannot_open(name, error) from error


def open_descriptor(name: str, partition: str, descriptor: int, size: int) -> Opened:
    """The first `size` bytes of an open file. Owns the descriptor, once it has succeeded."""
    content = Content.of(descriptor, size)
    window = FileWindow(descriptor, size, name)

    def verify() -> DdpmError | None:
        if window.closed or window.shrunk:  # A stream that ended early has said so itself.
            return None
        try:
            same = Content.of(descriptor, size) == content
        except OSError as error:
            return _cannot_open(name, error)
        return None if same else changed(name)

    return Opened(name, partition, window, content, size, lambda older: older.begins(descriptor, size), verify)


def _cannot_open(name: str, error: OSError) -> FatalError:
    if isinstance(error, FileNotFoundError):
        return FatalError(f"{name} cannot be read: it is not there any more")
    return FatalError(f"{name} cannot be read: {(error.strerror or str(error)).lower()}")
