"""What this plugin gives: the sink `postgres`, which can also be queried."""

from __future__ import annotations

from collections.abc import Iterable

from ddpm_core import SinkSpec, hookimpl


@hookimpl
def ddpm_sinks() -> Iterable[SinkSpec]:
    yield SinkSpec(
        name="postgres",
        summary="Tables of a Postgres server, by binary COPY, exactly once",
        options="ddpm_postgres.options:PostgresOptions",
        example="ddpm ingest events.ndjson --to postgresql://user@localhost/shop --table events",
        build="ddpm_postgres.sink:build",
        schemes=("postgresql", "postgres"),
        address="url",
        guarantee="exactly_once",
        modes=("append", "replace", "upsert"),
        database="ddpm_postgres.database:open_database",
    )
