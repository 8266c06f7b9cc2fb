"""Options of the format `arrow`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ddpm_core import PluginOptions


class ArrowOptions(PluginOptions):
    """How much a file may ask for, and how files are written."""

    max_batch_bytes: int = Field(
        default=512 << 20,
        ge=1 << 10,
        description="Reading: a record batch with more bytes, in the file or decompressed, is refused, and so are dictionaries that have "
        "more together. A record batch is held in memory as a whole.",
    )
    max_expansion: int = Field(
        default=1000,
        ge=1,
        description="Reading: a file of which more than so many times its bytes come out as rows is refused (256 MB always may).",
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
    compression: Literal["zstd", "lz4", "none"] = Field(default="zstd", description="Writing: the codec of buffers.")
    batch_rows: int = Field(
        default=65_536, ge=1, description="Writing: rows in one record batch of a file; as many are held in memory."
    )
