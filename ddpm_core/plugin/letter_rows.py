"""A dead letter as a row of the table `_ddpm_dead_letters`, and back."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

from ddpm_core.records import DeadLetter

DEAD_LETTER_COLUMNS = (
    "id", "pipeline", "target", "source", "partition", "record_offset", "byte_offset", "stage", "reason", "message", "plugin",
    "plugin_version", "sink", "payload", "payload_kind", "view", "attempts", "created_at", "format", "message_key", "message_headers",
    "message_timestamp", "replayed_at",
)  # fmt: skip
"""The columns of `_ddpm_dead_letters`, in their order."""
MAY_BE_NULL = ("byte_offset", "view", "message_key", "message_headers", "message_timestamp", "replayed_at")
"""Those that may have no value."""
_FIELDS = {
    "record_offset": "offset", "message_key": "key", "message_headers": "headers", "message_timestamp": "timestamp",
}  # fmt: skip
"""Column -> field of a `DeadLetter`, where the two are not called the same: SQL and people would stumble over the field's name."""


def letter_value(letter: DeadLetter, column: str) -> Any:
    """A dead letter's value for one column. Text that no database holds is escaped: the payload has the original."""
    value = getattr(letter, _FIELDS.get(column, column))
    if column == "message_headers":
        return None if value is None else headers_as_text(value)
    if isinstance(value, str) and column != "view":
        return value.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
    return value


def letter_of(row: Sequence[Any]) -> DeadLetter:
    """The dead letter of a row of `DEAD_LETTER_COLUMNS`.

    Databases without a type for a column give its text or its bytes, and times without a zone are in UTC.
    """
    values = {_FIELDS.get(name, name): value for name, value in zip(DEAD_LETTER_COLUMNS, row, strict=True)}
    for name, value in values.items():
        if name in ("payload", "key"):
            values[name] = None if value is None else bytes(value)
        elif isinstance(value, bytes):
            values[name] = value.decode()
    for name in ("created_at", "replayed_at"):
        values[name] = _in_utc(values[name])
    values["headers"] = None if values["headers"] is None else headers_of_text(values["headers"])
    return DeadLetter(**values)


def in_pieces(letters: Iterable[DeadLetter], most: int, most_bytes: int) -> Iterator[list[DeadLetter]]:
    """Letters in their order, in pieces of at most so many, or of so many bytes of payload, whichever comes first; at least one."""
    piece: list[DeadLetter] = []
    nbytes = 0
    for letter in letters:
        if piece and (len(piece) == most or nbytes + len(letter.payload) > most_bytes):
            yield piece
            piece, nbytes = [], 0
        piece.append(letter)
        nbytes += len(letter.payload)
    if piece:
        yield piece


def headers_as_text(headers: Sequence[tuple[str, bytes]]) -> str:
    """A message's headers as JSON: pairs of name and value, the value in base64."""
    return json.dumps([[name, base64.b64encode(value).decode()] for name, value in headers])


def headers_of_text(text: str) -> tuple[tuple[str, bytes], ...]:
    """The opposite of `headers_as_text`. Raises `ValueError` or `TypeError` for anything else."""
    return tuple((str(name), base64.b64decode(value, validate=True)) for name, value in json.loads(text))


def _in_utc(time: Any) -> datetime | None:
    if time is None:
        return None
    known = datetime.fromisoformat(time) if isinstance(time, str) else time
    return known.replace(tzinfo=timezone.utc) if known.tzinfo is None else known  # noqa: UP017
