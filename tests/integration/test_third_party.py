"""What a stranger does: pip-install the core and a plugin of someone else's, and ingest with it.

Both wheels are built and installed into a fresh virtual environment. It sees the dependencies of this one, and nothing of DDPM but
what the wheels hold: not this checkout, not the editable installation.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import duckdb
import pytest

pytestmark = pytest.mark.timeout(1800)
ROOT = Path(__file__).parents[2]
LOGLINE = ROOT / "plugins" / "ddpm-logline"
GOOD = b"""\
127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326 "http://www.example.com/start.html" "Mozilla/4.08"
10.0.0.2 - - [10/Oct/2000:13:55:37 -0700] "POST /form HTTP/1.1" 404 - "-" "-"
"""


@dataclass(frozen=True)
class Installed:
    """A virtual environment with both wheels."""

    bin: Path
    wheels: Mapping[str, Path]

    def run(self, *command: str, cwd: Path, stdin: bytes | None = None, **environment: str) -> subprocess.CompletedProcess[bytes]:
        """Run a program of the environment, with nothing of this process' Python settings."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV", "DDPM_"))}
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=cwd,
            input=stdin,
            env={**clean, **environment},
            capture_output=True,
            timeout=600,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Built, installed, ready."""
    place = tmp_path_factory.mktemp("third_party")
    wheels = {}
    for name, source in (("core", ROOT), ("logline", LOGLINE)):
        run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place / name), str(source)])
        (wheels[name],) = (place / name).glob("*.whl")
    run([sys.executable, "-m", "venv", "--without-pip", str(place / "venv")])
    python = place / "venv" / "bin" / "python"
    run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            *map(str, wheels.values()),
        ]
    )
    share_dependencies(place / "dependencies", python)
    return Installed(python.parent, wheels)


def share_dependencies(folder: Path, python: Path) -> None:
    """Let the environment see what is installed here, except DDPM."""
    folder.mkdir()
    for site in dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))):
        for entry in Path(site).iterdir():
            # Editable installations hang on .pth files and on their dist-info, which has the entry points.
            ours = entry.name.lower().startswith("ddpm") or "ddpm" in entry.name.lower()
            if not ours and entry.suffix != ".pth" and not (folder / entry.name).exists():
                (folder / entry.name).symlink_to(entry)
    done = run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    (Path(done.stdout.decode().strip()) / "dependencies.pth").write_text(f"{folder}\n")


def run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(command, capture_output=True, timeout=900)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done


def ok(done: subprocess.CompletedProcess[bytes], code: int = 0) -> str:
    assert done.returncode == code, (done.stdout + done.stderr).decode()
    return done.stdout.decode()


def query(database: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_the_wheel_of_the_core_holds_what_authors_need_and_no_more(installed: Installed) -> None:
    names = set(zipfile.ZipFile(installed.wheels["core"]).namelist())
    assert {
        "ddpm_core/py.typed",
        "ddpm_core/testing/format.py",
        "ddpm_core/cli/templates/format/PACKAGE/parser.py.tmpl",
        "ddpm_core/cli/templates/common/.gitignore.tmpl",
        "ddpm_json/plugin.py",
    } <= names
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["ddpm"]
    packages = {"ddpm_core", *(module.partition(".")[0] for module in points.values())}
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == packages
    assert not [name for name in names if name.endswith((".pyc", ".whl"))]


def test_the_plugin_is_a_wheel_of_its_own(installed: Installed) -> None:
    names = zipfile.ZipFile(installed.wheels["logline"]).namelist()
    code = {name for name in names if ".dist-info" not in name}
    assert code == {f"ddpm_logline/{name}.py" for name in ("__init__", "golden", "plugin", "options", "parser")}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_nothing_comes_from_the_checkout(installed: Installed, tmp_path: Path) -> None:
    code = "import ddpm_core, ddpm_json, ddpm_logline as l; print(ddpm_core.__file__, ddpm_json.__file__, l.__file__)"
    for path in ok(installed.run("python", "-c", code, cwd=tmp_path)).split():
        assert Path(path).is_relative_to(installed.bin.parent)


def test_the_plugin_is_listed_with_its_distribution(installed: Installed, tmp_path: Path) -> None:
    rows = json.loads(ok(installed.run("ddpm", "plugins", "list", "--json", cwd=tmp_path)))
    mine = [row for row in rows if row["name"] == "logline"]
    assert [(row["kind"], row["distribution"], row["version"], row["status"]) for row in mine] == [
        ("format", "ddpm-logline", "0.1.0", "ok")
    ]
    assert {row["status"] for row in rows} == {"ok"}
    assert len(rows) == len({(row["kind"], row["name"]) for row in rows})
    assert "logline" in ok(installed.run("ddpm", "plugins", "list", cwd=tmp_path))
    shown = ok(installed.run("ddpm", "plugins", "show", "logline", cwd=tmp_path))
    assert "Access logs of Apache and nginx" in shown
    assert "Keep the query string" in shown


def test_a_log_lands(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "access.log").write_bytes(GOOD)
    ok(installed.run("ddpm", "ingest", "--format", "logline", "access.log", cwd=tmp_path))
    columns = 'remote_host, "user", epoch(time)::BIGINT, method, path, protocol, status, bytes, referer, user_agent'
    rows = query(tmp_path / "ddpm.duckdb", f"SELECT {columns} FROM access ORDER BY remote_host DESC")
    seen = int(datetime(2000, 10, 10, 20, 55, 36, tzinfo=timezone.utc).timestamp())  # noqa: UP017
    start = "http://www.example.com/start.html"
    assert rows == [
        ("127.0.0.1", "frank", seen, "GET", "/apache_pb.gif", "HTTP/1.0", 200, 2326, start, "Mozilla/4.08"),
        ("10.0.0.2", None, seen + 1, "POST", "/form", "HTTP/1.1", 404, None, None, None),
    ]


def test_the_suffix_picks_the_format_and_a_log_that_grew_goes_on(installed: Installed, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_bytes(GOOD)
    ok(installed.run("ddpm", "ingest", "access.log", cwd=tmp_path))
    log.write_bytes(GOOD + GOOD)
    ok(installed.run("ddpm", "ingest", "access.log", cwd=tmp_path))
    ok(installed.run("ddpm", "ingest", "access.log", cwd=tmp_path))
    assert query(tmp_path / "ddpm.duckdb", "SELECT count(*) FROM access") == [(4,)]


def test_a_log_comes_through_a_pipe(installed: Installed, tmp_path: Path) -> None:
    ok(installed.run("ddpm", "ingest", "--format", "logline", cwd=tmp_path, stdin=GOOD))
    assert query(tmp_path / "ddpm.duckdb", "SELECT status FROM stdin ORDER BY status") == [(200,), (404,)]


def test_a_bad_line_becomes_a_dead_letter_that_names_the_plugin(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "access.log").write_bytes(GOOD + b"no log line\n" + GOOD)
    ok(installed.run("ddpm", "ingest", "access.log", cwd=tmp_path), 3)
    assert query(tmp_path / "ddpm.duckdb", "SELECT count(*) FROM access") == [(4,)]
    letters = query(
        tmp_path / "ddpm.duckdb", "SELECT record_offset, stage, reason, plugin, plugin_version, payload FROM _ddpm_dead_letters"
    )
    assert letters == [(2, "parse", "logline_invalid", "logline", "0.1.0", b"no log line")]


def test_the_plugin_can_be_switched_off(installed: Installed, tmp_path: Path) -> None:
    done = installed.run("ddpm", "ingest", "--format", "logline", cwd=tmp_path, stdin=GOOD, DDPM_DISABLE_PLUGINS="ddpm-logline")
    assert done.returncode == 2
    assert b"there is no format 'logline'" in done.stderr
    assert not (tmp_path / "ddpm.duckdb").exists()


def test_its_tests_pass_on_what_was_installed(installed: Installed, tmp_path: Path) -> None:
    shutil.copytree(LOGLINE / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    command = ("python", "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", "tests")
    assert "passed" in ok(installed.run(*command, cwd=tmp_path))


# Plugins that someone begins with `ddpm plugins new`, of every kind.

KINDS = ("format", "source", "processor", "sink", "table_sink")


@pytest.fixture(scope="module")
def begun(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with a new package of each kind, all made and installed by the commands that the documentation names."""
    place = tmp_path_factory.mktemp("begun")
    for kind in KINDS:
        ok(installed.run("ddpm", "plugins", "new", f"my_{kind}", "--kind", kind, "--into", str(place), cwd=place))
    editable = [part for kind in KINDS for part in ("-e", str(folder_of(place, kind)))]
    python = str(installed.bin / "python")
    # Without a network: what builds it and what it needs is there already.
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    run([sys.executable, "-m", "pip", "--python", python, "install", *options, *editable])
    return place


def folder_of(place: Path, kind: str) -> Path:
    return place / f"ddpm-my-{kind.replace('_', '-')}"


@pytest.mark.parametrize("kind", KINDS)
def test_the_tests_of_a_new_plugin_pass(kind: str, installed: Installed, begun: Path) -> None:
    done = ok(installed.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder_of(begun, kind)))
    assert re.search(r"^\d+ passed", done.splitlines()[-1])


def test_new_plugins_are_listed(installed: Installed, begun: Path) -> None:
    rows = json.loads(ok(installed.run("ddpm", "plugins", "list", "--json", cwd=begun)))
    mine = {row["name"]: (row["kind"], row["distribution"], row["status"]) for row in rows if row["name"].startswith("my_")}
    assert mine == {f"my_{kind}": (kind.removeprefix("table_"), f"ddpm-my-{kind.replace('_', '-')}", "ok") for kind in KINDS}


def test_a_new_format_and_new_sinks_work_together(installed: Installed, begun: Path, tmp_path: Path) -> None:
    (tmp_path / "events.my_format").write_bytes(b"a=1 b=two\nno pair\na=3 b=four\n")
    for suffix in ("my_sink", "my_table_sink"):
        done = installed.run("ddpm", "ingest", "events.my_format", "--to", f"rows.{suffix}", cwd=tmp_path)
        assert b"my_format_invalid" in done.stdout + done.stderr
    wanted = [{"a": "1", "b": "two"}, {"a": "3", "b": "four"}]
    assert [json.loads(line) for line in (tmp_path / "rows.my_sink").read_text().splitlines()] == wanted
    with contextlib.closing(sqlite3.connect(tmp_path / "rows.my_table_sink")) as database:
        assert database.execute("SELECT a, b FROM events ORDER BY a").fetchall() == [("1", "two"), ("3", "four")]
        assert database.execute("SELECT reason, payload FROM _ddpm_dead_letters").fetchall() == [("my_format_invalid", b"no pair")]
