"""Files of web servers: `http://` and `https://`. Imported when the first one is asked for: what speaks HTTP takes 25 ms or more to import."""

from __future__ import annotations

import http.client
import re
import ssl
import tempfile
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from typing import BinaryIO, TypeVar
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from ddpm_core import ConfigError, DdpmError, FatalError, Problem, RetryableError
from ddpm_files.content import Content
from ddpm_files.remote_file import RemoteFile
from ddpm_files.remote_object import while_reading
from ddpm_files.repeated import repeated
from ddpm_files.streams import changed
from ddpm_files.web_address import clean

_T = TypeVar("_T")

_SILENCE = 30.0
_COPIED = 1 << 20
_TOTAL = re.compile(r"bytes (?:\d+-\d+|\*)/(\d+)")
_URL_CHARACTERS = "!#$%&'()*+,/:;=?@[]~"
_FAILS_FOR_NOW = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class WebFile:
    """A file of a web server as it was when it was looked at.

    Attributes:
        name: Its URL, `clean`.
        content: Its identity by what the server says of it, or None: the server does not say, or gives no parts of it.
        file: Its bytes, by ranges; None where `content` is: see `copy`.
    """

    name: str
    content: Content | None
    file: RemoteFile | None


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    tag: str
    modified: str
    total: int | None
    data: bytes

    @property
    def validator(self) -> str:
        return f"etag {self.tag}" if self.tag else f"modified {self.modified}" if self.modified else ""


def look_at(url: str, *, retry_for: float | None) -> WebFile:
    """The file at this URL. One byte of it is asked for, since not every server answers to HEAD.

    Raises:
        ConfigError: There is none, it may not be read, or the URL or the server's certificate is wrong.
        RetryableError: The server fails or cannot be reached.
        FatalError: The server answers otherwise.
    """
    name = clean(url)
    first = repeated(lambda: _ask(url, name, (0, 1)), retry_for)
    if first.status != 206 or first.total is None or not first.validator:
        return WebFile(name, None, None)

    def fetch(start: int, end: int) -> bytes:
        try:
            answer = repeated(lambda: _ask(url, name, (start, end), tag=first.tag), retry_for)
        except DdpmError as error:
            raise while_reading(error, name) from error
        if answer.status in (412, 416) or answer.validator != first.validator or answer.total != first.total:
            raise changed(name)
        return answer.data

    return WebFile(name, Content(first.total, first.validator, ""), RemoteFile(fetch, first.total))


def copy(url: str, *, retry_for: float | None) -> BinaryIO:
    """All of the file, in a temporary file that its reader closes, standing at its beginning. For servers that give no parts, or
    do not say which content it is: a connection that breaks would cost all, and nothing would tell whether it has landed.

    Raises:
        As `look_at`.
    """
    name = clean(url)

    def whole() -> BinaryIO:
        spool = tempfile.TemporaryFile(prefix="ddpm-")  # noqa: SIM115 - the caller closes it
        try:
            _download(url, spool)
        except BaseException:
            spool.close()
            raise
        return spool

    return repeated(lambda: _translated(whole, name), retry_for)


def _download(url: str, spool: BinaryIO) -> None:
    with _send(url, {}) as response:
        expected = response.headers.get("Content-Length", "")
        while block := response.read(_COPIED):
            spool.write(block)
    if expected.isdecimal() and spool.tell() != int(expected):
        raise http.client.IncompleteRead(b"")
    spool.seek(0)


def _ask(url: str, name: str, part: tuple[int, int], *, tag: str = "") -> _Answer:
    headers = {"Range": f"bytes={part[0]}-{part[1] - 1}"}
    if tag and not tag.startswith("W/"):
        headers["If-Match"] = tag

    def call() -> _Answer:
        try:
            with _send(url, headers) as response:
                data = response.read(part[1] - part[0]) if response.status == 206 else b""
                if response.status == 206 and len(data) < min(part[1], _total(response.headers) or part[1]) - part[0]:
                    raise http.client.IncompleteRead(data)
                return _answer(response.status, response.headers, data)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 416 and _total(error.headers) == 0:
                    return _answer(206, error.headers, b"")  # Of an empty file there is no first byte.
                if error.code in (412, 416):
                    return _answer(error.code, error.headers, b"")
                raise _refused(name, error.code) from error

    return _translated(call, name)


def _answer(status: int, headers: Message, data: bytes) -> _Answer:
    return _Answer(status, headers.get("ETag", ""), headers.get("Last-Modified", ""), _total(headers), data)


def _total(headers: Message) -> int | None:
    found = _TOTAL.fullmatch(headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _send(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    bare = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    request = urllib.request.Request(quote(bare, safe=_URL_CHARACTERS), headers={"User-Agent": "ddpm", **headers})  # noqa: S310
    if at:
        # Not sent on to where the server redirects.
        request.add_unredirected_header("Authorization", f"Basic {b64encode(unquote(user).encode()).decode()}")
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    response = opener.open(request, timeout=_SILENCE)
    assert isinstance(response, http.client.HTTPResponse)  # noqa: S101 - there are no handlers for anything else
    return response


def _translated(call: Callable[[], _T], name: str) -> _T:
    try:
        return call()
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(name, error.code) from error
    except urllib.error.URLError as error:
        reason = error.reason
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise ConfigError(Problem(name, f"the server's certificate is not trusted: {reason.verify_message}")) from error
        raise RetryableError(f"{name} cannot be reached: {_plain(reason)}") from error
    except (http.client.InvalidURL, ValueError) as error:
        raise ConfigError(Problem(name, "is not a URL that can be asked for")) from error
    except http.client.IncompleteRead as error:
        raise RetryableError(f"{name} cannot be reached: the connection broke") from error
    except (OSError, http.client.HTTPException) as error:
        raise RetryableError(f"{name} cannot be reached: {_plain(error)}") from error


def _refused(name: str, status: int) -> DdpmError:
    if status in (404, 410):
        return ConfigError(Problem(name, f"there is no such file on the server (status {status})"))
    if status in (401, 403):
        return ConfigError(
            Problem(name, f"access is denied (status {status})", "write https://user:password@host/... if it asks for one")
        )
    if status in _FAILS_FOR_NOW:
        return RetryableError(f"{name}: the server fails with status {status}")
    return FatalError(f"{name}: the server answered with status {status}")


def _plain(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return "it does not answer"
    if isinstance(reason, OSError):
        return (reason.strerror or str(reason)).lower()
    return str(reason).lower()
