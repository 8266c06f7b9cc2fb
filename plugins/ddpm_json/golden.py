"""Golden messages of the format `json`: what tests of whole pipelines send."""

from __future__ import annotations

from ddpm_core.testing import GoldenMessage, GoldenMessages

GOLDEN = GoldenMessages(
    good=[
        GoldenMessage(b'{"id":1,"name":"Ada","ok":true,"amount":0.5}', [{"id": 1, "name": "Ada", "ok": True, "amount": 0.5}]),
        GoldenMessage(
            ' {"id": 2, "name": "Ä漢😀",\n "ok": false, "amount": -1.25} '.encode(),
            [{"id": 2, "name": "Ä漢😀", "ok": False, "amount": -1.25}],
        ),
        GoldenMessage(b'[{"id":3,"name":"c"},{"id":4,"name":"d"}]', [{"id": 3, "name": "c"}, {"id": 4, "name": "d"}]),
        GoldenMessage(b'{"id":9007199254740993,"name":"2^53 + 1"}', [{"id": 9007199254740993, "name": "2^53 + 1"}]),
        GoldenMessage(b'\xef\xbb\xbf{"id":5,"name":null}', [{"id": 5}]),
    ],
    evolving=[
        GoldenMessage(b'{"id":6,"name":"f","country":"PL"}', [{"id": 6, "name": "f", "country": "PL"}]),
        GoldenMessage(b'{"id":7,"country":"DE","visits":3}', [{"id": 7, "country": "DE", "visits": 3}]),
    ],
    bad=[
        GoldenMessage(b'{"id":8', reason="json_invalid"),
        GoldenMessage(b"", reason="json_invalid"),
        GoldenMessage(b"[1]", reason="not_an_object"),
        GoldenMessage(b'{"id":8}{"id":8}', reason="json_invalid"),
        GoldenMessage(b'{"id":NaN}', reason="json_invalid"),
        GoldenMessage(b'{"amount":1e400}', reason="number_range"),
        GoldenMessage(b'{"id":18446744073709551616}', reason="int_range"),
        GoldenMessage(b'{"name":"\\ud800"}', reason="surrogate"),
        GoldenMessage(b'{"name":"\xff"}', reason="encoding"),
        GoldenMessage(b'{"deep":' + b"[" * 1000 + b"]" * 1000 + b"}", reason="json_depth"),
        GoldenMessage(b'[{"id":8},3]', reason="not_an_object"),
        GoldenMessage(None, reason="no_value"),
    ],
)


def golden_messages(_: str) -> GoldenMessages:
    """The golden messages of the one format of this plugin."""
    return GOLDEN
