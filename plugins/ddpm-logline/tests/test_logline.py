"""The conformance kit, and what is particular to access logs."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from ddpm_core import BuildContext, Messages, Position
from ddpm_core.testing import FormatCapabilities, FormatConformance, Sample
from ddpm_logline.options import LoglineOptions
from ddpm_logline.parser import build

COMBINED = rb"""127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326 "http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"
2001:db8::1 - - [29/Feb/2024:23:59:59 +0530] "POST /a?b=c&d=%20 HTTP/2.0" 404 - "-" "-"
10.0.0.1 - - [01/Jan/2024:00:00:00 +0000] "\x16\x03\x01\x00\xCA" 400 157 "-" "-"
"""  # fmt: skip


def row(**values: Any) -> dict[str, Any]:
    """A row whose other columns are null."""
    return values


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[misc,arg-type]  # noqa: UP017


ROWS = [
    row(
        remote_host="127.0.0.1", user="frank", time=utc(2000, 10, 10, 20, 55, 36), method="GET", path="/apache_pb.gif",
        protocol="HTTP/1.0", status=200, bytes=2326, referer="http://www.example.com/start.html",
        user_agent="Mozilla/4.08 [en] (Win98; I ;Nav)",
    ),
    row(
        remote_host="2001:db8::1", time=utc(2024, 2, 29, 18, 29, 59), method="POST", path="/a?b=c&d=%20", protocol="HTTP/2.0",
        status=404,
    ),
    row(remote_host="10.0.0.1", time=utc(2024, 1, 1), path=r"\x16\x03\x01\x00\xCA", status=400, bytes=157),
]  # fmt: skip


class TestLogline(FormatConformance):
    plugin = "ddpm_logline.plugin"
    name = "logline"
    capabilities = FormatCapabilities(keeps_neighbours=True, streams=True)
    samples = (
        Sample(COMBINED, ROWS),
        Sample(COMBINED.replace(b"\n", b"\r\n").rstrip(), ROWS),
        Sample(b"\n\n".join([*COMBINED.splitlines()[:1], b"no log line", *COMBINED.splitlines()[1:]]), ROWS, rejects=[(1, "logline_invalid")]),
        Sample(b"h - - [10/Oct/2000:13:55:36 +0000] \"GET / HTTP/1.1\" 200 0\n",
               [row(remote_host="h", time=utc(2000, 10, 10, 13, 55, 36), method="GET", path="/", protocol="HTTP/1.1", status=200, bytes=0)]),
    )  # fmt: skip


def parse(line: bytes, **options: Any) -> tuple[dict[str, Any] | None, list[str]]:
    """The row of one line, and the messages of its rejects."""
    messages = Messages([line], ["p"], [0], {"p": Position(0)}, {"p": Position(1)})
    parsed = build(LoglineOptions(**options), BuildContext()).parse_messages(messages)
    assert parsed.data is not None
    rows = parsed.data.to_pylist()
    return (rows[0] if rows else None), [reject.message for reject in parsed.rejects]


def request(quoted: bytes, **options: Any) -> tuple[Any, Any, Any]:
    """Method, path and protocol of a request line."""
    got, _ = parse(b'h - - [10/Oct/2000:13:55:36 +0000] "' + quoted + b'" 200 1 "-" "-"', **options)
    assert got is not None
    return got["method"], got["path"], got["protocol"]


@pytest.mark.parametrize(
    ("quoted", "wanted"),
    [
        (b"GET / HTTP/1.1", ("GET", "/", "HTTP/1.1")),
        (b"GET /", ("GET", "/", None)),
        (b"OPTIONS * HTTP/1.0", ("OPTIONS", "*", "HTTP/1.0")),
        (b"VERSION-CONTROL /x HTTP/1.1", ("VERSION-CONTROL", "/x", "HTTP/1.1")),
        (rb"GET /\"quoted\" HTTP/1.1", ("GET", '/"quoted"', "HTTP/1.1")),
        (rb"GET /\x22nginx\x22 HTTP/1.1", ("GET", '/"nginx"', "HTTP/1.1")),
        (rb"GET /\xc3\xa4\\x41 HTTP/1.1", ("GET", "/ä\\x41", "HTTP/1.1")),
        (b"GET /\xff HTTP/1.1", ("GET", "/\\xff", "HTTP/1.1")),
        (rb"GET /a\x00b HTTP/1.1", ("GET", "/a\\x00b", "HTTP/1.1")),
        (b"-", (None, None, None)),
        (b"", (None, "", None)),
        (b"GET /a b HTTP/1.1", (None, "GET /a b HTTP/1.1", None)),
        (rb"\x16\x03\x01", (None, r"\x16\x03\x01", None)),
    ],
)
def test_request_lines(quoted: bytes, wanted: tuple[Any, Any, Any]) -> None:
    assert request(quoted) == wanted


def test_the_query_string_can_be_left_out() -> None:
    assert request(b"GET /a?b=c?d HTTP/1.1", query=False) == ("GET", "/a", "HTTP/1.1")


def test_a_user_name_may_have_spaces() -> None:
    got, _ = parse(b'h - Jane Doe [10/Oct/2000:13:55:36 +0000] "-" 408 -')
    assert got is not None
    assert (got["user"], got["bytes"], got["status"]) == ("Jane Doe", None, 408)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"no log line", "the line is neither in combined nor in common log format"),
        (b'h - - [10/Okt/2000:13:55:36 +0000] "-" 200 1', "'Okt' is no month"),
        (b'h - - [31/Feb/2000:13:55:36 +0000] "-" 200 1', "the time is impossible: day is out of range for month"),
        (b'h - - [01/Jan/0001:00:00:00 +1400] "-" 200 1', "the time is impossible: date value out of range"),
        (b'h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 1 "-" "-" 0.004', "the line is neither in combined nor in common log format"),
        (b'h - - [10/Oct/2000:13:55:36 +0000] "unclosed\\" 200 1', "the line is neither in combined nor in common log format"),
    ],
)  # fmt: skip
def test_lines_that_are_no_log_lines_say_why(line: bytes, message: str) -> None:
    got, why = parse(line)
    assert got is None
    assert why == [message]
