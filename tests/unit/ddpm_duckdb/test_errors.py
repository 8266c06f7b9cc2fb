import re
import subprocess
import sys
import threading
from typing import Any

import duckdb
import pytest

from ddpm_core import Batch, DdpmError, FatalError, RetryableError
from ddpm_duckdb.errors import failure


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (
            duckdb.IOException('IO Error: Could not write file "x.db": No space left on device'),
            RetryableError,
            (
                'no room to write x.db: Could not write file "x.db": No space left on device\n'
                "Free space on its disk; nothing of this round was kept"
            ),
        ),
        (
            duckdb.TransactionException(
                'TransactionContext Error: Failed to commit: Could not write file "x.db": No space left on device'
            ),
            RetryableError,
            (
                'no room to write x.db: Failed to commit: Could not write file "x.db": No space left on device\n'
                "Free space on its disk; nothing of this round was kept"
            ),
        ),
        (
            duckdb.TransactionException("TransactionContext Error: Conflict on update!"),
            RetryableError,
            "DuckDB gave up the transaction in x.db: Conflict on update!",
        ),
        (
            duckdb.IOException('IO Error: Cannot open file "x.db": Read-only file system'),
            FatalError,
            (
                'x.db cannot be opened or written: Cannot open file "x.db": Read-only file system\n'
                "Check who owns the file and its folder, and their modes"
            ),
        ),
        (
            duckdb.OutOfMemoryException(
                "Out of Memory Error: could not allocate block of size 256.0 KiB\n\nPossible solutions:\n* x"
            ),
            FatalError,
            (
                "DuckDB ran out of memory with x.db: could not allocate block of size 256.0 KiB\n"
                "Raise memory_limit, or give the machine more memory"
            ),
        ),
        (duckdb.InterruptException("INTERRUPT Error: Interrupted!"), RetryableError, "the work on x.db was interrupted"),
        (
            duckdb.IOException("IO Error: Could not fsync: Input/output error"),
            RetryableError,
            "x.db cannot be read or written: Could not fsync: Input/output error\nCheck its disk",
        ),
        (
            duckdb.InternalException("INTERNAL Error: assertion\n\nStack Trace:\n/home/x"),
            FatalError,
            "DuckDB refused a statement in x.db: assertion",
        ),
    ],
)
def test_each_failure_says_what_and_what_to_do(error: duckdb.Error, kind: type[DdpmError], text: str) -> None:
    found = failure(error, "x.db")
    assert (type(found), str(found)) == (kind, text)


def test_a_cancelled_sink_returns_at_once(target: Any) -> None:
    sink = target.sink()
    over = threading.Event()

    def cancel() -> None:
        while not over.wait(0.05):  # Before the statement has begun there is nothing to cancel.
            sink.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    try:
        with pytest.raises(RetryableError, match=rf"^the work on {re.escape(str(target.path))} was interrupted$"):
            sink.fetch("SELECT count(*) FROM range(1000000000) a, range(1000) b WHERE a.range % 7 = b.range % 3")
    finally:
        over.set()
        canceller.join(60)


@pytest.mark.parametrize("count", [60_000, 300_000])  # Through the log, and by COMMIT's own checkpoint.
def test_a_full_disk_costs_the_round_and_nothing_that_was_committed(target: Any, rows: Any, count: int) -> None:
    target.load(rows(a=["before"]))
    script = f"""
import resource, signal, sys, pyarrow as pa
from ddpm_core import Batch, BuildContext, Position, RetryableError
from ddpm_duckdb.options import DuckDbOptions
from ddpm_duckdb.sink import build
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sink = build(DuckDbOptions(path={str(target.path)!r}, table="events"), BuildContext())
sink.open()
sink.claim(["file:a"])
resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, resource.RLIM_INFINITY))
data = pa.RecordBatch.from_pydict({{"a": [str(n) * 20 for n in range({count})]}})
try:
    sink.write(Batch(data))
    sink.commit({{"file:a#1": Position(2)}}, [])
except RetryableError as error:
    print(error)
sink.rollback()
sink.close()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
sink.open()
sink.claim(["file:a"])
sink.write(Batch(pa.RecordBatch.from_pydict({{"a": ["after"]}})))
sink.commit({{"file:a#1": Position(2)}}, [])
sink.close()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"no room to write {target.path}: ")
    assert "File too large" in done.stdout
    assert target.sql("FROM events") == [("before",), ("after",)]


def test_a_round_after_an_error_needs_only_a_rollback(target: Any, rows: Any) -> None:
    sink = target.sink()
    sink.claim(["file:a"])
    sink.write(Batch(rows(a=[1])))
    with pytest.raises(
        FatalError, match=rf"^DuckDB refused a statement in {re.escape(str(target.path))}: Table with name nope does not exist!"
    ):
        sink.fetch("FROM nope")
    sink.rollback()
    assert target.land(sink, rows(a=[2])) == []
