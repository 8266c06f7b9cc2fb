"""Options of the sink `stdout`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from ddpm_core import PluginOptions, one_format


class StdoutOptions(PluginOptions):
    """What the rows look like."""

    path: Literal["-"] = Field(default="-", description="Always `-`: what `--to` takes for standard output.")
    format: dict[str, dict[str, Any]] = Field(
        default={"json": {}},
        description='Format of the rows: a name (`json`, `csv`, ...), or `{"csv": {"delimiter": ";"}}` with options. Each row must be '
        "complete when it is written, so formats that write in blocks, such as `parquet`, are refused.",
    )

    @field_validator("format", mode="before")
    @classmethod
    def _one_format(cls, value: Any) -> Any:
        return one_format(value)
