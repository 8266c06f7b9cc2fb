"""Both formats keep every promise of the contract."""

from __future__ import annotations

from typing import Any, ClassVar

from ddpm_core.testing import FormatCapabilities, FormatConformance, Sample

TWO = "erste Zeile ä漢\nsecond\n".encode()
TWO_ROWS = [{"line": "erste Zeile ä漢"}, {"line": "second"}]


class TestLines(FormatConformance):
    plugin = "ddpm_text.plugin"
    name = "lines"
    samples = (
        Sample(TWO, TWO_ROWS, payloads=TWO.splitlines()),
        Sample(b"a\n\n b\r\nlast", [{"line": "a"}, {"line": ""}, {"line": " b"}, {"line": "last"}], payloads=[]),
        Sample(b"a\n\xff\xfe\nc\n", [{"line": "a"}, {"line": "c"}], [(1, "encoding")], payloads=[b"a", b"\xff\xfe", b"c"]),
        Sample(b"\xef\xbb\xbfa\n", [{"line": "a"}], payloads=[]),
    )
    capabilities = FormatCapabilities(keeps_neighbours=True, cuts_at_batch_rows=True, streams=True)


class TestLinesInAnotherEncoding(FormatConformance):
    plugin = "ddpm_text.plugin"
    name = "lines"
    options: ClassVar[dict[str, Any]] = {"encoding": "cp1252", "blank": "skip", "column": "text"}
    samples = (
        Sample(b"caf\xe9\nb\n", [{"text": "café"}, {"text": "b"}], payloads=[b"caf\xe9", b"b"]),
        Sample(b"a\n\n\x81\n\nc", [{"text": "a"}, {"text": "c"}], [(2, "encoding")], payloads=[]),
    )
    capabilities = FormatCapabilities(streams=True, filters=True)


class TestRaw(FormatConformance):
    plugin = "ddpm_text.plugin"
    name = "raw"
    samples = (Sample(b"\x00any\nbytes\xff", [{"value": b"\x00any\nbytes\xff"}]),)


class TestRawText(FormatConformance):
    plugin = "ddpm_text.plugin"
    name = "raw"
    options: ClassVar[dict[str, Any]] = {"text": True, "column": "page"}
    samples = (
        Sample("ä\nb".encode(), [{"page": "ä\nb"}]),
        Sample(b"\xff", [], [(0, "encoding")]),
    )
