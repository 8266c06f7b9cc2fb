"""What this plugin gives to DDPM."""

from __future__ import annotations

from collections.abc import Iterator

from ddpm_core import FormatSpec, hookimpl


@hookimpl
def ddpm_formats() -> Iterator[FormatSpec]:
    yield FormatSpec(
        name="parquet",
        summary="Apache Parquet files, row group by row group, checksums verified",
        options="ddpm_parquet.options:ParquetOptions",
        parser="ddpm_parquet.parser:build",
        serializer="ddpm_parquet.serializer:build",
        suffixes=(".parquet", ".pq", ".parq"),
        magic=(b"PAR1",),
        example="ddpm ingest --format parquet flights.parquet",
    )
