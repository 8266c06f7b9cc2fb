"""A prefix in an object store."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import BinaryIO, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError

from ddpm_core import DdpmError, RetryableError
from ddpm_files.output_store import Found, OutputStore, StagedFile, StagedStream, spool
from ddpm_files.remote import Place
from ddpm_files.remote_errors import translated

T = TypeVar("T")

_PIECE_BYTES = 8 << 20
_PIECES_AT_ONCE = 2


class ObjectStoreOutput(OutputStore):
    """A prefix in an object store. Files are written on this machine's disk and sent when they are complete.

    It needs a store whose writes are seen at once and which can create an object only if there is none (`If-None-Match: *`): S3 can
    since 2024, Google's and SeaweedFS too.

    Args:
        place: The bucket; its key is the prefix, without slashes at its ends.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._store = place.store
        self.where = place.url(place.key)

    def prepare(self) -> None:
        """Nothing is made: a wrong bucket or key shows when the log is read, which comes next."""

    def create(self, name: str, data: bytes, *, scratch: str) -> bool:
        def create() -> bool:
            try:
                obstore.put(self._store, self._key(name), data, mode="create")
            except AlreadyExistsError:
                return False
            return True

        return self._call(name, create)

    def put(self, name: str, data: bytes, *, scratch: str) -> None:
        self._call(name, lambda: obstore.put(self._store, self._key(name), data))

    def read(self, name: str) -> bytes | None:
        def read() -> bytes | None:
            try:
                return bytes(obstore.get(self._store, self._key(name)).bytes())
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

        return self._call(name, read)

    def list(self, folder: str) -> list[Found]:
        skip = len(self._key("")) if self._place.key else 0

        def found() -> list[Found]:
            pages = obstore.list(self._store, self._key(folder), chunk_size=1000)
            return [Found(meta["path"][skip:], meta["last_modified"].timestamp()) for page in pages for meta in page]

        return self._call(folder, found)

    def stage(self, name: str) -> StagedFile:
        return ObjectFile(self, name)

    def move(self, moves: Iterable[tuple[str, str]]) -> None:
        """Copies, then deletes: an object store knows no renaming. A copy appears whole."""
        moves = list(moves)
        for staged, name in moves:

            def copy(source: str = self._key(staged), target: str = self._key(name)) -> None:
                with contextlib.suppress(FileNotFoundError):
                    obstore.copy(self._store, source, target)

            self._call(name, copy)
        self.remove(staged for staged, _ in moves)

    def remove(self, names: Iterable[str]) -> None:
        keys = [self._key(name) for name in names]
        for start in range(0, len(keys), 1000):

            def delete(some: list[str] = keys[start : start + 1000]) -> None:
                with contextlib.suppress(FileNotFoundError):  # Google's says so; S3 does not mind.
                    obstore.delete(self._store, some)

            self._call(keys[start], delete)

    def send(self, name: str, file: BinaryIO, size: int) -> None:
        """Store a local file under this name. Larger ones are sent in pieces, and appear when the last one is there."""
        file.seek(0)
        if size <= _PIECE_BYTES:
            self._call(name, lambda: obstore.put(self._store, self._key(name), file.read(), use_multipart=False))
        else:
            self._call(
                name,
                lambda: obstore.put(self._store, self._key(name), file, chunk_size=_PIECE_BYTES, max_concurrency=_PIECES_AT_ONCE),
            )

    def _key(self, name: str) -> str:
        return f"{self._place.key}/{name}" if self._place.key else name

    def _call(self, name: str, call: Callable[[], T]) -> T:
        return translated(self._place, self._place.url(self._key(name)), call)


class ObjectFile(StagedFile):
    """An object that is written on this machine's disk first."""

    def __init__(self, store: ObjectStoreOutput, name: str) -> None:
        self.name = name
        self._store = store
        try:
            self._file = spool()
        except OSError as error:
            raise _no_disk(error) from error
        self.stream = StagedStream(self._file, _no_disk)

    def finish(self) -> None:
        with self._file:
            try:
                self._file.flush()
            except OSError as error:
                raise _no_disk(error) from error
            self._store.send(self.name, self._file, self.stream.size)

    def drop(self) -> None:
        self.stream.given_up = True
        with contextlib.suppress(OSError):
            self._file.close()


def _no_disk(error: OSError) -> DdpmError:
    return RetryableError(
        f"the folder for temporary files cannot be written: {(error.strerror or str(error)).lower()}",
        hint="Objects are written there before they are sent. Free space, or name another folder with TMPDIR.",
    )
