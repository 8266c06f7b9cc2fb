import threading
from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest

from ddpm_duckdb.row_stream import ROW_GROUP, THREADS, RowStream

INSERT = "INSERT INTO t SELECT * FROM _ddpm_incoming"
SCHEMA = pa.schema([("n", pa.int64())])


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as found:
        found.execute("SET threads = 1")
        found.execute("CREATE TABLE t (n BIGINT)")
        found.execute("BEGIN")
        yield found
    assert not _running()


def _running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "ddpm-duckdb"]


def _threads_of(connection: duckdb.DuckDBPyConnection) -> int:
    return int(connection.execute("SELECT current_setting('threads')").fetchall()[0][0])


def _rows(first: int, count: int) -> pa.RecordBatch:
    return pa.record_batch([pa.arange(first, first + count)], schema=SCHEMA)


@pytest.mark.parametrize("size", [1_000, 65_536, ROW_GROUP, 3 * ROW_GROUP + 1])
@pytest.mark.parametrize("total", [999, ROW_GROUP - 1, ROW_GROUP, ROW_GROUP + 1, 4 * ROW_GROUP + 77])
def test_all_rows_are_in_the_table_in_their_order(connection: duckdb.DuckDBPyConnection, size: int, total: int) -> None:
    stream = RowStream(connection, INSERT, SCHEMA)
    for first in range(0, total, size):
        stream.put(_rows(first, min(size, total - first)))
    stream.finish()
    found = [value for (value,) in connection.execute("SELECT n FROM t").fetchall()]
    assert found == list(range(total))
    connection.execute("COMMIT")
    assert connection.execute("SELECT count(*), sum(n) FROM t").fetchall() == [(total, total * (total - 1) // 2)]


def test_a_table_made_in_the_same_transaction_shows_its_rows_at_once() -> None:
    with duckdb.connect() as connection:  # DuckDB 2.0.0 hides rows of a table that `CREATE TABLE AS` made: what we make must not.
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE t (n BIGINT)")
        stream = RowStream(connection, INSERT, SCHEMA)
        stream.put(_rows(0, 3 * ROW_GROUP))
        stream.finish()
        connection.execute("COMMIT")
        assert connection.execute("SELECT len(list(n)) FROM t").fetchall() == [(3 * ROW_GROUP,)]


def test_rows_that_fill_no_row_group_need_no_thread(connection: duckdb.DuckDBPyConnection) -> None:
    stream = RowStream(connection, INSERT, SCHEMA)
    stream.put(_rows(0, ROW_GROUP - 1))
    assert not _running()
    stream.finish()
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(ROW_GROUP - 1,)]


def test_rows_that_fill_no_row_group_are_not_copied(connection: duckdb.DuckDBPyConnection) -> None:
    stream = RowStream(connection, INSERT, SCHEMA)
    for first in range(0, 100_000, 10_000):
        stream.put(_rows(first, 10_000))
    usual = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(pool)
    try:
        stream.finish()
    finally:
        pa.set_memory_pool(usual)
    assert connection.execute("SELECT count(*), sum(n) FROM t").fetchall() == [(100_000, 99_999 * 50_000)]
    assert pool.max_memory() < 10_000


def test_threads_are_used_while_rows_stream_and_no_longer(connection: duckdb.DuckDBPyConnection) -> None:
    stream = RowStream(connection, INSERT, SCHEMA)
    stream.put(_rows(0, ROW_GROUP))
    with connection.cursor() as other:
        assert _threads_of(other) == THREADS
    stream.finish()
    assert _threads_of(connection) == 1


def test_nothing_is_no_statement(connection: duckdb.DuckDBPyConnection) -> None:
    RowStream(connection, "SELECT this is no SQL", SCHEMA).finish()


@pytest.mark.parametrize("rows", [10, ROW_GROUP, ROW_GROUP + 1])
def test_an_error_of_the_statement_is_raised_at_the_end(connection: duckdb.DuckDBPyConnection, rows: int) -> None:
    stream = RowStream(connection, "INSERT INTO missing SELECT * FROM _ddpm_incoming", SCHEMA)
    stream.put(_rows(0, rows))
    with pytest.raises(duckdb.CatalogException, match="Table with name missing does not exist"):
        stream.finish()
    connection.execute("ROLLBACK")


def test_a_statement_that_failed_takes_no_more_rows(connection: duckdb.DuckDBPyConnection) -> None:
    stream = RowStream(connection, "INSERT INTO missing SELECT * FROM _ddpm_incoming", SCHEMA)
    stream.put(_rows(0, ROW_GROUP))
    with pytest.raises(duckdb.CatalogException, match="Table with name missing does not exist"):
        stream.put(_rows(0, 2 * ROW_GROUP))  # The second row group waits for the statement, which is over.
    stream.abandon()
    connection.execute("ROLLBACK")


def test_an_abandoned_stream_leaves_the_connection_for_a_rollback(connection: duckdb.DuckDBPyConnection) -> None:
    stream = RowStream(connection, INSERT, SCHEMA)
    stream.put(_rows(0, 2 * ROW_GROUP + 5))
    stream.abandon()
    connection.execute("ROLLBACK")
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
    assert _threads_of(connection) == 1


def test_abandoning_a_stream_whose_statement_failed_raises_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    stream = RowStream(connection, "INSERT INTO missing SELECT * FROM _ddpm_incoming", SCHEMA)
    stream.put(_rows(0, ROW_GROUP))
    stream.abandon()
    connection.execute("ROLLBACK")


def test_an_interrupt_ends_the_statement(connection: duckdb.DuckDBPyConnection) -> None:
    stream = RowStream(connection, INSERT, SCHEMA)
    stream.put(_rows(0, ROW_GROUP))
    stream.put(_rows(0, ROW_GROUP))  # Returns when the statement runs, since it has taken the first.
    connection.interrupt()
    with pytest.raises(duckdb.InterruptException):
        stream.finish()
    connection.execute("ROLLBACK")
