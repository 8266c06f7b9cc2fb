"""Builders of plugins: what they may give, and whose fault it is."""

from __future__ import annotations

from typing import Any

import pytest

from ddpm_core.engine.build import build_parser, build_sink, build_source
from ddpm_core.errors import PluginError
from ddpm_core.plugin.specs import BuildContext, FormatSpec, Plugin, PluginSpec, SinkSpec, SourceSpec


@pytest.mark.parametrize(
    ("build", "spec", "what"),
    [
        (build_parser, FormatSpec(name="x", summary="X", parser=lambda o, c: None), "parser gave None, not a Parser"),  # type: ignore[arg-type,return-value]
        (build_source, SourceSpec(name="x", summary="X", build=lambda o, c: []), "build gave a list, not a Source"),  # type: ignore[arg-type,return-value]
        (build_sink, SinkSpec(name="x", summary="X", build=lambda o, c: 1), "build gave an int, not a Sink"),  # type: ignore[arg-type,return-value]
        (
            build_parser,
            FormatSpec(name="x", summary="X", parser="x:y", options=dict),  # type: ignore[arg-type]
            "its options are <class 'dict'>, which is no subclass of PluginOptions",
        ),
    ],
)
def test_a_builder_that_gives_something_else_is_named(build: Any, spec: PluginSpec, what: str) -> None:
    with pytest.raises(PluginError) as refused:
        build(Plugin(spec, "ddpm-x", "1.0"), {}, BuildContext())
    assert refused.value.message == f"{spec.kind} x (ddpm-x 1.0) broke its contract: {what}"
    assert refused.value.distribution == "ddpm-x 1.0"
