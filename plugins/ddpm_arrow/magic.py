"""What a document is, by how it begins."""

from __future__ import annotations

from typing import Literal

from ddpm_arrow.errors import truncated
from ddpm_arrow.file_form import MAGIC
from ddpm_arrow.message import CONTINUATION, opened_schema_length
from ddpm_core import DataError

_BEGINNINGS = (
    (b"Obj\x01", "an Avro container", "avro"),
    (b"PAR1", "a Parquet file", "parquet"),
    (b"ORC", "an ORC file", ""),
    (b"\x1f\x8b", "gzip", ""),
    (b"\x28\xb5\x2f\xfd", "Zstandard", ""),
    (b"BZh", "bzip2", ""),
    (b"\xfd7zXZ", "xz", ""),
    (b"PK\x03\x04", "a zip archive", ""),
    (b"{", "JSON", "json"),
    (b"[", "JSON", "json"),
)


def form_of(name: str, beginning: bytes) -> Literal["file", "stream"]:
    """Which form a document has whose first 8 bytes are these.

    Raises:
        DataError: With reason `wrong_format` or `arrow_truncated`: it has neither.
    """
    if not beginning:
        raise truncated(name, "it is empty (0 bytes)")
    if beginning.startswith(MAGIC):
        return "file"
    if beginning.startswith(b"FEA1"):
        raise DataError(
            f"{name} is a Feather file of version 1, which Arrow has given up",
            reason="wrong_format",
            hint="Write it again as version 2: pyarrow.feather.write_feather(pyarrow.feather.read_table(old), new).",
        )
    if beginning[:4] == CONTINUATION or opened_schema_length(beginning):
        return "stream"
    if len(beginning) < 8 and (MAGIC.startswith(beginning) or CONTINUATION.startswith(beginning)):
        raise truncated(name, f"only {len(beginning)} bytes are there")
    what, format_name = _looks_like(beginning)
    hint = f"Name its format: --format {format_name}" if format_name else "Convert it first, or name its format with --format."
    raise DataError(f"{name} is no Arrow file or stream: {what}", reason="wrong_format", hint=hint)


def _looks_like(beginning: bytes) -> tuple[str, str]:
    text = beginning.removeprefix(b"\xef\xbb\xbf")
    for magic, what, format_name in _BEGINNINGS:
        if text.startswith(magic):
            return f"it looks like {what}", format_name
    if text and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in text):
        return f"it looks like text, beginning {text.decode()!r}", ""
    return f"it begins with the bytes {beginning.hex(' ')}", ""
