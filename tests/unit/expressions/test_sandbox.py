"""The DuckDB that expressions run in can calculate, and do nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from ddpm_core.expressions.sandbox import sandbox, words


@pytest.fixture
def locked() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = sandbox()
    yield connection
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('{here}/secret.csv')",
        "SELECT * FROM '{here}/secret.csv'",
        "SELECT * FROM read_text('{here}/secret.csv')",
        "SELECT * FROM read_blob('{here}/secret.csv')",
        "SELECT * FROM read_json('{here}/secret.csv')",
        "SELECT * FROM read_parquet('https://127.0.0.1/x')",
        "SELECT * FROM glob('{here}/*')",
        "COPY (SELECT 1) TO '{here}/out.csv'",
        "EXPORT DATABASE '{here}/out'",
        "ATTACH '{here}/out.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '{here}/x.duckdb_extension'",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "SET lock_configuration = false",
        "RESET enable_external_access",
        "PRAGMA threads = 8",
        "PRAGMA enable_profiling = 'json'",
        "SELECT getenv('HOME')",
    ],
)
def test_nothing_reaches_out_of_it(locked: duckdb.DuckDBPyConnection, statement: str, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(duckdb.Error):
        locked.sql(statement.replace("{here}", str(tmp_path))).fetchall()
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


def test_variables_of_this_process_are_no_tables(locked: duckdb.DuckDBPyConnection) -> None:
    import pyarrow as pa

    private = pa.table({"a": [1]})
    with pytest.raises(duckdb.CatalogException):
        locked.sql("SELECT * FROM private")
    assert private.num_rows == 1


def test_memory_is_limited_and_nothing_goes_to_disk(locked: duckdb.DuckDBPyConnection) -> None:
    (settings,) = locked.sql(
        "SELECT current_setting('memory_limit'), current_setting('temp_directory'), current_setting('threads')"
    ).fetchall()
    assert settings == ("488.2 MiB", "", 1)


def test_words_are_one_line_without_advice_for_a_prompt(locked: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.Error) as failed:
        locked.sql("SELECT 1 // 0").fetchall()
    assert words(failed.value) == "Division by zero in expression (1 // 0)."
    with pytest.raises(duckdb.Error) as failed:
        locked.sql("SELECT upper(1)")
    assert words(failed.value) == (
        "No function matches the given name and argument types 'upper(INTEGER_LITERAL)'. You might need to add explicit type casts."
    )
