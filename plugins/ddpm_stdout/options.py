"""Options of the sink `stdout`."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, field_validator

from ddpm_core import PluginOptions


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
        if isinstance(value, str) and value.lstrip().startswith("{"):
            try:
                value = json.loads(value)
            except ValueError:
                raise ValueError('a format with options is written as JSON, such as {"csv": {"delimiter": ";"}}') from None
        if isinstance(value, str):
            value = {value: {}}
        if not isinstance(value, dict) or len(value) != 1:
            raise ValueError("is the name of one format, or a mapping of its name to its options")
        return {name: {} if options is None else options for name, options in value.items()}
