from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ddpm_duckdb.transaction import MOST_BYTES, ROW_GROUP, STATEMENT_BYTES, Transaction

INSERT = "INSERT INTO t SELECT * FROM _ddpm_incoming"
SCHEMA = pa.schema([("n", pa.int64())])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.duckdb"


@pytest.fixture
def connection(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(path) as found:
        found.execute("SET threads = 1")
        found.execute("CREATE TABLE t (n BIGINT)")
        found.execute("CHECKPOINT")
        yield found


@pytest.fixture
def transaction(connection: duckdb.DuckDBPyConnection) -> Transaction:
    return Transaction(connection, keeps=True)


def _setting(connection: duckdb.DuckDBPyConnection, name: str) -> Any:
    [(value,)] = connection.execute(f"SELECT current_setting('{name}')").fetchall()
    return value


def _settings(connection: duckdb.DuckDBPyConnection) -> tuple[Any, Any]:
    return _setting(connection, "threads"), _setting(connection, "checkpoint_threshold")


def _rows(first: int, count: int) -> pa.RecordBatch:
    return pa.record_batch([pa.arange(first, first + count)], schema=SCHEMA)


def _count(connection: duckdb.DuckDBPyConnection) -> int:
    [(count,)] = connection.execute("SELECT count(*) FROM t").fetchall()
    return int(count)


def _log_bytes(path: Path) -> int:
    log = path.with_name(f"{path.name}.wal")
    return log.stat().st_size if log.exists() else 0


@pytest.mark.parametrize("size", [1_000, 65_536, ROW_GROUP, 3 * ROW_GROUP + 1])
@pytest.mark.parametrize("total", [999, ROW_GROUP - 1, ROW_GROUP, ROW_GROUP + 1, 4 * ROW_GROUP + 77])
def test_all_rows_land_in_their_order(
    connection: duckdb.DuckDBPyConnection, transaction: Transaction, path: Path, size: int, total: int
) -> None:
    transaction.begin()
    for first in range(0, total, size):
        transaction.put(INSERT, _rows(first, min(size, total - first)))
    transaction.commit()
    in_order = "SELECT count(*), bool_and(n = rowid) FROM t"
    assert connection.execute(in_order).fetchall() == [(total, True)]
    connection.close()
    with duckdb.connect(path, read_only=True) as again:
        assert again.execute(in_order).fetchall() == [(total, True)]


@pytest.mark.parametrize("rows", [10, 3 * ROW_GROUP])
def test_a_table_made_in_the_same_transaction_shows_its_rows(connection: duckdb.DuckDBPyConnection, rows: int) -> None:
    transaction = Transaction(connection, keeps=True)
    transaction.begin()
    connection.execute("CREATE TABLE made (n BIGINT)")
    transaction.put("INSERT INTO made SELECT * FROM _ddpm_incoming", _rows(0, rows))
    transaction.flush()
    assert connection.execute("SELECT count(*) FROM made").fetchall() == [(rows,)]
    transaction.commit()
    assert connection.execute("SELECT count(*), len(list(n)) FROM made").fetchall() == [(rows, rows)]


def test_rows_wait_until_they_are_worth_a_statement(connection: duckdb.DuckDBPyConnection, transaction: Transaction) -> None:
    transaction.begin()
    transaction.put(INSERT, _rows(0, 10))
    assert _count(connection) == 0
    transaction.put(INSERT, _rows(0, STATEMENT_BYTES // 8))
    assert _count(connection) == 10 + STATEMENT_BYTES // 8
    transaction.put(INSERT, _rows(0, 5))
    transaction.flush()
    assert _count(connection) == 15 + STATEMENT_BYTES // 8


def test_another_statement_does_not_overtake_the_rows_before_it(
    connection: duckdb.DuckDBPyConnection, transaction: Transaction
) -> None:
    transaction.begin()
    transaction.put(INSERT, _rows(0, 10))
    transaction.put("INSERT INTO t SELECT n FROM _ddpm_incoming", _rows(10, 10))
    more = pa.record_batch({"m": pa.array(["x", "y"]), "n": pa.arange(20, 22)})
    transaction.put("INSERT INTO t SELECT n FROM _ddpm_incoming", more)
    transaction.commit()
    assert connection.execute("SELECT list(n) = range(22) FROM t").fetchall() == [(True,)]


def test_waiting_rows_are_not_copied(connection: duckdb.DuckDBPyConnection, transaction: Transaction) -> None:
    transaction.begin()
    for first in range(0, 100_000, 10_000):
        transaction.put(INSERT, _rows(first, 10_000))
    usual = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(pool)
    try:
        transaction.flush()
    finally:
        pa.set_memory_pool(usual)
    assert connection.execute("SELECT count(*), sum(n) FROM t").fetchall() == [(100_000, 99_999 * 50_000)]
    assert pool.max_memory() < 10_000


@pytest.mark.parametrize("statement", ["put", "count"])
def test_rows_that_fill_a_row_group_are_in_the_file_and_not_in_the_log(
    connection: duckdb.DuckDBPyConnection, transaction: Transaction, path: Path, statement: str
) -> None:
    before = path.stat().st_size
    transaction.begin()
    if statement == "put":
        transaction.put(INSERT, _rows(0, ROW_GROUP))
    else:
        connection.execute(f"INSERT INTO t SELECT range FROM range({ROW_GROUP})")
        transaction.count(_rows(0, ROW_GROUP))
    transaction.commit()
    assert _log_bytes(path) == 0
    assert path.stat().st_size > before


def test_fewer_rows_are_in_the_log(transaction: Transaction, path: Path) -> None:
    transaction.begin()
    transaction.put(INSERT, _rows(0, ROW_GROUP - 1))
    transaction.commit()
    assert _log_bytes(path) > 8 * (ROW_GROUP - 1)


def test_rows_of_the_transaction_before_do_not_count(transaction: Transaction, path: Path) -> None:
    for _ in range(2):
        transaction.begin()
        transaction.put(INSERT, _rows(0, ROW_GROUP - 1))
        transaction.commit()
    assert _log_bytes(path) > 16 * (ROW_GROUP - 1)


def test_several_threads_work_in_commit_only(connection: duckdb.DuckDBPyConnection, transaction: Transaction) -> None:
    before = _settings(connection)
    assert before == (1, "26.7 MiB")
    transaction.begin()
    transaction.put(INSERT, _rows(0, 2 * ROW_GROUP))
    transaction.flush()
    assert _settings(connection) == before
    transaction.commit()
    assert _settings(connection) == before


def test_a_commit_that_fails_leaves_the_settings_as_they_were(
    connection: duckdb.DuckDBPyConnection, transaction: Transaction
) -> None:
    before = _settings(connection)
    connection.execute("CREATE TABLE keyed (n BIGINT PRIMARY KEY)")
    transaction.begin()
    transaction.put("INSERT INTO keyed SELECT * FROM _ddpm_incoming", _rows(0, ROW_GROUP))
    transaction.flush()
    with connection.cursor() as other:
        other.execute("INSERT INTO keyed VALUES (7)")
    with pytest.raises(duckdb.TransactionException, match="PRIMARY KEY or UNIQUE constraint violation: duplicate key"):
        transaction.commit()
    assert _settings(connection) == before
    transaction.begin()
    transaction.commit()
    assert connection.execute("FROM keyed").fetchall() == [(7,)]


def test_nothing_is_no_statement(transaction: Transaction) -> None:
    transaction.begin()
    transaction.flush()
    transaction.commit()


@pytest.mark.parametrize("rows", [10, STATEMENT_BYTES // 8])
def test_an_error_is_raised_when_the_rows_go(connection: duckdb.DuckDBPyConnection, transaction: Transaction, rows: int) -> None:
    transaction.begin()

    def write() -> None:
        transaction.put("INSERT INTO missing SELECT * FROM _ddpm_incoming", _rows(0, rows))
        transaction.flush()

    with pytest.raises(duckdb.CatalogException, match="Table with name missing does not exist"):
        write()
    connection.execute("ROLLBACK")


@pytest.mark.parametrize("rows", [10, 2 * ROW_GROUP])
def test_rows_of_a_transaction_that_was_given_up_do_not_land(
    connection: duckdb.DuckDBPyConnection, transaction: Transaction, rows: int
) -> None:
    transaction.begin()
    transaction.put(INSERT, _rows(0, rows))
    transaction.forget()
    connection.execute("ROLLBACK")
    transaction.begin()
    transaction.put(INSERT, _rows(0, 3))
    transaction.commit()
    assert _count(connection) == 3


def test_more_than_may_stay_as_it_is_is_compressed_as_it_comes(
    connection: duckdb.DuckDBPyConnection, transaction: Transaction
) -> None:
    size = MOST_BYTES // 8 // 4
    transaction.begin()
    for step, early in enumerate((False, False, False, False, True)):
        transaction.put(INSERT, _rows(step * size, size))
        assert _setting(connection, "enable_optimistic_write") is early
    transaction.commit()
    assert connection.execute("SELECT count(*), bool_and(n = rowid) FROM t").fetchall() == [(5 * size, True)]
    transaction.begin()
    assert _setting(connection, "enable_optimistic_write") is False


def test_booleans_count_as_the_bytes_that_they_become(connection: duckdb.DuckDBPyConnection, transaction: Transaction) -> None:
    transaction.begin()
    flags = pa.array([True]).take(pa.nulls(MOST_BYTES // 2, pa.int8()).fill_null(0))
    twice = pa.record_batch({"a": flags, "b": flags})
    transaction.count(twice)
    assert _setting(connection, "enable_optimistic_write") is False
    transaction.count(twice.slice(0, 1))
    assert _setting(connection, "enable_optimistic_write") is True
    connection.execute("ROLLBACK")


def test_duckdb_does_as_it_is_used_to_where_rows_are_not_kept(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    transaction = Transaction(connection, keeps=False)
    transaction.begin()
    assert _setting(connection, "enable_optimistic_write") is True
    transaction.put(INSERT, _rows(0, 2 * ROW_GROUP))
    transaction.commit()
    assert _count(connection) == 2 * ROW_GROUP
    assert 0 < _log_bytes(path) < 20_000  # The log says where they are.
