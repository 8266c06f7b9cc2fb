"""The options that every table sink has."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ddpm_core.config.options import PluginOptions


class TableOptions(PluginOptions):
    """Options that every table sink has."""

    table: str = Field(min_length=1, description="Target table, as `[schema.]table`; it is created when it is missing")
    mode: Literal["append", "replace", "upsert"] = Field(
        default="append",
        description="`append` adds rows; `upsert` replaces the row with the same key; `replace` puts this run's rows, all at once, "
        "in the place of all that were there",
    )
    key: tuple[str, ...] = Field(default=(), description="Columns that identify a row, for `upsert`")

    @model_validator(mode="after")
    def _key_goes_with_upsert(self) -> TableOptions:
        if self.mode == "upsert" and not self.key:
            raise ValueError("mode upsert needs a key: name the columns that identify a row")
        if self.mode != "upsert" and self.key:
            raise ValueError(f"a key is for mode upsert, not for {self.mode}")
        return self
