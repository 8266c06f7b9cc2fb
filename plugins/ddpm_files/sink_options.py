"""Options of the sink `files`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from ddpm_core import one_format
from ddpm_files.remote_options import RemoteOptions


class FilesSinkOptions(RemoteOptions):
    """Where files go, what they look like, and how large they get."""

    path: str = Field(
        min_length=1,
        description="Folder that the files go into: a path, a `file://` URL, `s3://bucket/prefix` or `gs://bucket/prefix`.",
    )
    table: str = Field(
        default="",
        description="`[schema.]table`: the folder below `path`, and what names of files begin with. Without, files lie in `path` itself.",
    )
    format: dict[str, dict[str, Any]] = Field(
        default={"parquet": {}},
        description='Format of the files: a name (`parquet`, `ndjson`, `csv`, `avro`, ...), or `{"csv": {"delimiter": ";"}}` with options.',
    )
    partition_by: tuple[str, ...] = Field(
        default=(),
        description="Columns whose values become folders, such as `day=2026-11-21`. They are left out of the files, as Hive, Spark and "
        "DuckDB expect; those read them from the folder's name.",
    )
    keep_partition_columns: bool = Field(
        default=False,
        description="Write the columns of `partition_by` into the files too, for readers that do not look at names of folders.",
    )
    target_bytes: int = Field(
        default=128 << 20,
        ge=1,
        le=4 << 30,
        description="Rows are gathered until about so many bytes are written, then committed as one file for each partition. At the end of "
        "the input, what there is.",
    )
    max_wait: float | None = Field(
        default=None,
        gt=0,
        description="Commit what has been gathered for so many seconds, also when it is less than `target_bytes`.",
    )
    max_partitions: int = Field(
        default=1000,
        ge=1,
        description="Partitions that rows of one commit may fall into. More is taken for a mistake, and the run stops.",
    )
    mode: Literal["append"] = Field(default="append", description="Files are only ever added.")
    key: tuple[str, ...] = Field(default=(), description="For databases only: files cannot replace rows by key.")

    @field_validator("format", mode="before")
    @classmethod
    def _one_format(cls, value: Any) -> Any:
        return one_format(value)

    @field_validator("partition_by", mode="before")
    @classmethod
    def _names_with_commas(cls, value: Any) -> Any:
        return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value

    @field_validator("partition_by")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value) or "" in value:
            raise ValueError("names each column once")
        return value

    @field_validator("mode", mode="before")
    @classmethod
    def _append_only(cls, value: Any) -> Any:
        if value in ("replace", "upsert"):
            raise ValueError(f"files are only added, never changed: mode {value} needs a database, or take an empty folder")
        return value

    @field_validator("key")
    @classmethod
    def _no_key(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value:
            raise ValueError("a key is for mode upsert, which needs a database: files are only added, never changed")
        return value
