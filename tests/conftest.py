"""Services for tests, and the account of those that could not be started."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from typing import NoReturn

import hypothesis
import pytest

from tests import kafka, mariadb, object_store, registry, services
from tests.proxy import Proxy

_MISSING = pytest.StashKey[dict[str, tuple[str, list[str]]]]()
"""Service -> why it could not be started, and the tests that were skipped for it."""


# In CI the same examples each time, so that a change is judged by itself; on a developer's machine new ones, which find more.
# A thorough run tries four times as many of them: see `tests/examples.py`.
hypothesis.settings.register_profile("quick", max_examples=25)
hypothesis.settings.register_profile("ci", max_examples=25, derandomize=True, database=None, print_blob=True)
hypothesis.settings.register_profile("thorough", max_examples=100, print_blob=True)
if os.environ.get("DDPM_THOROUGH", "").casefold() in ("true", "1"):
    hypothesis.settings.load_profile("thorough")
elif os.environ.get("CI", "").casefold() in ("true", "1"):
    hypothesis.settings.load_profile("ci")
else:
    hypothesis.settings.load_profile("quick")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_MISSING] = {}


def _skip(request: pytest.FixtureRequest, error: services.ServiceUnavailableError) -> NoReturn:
    """Skip the test, and note it for the summary."""
    _, tests = request.config.stash[_MISSING].setdefault(error.service, (error.reason, []))
    tests.append(request.node.nodeid)
    pytest.skip(f"{error.service} could not be started: {error.reason}")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """On a developer's machine a missing service skips tests; in CI it fails the run."""
    if session.config.stash[_MISSING] and os.environ.get("CI", "").casefold() in ("true", "1"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> Iterator[None]:
    """Outermost, so that this stands just above the closing line."""
    yield
    missing = config.stash[_MISSING]
    if not missing:
        return
    failed = os.environ.get("CI", "").casefold() in ("true", "1")
    terminalreporter.section(
        "services that could not be started" + (": a failure in CI" if failed else ""), red=failed, yellow=not failed
    )
    for service, (reason, tests) in missing.items():
        terminalreporter.line(f"{service}: {reason}")
        terminalreporter.line(f"  {len(tests)} tests skipped for it:")
        for test in tests:
            terminalreporter.line(f"    {test}")


@pytest.fixture(scope="session")
def _postgres() -> Iterator[services.PostgresServer | services.ServiceUnavailableError]:
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(services.postgres())
        except services.ServiceUnavailableError as error:
            yield error
            return
        yield server


@pytest.fixture
def postgres_server(
    request: pytest.FixtureRequest, _postgres: services.PostgresServer | services.ServiceUnavailableError
) -> services.PostgresServer:
    """A running Postgres server, the same for all tests. A test that stops it starts it again."""
    if isinstance(_postgres, services.ServiceUnavailableError):
        _skip(request, _postgres)
    return _postgres


@pytest.fixture(scope="session")
def _idle_databases(_postgres: services.PostgresServer | services.ServiceUnavailableError) -> Iterator[list[str]]:
    """Databases of earlier tests, wiped: that takes a tenth of the time that making one does."""
    idle: list[str] = []
    yield idle
    if isinstance(_postgres, services.PostgresServer) and not _postgres.managed:
        for name in idle:
            _postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_database(postgres_server: services.PostgresServer, _idle_databases: list[str]) -> Iterator[str]:
    """The URL of an empty database that no other test uses meanwhile."""
    if _idle_databases:
        name = _idle_databases.pop()
    else:
        name = f"test_{uuid.uuid4().hex[:12]}"
        postgres_server.psql(f"CREATE DATABASE {name} TEMPLATE template0")
    yield postgres_server.database_url(name)
    postgres_server.wipe(name)
    _idle_databases.append(name)


@pytest.fixture
def postgres_proxy(postgres_server: services.PostgresServer) -> Iterator[Proxy]:
    """A proxy in front of the server, without faults yet."""
    with Proxy(postgres_server.host, postgres_server.port) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def _kafka() -> Iterator[kafka.KafkaBroker | services.ServiceUnavailableError]:
    with contextlib.ExitStack() as stack:
        try:
            broker = stack.enter_context(kafka.kafka())
        except services.ServiceUnavailableError as error:
            yield error
            return
        yield broker


@pytest.fixture
def kafka_broker(request: pytest.FixtureRequest, _kafka: kafka.KafkaBroker | services.ServiceUnavailableError) -> kafka.KafkaBroker:
    """A running broker, the same for all tests. A test that stops or kills it starts it again."""
    if isinstance(_kafka, services.ServiceUnavailableError):
        _skip(request, _kafka)
    return _kafka


@pytest.fixture
def kafka_topic(kafka_broker: kafka.KafkaBroker) -> Iterator[str]:
    """An empty topic with one partition, for this test alone."""
    name = kafka_broker.create_topic()
    yield name
    kafka_broker.delete_topic(name)


@pytest.fixture(scope="module")
def _registry() -> Iterator[registry.RegistryServer | services.ServiceUnavailableError]:
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(registry.registry())
        except services.ServiceUnavailableError as error:
            yield error
            return
        yield server


@pytest.fixture
def registry_server(
    request: pytest.FixtureRequest, _registry: registry.RegistryServer | services.ServiceUnavailableError
) -> registry.RegistryServer:
    """A running registry of schemas, the same for all tests of a module. A test that stops it starts it again."""
    if isinstance(_registry, services.ServiceUnavailableError):
        _skip(request, _registry)
    return _registry


@pytest.fixture(scope="module")
def _object_store() -> Iterator[object_store.ObjectStoreServer | services.ServiceUnavailableError]:
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(object_store.object_store())
        except services.ServiceUnavailableError as error:
            yield error
            return
        yield server


@pytest.fixture
def object_store_server(
    request: pytest.FixtureRequest, _object_store: object_store.ObjectStoreServer | services.ServiceUnavailableError
) -> object_store.ObjectStoreServer:
    """A running object store, the same for all tests of a module. A test that stops it starts it again."""
    if isinstance(_object_store, services.ServiceUnavailableError):
        _skip(request, _object_store)
    return _object_store


@pytest.fixture(scope="session")
def _mariadb() -> Iterator[mariadb.MariaDbServer | services.ServiceUnavailableError]:
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(mariadb.mariadb())
        except services.ServiceUnavailableError as error:
            yield error
            return
        yield server


@pytest.fixture
def mariadb_server(
    request: pytest.FixtureRequest, _mariadb: mariadb.MariaDbServer | services.ServiceUnavailableError
) -> mariadb.MariaDbServer:
    """A running MariaDB server, the same for all tests."""
    if isinstance(_mariadb, services.ServiceUnavailableError):
        _skip(request, _mariadb)
    return _mariadb


@pytest.fixture
def mariadb_database(mariadb_server: mariadb.MariaDbServer) -> Iterator[str]:
    """The name of an empty database that no other test uses meanwhile."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    mariadb_server.sql(f"CREATE DATABASE {name}")
    yield name
    mariadb_server.sql(f"DROP DATABASE {name}")
