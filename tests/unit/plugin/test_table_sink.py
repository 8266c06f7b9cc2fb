"""What holds for every sink that is a table, whichever database it lies in."""

from __future__ import annotations

import pytest

from ddpm_core import BuildContext, ConfigError
from ddpm_duckdb.options import DuckDbOptions
from ddpm_duckdb.sink import DuckDbSink
from ddpm_postgres.options import PostgresOptions
from ddpm_postgres.sink import PostgresSink


@pytest.mark.parametrize("table", ["_ddpm_positions", "_DDPM_x"])
def test_tables_of_ddpm_itself_are_no_targets(table: str) -> None:
    said = f"'{table}' cannot be the table: names that begin with _ddpm_ are DDPM's own"
    for make in (
        lambda: DuckDbSink(DuckDbOptions(path=":memory:", table=table, mode="replace"), BuildContext()),
        lambda: PostgresSink(PostgresOptions(url="postgresql://localhost/x", table=table, mode="replace"), BuildContext()),
    ):
        with pytest.raises(ConfigError) as refused:
            make()
        assert str(refused.value) == said
