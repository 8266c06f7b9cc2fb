"""A TCP proxy between a client and Postgres or MariaDB that fails on purpose, at a chosen moment.

The wire is read, so clients connect with `sslmode=disable`.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Literal

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
"""The simple query `COMMIT` as libpq sends it. It waits for each reply, so this message always arrives alone."""

MYSQL_COMMIT = b"\x07\x00\x00\x00\x03COMMIT"
"""The same as MariaDB's clients send it."""

Fault = Literal["commit_reply_lost", "commit_lost"]
Pump = Callable[[socket.socket, socket.socket, threading.Event], None]


class Proxy:
    """Listens on 127.0.0.1 and passes everything on, until a fault is set.

    Use as a context manager. Attributes can be set at any time and hold for bytes that come later:

    Attributes:
        port: Where it listens.
        fault: `commit_reply_lost`: the next COMMIT reaches the server, and its reply cuts the connection instead of arriving.
            `commit_lost`: the next COMMIT cuts the connection before the server sees it. Each happens once.
        skip_commits: How many COMMITs pass before the fault.
        skip_bytes: How many bytes of clients, of all that it has seen, have to come by before a COMMIT counts for the fault.
        cut_after: Cut every connection when the client has sent so many bytes more; None means never. Happens once.
        refuse: Close new connections at once.
        delay: Seconds to hold back each piece from the client.
        commits: How many COMMITs have come by.
        sent: Bytes that clients have sent.
        happened: Set when a fault or cut has happened.
    """

    def __init__(self, host: str, port: int, *, commit: bytes = COMMIT) -> None:
        self._upstream = (host, port)
        self._commit = commit
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.fault: Fault | None = None
        self.skip_commits = 0
        self.skip_bytes = 0
        self.cut_after: int | None = None
        self.refuse = False
        self.delay = 0.0
        self.commits = 0
        self.sent = 0
        self.happened = threading.Event()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="proxy")]

    def __enter__(self) -> Proxy:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        # A connection to itself wakes the thread that waits in accept.
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 10).close()
        self.cut()
        for thread in self._threads:
            thread.join(30)
        self._listener.close()

    def cut(self) -> None:
        """Cut every connection that is open now, both ways and without a word."""
        with self._lock:
            for end in self._open:
                _shut(end)

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._stopping.is_set() or self.refuse:
                client.close()
                if self._stopping.is_set():
                    return
                continue
            try:
                server = socket.create_connection(self._upstream, 5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                if self._stopping.is_set():  # What was open has been cut already.
                    client.close()
                    server.close()
                    return
                self._open += [client, server]
                self._threads.append(threading.Thread(target=self._pass_on, args=(client, server), name="proxy"))
                self._threads[-1].start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        """Both ways until one of them ends. Closed only when nobody reads from them any more: the next connection gets their numbers."""
        lost = threading.Event()
        replies = threading.Thread(target=self._run, args=(self._replies, server, client, lost), name="proxy")
        replies.start()
        self._run(self._requests, client, server, lost)
        replies.join()
        client.close()
        server.close()

    def _run(self, pump: Pump, source: socket.socket, target: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            pump(source, target, lost)
        _shut(source)
        _shut(target)

    def _requests(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        while data := client.recv(1 << 16):
            if self.delay:
                self._stopping.wait(self.delay)
            self.sent += len(data)
            if data == self._commit:
                self.commits += 1
                if self.sent >= self.skip_bytes:
                    self.skip_commits -= 1
                    if self.skip_commits < 0 and self.fault == "commit_lost":
                        self._did()
                        return
                    if self.skip_commits < 0 and self.fault == "commit_reply_lost":
                        lost.set()
            if self.cut_after is not None:
                self.cut_after -= len(data)
                if self.cut_after <= 0:
                    server.sendall(data[: len(data) + self.cut_after])
                    self._did()
                    return
            server.sendall(data)

    def _replies(self, server: socket.socket, client: socket.socket, lost: threading.Event) -> None:
        while data := server.recv(1 << 16):
            if lost.is_set():
                self._did()
                return
            client.sendall(data)

    def _did(self) -> None:
        self.fault, self.cut_after = None, None
        self.happened.set()


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
