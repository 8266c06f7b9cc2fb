"""Options as a table, from the model alone."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from ddpm_core import NoOptions, PluginOptions
from ddpm_core.cli.options_table import OptionRow, options_markdown, options_table


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Everything(PluginOptions):
    url: str = Field(description="Where; a | b")
    share: float = Field(default=0.5, gt=0, le=1, description="How much")
    mode: Literal["append", "replace"] = Field(default="append", description="How")
    colour: Colour = Field(default=Colour.RED, description="Which")
    key: tuple[str, ...] = Field(default_factory=lambda: ("a", "b"), description="By what")
    header: dict[str, str] = Field(default={}, description="With what")
    limit: Annotated[int, Field(ge=0)] | None = Field(default=None, description="At most")
    flag: bool = Field(default=True, description="Whether")
    password: SecretStr | None = Field(default=SecretStr("hunter2"), description="Opens it")
    tokens: tuple[SecretStr, ...] = Field(default=(SecretStr("hunter2"),), description="Open them")
    proxy: str = Field(default="http://u:hunter2@h", description="Through what")


def test_every_option_has_type_default_and_meaning():
    assert options_table(Everything) == [
        OptionRow("url", "text", "required", "Where; a | b"),
        OptionRow("share", "number, more than 0, at most 1", "0.5", "How much"),
        OptionRow("mode", "append | replace", "append", "How"),
        OptionRow("colour", "red | blue", "red", "Which"),
        OptionRow("key", "list of text", "a, b", "By what"),
        OptionRow("header", "mapping of names to text", "none", "With what"),
        OptionRow("limit", "integer", "none", "At most"),
        OptionRow("flag", "true or false", "true", "Whether"),
        OptionRow("password", "secret", "", "Opens it"),
        OptionRow("tokens", "list of secret", "", "Open them"),
        OptionRow("proxy", "text", "http://u:***@h", "Through what"),
    ]


def test_the_table_for_the_documentation():
    assert options_markdown(Everything).split("\n")[:4] == [
        "| option | type | default | meaning |",
        "|---|---|---|---|",
        "| `url` | text | required | Where; a \\| b |",
        "| `share` | number, more than 0, at most 1 | `0.5` | How much |",
    ]
    assert options_markdown(NoOptions) == "No options."
