"""The format keeps every promise of the contract."""

from __future__ import annotations

from ddpm_core.testing import FormatCapabilities, FormatConformance, Sample

GOOD = {"id": 1, "name": "Ä漢😀", "ok": True, "part": 0.5}
NEXT = {"id": 2, "name": "b", "ok": False, "part": -0.5}
LINES = '{"id":1,"name":"Ä漢😀","ok":true,"part":0.5}\n{"id":2,"name":"b","ok":false,"part":-0.5}\n'.encode()
FIRST, SECOND = LINES.splitlines()


class TestNdjson(FormatConformance):
    plugin = "ddpm_json.plugin"
    name = "json"
    samples = (
        Sample(LINES, [GOOD, NEXT], payloads=[FIRST, SECOND]),
        Sample(LINES[:-1], [GOOD, NEXT], payloads=[FIRST, SECOND]),
        Sample(FIRST + b"\n[1]\n" + SECOND, [GOOD, NEXT], [(1, "not_an_object")], payloads=[FIRST, b"[1]", SECOND]),
        Sample(FIRST + b"\nnope\n\n" + SECOND, [GOOD, NEXT], [(1, "json_invalid")], payloads=[FIRST, b"nope", SECOND]),
        Sample(FIRST + SECOND + b"\n" + FIRST + b"\n", [GOOD, NEXT, GOOD], payloads=[]),
        Sample(FIRST + b"\n" + SECOND[:-4], [GOOD], [(1, "json_truncated")], payloads=[]),
    )
    capabilities = FormatCapabilities(
        keeps_neighbours=True, streams=True, round_trip=("bool", "integers", "text"), serializes_messages=True
    )


class TestArray(FormatConformance):
    plugin = "ddpm_json.plugin"
    name = "json"
    samples = (
        Sample(b"[\n" + FIRST + b" ,\n" + SECOND + b"\n]\n", [GOOD, NEXT]),
        Sample(b"[" + FIRST + b",3," + SECOND + b"]", [GOOD, NEXT], [(1, "not_an_object")], payloads=[]),
        Sample(b"[" + FIRST + b"," + SECOND, [GOOD], error="json_truncated", payloads=[]),
        Sample(b"[" + FIRST + b"] x", [GOOD], error="json_invalid", payloads=[]),
        Sample(b"[]", []),
    )
    capabilities = FormatCapabilities(keeps_neighbours=True, cuts_at_batch_rows=True, streams=True, filters=True)

    def large_document(self) -> bytes:
        return b"[" + b",".join([FIRST] * 300_000) + b"]"


class TestObjectsInARow(FormatConformance):
    plugin = "ddpm_json.plugin"
    name = "json"
    samples = (
        Sample(b"{\n" + FIRST[1:] + SECOND + b"\n\n" + FIRST, [GOOD, NEXT, GOOD], payloads=[]),
        Sample(b"{\n" + FIRST[1:] + b" x " + SECOND, [GOOD, NEXT], [(1, "json_invalid")], payloads=[]),
        Sample(b"{\n" + FIRST[1:] + b"\n" + SECOND[:-4], [GOOD], error="json_truncated", payloads=[]),
    )
    capabilities = FormatCapabilities(keeps_neighbours=True, cuts_at_batch_rows=True, streams=True)

    def large_document(self) -> bytes:
        return b"{\n" + FIRST[1:] + FIRST * 300_000
