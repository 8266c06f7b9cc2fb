"""Plugins that are wrong in what all kinds promise. Each class names the one test that must fail."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from pydantic import ConfigDict, Field, SecretStr

from ddpm_core import PluginOptions
from ddpm_core.testing import FormatConformance, Sample


class Lines(FormatConformance):
    plugin = "kit_reference.plugin"
    name = "kit_lines"
    samples = (Sample(b"one\n", [{"text": "one"}]),)
    change: ClassVar[tuple[str, Any]] = ("stability", "stable")

    def spec(self) -> Any:
        return dataclasses.replace(super().spec(), **dict([self.change]))


class BadName(Lines):
    fails = "test_the_hook_hands_over_this_plugin"
    change = ("name", "Kit-Lines")


class SummaryWithAStop(Lines):
    fails = "test_the_summary_is_one_line_without_a_full_stop"
    change = ("summary", "It stops here.")


class NoSummary(Lines):
    fails = "test_the_summary_is_one_line_without_a_full_stop"
    change = ("summary", "")


class NoExample(Lines):
    fails = "test_there_is_an_example"
    change = ("example", "")


class Undescribed(PluginOptions):
    encoding: str = "utf-8"


class OptionWithoutDescription(Lines):
    fails = "test_every_option_is_described"
    change = ("options", Undescribed)


class WrongDefault(PluginOptions):
    level: int = Field(default="high", description="How much")  # type: ignore[assignment]


class InvalidDefault(Lines):
    fails = "test_the_defaults_are_valid"
    change = ("options", WrongDefault)


class Lenient(PluginOptions):
    model_config = ConfigDict(extra="ignore")


class AnyOptionGoes(Lines):
    fails = "test_an_unknown_option_is_refused_by_its_name"
    change = ("options", Lenient)


class Strict(PluginOptions):
    model_config = ConfigDict(strict=True)
    level: int = Field(default=3, description="How much")


class TextIsNoNumber(Lines):
    fails = "test_options_mean_the_same_as_text"
    change = ("options", Strict)


class PlainPassword(PluginOptions):
    api_token: str = Field(default="", description="To log in")


class SecretAsText(Lines):
    fails = "test_secrets_are_masked"
    change = ("options", PlainPassword)


class Chatty(PluginOptions):
    password: SecretStr = Field(default=SecretStr(""), description="To log in")

    def __repr__(self) -> str:
        return f"Chatty({self.password.get_secret_value()})"


class SecretPrinted(Lines):
    fails = "test_secrets_are_masked"
    change = ("options", Chatty)


class HeavyImport(Lines):
    fails = "test_importing_the_plugin_is_cheap"
    plugin = "kit_reference.heavy"


class SlowImport(Lines):
    fails = "test_importing_the_plugin_is_cheap"
    plugin = "kit_reference.slow"
