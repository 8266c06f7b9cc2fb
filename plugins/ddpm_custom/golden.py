"""Golden messages of the format `custom`, with a function to read them."""

from __future__ import annotations

import json
from typing import Any

from ddpm_core.testing import GoldenMessage, GoldenMessages

GOLDEN = GoldenMessages(
    good=[
        GoldenMessage(b"sensor=1;celsius=21.5", [{"sensor": 1, "celsius": 21.5}]),
        GoldenMessage("sensor=2;celsius=-3.25;place=Łódź".encode(), [{"sensor": 2, "celsius": -3.25, "place": "Łódź"}]),
        GoldenMessage(b"sensor=3|sensor=4;place=Bonn", [{"sensor": 3}, {"sensor": 4, "place": "Bonn"}]),
        GoldenMessage(b"heartbeat"),
    ],
    evolving=[GoldenMessage(b"sensor=5;battery=97", [{"sensor": 5, "battery": 97}])],
    bad=[
        GoldenMessage(b"sensor=", reason="plugin_error"),
        GoldenMessage(b"sensor=6|nothing", reason="plugin_error"),
        GoldenMessage(b"\xff", reason="encoding"),
        GoldenMessage(b"", reason="plugin_error"),
        GoldenMessage(None, reason="no_value"),
    ],
    options={"function": "ddpm_custom.golden:readings", "text": True},
)


def readings(text: str) -> list[dict[str, Any]] | None:
    """What a user's function may look like: `sensor=1;celsius=21.5`, several divided by `|`; a heartbeat is no row."""
    if text == "heartbeat":
        return None
    return [dict(_pair(pair) for pair in reading.split(";")) for reading in text.split("|")]


def _pair(pair: str) -> tuple[str, Any]:
    name, _, value = pair.partition("=")
    return name, value if name == "place" else json.loads(value)


def golden_messages(_: str) -> GoldenMessages:
    """The golden messages of the one format of this plugin."""
    return GOLDEN
