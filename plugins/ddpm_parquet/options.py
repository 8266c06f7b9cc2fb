"""Options of the format `parquet`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ddpm_core import PluginOptions


class ParquetOptions(PluginOptions):
    """How carefully files are read, and how they are written."""

    max_step_bytes: int = Field(
        default=16 << 20,
        ge=1 << 10,
        description="Reading: rows are taken in steps that hold at most about so many bytes in memory, the longest text in every row.",
    )
    max_expansion: int = Field(
        default=1000,
        ge=1,
        description="Reading: what becomes more than so many times larger than it is in the file, and larger than four steps, is "
        "refused: a page, the values of one row, and the file as a whole.",
    )
    max_record_bytes: int = Field(
        default=16 << 20,
        ge=2,
        le=1 << 30,
        description="Reading: a row that has more bytes in memory is set aside with reason too_large.",
    )
    max_message_bytes: int = Field(
        default=64 << 20,
        ge=1 << 10,
        description="Messages: one whose rows have more bytes in memory is set aside with reason decompressed_size.",
    )
    max_depth: int = Field(
        default=128, ge=1, le=250, description="Reading: a file with columns nested deeper is refused with reason depth."
    )
    compression: Literal["zstd", "snappy", "gzip", "brotli", "lz4", "none"] = Field(
        default="zstd", description="Writing: the codec of pages."
    )
    row_group_rows: int = Field(default=122_880, ge=1, description="Writing: rows in one row group; as many are held in memory.")
