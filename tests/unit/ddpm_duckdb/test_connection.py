import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ddpm_core import ConfigError, FatalError
from ddpm_duckdb.connection import connect


def test_a_file_open_elsewhere_is_said_at_once_with_its_pid(target: Any) -> None:
    target.sql("CREATE TABLE events (a INTEGER)")
    script = f"import duckdb, sys; c = duckdb.connect({str(target.path)!r}); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            holder.stdout.readline()
            sink = target.sink(open_=False)
            message = (
                f"{target.path} is open in another process (pid {holder.pid})\n"
                "Close it there, or wait until it is done, and run this again"
            )
            with pytest.raises(FatalError, match=f"^{re.escape(message)}$"):
                sink.open()
            with pytest.raises(FatalError, match=f"^{re.escape(message)}$"):
                connect(str(target.path), read_only=True)
        finally:
            holder.stdin.close()
            holder.wait(60)
    sink.open()
    sink.close()


def _text(path: Path) -> None:
    path.write_text("id,name\n1,a\n" * 1000)


def _sqlite(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE a (b)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Path.mkdir, "{path} is a folder, and a DuckDB database is a file\nName a file in it: {path}/ddpm.duckdb"),
        (Path.touch, "{path} is empty, which no DuckDB file is\nName another file, such as ddpm.duckdb"),
        (_text, "{path} is not a DuckDB file\nName another file, such as ddpm.duckdb"),
        (_sqlite, "{path} is a SQLite database, not a DuckDB file\nName another file, such as ddpm.duckdb"),
        (os.mkfifo, "{path} is not a regular file, and a DuckDB database is one"),
    ],
)
def test_what_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path, make: Any, message: str) -> None:
    path = tmp_path / "x.db"
    make(path)
    with pytest.raises(ConfigError, match=f"^{re.escape(message.format(path=path))}$"):
        connect(str(path))


def test_a_missing_folder_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "no" / "x.db"
    with pytest.raises(ConfigError, match=f"^{re.escape(f'the folder of {path} does not exist{chr(10)}mkdir -p {path.parent}')}$"):
        connect(str(path))


def test_a_missing_file_is_not_made_by_a_question(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    message = f"there is no database at {path}\nRun ddpm ingest first, or name another one with --db"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        connect(str(path), read_only=True)
    assert not path.exists()


def test_a_broken_file_is_said_to_be_broken(target: Any) -> None:
    target.sql("CREATE TABLE events AS SELECT range AS a FROM range(10)")
    whole = target.path.read_bytes()
    target.path.write_bytes(whole[:5000])
    message = f'{target.path} cannot be opened: Could not read enough bytes from file "{target.path}": attempted to read 3192 bytes from location 5000'
    with pytest.raises(FatalError, match=f"^{re.escape(message)}$"):
        connect(str(target.path))
    target.path.write_bytes(whole[:12] + b"\xfa" + whole[13:])
    with pytest.raises(
        FatalError, match=rf"^{re.escape(str(target.path))} cannot be opened: Corrupt database file: computed checksum"
    ):
        connect(str(target.path))


def test_duckdb_s_own_words_for_permissions_become_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise duckdb.IOException('IO Error: Cannot open file "/x.db": Permission denied')

    monkeypatch.setattr(duckdb, "connect", refuse)
    path = tmp_path / "x.db"
    message = f'{path} cannot be opened or written: Cannot open file "/x.db": Permission denied\nCheck who owns the file and its folder, and their modes'
    with pytest.raises(FatalError, match=f"^{re.escape(message)}$"):
        connect(str(path))
