"""The error of a service that is neither there nor can be started."""

from __future__ import annotations

from ddpm_core.errors import FatalError


class ServiceUnavailableError(FatalError):
    """A service cannot be had here.

    Args:
        service: Its name for people, such as `Kafka`.
        reason: Why not, in one line.
        hint: What would make it possible.
    """

    def __init__(self, service: str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"{service}: {reason}", hint=hint)
        self.service = service
        self.reason = reason
