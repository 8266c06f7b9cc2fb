"""The kit's promises of a format, for this one."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from ddpm_avro.container import block_bytes, encode_long, header_bytes
from ddpm_core.testing import FormatCapabilities, FormatConformance, Sample

_SYNC = b"0123456789abcdef"
_SCHEMA = {"type": "record", "name": "r", "fields": [{"name": "n", "type": "int"}, {"name": "s", "type": ["null", "string"]}]}
_HEADER = header_bytes(json.dumps(_SCHEMA).encode(), "null", _SYNC)


def _block(*numbers: int) -> bytes:
    datums = b"".join(encode_long(number) + (b"\x00" if number % 2 else b"\x02\x02x") for number in numbers)
    return block_bytes("null", len(numbers), datums, _SYNC)


def _rows(*numbers: int) -> list[dict[str, Any]]:
    return [{"n": number, "s": None if number % 2 else "x"} for number in numbers]


class TestAvro(FormatConformance):
    plugin = "ddpm_avro.plugin"
    name = "avro"
    samples: ClassVar[list[Sample]] = [
        Sample(_HEADER + _block(1, 2, 3) + _block(4), _rows(1, 2, 3, 4)),
        Sample(_HEADER + _block(1, 2**31, 3), _rows(1, 3), rejects=[(1, "int_range")], payloads=[]),
        Sample(_HEADER + _block(1) + b"\x02", _rows(1), payloads=[], error="avro_truncated"),
    ]
    capabilities = FormatCapabilities(
        keeps_neighbours=True,
        cuts_at_batch_rows=True,
        streams=True,
        round_trip=("bool", "integers", "floats", "decimal", "text", "binary", "date", "time", "timestamp", "timestamp_utc", "list", "struct", "map", "dictionary"),
    )  # fmt: skip

    def large_document(self) -> bytes:
        block = _block(*range(10_000))
        return _HEADER + block * (12_500_000 // len(block) + 1)

    def grown_sample(self) -> Sample:
        return Sample(self.samples[0].document + _block(5), _rows(1, 2, 3, 4, 5))
