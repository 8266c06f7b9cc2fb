"""Hostile text for `lines` and bytes for `raw`: there is little that can be wrong with them."""

from __future__ import annotations

from collections.abc import Iterator

from test_data.bad_input.case import Case, Cases

MEGABYTE = 1 << 20


def repeated(before: bytes, piece: bytes, size: int, after: bytes) -> Iterator[bytes]:
    yield before
    for _ in range(size // MEGABYTE):
        yield piece * (MEGABYTE // len(piece))
    yield after


class _Both:
    def __init__(self, *cases: Cases) -> None:
        self.all: list[Case] = [case for some in cases for case in some.all]


def cases() -> _Both:
    """All of them."""
    return _Both(_lines(), _raw())


def _lines() -> Cases:
    c = Cases("lines", "text_cases.py")
    c.add("empty file", b"")
    c.add("only a byte order mark", b"\xef\xbb\xbf")
    c.add("line ends of all kinds", b"one\r\ntwo\nthree\rstill three\n\nlast")
    c.add("NUL in a line", b"first\na\x00b\nlast\n", process=True)
    c.add("not UTF-8", b"first\n\xe9\xff\nlast\n", process=True)
    c.add("not UTF-8, on every line", b"\xff\n" * 500)
    c.add("a character cut off at the end", "first\nł".encode()[:-1])
    c.add("encoded surrogate", b"first\n\xed\xa0\x80\nlast\n")
    c.add("UTF-16", "first\nlast\n".encode("utf-16"))
    c.add("line separators of Unicode", "first\u2028still\x0b\x0c\x85first\nlast\n".encode())
    c.add("a line over max_record_bytes", b"first\n" + b"x" * 200 + b"\nlast\n", max_record_bytes=100)
    c.add("a line of 15 MB, which is allowed", lambda: b"first\n" + b"x" * (15 * MEGABYTE) + b"\nlast\n")
    c.add("a line of 100 MB", lambda: repeated(b"first\n", b"x", 100 * MEGABYTE, b"\nlast\n"), process=True)
    c.add("100 MB without a line end", lambda: repeated(b"", b"x", 100 * MEGABYTE, b""))
    c.add("10 MB of line ends", lambda: repeated(b"first\n", b"\n", 10 * MEGABYTE, b"last\n"))
    c.add("10 MB of line ends, left out", lambda: repeated(b"first\n", b"\n", 10 * MEGABYTE, b"last\n"), process=True, blank="skip")
    c.add("10 MB of NUL", lambda: bytes(10 * MEGABYTE))
    return c


def _raw() -> Cases:
    c = Cases("raw", "text_cases.py")
    c.add("empty file", b"")
    c.add("every byte", bytes(range(256)), process=True)
    c.add("not UTF-8, as bytes", b"\xff\xfe")
    c.add("not UTF-8, as text", b"\xff\xfe", text=True)
    c.add("NUL, as text", b"a\x00b", text=True)
    c.add("a document of 15 MB, which is allowed", lambda: repeated(b"", b"x", 15 * MEGABYTE, b""))
    c.add("a document of 100 MB", lambda: repeated(b"", b"x", 100 * MEGABYTE, b""), process=True)
    return c
