"""docs/plugins.md says what the kit asserts, in the words of its tests."""

from __future__ import annotations

from pathlib import Path

from ddpm_core.testing import FormatConformance, ProcessorConformance, SinkConformance, SourceConformance

PAGE = (Path(__file__).parents[3] / "docs" / "plugins.md").read_text()
GROUPS = {
    "PluginConformance": "every plugin",
    "FormatReading": "a format, reading",
    "FormatResuming": "a format, its steps",
    "FormatWriting": "a format, writing",
    "FormatGolden": "a format, its golden messages",
    "SourceReading": "a source, reading",
    "SourceResuming": "a source, going on",
    "ProcessorConformance": "a processor",
    "SinkRows": "a sink, its rows",
    "SinkRounds": "a sink, its rounds",
    "SinkPositions": "a sink, what it keeps",
    "SinkModes": "a sink, its modes",
}


def promises() -> dict[str, list[str]]:
    """Class of the kit -> its promises, in its order."""
    found: dict[str, list[str]] = {}
    for kit in (FormatConformance, SourceConformance, ProcessorConformance, SinkConformance):
        for part in kit.__mro__:
            names = [name for name in vars(part) if name.startswith("test_")]
            if names:
                found[part.__name__] = [name.removeprefix("test_").replace("_", " ") for name in names]
    return found


def test_every_promise_of_the_kit_is_on_the_page() -> None:
    asserted = promises()
    assert set(asserted) == set(GROUPS)
    table = "".join(f"| {GROUPS[name]} | {'; '.join(asserted[name])} |\n" for name in GROUPS)
    assert f"| of | it asserts that |\n| --- | --- |\n{table}\n" in PAGE, f"docs/plugins.md should have these rows:\n{table}"
