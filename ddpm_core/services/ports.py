"""TCP ports of 127.0.0.1."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from ddpm_core.services.unavailable import ServiceUnavailableError

_LOWEST = 20_000


def free_port(*, but: tuple[int, ...] = ()) -> int:
    """A port that nobody listens on now, and none of these. Another process may take it before it is used.

    It is none of those that the system gives to clients: a server that is down for a moment finds it free again.
    """
    for _ in range(100):
        port = random.randrange(_LOWEST, _first_of_clients())  # noqa: S311 - no secret
        if port not in but and is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _first_of_clients() -> int:
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        first = 32768
    return first if first > _LOWEST else 32768


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        # As servers do, so that connections of an earlier one, which linger for a minute, do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def choose(wanted: int | None, preferred: tuple[int, ...]) -> int:
    """The port that the user named; else the first of the preferred ones that is free; else any."""
    if wanted is not None:
        return wanted
    return next((port for port in preferred if port and is_free(port)), 0) or free_port()


def refuse_taken(service: str, *ports: int) -> None:
    """Check that all are free, before a server is started on them.

    Raises:
        ServiceUnavailableError: One is not.
    """
    for port in ports:
        if not is_free(port):
            raise ServiceUnavailableError(service, f"port {port} of 127.0.0.1 is in use", hint="Name another one, or none.")
