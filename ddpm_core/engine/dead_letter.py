"""Dead letters: what is kept of a record that was set aside, and where it is kept when no sink can."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ddpm_core.engine.chunk import Chunk, Refusal
from ddpm_core.records import DeadLetter, Messages, Rows

if TYPE_CHECKING:
    import pyarrow as pa


def dead_letter(chunk: Chunk, refusal: Refusal, *, pipeline: str, table: str = "", encoding: str = "") -> DeadLetter:
    """The dead letter of a refused record: its original bytes, or its row where it has no bytes of its own.

    The id is made of the source coordinates, the table and the judge, so that the same record is kept once however often it is written,
    and once for each table that it was meant for. A file's coordinates name its content; a message's do not (a topic that is made anew
    counts from 0 again), so its bytes are in the id too. A dead letter that was sent again and refused again is the same letter, tried once
    more: it keeps its id, its coordinates and its payload.

    Args:
        chunk: Where the record is.
        refusal: Which one, and why.
        pipeline: The pipeline's name.
        table: The target table as the user named it, where the pipeline has one.
        encoding: The format that the source's bytes are in, where they are in one.
    """
    partition, offset = chunk.coordinates(refusal.record)
    reject, step = refusal.reject, chunk.step
    messages = chunk.source if isinstance(chunk.source, Messages) else None
    if messages is not None and messages.letters is not None:
        return _tried_again(messages.letters[refusal.record], refusal)
    payload, kind, view = _payload(chunk, refusal)
    byte_offset = reject.byte_offset
    if byte_offset is None and step.byte_offset is not None:
        byte_offset = step.byte_offset(refusal.record)
    identity = "\x1f".join((pipeline, table, partition, str(offset), refusal.stage, refusal.sink, reject.reason))
    content = payload if messages is not None and kind == "bytes" else b""
    return DeadLetter(
        id=hashlib.blake2b(identity.encode("utf-8", "surrogatepass") + content, digest_size=16).hexdigest(),
        pipeline=pipeline,
        source=partition if isinstance(chunk.source, Messages) else chunk.source.name,
        partition=partition,
        offset=offset,
        byte_offset=byte_offset,
        stage=refusal.stage,
        reason=reject.reason,
        message=reject.message,
        plugin=refusal.plugin,
        plugin_version=refusal.version,
        sink=refusal.sink,
        payload=payload,
        payload_kind=kind,
        view=view,
        attempts=1,
        created_at=datetime.now(UTC),
        format=(encoding or _decoder(chunk, refusal)) if kind != "arrow" else "",
        key=_of_message(messages, "keys", refusal.record),
        headers=_headers(messages, refusal.record),
        timestamp=_of_message(messages, "timestamps", refusal.record),
    )


def _tried_again(letter: DeadLetter, refusal: Refusal) -> DeadLetter:
    return replace(
        letter,
        stage=refusal.stage,
        reason=refusal.reject.reason,
        message=refusal.reject.message,
        plugin=refusal.plugin,
        plugin_version=refusal.version,
        sink=refusal.sink,
        attempts=letter.attempts + 1,
    )


def _decoder(chunk: Chunk, refusal: Refusal) -> str:
    """Who could not decode the record: a format, unless the source decodes itself."""
    return refusal.plugin if refusal.stage == "parse" and not isinstance(chunk.source, Rows) else ""


def _of_message(messages: Messages | None, column: str, record: int) -> Any:
    """A message's key or time, where the source gave them."""
    values = None if messages is None else getattr(messages, column)
    return None if values is None else values[record]


def _headers(messages: Messages | None, record: int) -> tuple[tuple[str, bytes], ...] | None:
    found = _of_message(messages, "headers", record)
    return None if found is None else tuple((name, value) for name, value in found)


def _payload(chunk: Chunk, refusal: Refusal) -> tuple[bytes, str, str | None]:
    """Payload, its kind, and the view of it as JSON."""
    raw = refusal.reject.raw
    if raw is None and chunk.step.raw is not None:
        raw = chunk.step.raw(refusal.record)
    if raw is not None:
        return raw, "bytes", None
    row = _from_ipc(refusal.reject.row) if refusal.reject.row is not None else chunk.row_of(refusal.record)
    if row is not None:
        return _ipc(row), "arrow", _view(row)
    tombstone = isinstance(chunk.source, Messages) and chunk.source.values[refusal.record] is None
    return b"", "none" if tombstone else "bytes", None


def _ipc(row: pa.RecordBatch) -> bytes:
    """One row as an Arrow IPC stream. Copied first, or the whole batch's buffers would go with it."""
    import pyarrow as pa

    row = row.take(pa.array([0], pa.int64()))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, row.schema) as writer:
        writer.write_batch(row)
    return bytes(sink.getvalue())


def _from_ipc(stream: bytes) -> pa.RecordBatch:
    import pyarrow as pa

    with pa.ipc.open_stream(stream) as reader:
        return reader.read_next_batch()


def _view(row: pa.RecordBatch) -> str:
    """The row as JSON that every database takes, for people; the payload has the exact values."""
    values = row.to_pylist()[0] if len(set(row.schema.names)) == row.num_columns else dict(enumerate(_columns(row)))
    return json.dumps(_plain(values), ensure_ascii=False)


def _columns(row: pa.RecordBatch) -> list[Any]:
    return [column[0].as_py() for column in row.columns]


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {_plain(str(key)): _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case float() if not math.isfinite(value):
            return str(value)
        case bool() | int() | float() | None:
            return value
        case bytes():
            return base64.b64encode(value).decode()
        case _:
            return str(value).replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
