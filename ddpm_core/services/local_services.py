"""The services of one folder: up, down, and how they are."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ddpm_core.errors import ConfigError
from ddpm_core.services.choose import TITLES, VARIABLES, Chooser, port_of
from ddpm_core.services.docker_services import Container
from ddpm_core.services.kafka_broker import STOP_SECONDS, answers, kafka_daemon
from ddpm_core.services.postgres_server import postgres_daemon, why_not
from ddpm_core.services.processes import Daemon
from ddpm_core.services.reach import why_unreachable
from ddpm_core.services.state import NAMES, Kept, State
from ddpm_core.services.unavailable import ServiceUnavailableError
from ddpm_core.values import dataclass


def default_folder() -> Path:
    """One folder for each user, so that every directory finds the same services. Root's is one that other users can enter."""
    if os.geteuid() == 0 and not os.environ.get("XDG_DATA_HOME"):
        return Path("/var/lib/ddpm/services")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "ddpm/services"


@dataclass(frozen=True, slots=True)
class Health:
    """How one service is.

    Attributes:
        name: `kafka` or `postgres`.
        kept: What was started; None where nothing was.
        trouble: Why it cannot be used, in one line; empty where it can.
    """

    name: str
    kept: Kept | None
    trouble: str


class LocalServices:
    """The Kafka and the Postgres of one folder.

    Args:
        folder: Where their data and what is known of them is kept.
        say: Told, one line at a time, what takes long and what was chosen.
    """

    def __init__(self, folder: Path, say: Callable[[str], None] = lambda _: None) -> None:
        self.folder = folder.expanduser().resolve()
        self._say = say
        self._state = State(self.folder)

    def up(self, wanted_ports: Mapping[str, int | None] | None = None) -> dict[str, Kept]:
        """See that both run. What runs already is left alone; what this call has started is stopped again if it fails.

        Args:
            wanted_ports: Name -> the port that the user wants.

        Raises:
            ServiceUnavailableError: One of them cannot be had, or does not answer at its address in the environment.
            ConfigError: The request contradicts what runs already, or an address in the environment is none.
        """
        with self._alone():
            services, started = self._state.read(), []
            chooser = Chooser(self.folder, self._say, lambda name, kept: self._state.write(services | {name: kept}))
            try:
                # Both are looked at before one is started: that takes seconds, in vain where the other cannot be had.
                there = {name: self._there(name, services.get(name), chooser, (wanted_ports or {}).get(name)) for name in NAMES}
                for name, found in there.items():
                    if found is None:
                        started.append(name)
                    services[name] = found or chooser.start(name, (wanted_ports or {}).get(name), services.get(name))
                    self._state.write(services)
            except BaseException:
                for name in started:
                    self._stop(name, services.get(name), wipe=False)
                raise
        return services

    def down(self, *, wipe: bool = False) -> list[str]:
        """Stop what this folder's `up` has started, and nothing else. Returns the names of those that ran.

        Args:
            wipe: Delete their data too.
        """
        if not self.folder.exists():
            return []
        with self._alone():
            services = self._state.read()
            stopped = [name for name in NAMES if self._stop(name, services.get(name), wipe=wipe)]
            if wipe:
                for name in NAMES:
                    shutil.rmtree(self.folder / name, ignore_errors=True)
                with contextlib.suppress(FileNotFoundError):
                    (self.folder / "postgres-password").unlink()
                self._state.remove()
        return stopped

    def status(self) -> list[Health]:
        """How each service is, right now. Nothing is started or changed.

        Raises:
            ConfigError: An address in the environment is none.
        """
        services, chooser = self._state.read(), Chooser(self.folder)
        found = {name: self._current(name, services.get(name), chooser) for name in NAMES}
        return [Health(name, kept, self._trouble(name, kept)) for name, kept in found.items()]

    def _current(self, name: str, kept: Kept | None, chooser: Chooser) -> Kept | None:
        """What was started; else what the environment names now, which may be another than it was at the last `up`."""
        return kept if kept is not None and kept.how != "address" else chooser.named(name)

    def _there(self, name: str, kept: Kept | None, chooser: Chooser, port: int | None) -> Kept | None:
        """The service that need not be started: named by the environment, or running."""
        named = chooser.named(name)
        runs = kept is not None and kept.how != "address" and not self._trouble(name, kept)
        if named is not None:
            if runs:
                raise ConfigError(
                    f"{VARIABLES[name]} names a {TITLES[name]}, but the one of {self.folder} is running",
                    hint=f"Run `ddpm services down` first, or unset {VARIABLES[name]}.",
                )
            if trouble := self._trouble(name, named):
                raise ServiceUnavailableError(
                    TITLES[name],
                    f"{VARIABLES[name]}: {trouble}",
                    hint=f"Check the address and the server, or unset {VARIABLES[name]}.",
                )
            return named
        if not runs or kept is None:
            return None
        if port is not None and port != port_of(kept.address):
            raise ConfigError(
                f"{TITLES[name]} is running on port {port_of(kept.address)}",
                hint="Run `ddpm services down` first to give it another port.",
            )
        return kept

    def _trouble(self, name: str, kept: Kept | None) -> str:
        if kept is None:
            return "it was not started"
        if kept.how == "address":
            return why_unreachable(name, kept.address)
        if kept.how == "local" and self._daemon(name).pid() is None:
            return "it is not running"
        if name == "kafka":
            return "" if answers(kept.address) else f"it does not answer at {kept.address}"
        return why_not(kept.address) or ""

    def _daemon(self, name: str) -> Daemon:
        return (kafka_daemon if name == "kafka" else postgres_daemon)(self.folder / name)

    def _stop(self, name: str, kept: Kept | None, *, wipe: bool) -> bool:
        """Stop the process whatever the state says: its own file tells better, also after a killed `up`."""
        daemon = self._daemon(name)
        ran = daemon.pid() is not None
        daemon.stop(signal.SIGTERM if name == "kafka" else signal.SIGINT, STOP_SECONDS)
        if kept is not None and kept.how == "docker":
            ran = ran or not self._trouble(name, kept)
            Container(kept.container, kept.address, kept.about).remove(wipe=wipe)
        return ran

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._state.locked(lambda: self._say("waiting for another `ddpm services`")):
            yield
