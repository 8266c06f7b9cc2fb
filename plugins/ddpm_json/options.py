"""The options of the format `json`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ddpm_core import PluginOptions


class JsonOptions(PluginOptions):
    """Options of the format `json`."""

    max_record_bytes: int = Field(
        default=16 << 20,
        ge=2,
        le=1 << 30,
        description="A record with more bytes is set aside with reason too_large; only its beginning is kept.",
    )
    max_depth: int = Field(
        default=128,
        ge=1,
        le=250,
        description="A record with objects and arrays nested deeper is set aside with reason json_depth.",
    )
    tombstones: Literal["reject", "skip"] = Field(
        default="reject",
        description="A message without a value (a deleted key of a compacted topic) is set aside with reason no_value, or left out.",
    )
