"""What this plugin gives: the source `sql`, and the sink `sql`, which can also be queried."""

from __future__ import annotations

from collections.abc import Iterable

from ddpm_core import SinkSpec, SourceSpec, hookimpl


@hookimpl
def ddpm_sources() -> Iterable[SourceSpec]:
    yield SourceSpec(
        name="sql",
        summary="A table or query of any database that SQLAlchemy reaches; new rows only, by a cursor column",
        options="ddpm_sql.source_options:SqlSourceOptions",
        example="ddpm ingest postgresql://user@localhost/shop -o source.table=orders -o source.cursor=updated_at --to lake.duckdb",
        build="ddpm_sql.source:build",
        schemes=("sqlite", "postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle", "cockroachdb", "sql"),
        address="url",
        decodes=True,
    )


@hookimpl
def ddpm_sinks() -> Iterable[SinkSpec]:
    yield SinkSpec(
        name="sql",
        summary="Tables of SQLite, MariaDB, MySQL, SQL Server and what else SQLAlchemy reaches, exactly once",
        options="ddpm_sql.options:SqlOptions",
        example="ddpm ingest events.ndjson --to sqlite:///shop.db --table events",
        build="ddpm_sql.sink:build",
        schemes=("sqlite", "mysql", "mariadb", "mssql", "oracle", "cockroachdb", "sql"),
        suffixes=(".sqlite", ".sqlite3"),
        address="url",
        guarantee="exactly_once",
        modes=("append", "replace", "upsert"),
        database="ddpm_sql.database:open_database",
    )
