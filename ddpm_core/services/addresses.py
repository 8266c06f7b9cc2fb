"""Services whose addresses the environment names. They are used as they are: neither started nor stopped."""

from __future__ import annotations

import os

from ddpm_core.errors import ConfigError

KAFKA = "DDPM_TEST_KAFKA"
POSTGRES = "DDPM_TEST_POSTGRES"


def kafka_address() -> str | None:
    """`HOST:PORT`, or several with commas between; None where none is named.

    Raises:
        ConfigError: It is something else.
    """
    given = os.environ.get(KAFKA, "").strip()
    if not given:
        return None
    for part in given.split(","):
        host, _, port = part.strip().rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536 or "/" in host:
            raise ConfigError(f"{KAFKA}: {part.strip()!r} is no HOST:PORT", hint="For example 127.0.0.1:9092.")
    return given


def postgres_address() -> str | None:
    """A URL with user, password and database; None where none is named.

    Raises:
        ConfigError: It is something else.
    """
    given = os.environ.get(POSTGRES, "").strip()
    if not given:
        return None
    if not given.startswith(("postgresql://", "postgres://")):
        raise ConfigError(
            f"{POSTGRES} does not begin with postgresql://",
            hint="For example postgresql://postgres:secret@127.0.0.1:5432/postgres.",
        )
    return given
