"""The options of the format."""

from __future__ import annotations

from pydantic import Field

from ddpm_core import PluginOptions


class LoglineOptions(PluginOptions):
    """Options of `logline`."""

    query: bool = Field(default=True, description="Keep the query string in `path`; without, it ends at the `?`")
