"""The options of the format `custom`."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from ddpm_core import PluginOptions

_PLACE = re.compile(r"(?P<where>.+\.py|[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*)")


class CustomOptions(PluginOptions):
    """Which function reads payloads, and what it gets. Checking these imports and runs nothing."""

    function: str = Field(
        description="The function: `module:function`, or `path.py:function` with a path that is absolute or relative to the working "
        "folder. It takes one payload and gives a row as a dict, several of them, or None for no row. It runs with all rights of DDPM."
    )
    framing: Literal["lines", "whole"] = Field(
        default="lines", description="What a payload of a document is: each line that is not blank, or the document as a whole."
    )
    text: bool = Field(default=False, description="Whether the function gets text, decoded from UTF-8, instead of bytes.")
    max_record_bytes: int = Field(
        default=16 << 20,
        ge=2,
        le=1 << 30,
        description="A payload with more bytes is not given to the function; it is set aside with reason too_large.",
    )

    max_rows: int = Field(
        default=100_000,
        ge=1,
        description="A payload that becomes more rows is set aside with reason collection_limit: its rows are held in memory at once.",
    )

    @field_validator("function")
    @classmethod
    def _is_a_place(cls, place: str) -> str:
        if not _PLACE.fullmatch(place):
            raise ValueError("write it as module:function or path.py:function")
        return place

    @property
    def place(self) -> tuple[str, str]:
        """Module or path, and the name in it."""
        where, _, name = self.function.rpartition(":")
        return where, name
