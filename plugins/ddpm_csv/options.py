"""The options of the format `csv`."""

from __future__ import annotations

import codecs
from typing import Any

from pydantic import Field, field_validator, model_validator

from ddpm_core import PluginOptions

_SPELLED = {"tab": "\t", "\\t": "\t", "none": ""}
GUESSES = (",", "\t", ";", "|")
"""The delimiters that are looked for, in their order."""

_STATEFUL = ("utf-7", "iso2022", "hz", "punycode", "idna", "escape", "mbcs", "oem")
"""Encodings in which the meaning of a byte depends on all that came before it, or that are no encodings of text files."""


class CsvOptions(PluginOptions):
    """Options of the format `csv`."""

    header: bool = Field(
        default=True,
        description="Whether the first record holds the names of the columns. If not, they are column_1, column_2, …, or `column_names`.",
    )
    column_names: tuple[str, ...] = Field(
        default=(),
        max_length=1_600,
        description="The names of the columns, in their order; with a header they replace its names. As text: separated by commas.",
    )
    delimiter: str | None = Field(
        default=None,
        description="One character, or `tab`. By default what a first line `sep=;` says, else the one of comma, tab, semicolon and `|` that "
        "parts the first 100 records evenly.",
    )
    quote: str = Field(default='"', description="The character around fields that hold awkward ones, or `none`.")
    escape: str = Field(
        default="none",
        description="A character that takes the meaning of the next one, such as a backslash, or `none`. Doubled quotes always work. "
        "Slow where it occurs.",
    )
    encoding: str = Field(
        default="utf-8",
        description="How the text is encoded, as Python names it: `utf-8`, `latin-1`, `utf-16`, `cp1250`, … A record with other bytes is "
        "set aside with reason encoding.",
    )
    nulls: tuple[str, ...] = Field(
        default=("", "NA", "null"),
        max_length=100,
        description="What stands for null where it is the whole field and not in quotes. As text: separated by commas.",
    )
    quoted_nulls: bool = Field(
        default=False,
        description="Whether these stand for null in quotes too. In columns that are not text they do anyway.",
    )
    skip_lines: int = Field(
        default=0, ge=0, le=1_000_000, description="How many lines to skip before the header or the first record."
    )
    max_record_bytes: int = Field(
        default=16 << 20,
        ge=2,
        le=1 << 30,
        description="A record with more bytes is set aside with reason too_large; only its beginning is kept. A quote that is not closed "
        "within as many bytes costs its line.",
    )

    @field_validator("column_names", "nulls", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(value.split(",")) if isinstance(value, str) else value

    @field_validator("delimiter", "quote", "escape", mode="before")
    @classmethod
    def _spelled(cls, value: Any) -> Any:
        return _SPELLED.get(value.lower(), value) if isinstance(value, str) else value

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            name = codecs.lookup(value).name
            "a".encode(name)
        except (LookupError, UnicodeError):
            raise ValueError(f"there is no text encoding {value!r}") from None
        if any(part in name.replace("_", "") for part in _STATEFUL):
            raise ValueError(f"encoding {value!r} cannot be read in pieces; convert the file to utf-8 first")
        return "utf-8" if name == "utf-8-sig" else name

    @model_validator(mode="after")
    def _one_character_each(self) -> CsvOptions:
        if self.delimiter == "":
            raise ValueError("the delimiter must be one ASCII character or `tab`")
        for what in ("delimiter", "quote", "escape"):
            value = getattr(self, what)
            if value and (len(value) > 1 or not value.isascii() or value in "\r\n\x00"):
                raise ValueError(f"the {what} must be one ASCII character, not {value!r}")
        if self.delimiter is None and any(value in GUESSES for value in (self.quote, self.escape) if value):
            raise ValueError("name the delimiter where quote or escape is one of comma, tab, semicolon and |")
        given = [value for value in (self.delimiter, self.quote, self.escape) if value]
        if len(set(given)) < len(given):
            raise ValueError("delimiter, quote and escape must be different characters")
        if len({name.casefold() for name in self.column_names}) < len(self.column_names) or "" in self.column_names:
            raise ValueError("column_names must be different from each other, also without regard to case, and not empty")
        return self
