"""From the command line into SQLite and MariaDB: killed, cut off, and told of a column late, every record lands once."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pymysql
import pytest

from tests.command import ddpm, ingest
from tests.integration import test_kills
from tests.mariadb import MariaDbServer
from tests.oracle import judge, write_events
from tests.proxy import MYSQL_COMMIT, Fault, Proxy

# MariaDB may have to be installed first, which counts for the first test.
pytestmark = pytest.mark.timeout(1800)


class Base:
    """A database and its address."""

    def __init__(self, server: MariaDbServer, name: str) -> None:
        self.server = server
        self.name = name

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        return self.server.sql(statement, database=self.name)

    def column(self, statement: str) -> list[Any]:
        try:
            return [value for (value,) in self.sql(statement)]
        except pymysql.ProgrammingError as error:
            if error.args[0] != 1146:  # There is no such table.
                raise
            return []


@pytest.fixture
def base(mariadb_server: MariaDbServer, mariadb_database: str) -> Base:
    return Base(mariadb_server, mariadb_database)


def test_files_land_and_can_be_asked_for(base: Base, tmp_path: Path) -> None:
    url = base.server.url(base.name)
    events = [{"id": n, "name": f"it's {n}\n", "at": {"x": [n]}} for n in range(5_000)]
    (tmp_path / "a.ndjson").write_text("".join(json.dumps(event) + "\n" for event in events) + "{broken\n")
    pq.write_table(pa.table({"id": pa.array(range(5_000, 8_000)), "name": ["p"] * 3_000}), tmp_path / "b.parquet")
    for code in (3, 0):  # The second time all has landed.
        ended = ddpm(*ingest([tmp_path / "a.ndjson", tmp_path / "b.parquet"], url))
        assert ended.code == code, ended.err
    assert base.sql("SELECT count(*), sum(id), max(length(`at`)) FROM events") == [(8_000, sum(range(8_000)), 12)]
    asked = ddpm("query", "--db", url, "select id, name, `at` from events where id in (7, 7000) -- 100%: ok")
    assert asked.code == 0, asked.err
    assert "it's 7" in asked.out
    listed = ddpm("dlq", "list", "--db", url, "--reason", "json_invalid")
    assert listed.code == 0, listed.err
    assert "json_invalid" in listed.out
    refused = ddpm("query", "--db", url, "delete from events")
    assert refused.code == 2
    assert "the statement would change the database\n" in refused.err
    assert base.sql("SELECT count(*) FROM events") == [(8_000,)]


def test_killed_at_random_moments_sqlite_holds_every_row_once(tmp_path: Path) -> None:
    path = tmp_path / "killed.sqlite"

    def query(sql: str) -> list[Any]:
        if not path.exists():
            return []
        with closing(sqlite3.connect(path)) as connection:
            try:
                return [value for (value,) in connection.execute(sql)]
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error):
                    raise
                return []

    def clear() -> None:
        for file in (path, path.with_name(path.name + "-journal")):
            file.unlink(missing_ok=True)

    target = test_kills.Target(
        f"sqlite:///{path}",
        clear,
        lambda: query("select event_id from events"),
        lambda: query("select payload from _ddpm_dead_letters"),
    )
    test_kills.kill_again_and_again(target, tmp_path)


def test_killed_at_random_moments_mariadb_holds_every_row_once(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_kills, "KILLS", max(5, test_kills.KILLS // 2))

    def clear() -> None:
        base.sql("DROP TABLE IF EXISTS events, _ddpm_positions, _ddpm_dead_letters")

    target = test_kills.Target(
        base.server.url(base.name),
        clear,
        lambda: base.column("SELECT event_id FROM events"),
        lambda: base.column("SELECT payload FROM _ddpm_dead_letters"),
    )
    test_kills.kill_again_and_again(target, tmp_path)


@pytest.mark.parametrize("fault", ["commit_reply_lost", "commit_lost", "cut"])
def test_a_connection_that_is_cut_costs_no_row_and_doubles_none(base: Base, tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    produced = write_events(folder, files=3, records=30_000, seed=3)
    with Proxy("127.0.0.1", base.server.port, commit=MYSQL_COMMIT) as proxy:
        if fault == "cut":
            proxy.cut_after = 2_000_000
        else:
            known: dict[str, Fault] = {"commit_reply_lost": "commit_reply_lost", "commit_lost": "commit_lost"}
            # In the middle: how many COMMITs come before depends on which of two threads is faster.
            proxy.skip_bytes, proxy.fault = 3_000_000, known[fault]
        ended = ddpm(*ingest([folder], base.server.url(base.name, port=proxy.port), "--retry-for", "200"))
        assert ended.code == 3, ended.err
        assert proxy.happened.is_set()
    judge(produced, base.column("SELECT event_id FROM events"), base.column("SELECT payload FROM _ddpm_dead_letters"))


def test_a_column_that_comes_late_costs_a_round_and_no_row(base: Base, tmp_path: Path) -> None:
    lines = [json.dumps({"id": n} | ({"late": n} if n > 25_000 else {})) for n in range(30_000)]
    (tmp_path / "a.ndjson").write_text("\n".join(lines))
    ended = ddpm(*ingest([tmp_path / "a.ndjson"], base.server.url(base.name)))
    assert ended.code == 0, ended.err
    assert base.sql("SELECT count(*), count(distinct id), count(late), sum(late = id) FROM events") == [
        (30_000, 30_000, 4_999, 4_999)
    ]
