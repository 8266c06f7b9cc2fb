"""What is kept of the services of one folder: so that a second command finds what the first one started."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from ddpm_core.errors import ConfigError
from ddpm_core.values import dataclass

NAMES = ("kafka", "postgres")
How = Literal["address", "docker", "local"]


@dataclass(frozen=True, slots=True)
class Kept:
    """One service.

    Attributes:
        how: An address that the environment names, a container, or a process of this machine.
        address: `HOST:PORT` or a URL, with the password.
        about: What it is, for people.
        why: Why this and nothing else was chosen.
        container: The container's name, where it is one.
    """

    how: How
    address: str
    about: str
    why: str
    container: str = ""


class State:
    """The file `state.json` of a folder. It holds a password, so that only its owner may read it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "state.json"

    @contextlib.contextmanager
    def locked(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Alone with the folder: a second command waits until the first one is done.

        Args:
            waiting: Called once when it has to wait.

        Raises:
            ConfigError: The folder cannot be made, or is not ours to write.
        """
        try:
            file = self._lock(waiting)
        except OSError as error:
            raise ConfigError(f"{self.folder}: {error.strerror}", hint="Name another folder with --dir.") from None
        try:
            yield
        finally:
            os.close(file)

    def read(self) -> dict[str, Kept]:
        """Name -> service. Empty where none was started, and for a file that this version cannot read."""
        try:
            services = json.loads(self._path.read_text())["services"]
            return {name: Kept(**services[name]) for name in NAMES if name in services}
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    def write(self, services: dict[str, Kept]) -> None:
        """Replace the file, whole or not at all."""
        fresh = self._path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(
                {"version": 1, "services": {name: dataclasses.asdict(kept) for name, kept in services.items()}}, file, indent=2
            )
        fresh.replace(self._path)

    def remove(self) -> None:
        """Delete what this class made, and the folder if nothing else is in it. Call it while locked."""
        for path in (self._path, self.folder / "lock"):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _lock(self, waiting: Callable[[], None]) -> int:
        told = False
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / "lock"
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    waiting()
                    told = True
                fcntl.flock(file, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path).st_ino == os.fstat(file).st_ino:
                    return file
            os.close(file)  # The other command has wiped the folder: this was the lock of nothing.
