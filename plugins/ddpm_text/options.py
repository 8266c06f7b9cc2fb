"""Options of the formats `lines` and `raw`."""

from __future__ import annotations

import codecs
from typing import Literal

from pydantic import Field, field_validator

from ddpm_core import PluginOptions

_ASCII = bytes(range(128))


class LinesOptions(PluginOptions):
    """Options of the format `lines`."""

    column: str = Field(
        default="line",
        min_length=1,
        description="The column that lines are in. Writing: needed only where there is more than one column.",
    )
    encoding: str = Field(
        default="utf-8",
        description="The encoding of the text: utf-8, or any other in which ASCII is as it is, such as latin-1, cp1252, shift_jis.",
    )
    blank: Literal["keep", "skip"] = Field(
        default="keep", description="Reading: whether a line with nothing in it is a row, or left out."
    )
    max_record_bytes: int = Field(
        default=16 << 20,
        ge=2,
        le=1 << 30,
        description="A line with more bytes is set aside with reason too_large; only its beginning is kept.",
    )

    @field_validator("encoding")
    @classmethod
    def _cut_at_newlines(cls, name: str) -> str:
        """Lines are cut before they are decoded: a newline byte must be a newline, and nothing else."""
        try:
            known = codecs.lookup(name)
            fits = _ASCII.decode(known.name) == _ASCII.decode("ascii")
        except (LookupError, ValueError, AttributeError):
            raise ValueError(f"{name!r} is no encoding of text that contains ASCII, such as utf-8 or latin-1") from None
        if not fits:
            raise ValueError(f"{name!r} is no encoding of text that contains ASCII, such as utf-8 or latin-1")
        return "utf-8" if known.name == "utf-8-sig" else known.name


class RawOptions(PluginOptions):
    """Options of the format `raw`."""

    column: str = Field(
        default="value",
        min_length=1,
        description="The column that the bytes are in. Writing: needed only where there is more than one column.",
    )
    text: bool = Field(default=False, description="Reading: whether it is text, in UTF-8, rather than bytes.")
    max_record_bytes: int = Field(
        default=16 << 20,
        ge=2,
        le=1 << 30,
        description="A document with more bytes is refused with reason too_large, a message set aside.",
    )
