"""What this plugin gives: the sink `duckdb`, which can also be queried."""

from __future__ import annotations

from collections.abc import Iterable

from ddpm_core import SinkSpec, hookimpl


@hookimpl
def ddpm_sinks() -> Iterable[SinkSpec]:
    yield SinkSpec(
        name="duckdb",
        summary="Tables of a DuckDB file, exactly once; needs no server",
        options="ddpm_duckdb.options:DuckDbOptions",
        example="ddpm ingest events.ndjson --to shop.duckdb --table events",
        build="ddpm_duckdb.sink:build",
        schemes=("duckdb",),
        suffixes=(".duckdb", ".ddb", ".db"),
        address="path",
        guarantee="exactly_once",
        modes=("append", "replace", "upsert"),
        database="ddpm_duckdb.database:open_database",
    )
