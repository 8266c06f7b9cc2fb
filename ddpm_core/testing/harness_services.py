"""Where the Kafka and the Postgres of the harness are."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from ddpm_core.services.addresses import kafka_address, postgres_address
from ddpm_core.services.local_services import LocalServices, default_folder
from ddpm_core.values import dataclass


@dataclass(frozen=True, slots=True)
class HarnessServices:
    """The addresses of both.

    Attributes:
        kafka: `HOST:PORT`. The harness makes and deletes topics there.
        postgres: The URL of a database, as a user who may make others: each test gets one of its own.
    """

    kafka: str
    postgres: str


def find_services() -> HarnessServices:
    """Those that `DDPM_TEST_KAFKA` and `DDPM_TEST_POSTGRES` name, else those that `ddpm services up` has started.

    Without them the test is skipped; in CI, where `CI` is `true`, it fails.
    """
    found = {"kafka": kafka_address(), "postgres": postgres_address()}
    if None in found.values():
        for health in LocalServices(default_folder()).status():
            if found[health.name] is None and health.kept is not None and not health.trouble:
                found[health.name] = health.kept.address
    missing = [name.capitalize() for name, address in found.items() if address is None]
    if missing:
        _without(
            f"no {' and no '.join(missing)}: run `ddpm services up`, or set {' and '.join(f'DDPM_TEST_{n.upper()}' for n in missing)}"
        )
    return HarnessServices(str(found["kafka"]), str(found["postgres"]))


def _without(why: str) -> NoReturn:
    if os.environ.get("CI", "").casefold() in ("true", "1"):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)
