"""Hostile JSON. Most cases are a bad line between two good ones, so that a lost neighbour would show."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

from test_data.bad_input.case import Cases

GOOD = b'{"id": 1, "name": "first"}\n'
LAST = b'{"id": 9, "name": "last"}\n'
MEGABYTE = 1 << 20


def between(line: bytes) -> bytes:
    return GOOD + line + b"\n" + LAST


def value(text: bytes) -> bytes:
    """A line whose `id` is this text, between two good ones."""
    return between(b'{"id": ' + text + b', "name": "x"}')


def repeated(before: bytes, piece: bytes, size: int, after: bytes) -> Iterator[bytes]:
    block = piece * (MEGABYTE // len(piece))
    yield before
    for _ in range(size // len(block)):
        yield block
    yield after


def nested(opening: bytes, closing: bytes, depth: int) -> bytes:
    return opening * depth + b"1" + closing * depth


def many_keys(count: int) -> bytes:
    return b"{" + b",".join(b'"k%d":%d' % (n, n) for n in range(count)) + b"}"


def cases() -> Cases:
    """All of them."""
    c = Cases("json", "json_cases.py")
    _shape(c)
    _depth(c)
    _numbers(c)
    _text(c)
    _encodings(c)
    _size(c)
    return c


def _shape(c: Cases) -> None:
    c.add("empty file", b"")
    c.add("blank lines only", b"\n\n  \n\r\n")
    c.add("empty line between records", between(b""))
    c.add("empty array", b"[]")
    c.add("empty object", between(b"{}"))
    c.add("line that is null", between(b"null"))
    c.add("line that is a number", between(b"42"))
    c.add("line that is a string", between(b'"text"'))
    c.add("line that is a list", between(b"[1, 2]"))
    c.add("not JSON at all", between(b"hello"))
    c.add("malformed line", between(b'{"id": 5, "name": '), process=True)
    c.add("single quotes", between(b"{'id': 5}"))
    c.add("trailing comma", between(b'{"id": 5,}'))
    c.add("comment", between(b'{"id": 5} // five'))
    c.add("trailing bytes after the object", between(b'{"id": 5, "name": "x"} x'))
    c.add("two objects on a line", between(b'{"id": 5, "name": "x"} {"id": 6, "name": "y"}'))
    c.add("one closing bracket too many", between(b'{"id": 5, "name": "x"}}'))
    c.add("duplicate keys: the last wins", between(b'{"id": 4, "id": 5, "name": "x"}'))
    c.add("empty key", between(b'{"": 5}'))
    c.add("columns that differ in case", between(b'{"ID": 5, "name": "x"}'))
    c.add("type that changes", between(b'{"id": "five", "name": "x"}'))
    c.add("last line cut off", GOOD + LAST + b'{"id": 5, "na')
    c.add("last line cut off within a character", GOOD + LAST + '{"id": 5, "name": "ł'.encode()[:-1])
    c.add("array cut off", b'[{"id": 1, "name": "a"}, {"id": 2, "na', process=True)
    c.add("array without its end", b'[{"id": 1}, {"id": 2}')
    c.add("array with more behind it", b'[{"id": 1}, {"id": 2}] {"id": 3}')
    c.add("array with a missing comma", b'[{"id": 1} {"id": 2}]')
    c.add("object over many lines, cut off", b'{\n  "id": 1,\n  "name": "a"\n')
    c.add("carriage returns instead of line feeds", b'{"id": 1}\r{"id": 2}\r')


def _depth(c: Cases) -> None:
    for depth in (1_000, 1_024, 100_000):
        c.add(f"lists nested {depth:,} deep", value(nested(b"[", b"]", depth)), process=depth == 100_000)
        c.add(f"objects nested {depth:,} deep", value(nested(b'{"a":', b"}", depth)), process=depth == 100_000)
    c.add("lists nested 127 deep in a record: the deepest allowed", value(nested(b"[", b"]", 127)))
    c.add("lists nested 128 deep in a record", value(nested(b"[", b"]", 128)))
    c.add("document of 100,000 opening brackets", b"[" * 100_000)
    c.add("document of 1,000,000 opening brackets", b"[" * 1_000_000, process=True)
    c.add("document of 50,000 open objects", b'{"a":' * 50_000)
    c.add("document of 16 MB of opening brackets", lambda: repeated(b"", b"[", 16 * MEGABYTE, b""), process=True)
    c.add("document of 16 MB of open objects", lambda: repeated(b"", b'{"a":', 16 * MEGABYTE, b""))
    c.add("array of 64 MB of open objects", lambda: repeated(b'[{"id": 1}, ', b'{"a":', 64 * MEGABYTE, b""))
    c.add("element of 64 MB of `[],` in an array", lambda: repeated(b'[{"id": 1}, [', b"[],", 64 * MEGABYTE, b'[]], {"id": 2}]'))
    c.add(
        "element of 64 MB of strings with escaped brackets in an array",
        lambda: repeated(b'[{"id": 1}, [', b'["\\["],', 64 * MEGABYTE, b"[]]]"),
    )
    c.add("document nested 1,000,000 deep", nested(b"[", b"]", 1_000_000))
    c.add("record nested 1,000,000 deep", value(nested(b'{"a":', b"}", 1_000_000)))
    c.add("element nested 1,000,000 deep", b'[{"id": 1}, ' + nested(b"[", b"]", 1_000_000) + b', {"id": 2}]')
    c.add("100,000 brackets within a string", value(b'"' + b"[" * 100_000 + b'"'))


def _numbers(c: Cases) -> None:
    for text in (
        b"9223372036854775807", b"9223372036854775808", b"18446744073709551615", b"18446744073709551616", b"-9223372036854775809",
        b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"1e-400", b"1e-999999999", b"01", b"+1", b".5", b"1.", b"0x10", b"1_000", b"-",
    ):  # fmt: skip
        c.add(f"the number {text.decode()}", value(text))
    c.add("an integer of 5,000 digits", value(b"9" * 5_000))
    c.add("an integer of 5,000,000 digits", value(b"9" * 5_000_000), process=True)
    c.add("a fraction of 5,000,000 digits", value(b"0." + b"9" * 5_000_000))
    c.add("an exponent of 100,000 digits", value(b"1e" + b"9" * 100_000))


def _text(c: Cases) -> None:
    c.add("lone high surrogate", between(b'{"id": 5, "name": "\\ud800"}'))
    c.add("lone low surrogate", between(b'{"id": 5, "name": "\\udc00"}'))
    c.add("surrogates the wrong way round", between(b'{"id": 5, "name": "\\udc00\\ud800"}'))
    c.add("lone surrogate in a key", between(b'{"id": 5, "\\ud800": 1}'))
    c.add("surrogate pair", between(b'{"id": 5, "name": "\\ud83d\\ude00"}'))
    c.add("NUL escape", between(b'{"id": 5, "name": "a\\u0000b"}'))
    c.add("NUL escape in a key", between(b'{"id": 5, "a\\u0000b": 1}'))
    c.add("raw NUL in a string", between(b'{"id": 5, "name": "a\x00b"}'))
    c.add("raw tab in a string", between(b'{"id": 5, "name": "a\tb"}'))
    c.add("unknown escape", between(b'{"id": 5, "name": "\\x41"}'))
    c.add("escape cut off", between(b'{"id": 5, "name": "\\u00"}'))
    c.add("line separator in a string", between('{"id": 5, "name": "a\u2028b"}'.encode()))


def _encodings(c: Cases) -> None:
    c.add("UTF-8 byte order mark", b"\xef\xbb\xbf" + GOOD + LAST)
    c.add("byte order mark in the middle", GOOD + b"\xef\xbb\xbf" + LAST)
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        c.add(f"encoded as {encoding}", json.dumps({"id": 1}).encode(encoding))
    for name, text in {
        "bytes that are never UTF-8": b"\xff\xfe",
        "overlong encoding of /": b"\xc0\xaf",
        "encoded surrogate": b"\xed\xa0\x80",
        "beyond U+10FFFF": b"\xf4\x90\x80\x80",
        "character cut off": b"\xe2\x82",
        "Latin-1": "é".encode("latin-1"),
    }.items():
        c.add(f"not UTF-8: {name}", between(b'{"id": 5, "name": "' + text + b'"}'))
    c.add("not UTF-8, in a key", between(b'{"id": 5, "\xff": 1}'))
    c.add("random bytes", between(bytes(range(256)).replace(b"\n", b"")))


def _size(c: Cases) -> None:
    hundred = 100 * MEGABYTE
    c.add("100 MB of `[],` in one value", lambda: repeated(GOOD + b'{"id": [', b"[],", hundred, b"[]]}\n" + LAST), process=True)
    c.add("100 MB of `[],` as the document", lambda: repeated(b"[", b"[],", hundred, b"[]]"), parser=False)
    c.add("100 MB of one string", lambda: repeated(GOOD + b'{"name": "', b"x", hundred, b'"}\n' + LAST), process=True)
    c.add("100 MB without a line end", lambda: repeated(b"", b"x", hundred, b""))
    c.add("100 MB of white space", lambda: repeated(GOOD, b" ", hundred, b"\n" + LAST))
    c.add("100 MB of line ends", lambda: repeated(GOOD, b"\n", hundred, LAST))
    c.add(
        "15 MB of `[],` in one value",
        lambda: repeated(GOOD + b'{"id": [', b"[],", 15 * MEGABYTE, b"[]]}\n" + LAST),
        process=True,
    )
    c.add(
        "15 MB of `{},` in one value",
        lambda: repeated(GOOD + b'{"id": [', b"{},", 15 * MEGABYTE, b"{}]}\n" + LAST),
        process=True,
    )
    c.add(
        "12 MB of 1-digit numbers in one value, which is allowed",
        lambda: repeated(b'{"numbers": [', b"1,", 12 * MEGABYTE, b"1]}\n" + LAST),
        process=True,
    )
    c.add("1 MB of `{},` as an array", lambda: repeated(b"[", b"{},", MEGABYTE, b"{}]"))
    c.add("a record of 10,000 keys", lambda: between(many_keys(10_000)))
    c.add("1,000 records of a new key each", lambda: b"\n".join(b'{"k%d":1}' % n for n in range(1_000)) + b"\n", process=True)
    c.add("3,000 records of a new key each", lambda: b"\n".join(b'{"k%d":1}' % n for n in range(3_000)) + b"\n")
    c.add("a record of 1,000,000 keys", lambda: between(many_keys(1_000_000)))
    c.add("a key of 1 MB", lambda: between(b'{"' + b"k" * MEGABYTE + b'": 5}'))
    c.add("a record over max_record_bytes", between(b'{"id": 5, "name": "' + b"x" * 200 + b'"}'), max_record_bytes=100)
    c.add("a record over max_depth", between(b'{"id": [[1]], "name": "x"}'), max_depth=2)
    c.add("many broken lines", lambda: b"".join(itertools.repeat(b'{"id": \n', 20_000)))
