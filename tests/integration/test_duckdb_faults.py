"""A DuckDB file that cannot be opened or written: said at once where waiting is of no use, waited for where it is, and no record is lost."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tests.command import DDPM, ddpm, ingest
from tests.oracle import judge, write_events

RECORDS = 40_000
pytestmark = pytest.mark.timeout(900)
NOT_WAITED = 50.0
"""Seconds: what can be waited for is waited for 60, and would be told besides."""


@pytest.fixture(scope="module")
def ids(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder of four files with numbered records, and their ids."""
    folder = tmp_path_factory.mktemp("events")
    return folder, write_events(folder, files=4, records=RECORDS, seed=1)


def column(path: Path, sql: str) -> list[object]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return [value for (value,) in connection.execute(sql).fetchall()]


def all_landed_once(path: Path, ids: list[str]) -> None:
    rows = [str(value) for value in column(path, "select event_id from events")]
    judge(ids, rows, [bytes(value) for value in column(path, "select payload from _ddpm_dead_letters")])  # type: ignore[call-overload]


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has `events.duckdb` open, with one row in it."""
    hold = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); c.execute('create table mine as select 1 as a'); "
        "print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(tmp_path / "events.duckdb")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    yield process
    process.communicate(timeout=60)


def test_a_file_that_another_process_has_open_is_said_at_once_with_its_pid(
    other_process: subprocess.Popen[str], ids: tuple[Path, list[str]], tmp_path: Path
) -> None:
    path = tmp_path / "events.duckdb"
    ended = ddpm(*ingest([ids[0]], str(path)))
    assert (ended.code, ended.err) == (
        1,
        (
            f"ddpm: error: {path} is open in another process (pid {other_process.pid})\n"
            "  Close it there, or wait until it is done, and run this again\n"
        ),
    )
    assert ended.seconds < NOT_WAITED, "it is not waited for"
    other_process.communicate(timeout=60)
    assert ddpm(*ingest([ids[0]], str(path))).code == 3
    all_landed_once(path, ids[1])
    assert column(path, "select a from mine") == [1]


@pytest.mark.parametrize("kind", ["folder", "text", "empty", "no folder"])
def test_a_target_that_is_no_database_is_said_at_once_and_left_alone(
    kind: str, ids: tuple[Path, list[str]], tmp_path: Path
) -> None:
    path = tmp_path / "wrong.duckdb"
    match kind:
        case "folder":
            path.mkdir()
            said = f"{path} is a folder, and a DuckDB database is a file\n  Name a file in it: {path / 'ddpm.duckdb'}"
        case "text":
            path.write_text("dear diary, today I learned about databases")
            said = f"{path} is not a DuckDB file\n  Name another file, such as ddpm.duckdb"
        case "empty":
            path.touch()
            said = f"{path} is empty, which no DuckDB file is\n  Name another file, such as ddpm.duckdb"
        case _:
            path = tmp_path / "none" / "wrong.duckdb"
            said = f"the folder of {path} does not exist\n  mkdir -p {path.parent}"
    before = sorted((file, file.is_file() and file.read_bytes()) for file in tmp_path.rglob("*"))
    ended = ddpm(*ingest([ids[0]], str(path)))
    assert (ended.code, ended.err) == (2, f"ddpm: error: {said}\n")
    assert sorted((file, file.is_file() and file.read_bytes()) for file in tmp_path.rglob("*")) == before


_LIBC = ctypes.CDLL(None)  # Before the fork: what is loaded in the child may wait for a lock of a thread that is not there.


def bound_by_modes() -> None:
    """For Popen: also root is bound by the modes of files, as everybody is. It gives up CAP_DAC_OVERRIDE (see capabilities(7))."""
    if os.geteuid() == 0:
        drop_from_bounding_set, dac_override = 24, 1
        _LIBC.prctl(drop_from_bounding_set, dac_override, 0, 0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="root is bound by the modes of files on Linux only")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_target_that_must_not_be_written_is_said_at_once(kind: str, ids: tuple[Path, list[str]], tmp_path: Path) -> None:
    path = tmp_path / "events.duckdb"
    if kind == "file":
        duckdb.connect(str(path)).close()
        path.chmod(0o444)
    else:
        tmp_path.chmod(0o555)
    try:
        ended = ddpm(*ingest([ids[0]], str(path)), preexec_fn=bound_by_modes)
    finally:
        tmp_path.chmod(0o755)
    assert (ended.code, ended.err) == (
        1,
        (
            f'ddpm: error: {path} cannot be opened or written: Cannot open file "{path}": Permission denied\n'
            "  Check who owns the file and its folder, and their modes\n"
        ),
    )
    assert ended.seconds < NOT_WAITED, "it is not waited for"


@pytest.mark.parametrize("way", ["files", "stdin", "replace"])
def test_a_full_disk_is_waited_for_then_said_and_the_next_run_lands_everything_once(
    way: str, ids: tuple[Path, list[str]], tmp_path: Path
) -> None:
    """A limit on the size of files stands for the disk's: the system call fails in the same place, and no rights are needed."""
    folder, produced = ids
    path = tmp_path / "events.duckdb"
    first = min(folder.iterdir())
    assert ddpm(*ingest([first], str(path))).code == 3
    before = sorted(column(path, "select event_id from events")), column(path, "select next_offset from _ddpm_positions order by 1")  # type: ignore[type-var]
    room = path.stat().st_size

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

    arguments = ingest(["-", "--format", "json"] if way == "stdin" else [folder], str(path), "--retry-for", "1")
    arguments += ("--mode", "replace") if way == "replace" else ()
    whole = tmp_path / "whole.ndjson"
    whole.write_bytes(b"".join(file.read_bytes() for file in sorted(folder.iterdir())[1:]))
    with whole.open("rb") as stdin:
        ended = ddpm(*arguments, stdin=stdin.fileno(), preexec_fn=small_disk)
    assert ended.code == 1
    error, hint, *more = ended.said.partition("ddpm: error: ")[2].splitlines()
    assert error.startswith(f"no room to write {path}: ")
    assert "File too large" in error
    assert hint == "  Free space on its disk; nothing of this round was kept"
    assert more in ([], ["  Run the same command again."])
    after = sorted(column(path, "select event_id from events")), column(path, "select next_offset from _ddpm_positions order by 1")  # type: ignore[type-var]
    if way != "files":
        assert after == before
    with whole.open("rb") as stdin:
        assert ddpm(*arguments, stdin=stdin.fileno()).code == 3
    all_landed_once(path, produced)


_ON_A_SMALL_DISK = """
set -e
mount -t tmpfs -o size=2m tmpfs "$1"
export TMPDIR="$1"
"$2" ingest "$3" --to "$1/events.duckdb" --table events --retry-for 1 && exit 99 || code=$?
"$2" query --db "$1/events.duckdb" "select count(*) from events" >&2 || true
mount -o remount,size=64m "$1"
"$2" ingest "$3" --to "$1/events.duckdb" --table events --quiet || test $? = 3
cp "$1/events.duckdb" "$4"
exit $code
"""


def test_a_disk_that_is_really_full(ids: tuple[Path, list[str]], tmp_path: Path) -> None:
    apart = ["unshare", "--mount", "--map-root-user"]
    try:
        subprocess.run([*apart, "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no file system of its own size can be made here: {error}")
    disk, result = tmp_path / "disk", tmp_path / "result.duckdb"
    disk.mkdir()
    command = [*apart, "sh", "-c", _ON_A_SMALL_DISK, "sh", str(disk), DDPM, str(ids[0]), str(result)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == 1, ended.stderr
    assert f"ddpm: error: no room to write {disk}/events.duckdb: " in ended.stderr
    assert "No space left on device" in ended.stderr
    assert "  Free space on its disk; nothing of this round was kept\n" in ended.stderr
    all_landed_once(result, ids[1])
