"""What the catalog is asked of a table, and what is known without asking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import pytest

from ddpm_duckdb import catalog


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as made:
        yield made


def _fetch(connection: duckdb.DuckDBPyConnection) -> catalog.Fetch:
    def fetch(sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return connection.execute(sql, list(parameters)).fetchall()

    return fetch


def _read(connection: duckdb.DuckDBPyConnection, name: str, schema: str = "main") -> catalog.Table | None:
    return catalog.read_table(connection, _fetch(connection), schema, name)


class TestIsMissing:
    @pytest.mark.parametrize("name", ["events", "Events 2", 'a"b', "x.parquet", "zażółć", "it's", "%s"])
    def test_a_name_that_nothing_has_is_missing(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        assert catalog.is_missing(connection, "main", name) or name == "x.parquet"  # DuckDB takes that for a file.
        assert _read(connection, name) is None

    @pytest.mark.parametrize("name", ["events", "Events 2", 'a"b', "x.parquet", "zażółć", "it's"])
    def test_a_table_is_not(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        connection.execute(f"CREATE TABLE {catalog.quote(name)} (i INT)")
        assert not catalog.is_missing(connection, "main", name)

    def test_a_table_is_found_whatever_the_case_of_its_name(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute('CREATE TABLE "Events" (i INT)')
        assert not catalog.is_missing(connection, "main", "EVENTS")

    def test_a_view_whose_table_is_gone_is_not_missing(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("CREATE TABLE gone (i INT); CREATE VIEW v AS SELECT * FROM gone; DROP TABLE gone")
        assert not catalog.is_missing(connection, "main", "v")

    def test_asking_does_not_end_the_transaction_at_hand(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("BEGIN; CREATE TABLE t (i INT); INSERT INTO t VALUES (1)")
        assert catalog.is_missing(connection, "main", "events")
        connection.execute("COMMIT")
        assert connection.execute("SELECT i FROM t").fetchall() == [(1,)]


class TestMadeTable:
    COLUMNS = (
        'a BIGINT, "B c" VARCHAR, d DOUBLE, e DECIMAL(9, 2), f TIMESTAMPTZ, g STRUCT(x INT, y VARCHAR)[], h BLOB, i JSON, '
        'j MAP(VARCHAR, INT), k UUID, l DATE, m BOOLEAN, n HUGEINT, "Ä" INT, "ä" INT'
    )

    @pytest.mark.parametrize("key", [(), ("a",), ("a", "b C"), ("Ä",)])
    def test_it_is_what_the_catalog_says_of_it(self, connection: duckdb.DuckDBPyConnection, key: tuple[str, ...]) -> None:
        primary = f", PRIMARY KEY ({', '.join(map(catalog.quote, key))})" if key else ""
        connection.execute(f"BEGIN; CREATE TABLE made ({self.COLUMNS}{primary}); COMMENT ON TABLE made IS 'ours'")
        made = catalog.made_table(connection, "main", "made", "ours", key)
        connection.execute("COMMIT")
        assert made == _read(connection, "made")


class TestReadTable:
    def test_a_generated_column_takes_no_value(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("CREATE TABLE t (a INT DEFAULT 5, b INT GENERATED ALWAYS AS (a + 1))")
        table = _read(connection, "t")
        assert table is not None
        assert [(c.name, c.filled, c.generated) for c in table.columns] == [
            ("a", "5", False),
            ("b", "CAST((a + 1) AS INTEGER)", True),
        ]

    def test_columns_without_one_are_described_the_same_way(self, connection: duckdb.DuckDBPyConnection) -> None:
        text = "GENERATED ALWAYS AS"  # Within a default it makes no column a generated one.
        columns = "a INT NOT NULL DEFAULT 5, \"b \"\"c\" VARCHAR DEFAULT 'it''s', d ENUM('x', 'y'), e TIMESTAMPTZ DEFAULT now()"
        connection.execute(
            f'CREATE SCHEMA "s.p"; CREATE TABLE "s.p".t ({columns}); CREATE TABLE u ({columns}, z TEXT DEFAULT \'{text}\')'
        )
        quick, slow = _read(connection, "t", "s.p"), _read(connection, "u")
        assert quick is not None
        assert slow is not None
        assert quick.columns == slow.columns[:-1]
        assert not slow.columns[-1].generated
