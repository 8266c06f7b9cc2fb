"""What a file is, by how it begins and ends."""

from __future__ import annotations

import os
from typing import BinaryIO

from ddpm_core import DataError
from ddpm_parquet.errors import AGAIN, encrypted

MAGIC = b"PAR1"
MAGIC_ENCRYPTED = b"PARE"
_SMALLEST = 12  # Two magics and the footer's length.

_BEGINNINGS = (
    (b"Obj\x01", "an Avro container", "avro"),
    (b"ARROW1", "an Arrow IPC file", ""),
    (b"ORC", "an ORC file", ""),
    (b"\x1f\x8b", "gzip", ""),
    (b"\x28\xb5\x2f\xfd", "Zstandard", ""),
    (b"BZh", "bzip2", ""),
    (b"\xfd7zXZ", "xz", ""),
    (b"PK\x03\x04", "a zip archive", ""),
    (b"SQLite format 3", "an SQLite database", ""),
)


def check(name: str, stream: BinaryIO) -> None:
    """Refuse what cannot be a whole Parquet file, before its footer is read. The stream's position afterwards is undefined.

    Raises:
        DataError: With reason `wrong_format`, `parquet_truncated` or `encrypted`.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    beginning = stream.read(64)
    if not size:
        raise DataError(f"{name} is empty (0 bytes), which no Parquet file is", reason="parquet_truncated", hint=AGAIN)
    if beginning[:4] == MAGIC_ENCRYPTED:
        raise encrypted(name)
    if not beginning.startswith(MAGIC[:size]):
        what, format_name = _looks_like(beginning)
        hint = f"Name its format: --format {format_name}" if format_name else "Convert it first, or name its format with --format."
        raise DataError(f"{name} is not a Parquet file: {what}", reason="wrong_format", hint=hint)
    stream.seek(max(size - 4, 0))
    ending = stream.read(4)
    if size >= _SMALLEST and ending == MAGIC_ENCRYPTED:
        raise encrypted(name)
    if size < _SMALLEST or ending != MAGIC:
        raise DataError(
            f"{name} is not complete: its end, where Parquet keeps its footer, is missing ({size:,} bytes are there)",
            reason="parquet_truncated",
            hint=f"{AGAIN} If something still writes it, wait until that has closed it.",
        )


def _looks_like(beginning: bytes) -> tuple[str, str]:
    for magic, what, format_name in _BEGINNINGS:
        if beginning.startswith(magic):
            return f"it looks like {what}", format_name
    if beginning[8:12] == b"DUCK":
        return "it looks like a DuckDB database", ""
    text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] in (b"{", b"["):
        return "it looks like JSON", "json"
    if text and all(byte >= 32 or byte in b"\t\r\n" for byte in text) and _is_utf8(text):
        return f"it looks like text, beginning {text[:24].decode('utf-8', 'ignore')!r}", ""
    return f"it begins with the bytes {beginning[:8].hex(' ')}", ""


def _is_utf8(beginning: bytes) -> bool:
    try:
        beginning[:-3].decode()  # The last character may have been cut.
    except UnicodeDecodeError:
        return False
    return True
