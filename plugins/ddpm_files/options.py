"""Options of the source `files`."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from ddpm_core import PluginOptions


class FilesOptions(PluginOptions):
    """Which files, and whether finished ones are taken again."""

    paths: tuple[str, ...] = Field(
        min_length=1,
        description="Files, folders, patterns (`*`, `?`, `[]`, `**`), `file://` URLs, or `-` for standard input.",
    )
    again: bool = Field(default=False, description="Take files again whose content has already landed.")

    @field_validator("paths", mode="before")
    @classmethod
    def _one_is_enough(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value
