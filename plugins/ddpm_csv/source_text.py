"""A document's text as UTF-8, whatever its encoding, and the way back to its own bytes."""

from __future__ import annotations

import codecs
import re
from typing import Protocol

from ddpm_core import DataError, read_fully

BOM = codecs.BOM_UTF8
_MARKS = {
    "utf-16": ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")),
    "utf-32": ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be")),
}
_UNDECODED = re.compile("([\ud800-\udfff]+)")
_HANDLER = "ddpm_csv_keep"


class Readable(Protocol):
    """What can be read from: any binary stream."""

    def read(self, size: int, /) -> bytes: ...


class Utf8Source:
    """UTF-8 as it is: bytes that are none are found when the record is decoded.

    Args:
        stream: The document, standing at byte `at`.
        at: Where that is. At the beginning a byte order mark is left out.
    """

    codec = "utf-8"

    def __init__(self, stream: Readable, at: int) -> None:
        self._stream = stream
        self._ahead = b""
        if at == 0:
            self._ahead = read_fully(stream, len(BOM))
            if self._ahead == BOM:
                self._ahead, at = b"", len(BOM)
        self.at = at

    def read(self, size: int) -> bytes:
        """About `size` bytes of UTF-8; nothing only at the end."""
        ahead, self._ahead = self._ahead, b""
        return ahead + read_fully(self._stream, size)

    def size(self, text: bytes) -> int:
        """How many bytes of the source this text is."""
        return len(text)

    def original(self, text: bytes) -> bytes:
        """The bytes of the source that this text is."""
        return text

    def decode(self, text: bytes) -> str:
        """Text for people and columns.

        Raises:
            DataError: The source's bytes are not in its encoding.
        """
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"not UTF-8: {error.reason} at byte {error.start + 1} of the record", reason="encoding") from None


class DecodedSource(Utf8Source):
    """Any other encoding. A byte that cannot be decoded becomes half a surrogate pair, which no text holds.

    Args:
        stream: The document, standing at byte `at`.
        at: Where that is.
        codec: Its encoding as Python names it. What a byte order mark tells about it is in the attribute `codec` then.
    """

    def __init__(self, stream: Readable, at: int, codec: str) -> None:
        self._stream = stream
        self._ahead = b""
        self.codec = codec
        if at == 0:
            at = self._mark(codec)
        elif codec in _MARKS:
            self.codec = f"{codec}-le"
        self.at = at
        self._decoder = codecs.getincrementaldecoder(self.codec)(_HANDLER)

    def _mark(self, codec: str) -> int:
        if codec not in _MARKS:
            return 0
        self._ahead = read_fully(self._stream, 4 if codec == "utf-32" else 2)
        self.codec = f"{codec}-le"
        for mark, told in _MARKS[codec]:
            if self._ahead == mark:
                self.codec, self._ahead = told, b""
                return len(mark)
        return 0

    def read(self, size: int) -> bytes:
        while True:
            block = self._ahead + read_fully(self._stream, size)
            self._ahead = b""
            text = self._decoder.decode(block, final=not block)
            if text or not block:
                return text.encode("utf-8", "surrogatepass")

    def size(self, text: bytes) -> int:
        return len(self.original(text))

    def original(self, text: bytes) -> bytes:
        parts = _UNDECODED.split(text.decode("utf-8", "surrogatepass"))
        for number, part in enumerate(parts):
            if number % 2 and any(not "\udc00" <= half <= "\udcff" for half in part):
                raise DataError(f"text in {self.codec} cannot be written back as it was", reason="encoding")
        return b"".join(
            bytes(ord(half) - 0xDC00 for half in part) if number % 2 else part.encode(self.codec)
            for number, part in enumerate(parts)
        )

    def decode(self, text: bytes) -> str:
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            before = self.size(text[: error.start])
            raise DataError(
                f"not {self.codec}: a byte that means nothing at byte {before + 1} of the record", reason="encoding"
            ) from None


def open_source(stream: Readable, at: int, codec: str) -> Utf8Source:
    """The text of a document that stands at byte `at`."""
    return Utf8Source(stream, at) if codec == "utf-8" else DecodedSource(stream, at, codec)


def _keep(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_HANDLER, _keep)
