"""The processors keep every promise of the contract."""

from __future__ import annotations

from typing import Any, ClassVar

from ddpm_core.testing import ProcessorConformance, Step


class TestMap(ProcessorConformance):
    plugin = "ddpm_transforms.plugin"
    name = "map"
    options: ClassVar[dict[str, Any]] = {"columns": {"locale": "upper(locale)", "half": "100 // amount"}}
    steps = (
        Step(
            rows=[{"locale": "de", "amount": 2}, {"locale": None, "amount": 5}, {"locale": "fr", "amount": None}],
            becomes=[
                {"locale": "DE", "amount": 2, "half": 50},
                {"locale": None, "amount": 5, "half": 20},
                {"locale": "FR", "amount": None, "half": None},
            ],
        ),
        Step(
            rows=[{"locale": "de", "amount": 0}, {"locale": "en", "amount": 1}, {"locale": "", "amount": 0}],
            becomes=[{"locale": "EN", "amount": 1, "half": 100}],
            rejects=[(0, "map_failed"), (2, "map_failed")],
        ),
    )


class TestMapThatKeepsNothingElse(ProcessorConformance):
    plugin = "ddpm_transforms.plugin"
    name = "map"
    options: ClassVar[dict[str, Any]] = {"columns": {"n": "cast(text as integer)", "again": "text", "one": 1}, "only": True}
    steps = (
        Step(
            rows=[{"text": "7"}, {"text": None}], becomes=[{"n": 7, "again": "7", "one": 1}, {"n": None, "again": None, "one": 1}]
        ),
        Step(rows=[{"text": "seven"}, {"text": "8"}], becomes=[{"n": 8, "again": "8", "one": 1}], rejects=[(0, "map_failed")]),
    )
