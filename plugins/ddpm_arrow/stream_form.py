"""The stream form: a schema, then dictionaries and batches, then a mark that ends it, or nothing."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from ddpm_arrow.cursor import Cursor
from ddpm_arrow.errors import invalid, truncated
from ddpm_arrow.limits import Limits
from ddpm_arrow.message import CONTINUATION, Message, opened, read_body
from ddpm_arrow.tables import MalformedError
from ddpm_core import DataError, read_fully

_PIECE = 4 << 20


class StreamForm:
    """Reads the messages of a stream in their order.

    Args:
        name: The document, as people call it.
        stream: Its bytes, from its beginning but for what is in `ahead`.
        ahead: The first bytes, which have been read already.
    """

    def __init__(self, name: str, stream: BinaryIO, ahead: bytes, limits: Limits) -> None:
        self._name = name
        self._stream = stream
        self._ahead = ahead
        self._at = 0
        self._limits = limits

    def messages(self, cursor: Cursor) -> Iterator[Message]:
        """The messages that the cursor wants.

        Raises:
            DataError: It cannot be read on from here, or goes on after its end.
        """
        number = 0
        while (metadata := self._metadata(where := f" in message {number + 1}")) is not None:
            try:
                envelope = opened(metadata)
            except MalformedError as error:
                raise invalid(self._name, f"it has {error}", where) from None
            if number == 0 and envelope.kind != "schema":
                raise invalid(self._name, "it does not begin with a schema")
            if cursor.wants(envelope):
                self._limits.check_body(envelope, where)
                message = Message(envelope, read_body(self._name, self._stream, envelope.body_bytes, where))
                self._at += envelope.body_bytes
                self._limits.check_content(message, where)
                yield message
            else:
                self._skip(envelope.body_bytes, where)
            number += 1

    def _metadata(self, where: str) -> bytes | None:
        """The metadata of the next message; None at the end. Streams from before Arrow 0.15 have no mark before the length."""
        prefix = self._take(4)
        if not prefix:
            return None  # Whoever wrote it closed it, which ends a stream as well.
        if prefix == CONTINUATION:
            prefix = self._take(4)
        if len(prefix) < 4:
            raise truncated(self._name, "it ends within a message's length", where)
        length = struct.unpack("<i", prefix)[0]
        if length == 0:
            self._refuse_rest()
            return None
        self._limits.check_metadata(length, where)
        metadata = self._take(length)
        if len(metadata) < length:
            raise truncated(self._name, "it ends within a message's metadata", where)
        return metadata

    def _take(self, size: int) -> bytes:
        """The next bytes; fewer at the end."""
        got, self._ahead = self._ahead[:size], self._ahead[size:]
        if len(got) < size:
            got += read_fully(self._stream, size - len(got))
        self._at += len(got)
        return got

    def _skip(self, size: int, where: str) -> None:
        if size and self._stream.seekable():
            self._at += size - 1
            self._stream.seek(self._at)
            size = 1  # Beyond the end there is nothing to read, and a seek does not tell.
        while size:
            piece = self._take(min(size, _PIECE))
            if not piece:
                raise truncated(self._name, "it ends within a message that was read before", where)
            size -= len(piece)

    def _refuse_rest(self) -> None:
        if self._take(1):
            raise DataError(
                f"{self._name} goes on after the mark that ends a stream, at byte {self._at - 1:,}",
                reason="trailing_bytes",
                hint="Make each stream a file of its own.",
            )
