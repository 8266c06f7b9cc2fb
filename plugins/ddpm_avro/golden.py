"""Golden messages of the format `avro`: single objects of two schemas, which need no registry."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro

from ddpm_avro.framing import SINGLE_OBJECT, fingerprint
from ddpm_core.testing import GoldenMessage, GoldenMessages

_FIELDS = [
    {"name": "id", "type": "long"},
    {"name": "name", "type": ["null", "string"]},
    {"name": "kind", "type": {"type": "enum", "name": "kind", "symbols": ["NEW", "OLD"]}},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
]
FIRST: dict[str, Any] = {"type": "record", "name": "shop.order", "fields": _FIELDS}
SECOND: dict[str, Any] = {
    "type": "record",
    "name": "shop.order",
    "fields": [*_FIELDS, {"name": "country", "type": ["null", "string"], "default": None}, {"name": "visits", "type": "int"}],
}
_STRANGE = {"type": "record", "name": "shop.refund", "fields": _FIELDS}
_AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def golden_messages(_: str) -> GoldenMessages:
    """The golden messages of the one format of this plugin."""
    good = [
        _message(FIRST, id=n, name=name, kind=kind) for n, name, kind in ((1, "Ada", "NEW"), (2, "Ä漢😀", "OLD"), (3, None, "NEW"))
    ]
    whole = good[0].payload or b""
    head = whole[:10]
    return GoldenMessages(
        good=good,
        evolving=[
            _message(SECOND, id=4, name="d", kind="NEW", country="PL", visits=3),
            _message(SECOND, id=5, name="e", kind="OLD", country=None, visits=-1),
            _message(FIRST, id=6, name="f", kind="OLD"),
        ],
        bad=[
            GoldenMessage(b"", reason="wire_format"),
            GoldenMessage(b"\xc3\x01abc", reason="wire_format"),
            GoldenMessage(b'{"id":1,"name":"Ada"}', reason="wire_format"),
            GoldenMessage(_encoded(_STRANGE, id=7, name="x", kind="NEW"), reason="schema_unknown"),
            GoldenMessage(whole + b"\x00", reason="trailing_bytes"),
            GoldenMessage(whole[:-3], reason="avro_invalid"),
            GoldenMessage(head + b"\x0e\x05", reason="avro_invalid"),  # A union has no branch -3.
            GoldenMessage(whole.replace(b"\x06Ada", b"\x06A\xffa"), reason="encoding"),
            GoldenMessage(head + b"\x0e\x00\x04", reason="avro_invalid"),  # Nor an enum of two a third symbol: and it ends there.
            GoldenMessage(None, reason="no_value"),
        ],
        options={"framing": "single_object", "schemas": [FIRST, SECOND]},
    )


def _row(values: dict[str, Any]) -> dict[str, Any]:
    return {"price": Decimal("-1234567.89"), "at": _AT} | values


def _encoded(schema: dict[str, Any], **values: Any) -> bytes:
    stream = BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), _row(values))
    return SINGLE_OBJECT + fingerprint(schema) + stream.getvalue()


def _message(schema: dict[str, Any], **values: Any) -> GoldenMessage:
    return GoldenMessage(_encoded(schema, **values), [_row(values)])
