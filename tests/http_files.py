"""A web server on 127.0.0.1 whose manners tests choose."""

from __future__ import annotations

import http.server
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Page:
    """What stands under a path.

    Attributes:
        body: Its bytes.
        headers: Sent with it, such as `ETag`.
        ranges: Whether parts of it may be asked for.
        chunked: Sent without its length.
        redirect: Where it is instead.
        fails: The statuses of the next answers, one after the other.
        breaks: So many of the next answers end in the middle.
        authorization: The header without which nobody is let in, or nothing.
    """

    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    chunked: bool = False
    redirect: str = ""
    fails: list[int] = field(default_factory=list)
    breaks: int = 0
    authorization: str = ""


class HttpFiles:
    """The server. `pages` may change at any time.

    Attributes:
        pages: Path and query -> what stands there.
        asked: Path -> how often it was asked for.
        authorizations: What clients sent to be let in, in order.
    """

    def __init__(self, pages: dict[str, Page]) -> None:
        self.pages = pages
        self.asked: Counter[str] = Counter()
        self.authorizations: list[str] = []
        served = self

        class Handler(_Handler):
            files = served

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def __enter__(self) -> HttpFiles:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = False  # Closing it waits for its answers.
    request_queue_size = 64  # Who finds the queue full tries again after a second.


class _Handler(http.server.BaseHTTPRequestHandler):
    files: HttpFiles
    timeout = 60  # Closing the server would wait for ever for a client that says nothing and stays.

    def do_GET(self) -> None:
        page = self.files.pages.get(self.path)
        self.files.asked[self.path] += 1
        self.files.authorizations.append(self.headers.get("Authorization", ""))
        if page is None:
            return self.send_error(404)
        if page.fails:
            return self.send_error(page.fails.pop(0))
        if page.authorization and self.headers.get("Authorization") != page.authorization:
            return self.send_error(401)
        if page.redirect:
            return self._answer(302, b"", {"Location": page.redirect})
        tag = page.headers.get("ETag")
        if self.headers.get("If-Match", tag) != tag:
            return self.send_error(412)
        asked = self.headers.get("Range") if page.ranges else None
        if asked is None:
            return self._answer(200, page.body, page.headers, page)
        first, _, last = asked.removeprefix("bytes=").partition("-")
        part = page.body[int(first) : int(last) + 1]
        if not part:
            return self._answer(416, b"", {**page.headers, "Content-Range": f"bytes */{len(page.body)}"})
        where = f"bytes {first}-{int(first) + len(part) - 1}/{len(page.body)}"
        return self._answer(206, part, {**page.headers, "Content-Range": where}, page)

    def _answer(self, status: int, body: bytes, headers: dict[str, str], page: Page | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if page is None or not page.chunked:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if page is not None and page.breaks:
            page.breaks -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass
