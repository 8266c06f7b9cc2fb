"""Lines of an access log to rows.

The format is that of Apache's `LogFormat`s named "combined" and "common", which nginx writes too:

    host ident user [day/month/year:hour:minute:second zone] "request" status bytes "referer" "user agent"
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa

from ddpm_core import BuildContext, Messages, Parsed, Parser, Reject
from ddpm_logline.options import LoglineOptions

SCHEMA = pa.schema(
    {
        "remote_host": pa.string(),
        "ident": pa.string(),
        "user": pa.string(),
        "time": pa.timestamp("us", "UTC"),
        "method": pa.string(),
        "path": pa.string(),
        "protocol": pa.string(),
        "status": pa.int32(),
        "bytes": pa.int64(),
        "referer": pa.string(),
        "user_agent": pa.string(),
    }
)

_QUOTED = rb'"([^"\\]*(?:\\.[^"\\]*)*)"'
# A user name may hold spaces: it ends where the time begins.
_LINE = re.compile(
    rb"(\S+) (\S+) (.+?) \[(\d\d)/(\w{3})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\] "
    + _QUOTED
    + rb" (\d{3}) (\d{1,18}|-)(?: "
    + _QUOTED
    + b" "
    + _QUOTED
    + rb")?"
)
_REQUEST = re.compile(r"([A-Z][A-Z_-]*) (\S+)(?: (HTTP/\d(?:\.\d)?))?")
# `\x00` stays as it is: databases refuse a NUL in text.
_ESCAPE = re.compile(rb'\\(x(?!00)[0-9a-fA-F]{2}|["\\bnrtv])')
_CONTROL = {b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_MONTHS = {month: number for number, month in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}


def build(options: LoglineOptions, context: BuildContext) -> LoglineParser:
    """The parser that these options describe."""
    return LoglineParser(options)


class LoglineParser(Parser):
    """Reads one line as one row. A line that is no log line is set aside with reason `logline_invalid`.

    A request that is no HTTP request (`-`, or the bytes of a TLS handshake on a plain port) was logged all the same, so it is a
    row: `path` is what was logged, escapes and all, `method` and `protocol` are null.
    """

    def __init__(self, options: LoglineOptions) -> None:
        self.options = options

    def parse_messages(self, messages: Messages) -> Parsed:
        rows: list[tuple[Any, ...]] = []
        origin: list[int] = []
        rejects: list[Reject] = []
        for number, line in enumerate(messages.values):
            try:
                rows.append(self._row(line))
                origin.append(number)
            except ValueError as error:
                rejects.append(Reject(number, "logline_invalid", str(error), raw=line))
        columns = zip(*rows, strict=True) if rows else ([] for _ in SCHEMA)
        arrays = [pa.array(list(values), field.type) for values, field in zip(columns, SCHEMA, strict=True)]
        return Parsed(
            data=pa.RecordBatch.from_arrays(arrays, schema=SCHEMA),
            records=len(messages),
            rejects=rejects,
            origin=pa.array(origin, pa.int32()),
            raw=messages.values.__getitem__,
            nbytes=messages.nbytes,
        )

    def _row(self, line: bytes | None) -> tuple[Any, ...]:
        if line is None:
            raise ValueError("the message has no value")
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError("the line is neither in combined nor in common log format")
        host, ident, user, *when, request, status, size, referer, agent = match.groups()
        method, path, protocol = self._request(request)
        return (
            _text(host), _text(ident), _text(user), _utc(*when), method, path, protocol,
            int(status), None if size == b"-" else int(size), _text(referer), _text(agent),
        )  # fmt: skip

    def _request(self, quoted: bytes) -> tuple[str | None, str | None, str | None]:
        match = _REQUEST.fullmatch(_text(quoted) or "")
        if match is None:
            return None, None if quoted == b"-" else quoted.decode("utf-8", "backslashreplace"), None
        method, path, protocol = match.groups()
        return method, path if self.options.query else path.partition("?")[0], protocol


def _text(logged: bytes | None) -> str | None:
    """A field as text: `-` means none, escapes are undone, and a byte that is no UTF-8 stays visible as `\\xhh`."""
    if logged is None or logged == b"-":
        return None
    return _ESCAPE.sub(_unescaped, logged).decode("utf-8", "backslashreplace")


def _unescaped(match: re.Match[bytes]) -> bytes:
    code = match[1]
    return bytes.fromhex(code[1:].decode()) if code[:1] == b"x" else _CONTROL.get(code, code)


def _utc(day: bytes, month: bytes, year: bytes, hour: bytes, minute: bytes, second: bytes, *zone: bytes) -> datetime:
    sign, hours, minutes = zone
    if month not in _MONTHS:
        raise ValueError(f"{month.decode('utf-8', 'backslashreplace')!r} is no month")
    ahead = timedelta(hours=int(hours), minutes=int(minutes))
    try:
        local = datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=timezone.utc)  # noqa: UP017
        return local + ahead if sign == b"-" else local - ahead
    except (ValueError, OverflowError) as error:
        raise ValueError(f"the time is impossible: {error}") from error
