"""A folder on this machine."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from ddpm_core import ConfigError, DdpmError, FatalError, RetryableError
from ddpm_files.output_store import Found, OutputStore, StagedFile, StagedStream

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


class LocalStore(OutputStore):
    """A folder on this machine. A file is made whole under a name of its own, then linked or renamed to its real one.

    Args:
        root: The folder; made when it is missing.
    """

    def __init__(self, root: str) -> None:
        self.where = root
        self._root = os.path.abspath(root)

    def prepare(self) -> None:
        try:
            with self._translated(self._root):
                os.makedirs(self._root, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ConfigError(
                f"{self.where} is not a folder, or lies below a file", hint="Files go into folders; name another one."
            ) from None
        if not os.access(self._root, os.W_OK | os.X_OK):
            raise FatalError(f"{self.where} cannot be written: permission denied", hint="Check who owns the folder, and its mode.")

    def create(self, name: str, data: bytes, *, scratch: str) -> bool:
        path = self._path(name)
        with self._translated(path):
            self._write(scratch, data)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            try:
                os.link(self._path(scratch), path)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                raise ConfigError(
                    f"{self.where} lies on a file system without hard links ({error.strerror}), so commits there cannot be made safe",
                    hint="Write to another file system, and move the files from there.",
                ) from error
            finally:
                os.unlink(self._path(scratch))
            self.sync(os.path.dirname(path))
            return True

    def put(self, name: str, data: bytes, *, scratch: str) -> None:
        path = self._path(name)
        with self._translated(path):
            self._write(scratch, data)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.replace(self._path(scratch), path)
            self.sync(os.path.dirname(path))

    def read(self, name: str) -> bytes | None:
        path = self._path(name)
        with self._translated(path):
            try:
                with open(path, "rb") as file:
                    return file.read()
            except FileNotFoundError:
                return None

    def list(self, folder: str) -> list[Found]:
        found = []
        with self._translated(self._path(folder)):
            for path in _files(self._path(folder)):
                with contextlib.suppress(FileNotFoundError):  # Moved or removed meanwhile.
                    found.append(Found(os.path.relpath(path, self._root), os.stat(path).st_mtime))
        return found

    def stage(self, name: str) -> StagedFile:
        path = self._path(name)
        with self._translated(path):
            return LocalFile(self, name, path, self._open(path))

    def settle(self, folder: str) -> None:
        path = self._path(folder)
        with self._translated(path):
            self.sync(path)

    def move(self, moves: Iterable[tuple[str, str]]) -> None:
        touched: set[str] = set()
        for staged, name in moves:
            source, target = self._path(staged), self._path(name)
            with self._translated(target):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    os.rename(source, target)
                touched |= {os.path.dirname(target), os.path.dirname(source)}
        for folder in sorted(touched):
            with self._translated(folder):
                self.sync(folder)

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            path = self._path(name)
            with self._translated(path), contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def tidy(self, folder: str) -> None:
        with contextlib.suppress(OSError), os.scandir(self._path(folder)) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    with contextlib.suppress(OSError):  # It is in use.
                        os.rmdir(entry.path)

    def failure(self, error: OSError, path: str) -> DdpmError:
        """What an error of the file system means."""
        said = f"{path} cannot be written: {(error.strerror or str(error)).lower()}"
        if error.errno in _NO_ROOM:
            return RetryableError(said, hint="Free space on its disk; nothing of this round was kept.")
        if error.errno in _NOT_ALLOWED:
            return FatalError(said, hint="Check who owns the folder, and its mode.")
        if error.errno == errno.ENAMETOOLONG:
            return FatalError(said, hint="Name a shorter path or table.")
        return RetryableError(said, hint="Check the folder and its disk.")

    def sync(self, folder: str) -> None:
        """Make the names in a folder durable, and those of the folders above it."""
        _sync_folders(folder, self._root)

    def _path(self, name: str) -> str:
        return os.path.join(self._root, name)

    def _write(self, name: str, data: bytes) -> None:
        path = self._path(name)
        with self._open(path) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def _open(self, path: str) -> BinaryIO:
        for attempt in range(10):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            try:
                return open(path, "wb", buffering=1 << 16)
            except FileNotFoundError:  # Another process tidied the empty folder away.
                if attempt == 9:
                    raise
        raise AssertionError("not reached")

    @contextlib.contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        try:
            yield
        except (FileExistsError, NotADirectoryError) as error:
            if path == self._root:
                raise
            raise self.failure(error, path) from error
        except OSError as error:
            raise self.failure(error, path) from error


class LocalFile(StagedFile):
    """A file in the staging folder."""

    def __init__(self, store: LocalStore, name: str, path: str, file: BinaryIO) -> None:
        self.name = name
        self._store = store
        self._path = path
        self._file = file
        self.stream = StagedStream(file, lambda error: store.failure(error, path))

    def finish(self) -> None:
        try:
            with self._file:
                self._file.flush()
                os.fsync(self._file.fileno())
        except OSError as error:
            raise self._store.failure(error, self._path) from error

    def drop(self) -> None:
        self.stream.given_up = True
        with contextlib.suppress(OSError):
            self._file.close()


def _files(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
        else:
            yield entry.path


def _sync_folders(folder: str, root: str) -> None:
    """Make the names in a folder durable, and those of the folders between it and the root."""
    while True:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if folder in (root, os.path.dirname(folder)) or not folder.startswith(root):
            return
        folder = os.path.dirname(folder)
