"""Golden messages: what tests of whole pipelines send through this format. Only they import this module."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from ddpm_core.testing import GoldenMessage, GoldenMessages

_UTC = timezone.utc  # noqa: UP017
_TIME = datetime(2000, 10, 10, 20, 55, 36, tzinfo=_UTC)
_AGENT = "Mozilla/4.08 [en] (Win98; I ;Nav)"


def golden_messages(_: str) -> GoldenMessages:
    """Lines in both formats, and lines that are none. The columns are always the same, so nothing evolves."""
    return GoldenMessages(
        good=[
            _line(
                b'127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326 "http://x/y" "'
                + _AGENT.encode()
                + b'"',
                user="frank",
                path="/a.gif",
                protocol="HTTP/1.0",
                bytes=2326,
                referer="http://x/y",
                user_agent=_AGENT,
            ),
            _line(b'127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /b HTTP/1.1" 200 -', path="/b", protocol="HTTP/1.1"),
        ],
        bad=[
            GoldenMessage(b"no log line", reason="logline_invalid"),
            GoldenMessage(b"", reason="logline_invalid"),
            GoldenMessage(b'h - - [31/Feb/2000:13:55:36 +0000] "-" 200 1', reason="logline_invalid"),
            GoldenMessage(None, reason="logline_invalid"),
        ],
    )


def _line(line: bytes, **values: Any) -> GoldenMessage:
    return GoldenMessage(line, [{"remote_host": "127.0.0.1", "time": _TIME, "method": "GET", "status": 200} | values])
