"""A dead letter as a message, so that others than ddpm can read it too.

- value: the payload, byte for byte (a row that has no bytes of its own: an Arrow IPC stream).
- key: the message's own key where it had one, so that it goes where its fellows go; else the letter's id.
- headers: the original message's own, under their names (one that begins with `ddpm.` as `ddpm.header.NAME`), and then ours, all of them text:
  `ddpm.id`, `ddpm.pipeline`, `ddpm.source`, `ddpm.partition`, `ddpm.offset`, `ddpm.byte_offset`, `ddpm.stage`, `ddpm.reason`,
  `ddpm.message`, `ddpm.plugin`, `ddpm.plugin_version`, `ddpm.sink`, `ddpm.payload_kind` (`bytes`, `arrow`, `none`), `ddpm.view` (JSON),
  `ddpm.attempts`, `ddpm.created_at` (ISO 8601), `ddpm.target`, `ddpm.format`, `ddpm.timestamp` (the message's own, in milliseconds),
  `ddpm.replayed_at`, and `ddpm.kept` (`key`, `headers`: which of the message's own are known). One that has nothing to say is left out.

A letter that was sent again is a further message with the same `ddpm.id`: with `ddpm.replayed_at` when it got through, with more
`ddpm.attempts` when it did not. One that was purged has a message without a value, with `ddpm.id` and `ddpm.purged`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeAlias

from ddpm_core import DeadLetter

PREFIX = "ddpm."
_ORIGINAL = "ddpm.header."
_PURGED = "ddpm.purged"
_NUMBERS = ("offset", "byte_offset", "attempts", "timestamp")
_TIMES = ("created_at", "replayed_at")
_ELSEWHERE = ("payload", "key", "headers")
_OPTIONAL = ("byte_offset", "view", "timestamp", "replayed_at")
_NAMES = tuple(field.name for field in fields(DeadLetter) if field.name not in _ELSEWHERE)

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]


def key_of(letter: DeadLetter) -> bytes:
    """The key of its message."""
    return letter.key if letter.key is not None else letter.id.encode()


def headers_of(letter: DeadLetter) -> list[tuple[str, bytes | None]]:
    """The headers of its message."""
    own = [(f"{_ORIGINAL}{name}" if name.startswith(PREFIX) else name, value) for name, value in letter.headers or ()]
    kept = ",".join(name for name in ("key", "headers") if getattr(letter, name) is not None)
    ours = {name: getattr(letter, name) for name in _NAMES} | {"kept": kept}
    said = {name: _text(value) for name, value in ours.items() if value is not None and (value != "" or name in _OPTIONAL)}
    return [*own, *((f"{PREFIX}{name}", text.encode("utf-8", "surrogatepass")) for name, text in said.items())]


def purge_headers(letter: str) -> list[tuple[str, bytes | None]]:
    """The headers of the message that says that this one is gone."""
    return [("ddpm.id", letter.encode()), (_PURGED, b"true")]


def id_of(headers: Headers | None) -> tuple[str, bool] | None:
    """A letter's id, and whether the message says that it is gone. None: this is no dead letter."""
    named = dict(headers or ())
    name = named.get("ddpm.id")
    return (name.decode("utf-8", "replace"), _PURGED in named) if name is not None else None


def letter_of(key: bytes | None, value: bytes | None, headers: Headers) -> DeadLetter | None:
    """The dead letter that a message is, or None where it is something else."""
    ours: dict[str, str] = {}
    original: list[tuple[str, bytes]] = []
    for name, data in headers:
        if name.startswith(_ORIGINAL) or not name.startswith(PREFIX):
            original.append((name.removeprefix(_ORIGINAL), data or b""))
        else:
            ours[name.removeprefix(PREFIX)] = (data or b"").decode("utf-8", "surrogatepass")
    kept = ours.pop("kept", "").split(",")
    try:
        known: dict[str, Any] = {name: _read(name, ours.get(name)) for name in _NAMES}
    except ValueError:
        return None
    return DeadLetter(
        **known,
        payload=value or b"",
        key=key if "key" in kept else None,
        headers=tuple(original) if "headers" in kept else None,
    )


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _read(name: str, text: str | None) -> Any:
    if text is None and name in _OPTIONAL:
        return None
    if name in _NUMBERS:
        return int(text or "")
    if name in _TIMES:
        return datetime.fromisoformat(text or "")
    return text or ""
