"""How a document holds its records, told by how it begins."""

from __future__ import annotations

import orjson

from ddpm_core import DataError
from ddpm_json.decode import WHITESPACE
from ddpm_json.scanner import OBJECT, Layout, left_open

BOM = b"\xef\xbb\xbf"

_LONG_LINE = 1 << 20
"""A document of one line is read as objects in a row when it is longer; shorter ones may still be growing."""

_DECOMPRESS = "Decompress it first, for example: {} FILE | ddpm ingest --format json"
_FORMAT = "Read it with --format {}."
_EXPORT = "Export it as one of the formats that `ddpm plugins list` names."
_OTHERS = (
    (b"Obj\x01", "an Avro container", _FORMAT.format("avro")),
    (b"PAR1", "a Parquet file", _FORMAT.format("parquet")),
    (b"\x1f\x8b", "data compressed with gzip", _DECOMPRESS.format("gzip -dc")),
    (b"\x28\xb5\x2f\xfd", "data compressed with zstd", _DECOMPRESS.format("zstd -dc")),
    (b"BZh", "data compressed with bzip2", _DECOMPRESS.format("bzip2 -dc")),
    (b"\xfd7zXZ\x00", "data compressed with xz", _DECOMPRESS.format("xz -dc")),
    (b"\x04\x22\x4d\x18", "data compressed with lz4", _DECOMPRESS.format("lz4 -dc")),
    (b"PK\x03\x04", "a zip archive", _DECOMPRESS.format("unzip -p")),
    (b"SQLite format 3\x00", "an SQLite database", _EXPORT),
    (b"ARROW1", "an Arrow IPC file", _EXPORT),
    (b"ORC", "an ORC file", _EXPORT),
    (b"%PDF-", "a PDF", _EXPORT),
)
_UTF16 = (b"\xff\xfe", b"\xfe\xff", b"{\x00", b"\x00{", b"[\x00", b"\x00[", b"\x00\x00\xfe\xff", b"\x00\x00\x00")


def refuse_others(name: str, head: bytes) -> None:
    """Stop before the first record when a document is evidently no JSON in UTF-8.

    Raises:
        DataError: It begins like another format, or in another encoding.
    """
    for magic, what, hint in _OTHERS:
        if head.startswith(magic):
            raise DataError(f"{name} is not JSON: it looks like {what}", reason="wrong_format", hint=hint)
    if head.startswith(_UTF16):
        raise DataError(
            f"{name} is not UTF-8: it looks like UTF-16 or UTF-32",
            reason="encoding",
            hint="Convert it first, for example: iconv -f UTF-16 -t UTF-8 FILE | ddpm ingest --format json",
        )


def may_be_one_line(head: bytes) -> bool:
    """Whether a document that begins like this, without a line end so far, may begin with one very long line of NDJSON."""
    text = head.removeprefix(BOM).lstrip(WHITESPACE)
    return text.startswith(b"{") and OBJECT.match(text) is None


def find_layout(head: bytes, *, whole: bool) -> tuple[Layout, int]:
    """The layout of a document that begins with `head`, and the byte where its first record may begin.

    Args:
        head: The document's beginning: its first line, or as much of it as one record may have.
        whole: Whether that is all of it.
    """
    start = len(BOM) if head.startswith(BOM) else 0
    text = head[start:].lstrip(WHITESPACE)
    first, newline, rest = text.partition(b"\n")
    begin = len(head) - len(text)
    if text.startswith(b"["):
        more = rest.strip(WHITESPACE)
        return ("lines", start) if more and not left_open(first) else ("array", begin + 1)
    if text.startswith(b"{") and (_spans_lines(first, rest, whole) if newline else len(first) > _LONG_LINE):
        return "objects", begin
    return "lines", start


def _spans_lines(first: bytes, rest: bytes, whole: bool) -> bool:
    """Whether the object that begins in the first line goes on in the next ones, so that lines are not records.

    If it does not end in its line, either it is written over several lines, or it is one broken line among many. It is the
    latter when a complete object follows where none can stand.
    """
    within = left_open(first)
    if within in (b"", b'"'):
        return False
    following = rest.lstrip(WHITESPACE).partition(b"\n")[0].strip(WHITESPACE)
    if not following:
        return not whole
    may_hold_object = within == b"[" or first.rstrip(WHITESPACE).endswith(b":")
    return may_hold_object or not _is_object(following)


def _is_object(line: bytes) -> bool:
    try:
        return line.startswith(b"{") and isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False
