"""The environment failing is not bad data: every record lands once, nothing becomes a dead letter for it, and no password is printed.

Faults come from the server itself where that is possible, else through a proxy that cuts the connection. Moments are chosen by what the
engine reports, never by the clock; random ones from a seed that is printed (`DDPM_FAULTS_SEED` repeats it).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import psycopg2
import psycopg2.errors
import pytest

from ddpm_core.engine.ingest import Ingest, IngestRequest
from ddpm_core.engine.report import Report
from ddpm_core.registry import Registry
from ddpm_postgres.sink import PostgresSink
from tests.command import CANARY, Command, ddpm, ingest
from tests.oracle import judge, write_events
from tests.proxy import Fault, Proxy
from tests.seeds import seeded
from tests.services import PostgresServer, free_port

# Each of several rounds is a run of its own.
pytestmark = pytest.mark.timeout(1200)
ROUNDS = int(os.environ.get("DDPM_FAULTS", "10"))
Way = Literal["files", "stdin", "replace"]
WAYS: tuple[Way, ...] = ("files", "stdin", "replace")


@dataclass
class Events:
    """Numbered records: a folder of them, and the ids of all."""

    folder: Path
    ids: list[str]
    bad: int


@dataclass
class Base:
    """The database as its superuser sees it, from outside the engine."""

    url: str
    server: PostgresServer
    registry: Registry
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.url.rpartition("/")[2].partition("?")[0]

    @property
    def at(self) -> str:
        return f"Postgres at {self.server.host}:{self.server.port}/{self.name}"

    def ask(self, sql: str) -> list[Any]:
        return self.server.psql(sql, database=self.name)

    def column(self, sql: str) -> list[Any]:
        try:
            return [value for (value,) in self.ask(sql)]
        except psycopg2.errors.UndefinedTable:
            return []

    def rows(self) -> list[str]:
        return self.column("SELECT event_id FROM events")

    def dead_letters(self) -> list[bytes]:
        return [bytes(payload) for payload in self.column("SELECT payload FROM _ddpm_dead_letters")]

    def clear(self) -> None:
        self.ask("DROP TABLE IF EXISTS events, _ddpm_positions, _ddpm_dead_letters")

    def ingest(self, *paths: Path | str, observers: Any = (), **more: Any) -> Report:
        """`ddpm ingest` into `events` in this process."""
        given: dict[str, Any] = {"to": self.url, "table": "events", "retry_for": 120.0, **more}
        request = IngestRequest(paths=tuple(str(path) for path in paths), **given)
        return Ingest(request, self.registry, observers=observers).run()


def when(event: str, action: Callable[[], Any], *, after: int = 0, times: int = 1) -> Callable[[Any], None]:
    """An observer that acts when an event of this kind comes: not the first `after` times, and so many times."""
    seen = 0

    def observe(happened: Any) -> None:
        nonlocal seen
        if type(happened).__name__ == event:
            seen += 1
            if after < seen <= after + times:
                action()

    return observe


def said(report: Report) -> str:
    """The run's error without how long it was tried, which is told from a second on: that is the machine's part."""
    return without_seconds(str(report.error))


def without_seconds(text: str) -> str:
    return re.sub(r" \(tried for \d+ s\)", "", text)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover(strict=True)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Events:
    """Three files, 6,000 records."""
    return _made(tmp_path_factory.mktemp("events"), files=3, records=6_000)


@pytest.fixture(scope="module")
def piped_events(tmp_path_factory: pytest.TempPathFactory) -> Events:
    """Files that make three groups when they are piped in one after the other: the parser takes 4 MB at once."""
    return _made(tmp_path_factory.mktemp("piped"), files=3, records=36_000)


@pytest.fixture(scope="module")
def many_events(tmp_path_factory: pytest.TempPathFactory) -> Events:
    """Twelve files, 100,000 records."""
    return _made(tmp_path_factory.mktemp("many"), files=12, records=100_000)


def _made(folder: Path, *, files: int, records: int) -> Events:
    ids = write_events(folder, files=files, records=records, seed=1)
    return Events(folder, ids, records // 997)


@pytest.fixture
def base(postgres_database: str, postgres_server: PostgresServer, registry: Registry) -> Base:
    return Base(postgres_database, postgres_server, registry)


@pytest.fixture
def stoppable_server(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """A server that may be stopped; it runs again afterwards."""
    if not postgres_server.managed:
        pytest.skip("the server that DDPM_TEST_POSTGRES names is not stopped")
    yield postgres_server
    try:
        postgres_server.psql("SELECT 1")
    except psycopg2.OperationalError:
        postgres_server.stop()
        postgres_server.start()


@pytest.fixture
def loader(base: Base) -> Iterator[str]:
    """The URL of a user without rights."""
    base.ask(f"CREATE ROLE loader LOGIN PASSWORD '{CANARY}'; REVOKE CREATE ON SCHEMA public FROM public")
    yield base.url.replace("postgres:ddpm-test@", f"loader:{CANARY}@")
    base.ask("DROP OWNED BY loader; DROP ROLE loader")


def all_landed_once(base: Base, events: Events) -> None:
    judge(events.ids, base.rows(), base.dead_letters())


# Not there, or not for this user.


def test_no_server_is_waited_for_and_then_said_with_what_to_do(events: Events) -> None:
    port = free_port()
    ended = ddpm(*ingest([events.folder], f"postgresql://u:{CANARY}@127.0.0.1:{port}/shop", "--retry-for", "1"))
    assert (ended.code, without_seconds(ended.said)) == (
        1,
        (
            f"ddpm: error: cannot connect to Postgres at 127.0.0.1:{port}/shop: Connection refused\n"
            "  Start the server, or correct host and port in the address.\n"
        ),
    )
    assert re.search(r"Connection refused \(tried for [1-9]\d* s\)$", ended.said, re.MULTILINE)
    assert f"waiting for postgres: cannot connect to Postgres at 127.0.0.1:{port}/shop: Connection refused" in ended.err
    assert ended.seconds >= 1


def test_a_server_that_comes_up_meanwhile_gets_everything(base: Base, events: Events, stoppable_server: PostgresServer) -> None:
    stoppable_server.stop()
    with Command(*ingest([events.folder], base.url, "--retry-for", "200")) as command:
        command.until_it_says("waiting for postgres: ")
        stoppable_server.start()
        ended = command.end()
    assert ended.code == 3, ended.err
    assert "postgres is back after " in ended.err
    all_landed_once(base, events)


@pytest.mark.parametrize("fault", ["password", "database", "create", "insert"])
def test_what_waiting_cannot_mend_is_said_at_once(fault: str, base: Base, events: Events, loader: str) -> None:
    url, at = loader, base.at
    if fault == "password":
        url = base.url.replace("ddpm-test@", f"{CANARY}@")
        said = f'cannot connect to {at}: password authentication failed for user "postgres"'
        hint = "Check the user and the password in the address; PGPASSWORD and ~/.pgpass work too."
    elif fault == "database":
        url, at = base.url.replace(base.name, "missing"), at.replace(base.name, "missing")
        said = f'cannot connect to {at}: database "missing" does not exist'
        hint = "Create the database, or correct its name in the address."
    else:
        said = f"{at}: permission denied for schema public"
        hint = "Ask the owner for the privilege (GRANT), or connect as another user."
    if fault == "insert":
        assert base.ingest(events.folder / "part-000.ndjson").error is None
        base.ask("GRANT SELECT, INSERT, UPDATE ON _ddpm_positions TO loader")
        said = f"{at}: permission denied for table events"
    before = base.rows(), base.dead_letters()
    ended = ddpm(*ingest([events.folder], url, "--debug", "--log-level", "debug"))
    assert ended.code == 1
    assert ended.err.endswith(f"ddpm: error: {said}\n  {hint}\n")
    assert "waiting for" not in ended.err
    assert (base.rows(), base.dead_letters()) == before


# There, and not able to take rows for now.


def test_a_server_that_only_reads_gets_everything_when_it_writes_again(base: Base, events: Events) -> None:
    base.ask(f"ALTER DATABASE {base.name} SET default_transaction_read_only = on")
    report = base.ingest(events.folder, retry_for=0.3)
    assert said(report) == (
        f"{base.at}: cannot execute CREATE TABLE in a read-only transaction\n"
        "The server may have become a standby; writing goes on when it takes writes again."
    )
    writable = f"SET default_transaction_read_only = off; ALTER DATABASE {base.name} RESET default_transaction_read_only"
    report = base.ingest(events.folder, observers=[when("Waiting", lambda: _each(base, writable))])
    assert report.error is None
    all_landed_once(base, events)


def _each(base: Base, statements: str) -> None:
    connection = psycopg2.connect(base.url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements.split("; "):
            cursor.execute(statement)
    connection.close()


@pytest.fixture
def lock(base: Base) -> Iterator[psycopg2.extensions.connection]:
    """Another session; `rollback` ends its transaction."""
    connection = psycopg2.connect(base.url)
    yield connection
    connection.close()


@pytest.mark.parametrize("mode", ["append", "replace"])
def test_a_locked_table_is_waited_for_and_then_named(base: Base, events: Events, lock: Any, mode: str) -> None:
    first, *_ = sorted(events.folder.iterdir())
    base.ingest(first)
    before = sorted(base.rows()), sorted(base.dead_letters())
    lock.cursor().execute("LOCK TABLE events")
    more: dict[str, Any] = {"mode": mode, "options": ("sink.lock_timeout=0.1",)}
    report = base.ingest(events.folder, retry_for=0.3, **more)
    assert said(report) == (
        f"{base.at}: canceling statement due to lock timeout\nAnother session holds a lock: see pg_locks and pg_stat_activity."
    )
    lock.rollback()
    assert (sorted(base.rows()), sorted(base.dead_letters())) == before
    lock.cursor().execute("LOCK TABLE events")
    report = base.ingest(events.folder, observers=[when("Waiting", lock.rollback)], **more)
    assert report.error is None
    all_landed_once(base, events)


def test_a_file_that_had_landed_is_all_there_when_its_replacement_had_to_wait(base: Base, events: Events, lock: Any) -> None:
    base.ingest(events.folder)
    lock.cursor().execute("LOCK TABLE events")
    waited = when("Waiting", lock.rollback)
    report = base.ingest(events.folder, observers=[waited], mode="replace", options=("sink.lock_timeout=0.1",))
    assert (report.error, report.rows) == (None, len(events.ids) - events.bad)
    all_landed_once(base, events)


def test_too_many_connections_are_waited_for(base: Base, events: Events, loader: str) -> None:
    base.ask("GRANT CREATE ON SCHEMA public TO loader; ALTER ROLE loader CONNECTION LIMIT 0")
    report = base.ingest(events.folder, to=loader, retry_for=0.3)
    assert said(report) == (
        f'cannot connect to {base.at}: too many connections for role "loader"\nClose other connections, or raise max_connections.'
    )
    room = when("Waiting", lambda: base.ask("ALTER ROLE loader CONNECTION LIMIT 5"))
    assert base.ingest(events.folder, to=loader, observers=[room]).error is None
    all_landed_once(base, events)


@pytest.mark.parametrize("way", WAYS)
def test_a_full_disk_is_waited_for(base: Base, events: Events, way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own error for a full disk, raised where a row goes in: to fill a disk takes rights that tests do not have."""
    old = base.ingest(min(events.folder.iterdir()))
    landed = sorted(base.rows())
    full = 'could not extend file "base/5/1": No space left on device'
    base.ask(
        f"CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full', "
        f"MESSAGE = '{full}'; END $$; CREATE TRIGGER full_disk BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION full_disk()"
    )
    report = _run(base, events, way, monkeypatch, retry_for=0.3)
    assert said(report) == f"{base.at}: {full}\nMake room on the server's disk."
    assert (sorted(base.rows()), report.rows, report.rejected) == (landed, 0, 0)
    # Dropping it takes a lock on the table: a run that waits must hold none itself.
    room = when("Waiting", lambda: base.ask("SET lock_timeout = '30s'; DROP TRIGGER full_disk ON events"))
    report = _run(base, events, way, monkeypatch, observers=[room])
    assert report.error is None
    if way == "stdin":  # It is new data each time.
        assert len(base.rows()) == old.rows + report.rows
    else:
        all_landed_once(base, events)


# Gone in the middle.


def test_a_server_that_is_killed_in_the_middle_and_started_again_has_every_row_once(
    base: Base, many_events: Events, stoppable_server: PostgresServer
) -> None:
    kill = when("ChunkCommitted", lambda: stoppable_server.stop("immediate"), after=2)
    start = when("Waiting", stoppable_server.start)
    report = base.ingest(many_events.folder, observers=[kill, start])
    assert (report.error, report.rows) == (None, len(many_events.ids) - many_events.bad)
    all_landed_once(base, many_events)


def test_sessions_that_are_ended_again_and_again_cost_no_row_and_double_none(
    base: Base, many_events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each chunk alone, so that there are at least as many sessions to end as there are files, whichever thread is faster.
    monkeypatch.setattr(PostgresSink, "transaction_bytes", 1)
    ended = 0

    def terminate() -> None:
        nonlocal ended
        ended += len(
            base.ask(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ddpm' AND datname = current_database()"
            )
        )

    terminate_often = [when(event, terminate, times=20) for event in ("ChunkRead", "ChunkCommitted")]
    report = base.ingest(many_events.folder, observers=terminate_often)
    assert (report.error, report.rows) == (None, len(many_events.ids) - many_events.bad)
    all_landed_once(base, many_events)
    assert ended >= 10


# The connection cut, at any byte and at COMMIT.


def _run(base: Base, events: Events, way: Way, monkeypatch: pytest.MonkeyPatch, **more: Any) -> Report:
    """One run of all events in one of the three ways."""
    if way != "stdin":
        return base.ingest(events.folder, mode="replace" if way == "replace" else None, **more)
    with _whole(events).open("rb") as whole:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=whole, isatty=lambda: False))
        return base.ingest("-", format="json", **more)


def _whole(events: Events) -> Path:
    """All files in one."""
    path = events.folder.parent / f"{events.folder.name}-whole.ndjson"
    if not path.exists():
        path.write_bytes(b"".join(file.read_bytes() for file in sorted(events.folder.iterdir())))
    return path


@dataclass
class Faulty:
    """Runs through the proxy, and what must be true after each."""

    base: Base
    proxy: Proxy
    events: Events
    way: Way
    monkeypatch: pytest.MonkeyPatch
    old: list[str] = field(default_factory=list)
    commits: int = 0
    sent: int = 0

    def prepare(self) -> None:
        """An empty database; for `replace`, a table with rows."""
        self.base.clear()
        if self.way == "replace":
            self.base.ask("CREATE TABLE events (event_id text); INSERT INTO events VALUES ('old-1'), ('old-2')")
            self.base.ask("ALTER TABLE events ADD user_id bigint, ADD event_type text, ADD timestamp timestamptz, "
                "ADD session_duration float8, ADD device text, ADD app_version text, ADD locale text, ADD ip text, ADD amount float8")  # fmt: skip
        self.old = self.base.rows()
        self.proxy.happened.clear()

    def run(self) -> Report:
        url = self.base.server.database_url(self.base.name, port=self.proxy.port)
        return _run(self.base, self.events, self.way, self.monkeypatch, to=url)

    def from_the_beginning(self) -> Report:
        """One run. Where nothing disturbed it, its COMMITs and bytes are noted."""
        self.prepare()
        commits, sent = self.proxy.commits, self.proxy.sent
        report = self.run()
        if not self.proxy.happened.is_set():
            self.commits, self.sent = self.proxy.commits - commits, self.proxy.sent - sent
        return report

    def hit(self, aim: Callable[[], None]) -> Report:
        """A run that the fault hits. `aim` sets it, by the COMMITs and bytes of an undisturbed run.

        How many COMMITs there are depends on how much has gathered while one is made: which of two threads is faster. A run that is
        over before its fault comes must land like any other, and the next one is aimed at anew.
        """
        if not self.sent:
            self.landed(self.from_the_beginning(), may_fail=False)
        for _ in range(20):
            aim()
            report = self.from_the_beginning()
            if self.proxy.happened.is_set():
                return report
            self.proxy.fault, self.proxy.cut_after = None, None
            self.landed(report, may_fail=False)
        raise AssertionError("the fault did not happen")

    def landed(self, report: Report, *, may_fail: bool) -> None:
        """Every record once; where the run could not do that itself, nothing of it is there, and the next run does."""
        if report.error is not None:
            assert may_fail, report.error
            assert str(report.error).endswith("; nothing has landed\nRun the same command again.")
            assert (sorted(self.base.rows()), self.base.dead_letters()) == (self.old, [])
            assert report.rows == 0
            report = self.run()
        assert (report.error, report.rows, report.rejected) == (None, len(self.events.ids) - self.events.bad, self.events.bad)
        all_landed_once(self.base, self.events)


@pytest.fixture
def faulty(
    base: Base, postgres_proxy: Proxy, events: Events, piped_events: Events, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Way], Faulty]:
    return lambda way: Faulty(base, postgres_proxy, piped_events if way == "stdin" else events, way, monkeypatch)


@pytest.mark.parametrize("way", WAYS)
def test_cut_at_random_moments_every_record_is_there_once(way: Way, faulty: Callable[[Way], Faulty]) -> None:
    rng, runs = seeded("DDPM_FAULTS_SEED"), faulty(way)

    def aim() -> None:
        fault: Fault | Literal["cut"] = rng.choice(("cut", "cut", "commit_reply_lost", "commit_lost"))
        if fault == "cut":
            runs.proxy.cut_after = rng.randrange(1, runs.sent * 9 // 10)
            print(f"{way}: cut after {runs.proxy.cut_after} of {runs.sent} bytes")
        else:
            runs.proxy.skip_commits, runs.proxy.fault = rng.randrange(runs.commits), fault
            print(f"{way}: {fault} at COMMIT {runs.proxy.skip_commits + 1} of {runs.commits}")

    for _ in range(ROUNDS):
        runs.landed(runs.hit(aim), may_fail=way != "files")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", ["commit_reply_lost", "commit_lost"])
@pytest.mark.parametrize("place", ["middle", "last"])
def test_a_lost_commit_is_found_out(way: Way, fault: Fault, place: str, faulty: Callable[[Way], Faulty]) -> None:
    runs = faulty(way)

    def aim() -> None:
        runs.proxy.fault, runs.proxy.skip_commits = fault, runs.commits - 1 if place == "last" else runs.commits // 2

    report = runs.hit(aim)
    if way == "files" or fault == "commit_reply_lost":
        assert report.error is None, "what was committed is no failure, whoever heard of it"
    runs.landed(report, may_fail=way != "files")


def test_no_password_is_printed_whatever_happens(base: Base, postgres_proxy: Proxy, events: Events) -> None:
    postgres_proxy.cut_after = 300_000
    postgres_proxy.skip_commits, postgres_proxy.fault = 4, "commit_reply_lost"
    url = base.server.database_url(base.name, port=postgres_proxy.port)
    ended = ddpm(*ingest([events.folder], url, "--debug", "--log-level", "debug", "--log-format", "json"))
    assert (ended.code, postgres_proxy.happened.is_set()) == (3, True)
    assert f"postgresql://postgres:***@127.0.0.1:{postgres_proxy.port}/{base.name}" in ended.out
    assert "waiting for postgres: the connection to Postgres at " in ended.err
    all_landed_once(base, events)
