"""What stands before a datum in a message, and says which schema it was written with."""

from __future__ import annotations

import json
from operator import itemgetter
from typing import Any, Literal

import fastavro.schema

from ddpm_core import DataError

Framing = Literal["container", "confluent", "single_object", "bare"]
Key = int | bytes
"""Which schema: the registry's id, a fingerprint, or nothing where there is only one."""

SINGLE_OBJECT = b"\xc3\x01"
HEAD_BYTES = {"confluent": 5, "single_object": 10, "bare": 0}
_CALLED = {"confluent": "Confluent framing", "single_object": "Avro single-object framing"}


class Framed:
    """Takes messages apart.

    Attributes:
        head, rest: The bytes before the datum, and the datum.
    """

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._size = HEAD_BYTES[framing]
        self.head = itemgetter(slice(0, self._size))
        self.rest = itemgetter(slice(self._size, None))

    def key(self, head: bytes) -> Key:
        """Which schema a message with this head was written with.

        Raises:
            DataError: `wire_format`: it is too short, or has another beginning.
        """
        if len(head) < self._size:
            raise DataError(
                f"the message has {len(head)} bytes, and {_CALLED[self._framing]} has {self._size} before the record",
                reason="wire_format",
            )
        if self._framing == "confluent":
            if head[0]:
                raise self._other(head, "00")
            return int.from_bytes(head[1:], "big")
        if self._framing == "single_object":
            if not head.startswith(SINGLE_OBJECT):
                raise self._other(head, "c3 01")
            return head[2:]
        return b""

    def _other(self, head: bytes, magic: str) -> DataError:
        return DataError(
            f"the message begins with {head[:4].hex(' ')}, and {_CALLED[self._framing]} with {magic}",
            reason="wire_format",
            hint="Say how messages are framed with the option framing.",
        )


def confluent_head(schema_id: int) -> bytes:
    """What stands before a datum whose schema the registry knows by this id."""
    return b"\x00" + schema_id.to_bytes(4, "big")


def single_object_head(schema: bytes) -> bytes:
    """What stands before a datum of this schema, which is valid."""
    return SINGLE_OBJECT + fingerprint(json.loads(schema))


def fingerprint(schema: Any) -> bytes:
    """The CRC-64-AVRO fingerprint of a schema's parsing canonical form, lowest byte first."""
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    return bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))
