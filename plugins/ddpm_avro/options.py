"""The options of the format `avro`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ddpm_core import PluginOptions


class AvroOptions(PluginOptions):
    """How Avro is read and written."""

    max_block_bytes: int = Field(
        default=16 << 20,
        ge=1 << 10,
        le=1 << 30,
        description="Reading: a block that is larger than this, stored or decompressed, is refused (guards against bombs)",
    )
    max_record_bytes: int = Field(
        default=16 << 20,
        ge=2,
        le=1 << 30,
        description="Reading: a record with more bytes, decompressed, is set aside with reason too_large; "
        "blocks that are larger than this are read slowly",
    )
    max_depth: int = Field(
        default=128, ge=1, le=250, description="Reading: a file whose schema is nested deeper is refused with reason depth"
    )
    codec: Literal["null", "deflate", "bzip2", "snappy", "zstandard", "lz4", "xz"] = Field(
        default="deflate", description="Writing: how blocks are compressed; every reader knows null and deflate"
    )
    block_bytes: int = Field(
        default=64 << 10,
        ge=1 << 10,
        le=16 << 20,
        description="Writing: about how many bytes of records go into one block, before compression",
    )
    record_name: str = Field(
        default="record",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$",
        description="Writing: name of the record in the schema, with its namespace if it has one",
    )
