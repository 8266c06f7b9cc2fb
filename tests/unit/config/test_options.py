"""Options of plugins: every mistake at once, no value repeated."""

from __future__ import annotations

import pytest
from pydantic import Field, SecretStr

from ddpm_core.config.options import PluginOptions, check_options
from ddpm_core.errors import ConfigError


class Options(PluginOptions):
    depth: int = Field(default=5, ge=1, description="How deep")
    url: SecretStr = Field(description="Where")


def test_values_typed_on_a_command_line_are_converted() -> None:
    options = check_options(Options, {"depth": "7", "url": "x"}, owner="format json")
    assert (options.depth, options.url.get_secret_value()) == (7, "x")


def test_every_mistake_is_reported_at_once_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError) as caught:
        check_options(Options, {"dept": 1, "depth": "deep", "colour": 2}, owner="format json")
    assert str(caught.value).splitlines() == [
        "format json, option 'depth': input should be a valid integer, unable to parse string as an integer",
        "format json, option 'url': field required",
        "format json, option 'dept': there is no such option (did you mean 'depth'?)",
        "format json, option 'colour': there is no such option (its options: depth, url)",
    ]


def test_a_secret_is_in_no_message() -> None:
    with pytest.raises(ConfigError) as caught:
        check_options(Options, {"url": {"canary": "CANARY"}, "depth": "CANARY", "CANARY1": 1}, owner="sink x")
    assert "'CANARY'" not in str(caught.value)
    assert "CANARY" not in repr(check_options(Options, {"url": "CANARY"}, owner="sink x"))
