"""Options of the format `parquet`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ddpm_core import PluginOptions


class ParquetOptions(PluginOptions):
    """How carefully files are read, and how they are written."""

    max_step_bytes: int = Field(
        default=64 << 20,
        ge=1 << 10,
        description="Reading: rows are taken in steps that hold at most about so many bytes in memory, the longest text in every row.",
    )
    max_expansion: int = Field(
        default=1000,
        ge=1,
        description="Reading: a column that would become more than so many times larger than it is in the file, and larger than "
        "four steps, is refused where it cannot be read in pieces.",
    )
    compression: Literal["zstd", "snappy", "gzip", "brotli", "lz4", "none"] = Field(
        default="zstd", description="Writing: the codec of pages."
    )
    row_group_rows: int = Field(default=122_880, ge=1, description="Writing: rows in one row group; as many are held in memory.")
