"""What a message may ask for, judged by what it claims, before anything is allocated for it."""

from __future__ import annotations

from ddpm_arrow.errors import invalid, too_much
from ddpm_arrow.message import MAX_METADATA, Envelope, Message
from ddpm_arrow.tables import MalformedError

_FREE_ROWS = 1_000_000
FREE_BYTES = 256 << 20
"""So many bytes of rows may come of any document, however few it has."""


class Limits:
    """The limits of one document.

    Args:
        name: The document, as people call it.
        max_bytes: The most that a message may have, packed or unpacked, and that all dictionaries may have together.
        max_expansion: Rows may have so many times the bytes that they were made of.
    """

    def __init__(self, name: str, max_bytes: int, max_expansion: int) -> None:
        self._name = name
        self._max_bytes = max_bytes
        self._max_expansion = max_expansion
        self._made = 0
        self._dictionaries: dict[int, int] = {}

    def check_metadata(self, length: int, where: str) -> None:
        """Of so many bytes of metadata."""
        if not 0 < length <= MAX_METADATA:
            raise invalid(self._name, f"its metadata cannot have {length:,} bytes", where)

    def check_body(self, envelope: Envelope, where: str) -> None:
        """Of a body that has not been read."""
        size = envelope.body_bytes
        if size > self._max_bytes:
            raise too_much(self._name, f"it announces {size:,} bytes, and {self._max_bytes:,} are allowed at once", where)

    def check_content(self, message: Message, where: str) -> None:
        """Of a body that pyarrow would unpack next."""
        envelope, body = message.envelope, message.body
        try:
            unpacked = envelope.unpacked_bytes(body)
        except MalformedError as error:
            raise invalid(self._name, f"it has {error}", where) from None
        if envelope.compressed and unpacked > self._max_bytes:
            what = f"it has {unpacked:,} bytes when decompressed, and {self._max_bytes:,} are allowed at once"
            raise too_much(self._name, what, where)
        # Nulls, and one value for all: rows that a few bytes can claim by the billion.
        if envelope.rows > max(_FREE_ROWS, 8 * (unpacked + len(body))):
            raise too_much(self._name, f"it claims {envelope.rows:,} rows in {len(body):,} bytes", where)
        if envelope.kind == "dictionary":
            self._count_dictionary(envelope, max(unpacked, len(body)), where)

    def check_rows(self, made: int, taken: int, where: str) -> None:
        """Of rows that were made of the document.

        Args:
            made: How many bytes more of them there are.
            taken: Bytes of the document so far.
        """
        self._made += made
        self.check_total(0, taken, where)

    def check_total(self, more: int, taken: int, where: str) -> None:
        """Of so many bytes of rows more that would be made of what was taken of the document."""
        made = self._made + more
        if made > max(FREE_BYTES, self._max_expansion * taken):
            what = f"{made:,} bytes of rows come of {taken:,} bytes, and {self._max_expansion:,} times as many are allowed"
            raise too_much(self._name, what, where, option="max_expansion")

    def check_value(self, size: int, what: str, where: str) -> None:
        """Of a value, or a dictionary, that would be unpacked as a whole to so many bytes."""
        if size > self._max_bytes:
            raise too_much(self._name, f"{what} may unpack to {size:,} bytes, and {self._max_bytes:,} are allowed", where)

    def _count_dictionary(self, envelope: Envelope, size: int, where: str) -> None:
        known = self._dictionaries.get(envelope.dictionary, 0) if envelope.delta else 0
        self._dictionaries[envelope.dictionary] = known + size
        total = sum(self._dictionaries.values())
        if total > self._max_bytes:
            what = f"its dictionaries have {total:,} bytes together, and {self._max_bytes:,} are allowed"
            raise too_much(self._name, what, where)
