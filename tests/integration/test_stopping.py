"""Stopped, killed, overtaken: the command ends soon, says where it stands, and the next run completes what it left, every row once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import psycopg2.errors
import pytest

from ddpm_core.engine.ingest import Ingest, IngestRequest
from ddpm_core.engine.report import Report
from ddpm_core.registry import Registry
from tests.command import Command, ddpm, event_probe, ingest
from tests.oracle import judge, write_events
from tests.services import PostgresServer

EACH = pytest.mark.parametrize(
    ("target", "number", "code"), [("duckdb", signal.SIGTERM, 143), ("postgres", signal.SIGINT, 130)], indirect=["target"]
)
pytestmark = pytest.mark.timeout(1200)
STOPPING = "stopping: finishing the current transaction (Ctrl+C again to abort now)\n"


@dataclass
class Target:
    """A database, asked from outside the engine when nothing writes to it."""

    address: str
    schema: str
    column: Callable[[str], list[Any]]

    def rows(self) -> list[str]:
        return self.column(f"select event_id from {self.schema}.events")

    def dead_letters(self) -> list[bytes]:
        return [bytes(payload) for payload in self.column(f"select payload from {self.schema}._ddpm_dead_letters")]


def duckdb_target(path: Path) -> Target:
    def column(sql: str) -> list[Any]:
        if not path.exists():
            return []
        with duckdb.connect(str(path), read_only=True) as connection:
            connection.execute("SET python_enable_replacements = false")  # Else `events` is a function of this module.
            try:
                return [value for (value,) in connection.execute(sql).fetchall()]
            except duckdb.CatalogException:
                return []

    return Target(str(path), "main", column)


def postgres_target(url: str, server: PostgresServer) -> Target:
    name = url.rpartition("/")[2].partition("?")[0]

    def column(sql: str) -> list[Any]:
        try:
            return [value for (value,) in server.psql(sql, database=name)]
        except psycopg2.errors.UndefinedTable:
            return []

    return Target(url, "public", column)


@pytest.fixture
def postgres(postgres_database: str, postgres_server: PostgresServer) -> Target:
    return postgres_target(postgres_database, postgres_server)


@pytest.fixture(params=["duckdb", "postgres"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    if request.param == "duckdb":
        return duckdb_target(tmp_path / "events.duckdb")
    found: Target = request.getfixturevalue("postgres")
    return found


@dataclass
class Events:
    """Numbered records in twelve files, and all of them in one file."""

    folder: Path
    whole: Path
    ids: list[str]


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Events:
    folder = tmp_path_factory.mktemp("events")
    ids = write_events(folder, files=12, records=40_000, seed=1)
    whole = tmp_path_factory.mktemp("whole") / "whole.ndjson"
    whole.write_bytes(b"".join(file.read_bytes() for file in sorted(folder.iterdir())))
    return Events(folder, whole, ids)


@dataclass
class Hold:
    """Holds a run right behind its first commit, so that a test can act in its middle, however fast the run or slow the test."""

    file: Path
    environment: dict[str, str]

    def release(self) -> None:
        self.file.unlink()


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return event_probe(tmp_path_factory.mktemp("probe") / "plugin")


@pytest.fixture
def hold(tmp_path: Path, probe: dict[str, str]) -> Hold:
    file = tmp_path / "hold"
    file.touch()
    return Hold(file, {**probe, "DDPM_PROBE_HOLD": f"ChunkCommitted {file}"})


@pytest.fixture
def locked(postgres: Target, events: Events) -> Iterator[Any]:
    """Another session that has locked the table; `rollback` lets it go. The first file has landed."""
    assert in_process(events.folder / "part-000.ndjson", postgres).error is None
    connection = psycopg2.connect(postgres.address)
    connection.cursor().execute("LOCK TABLE events IN SHARE MODE")  # It may be read, so that the test can look.
    yield connection
    connection.close()


def until_it_waits_for_a_lock(target: Target) -> None:
    _until(
        lambda: target.column(
            "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND application_name = 'ddpm'"
        )
    )


def _until(true: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def in_process(path: Path, target: Target, *observers: Any) -> Report:
    """`ddpm ingest` into `events` in this process."""
    request = IngestRequest(paths=(str(path),), to=target.address, table="events")
    return Ingest(request, Registry.discover(strict=True), observers=observers).run()


def finish(target: Target, events: Events) -> None:
    """The same command again completes it."""
    assert in_process(events.folder, target).status in ("landed", "dead_letters")
    judge(events.ids, target.rows(), target.dead_letters())


# Signals.


@EACH
def test_a_signal_in_the_middle_ends_it_in_order_and_the_next_run_goes_on(
    number: signal.Signals, code: int, target: Target, events: Events, hold: Hold
) -> None:
    with Command(*ingest([events.folder], target.address), environment=hold.environment) as command:
        command.until_it_says("event: ChunkCommitted")
        command.signal(number)
        command.until_it_says(STOPPING)
        hold.release()
        ended = command.end()
    assert (ended.code, ended.said) == (code, STOPPING), "nothing had to be broken off, as after 5 s"
    assert ended.seconds < 10
    assert "\nStopped. " in ended.out
    assert "Run the same command again to go on.\n" in ended.out
    landed = len(target.rows())
    assert 0 < landed < len(events.ids) * 0.99
    assert f": {landed:,} rows written, " in ended.out, "it says where it stands"
    finish(target, events)


def test_a_stop_while_the_table_is_locked_gives_up_the_transaction_after_five_seconds(
    postgres: Target, events: Events, locked: Any
) -> None:
    before = sorted(postgres.rows()), sorted(postgres.dead_letters())
    with Command(*ingest([events.folder], postgres.address, "-o", "sink.lock_timeout=60")) as command:
        until_it_waits_for_a_lock(postgres)
        command.signal(signal.SIGTERM)
        ended = command.end()
    assert ended.code == 143
    *_, told, warned = ended.said.splitlines()
    assert told + "\n" == STOPPING
    assert warned.endswith("the transaction in progress did not end within 5.0 s and is rolled back")
    assert ended.seconds < 15, "the lock is not waited for"
    locked.rollback()
    _until(lambda: not postgres.column("SELECT 1 FROM pg_stat_activity WHERE application_name = 'ddpm'"))
    assert (sorted(postgres.rows()), sorted(postgres.dead_letters())) == before
    finish(postgres, events)


@pytest.mark.parametrize("who", ["session", "whole server"])
def test_a_stop_while_the_server_hangs_ends_it_all_the_same(
    who: str, postgres: Target, postgres_server: PostgresServer, events: Events, hold: Hold
) -> None:
    if not postgres_server.managed:
        pytest.skip("the server that DDPM_TEST_POSTGRES names is not frozen")
    with Command(*ingest([events.folder], postgres.address), environment=hold.environment) as command, ExitStack() as thaw:
        command.until_it_says("event: ChunkCommitted")
        (backend,) = postgres.column("SELECT pid FROM pg_stat_activity WHERE application_name = 'ddpm'")
        (postmaster,) = postgres.column("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int")
        for pid in (backend,) if who == "session" else (backend, postmaster):
            os.kill(pid, signal.SIGSTOP)
            thaw.callback(os.kill, pid, signal.SIGCONT)
        hold.release()
        command.signal(signal.SIGTERM)
        ended = command.end()
    assert ended.code == 143
    assert ended.seconds < 15
    _until(lambda: not postgres.column("SELECT 1 FROM pg_stat_activity WHERE application_name = 'ddpm'"))
    finish(postgres, events)


def test_a_second_signal_ends_it_at_once(postgres: Target, events: Events, locked: Any) -> None:
    with Command(*ingest([events.folder], postgres.address, "-o", "sink.lock_timeout=60")) as command:
        until_it_waits_for_a_lock(postgres)
        command.signal(signal.SIGINT)
        command.until_it_says(STOPPING)
        command.signal(signal.SIGINT)
        ended = command.end()
    # At once: it has not come to giving up the transaction, as after 5 s, and to saying where it stands.
    assert (ended.code, ended.out, ended.said.count("is rolled back")) == (130, "", 0)
    locked.rollback()
    finish(postgres, events)


def test_a_stop_while_it_waits_for_a_server_ends_it_at_once(events: Events) -> None:
    with socket.socket() as taken:  # A port that nobody listens at, now and later.
        taken.bind(("127.0.0.1", 0))
        with Command(*ingest([events.folder], f"postgresql://u@127.0.0.1:{taken.getsockname()[1]}/shop")) as command:
            command.until_it_says("waiting for postgres: ")
            command.signal(signal.SIGINT)
            ended = command.end()
    assert (ended.code, ended.said) == (130, STOPPING), "nothing had to be broken off, as after 5 s"
    assert ended.seconds < 10
    assert ended.out.splitlines()[-1] == "Stopped. Run the same command again to go on."


@EACH
def test_a_stop_while_it_waits_for_its_input_ends_it_and_leaves_nothing(
    number: signal.Signals, code: int, target: Target, events: Events, probe: dict[str, str]
) -> None:
    arguments = ingest(["-"], target.address, "--format", "json")
    with Command(*arguments, stdin=subprocess.PIPE, environment=probe) as command:
        assert command.process.stdin is not None
        command.process.stdin.write(events.whole.read_bytes()[: 6 << 20])
        command.process.stdin.flush()
        command.until_it_says("event: ChunkRead")
        command.signal(number)
        ended = command.end()
    assert (ended.code, ended.said) == (code, STOPPING), "nothing had to be broken off, as after 5 s"
    assert ended.seconds < 10
    assert "stdin: stopped after 0 rows into events\n" in ended.out
    assert (target.rows(), target.dead_letters()) == ([], [])


# Pipes.


def test_a_pipe_whose_reader_is_killed_leaves_nothing(target: Target, events: Events, probe: dict[str, str]) -> None:
    arguments = ingest(["-"], target.address, "--format", "json")
    with Command(*arguments, stdin=subprocess.PIPE, environment=probe) as command:
        assert command.process.stdin is not None
        command.process.stdin.write(events.whole.read_bytes()[: 9 << 20])
        command.process.stdin.flush()
        command.until_it_says("event: ChunkRead", times=2)
        command.process.kill()
        command.end()
    assert (target.rows(), target.dead_letters()) == ([], [])
    with events.whole.open("rb") as whole:
        assert ddpm(*arguments, stdin=whole.fileno()).code == 3
    judge(events.ids, target.rows(), target.dead_letters())


def test_a_producer_that_dies_ends_the_input_and_its_half_record_is_set_aside(postgres: Target, events: Events) -> None:
    die = "import os, sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read(1000)); sys.stdout.flush(); os.kill(os.getpid(), 9)"
    with subprocess.Popen([sys.executable, "-c", die, str(events.whole)], stdout=subprocess.PIPE) as producer:
        assert producer.stdout is not None
        ended = ddpm(*ingest(["-"], postgres.address, "--format", "json"), stdin=producer.stdout.fileno())
    whole = events.whole.read_bytes()[:1000].splitlines()
    assert ended.code == 3
    assert sorted(postgres.rows()) == events.ids[: len(whole) - 1]
    assert postgres.dead_letters() == [whole[-1]]
    assert postgres.column("SELECT reason FROM _ddpm_dead_letters") == ["json_truncated"]


# Two at once.


def test_of_two_that_read_the_same_file_the_later_one_lands_it_and_the_other_says_so(postgres: Target, events: Events) -> None:
    later: list[Report] = []

    def overtake(event: Any) -> None:
        if type(event).__name__ == "ChunkCommitted" and not later:
            later.append(in_process(events.whole, postgres))

    earlier = in_process(events.whole, postgres, overtake)
    judge(events.ids, postgres.rows(), postgres.dead_letters())
    assert later[0].status == "dead_letters"
    assert later[0].documents[0].note.startswith("resumed at record ")
    assert earlier.rows + later[0].rows == len(postgres.rows())
    assert (earlier.status, str(earlier.documents[0].error)) == (
        "failed",
        f"another ddpm process has taken over {events.whole}\nWait until it has ended; then run the same command again.",
    )


def test_several_processes_at_once_land_every_row_once(postgres: Target, events: Events) -> None:
    with ExitStack() as stack:
        commands = [stack.enter_context(Command(*ingest([events.folder], postgres.address))) for _ in range(2)]
        ended = [command.end() for command in commands]
    assert {one.code for one in ended} <= {0, 1, 3}
    for one in ended:
        assert (one.code == 1) == ("another ddpm process has taken over" in one.err), one.err
    assert "deadlock" not in "".join(one.err for one in ended)
    finish(postgres, events)


# --on-error fail.


def test_a_bad_record_that_must_not_be_set_aside_stops_it_and_the_next_run_goes_on_there(target: Target, tmp_path: Path) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    ids = write_events(folder, files=4, records=4_000, seed=2)
    ended = ddpm(*ingest([folder], target.address, "--on-error", "fail"))
    bad = next(file for file in sorted(folder.iterdir()) if '"broken' in file.read_text())
    at = next(n for n, line in enumerate(bad.read_text().splitlines(), 1) if line.endswith('"broken'))
    assert ended.code == 1
    assert ended.err.startswith(f"ddpm: error: {bad}, record {at - 1} (counted from 0): json_invalid: ")
    assert ended.err.endswith("\n  It was not set aside because of --on-error fail; what was committed before stays.\n")
    assert target.dead_letters() == []
    assert in_process(folder, target).status == "dead_letters"
    judge(ids, target.rows(), target.dead_letters())
