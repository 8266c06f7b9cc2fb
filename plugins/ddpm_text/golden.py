"""Golden messages of the formats `lines` and `raw`."""

from __future__ import annotations

from ddpm_core.testing import GoldenMessage, GoldenMessages

_NOT_TEXT = GoldenMessage(b"a\xffb", reason="encoding")
_TOMBSTONE = GoldenMessage(None, reason="no_value")


def golden_messages(name: str) -> GoldenMessages:
    """The golden messages of either. Every value is a row as it is, an empty one too; there is one column, so nothing evolves."""
    texts = ["one", "Ä漢😀", "", ' {"id": 1} ', "two\nlines"]
    if name == "lines":
        return GoldenMessages([GoldenMessage(text.encode(), [{"line": text}]) for text in texts], bad=[_NOT_TEXT, _TOMBSTONE])
    values = [text.encode() for text in texts]
    return GoldenMessages([GoldenMessage(value, [{"value": value}]) for value in [*values, b"\x00\xff"]], bad=[_TOMBSTONE])
