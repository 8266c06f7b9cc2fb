"""The file form: messages anywhere, and a footer that says where."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from ddpm_arrow.cursor import Cursor
from ddpm_arrow.errors import invalid, truncated
from ddpm_arrow.limits import Limits
from ddpm_arrow.message import CONTINUATION, MAX_METADATA, Envelope, Message, Place, opened, read_body, schema_of_footer
from ddpm_arrow.tables import MalformedError
from ddpm_core import read_fully

MAGIC = b"ARROW1"
_SMALLEST = 18  # Two magics, padding and the footer's length.


class FileForm:
    """Reads the messages that the footer of a file names: its schema, all dictionaries, then the batches.

    Args:
        name: The document, as people call it.
        stream: Its bytes; it can seek.
    """

    def __init__(self, name: str, stream: BinaryIO, limits: Limits) -> None:
        self._name = name
        self._stream = stream
        self._limits = limits

    def messages(self, cursor: Cursor) -> Iterator[Message]:
        """The messages that the cursor wants.

        Raises:
            DataError: It is no whole file, or the footer and what it names do not agree.
        """
        size = self._stream.seek(0, os.SEEK_END)
        try:
            schema, dictionaries, batches = schema_of_footer(self._footer(size))
            envelope = opened(schema)
        except MalformedError as error:
            raise invalid(self._name, f"its footer has {error}") from None
        self._refuse_overlap([*dictionaries, *batches], size)
        yield Message(envelope, b"")
        for number, place in enumerate(dictionaries, start=1):
            where = f" in dictionary {number}"
            yield self._message(self._envelope(place, "dictionary", where), where)
        for number, place in enumerate(batches, start=1):
            where = f" in record batch {number}"
            envelope = self._envelope(place, "batch", where)
            if cursor.wants(envelope):
                yield self._message(envelope, where)

    def _footer(self, size: int) -> bytes:
        self._stream.seek(max(size - 10, 0))
        ending = read_fully(self._stream, 10)
        if size < _SMALLEST or ending[4:] != MAGIC:
            raise truncated(self._name, f"its end, where a file keeps its footer, is missing ({size:,} bytes are there)")
        length = struct.unpack("<i", ending[:4])[0]
        if not 0 < length <= min(size - _SMALLEST, MAX_METADATA):
            raise invalid(self._name, f"its footer cannot have {length:,} bytes")
        self._stream.seek(size - 10 - length)
        return read_fully(self._stream, length)

    def _refuse_overlap(self, places: list[Place], size: int) -> None:
        """A footer that names the same bytes again and again would make a small file endless."""
        end = 0
        for place in sorted(places):
            if place.at < end or place.head < 8 or place.body < 0 or place.end > size:
                what = f"its footer names a message at byte {place.at:,} that overlaps another, or lies outside"
                raise invalid(self._name, what)
            end = place.end

    def _envelope(self, place: Place, kind: str, where: str) -> Envelope:
        """What stands at this place. The stream is left where its body begins."""
        self._limits.check_metadata(place.head, where)
        self._stream.seek(place.at)
        stored = read_fully(self._stream, place.head)
        prefix = 8 if stored[:4] == CONTINUATION else 4
        try:
            envelope = opened(stored[prefix:])
        except MalformedError as error:
            raise invalid(self._name, f"it has {error}", where) from None
        if envelope.kind != kind or envelope.body_bytes > place.body:
            raise invalid(self._name, f"the footer does not fit the message at byte {place.at:,}", where)
        return envelope

    def _message(self, envelope: Envelope, where: str) -> Message:
        self._limits.check_body(envelope, where)
        message = Message(envelope, read_body(self._name, self._stream, envelope.body_bytes, where))
        self._limits.check_content(message, where)
        return message
